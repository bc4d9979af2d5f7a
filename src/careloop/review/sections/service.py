"""Service: clocks, escalations, the closed loop, pain points and whether the last were solved."""

from careloop.program.codes import duration_text
from careloop.review import charts
from careloop.review.figures import columns, difference, has, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

SHOWN = 8
NEEDED = ("fct_ticket_clocks", "fct_cases", "rpt_pain_points", "fct_pain_point_findings")


def build(reader: Reader) -> Section | None:
    """Of the tickets opened in the period, against the period before."""
    if not has(reader, *NEEDED):
        return None
    say = words_of(reader, "service")
    clocks = _clocks(reader)
    cases = _cases(reader)
    sentences = [*_kept(say, clocks), *_broken(say, clocks), *_loop(say, cases)]
    sentences += [*_escalated(say, reader), *_solved(say, reader)]
    points = _points(reader)
    sentences += _worst(say, points)
    blocks: list[Table | Chart] = []
    if clocks:
        blocks += [_chart(say, clocks), _clock_table(say, clocks)]
    if points:
        blocks.append(_point_table(say, points))
    findings = _findings(reader)
    if findings:
        blocks.append(_finding_table(say, findings))
    return Section("service", say("title"), tuple(sentences), tuple(blocks))


def _clocks(reader: Reader) -> list[Row]:
    return reader.rows(
        """
        with judged as (
            select
                clock, clock_en, clock_zh, target, target_share, state, is_open, elapsed_seconds,
                opened_at >= $starts_at as is_now
            from fct_ticket_clocks
            where opened_at >= $previous_starts_at and opened_at < $ends_at
        )
        select
            clock,
            max(clock_en) as title_en,
            max(clock_zh) as title_zh,
            arg_max(target, is_now) as target,
            max(target_share) filter (where is_now) as target_share,
            count(*) filter (where is_now) as tickets,
            count(*) filter (where is_now and state = 'met') as met,
            count(*) filter (where is_now and state = 'breached') as breached,
            count(*) filter (where is_now and is_open) as waiting,
            median(elapsed_seconds) filter (where is_now and not is_open) / 60 as minutes,
            count(*) filter (where not is_now and state = 'met') as met_before,
            count(*) filter (where not is_now and state = 'breached') as breached_before
        from judged
        group by clock
        having count(*) filter (where is_now) > 0
        order by clock
        """
    )


def _cases(reader: Reader) -> Row:
    return reader.rows(
        "select count(*) as cases, count(*) filter (where is_resolved) as solved, "
        "count(*) filter (where is_confirmed) as confirmed, "
        "count(*) filter (where current_step = 'closed') as closed, "
        "count(*) filter (where is_stuck) as stuck, "
        "count(*) filter (where current_step = 'lapsed') as lapsed, "
        "count(*) filter (where kind = 'complaint') as complaints, "
        "count(*) filter (where kind = 'complaint' and is_resolved) as complaints_solved "
        "from fct_cases where opened_on >= $first_day and opened_on < $end_day"
    )[0]


def _points(reader: Reader) -> list[Row]:
    """Pain points of the period, and those of the one before that did not come again. Quarters
    only: they are not counted by month."""
    return reader.rows(
        """
        with points as (
            select * from rpt_pain_points
            where period_type = 'quarter'
                and period_start in ($quarter, $quarter - interval 3 month)
        )
        select
            pain_point, touchpoint, max(title_en) as title_en, max(title_zh) as title_zh,
            max(department) as department,
            max(place) filter (where period_start = $quarter) as place,
            max(level) filter (where period_start = $quarter) as level,
            coalesce(max(cases) filter (where period_start = $quarter), 0) as cases,
            coalesce(max(cases) filter (where period_start < $quarter), 0) as cases_before,
            max(customers_touched) filter (where period_start = $quarter) as customers,
            max(score) filter (where period_start = $quarter) as score,
            max(score) filter (where period_start < $quarter) as score_before
        from points
        group by pain_point, touchpoint
        order by place nulls last, pain_point, touchpoint
        """,
        {"quarter": _quarter(reader)},
    )


def _quarter(reader: Reader) -> object:
    day = reader.period.first_day
    return day.replace(month=(day.month - 1) // 3 * 3 + 1)


def _findings(reader: Reader) -> list[Row]:
    """Those known when the period began, and those found in it."""
    return reader.rows(
        """
        with findings as (
            select
                pain_point, touchpoint, level, department, title_en, title_zh, found_on, due_on,
                case when left_on < $end_day then left_on end as left_on
            from fct_pain_point_findings
            inner join (
                select pain_point, max(title_en) as title_en, max(title_zh) as title_zh,
                    max(department) as department
                from rpt_pain_points group by pain_point
            ) using (pain_point)
            where found_on < $end_day and coalesce(left_on >= $first_day, true)
        )
        select *, found_on < $first_day as is_old,
            coalesce(left_on, least($end_day, $today)) > due_on as is_late
        from findings
        order by left_on nulls first, due_on, level, pain_point, touchpoint, found_on
        """,
        {"today": reader.as_of.date()},
    )


def _kept(say: Words, clocks: list[Row]) -> list[Sentence]:
    met, breached = total(clocks, "met"), total(clocks, "breached")
    kept = share(met, met + breached)
    if kept is None:
        return [Sentence("info", say("no_clocks"))]
    met_before = total(clocks, "met_before")
    before = share(met_before, met_before + total(clocks, "breached_before"))
    values = {"x": say.share(kept), "n": say.number(met + breached), "b": say.number(breached)}
    change = difference(kept, before)
    if change is None:
        return [Sentence("info", say("kept", **values))]
    # Better than before is no success while fewer are kept than the program wants.
    wanted = sum((row["target_share"] or 0) * (row["met"] + row["breached"]) for row in clocks)
    tone = "bad" if change < 0 else "good" if change > 0 and met >= wanted else "info"
    text = say("kept_change", d=say.change(change, "share"), **values)
    return [Sentence(tone, text, 0 if tone == "info" else 40 + min(15, 100 * abs(change)))]


def _broken(say: Words, clocks: list[Row]) -> list[Sentence]:
    """The promise that is broken most often, and those always kept."""
    found = []
    short = [
        (row["target_share"] - share(row["met"], row["met"] + row["breached"]), row)
        for row in clocks
        if row["target_share"] is not None and row["met"] + row["breached"]
    ]
    worst = max(short, key=lambda pair: (pair[0], pair[1]["clock"]), default=None)
    if worst and worst[0] > 0:
        row = worst[1]
        values = {
            "clock": row[f"title_{say.language}"],
            "target": duration_text(row["target"], say.language),
            "x": say.share(share(row["met"], row["met"] + row["breached"])),
            "n": say.number(row["met"] + row["breached"]),
        }
        found.append(Sentence("bad", say("worst_clock", **values), 46))
    kept = [r[f"title_{say.language}"] for r in clocks if r["met"] and not r["breached"]]
    if kept:
        found.append(Sentence("good", say("always", list=say.listing(kept))))
    return found


def _loop(say: Words, cases: Row) -> list[Sentence]:
    if not cases["cases"]:
        return [Sentence("info", say("no_cases"))]
    values = {key: say.number(value) for key, value in cases.items()}
    values["x"] = say.share(share(cases["closed"], cases["cases"]))
    found = [Sentence("info", say("loop", **values))]
    if cases["stuck"] or cases["lapsed"]:
        found.append(Sentence("bad", say("stuck", **values), 31))
    return found


def _escalated(say: Words, reader: Reader) -> list[Sentence]:
    if not has(reader, "rpt_cases_of_note"):
        return []
    rows = reader.rows(
        "select max(cases_noted) as n from rpt_cases_of_note where note = 'escalated' "
        "and period_type = $period_type and period_start = $first_day"
    )
    n = rows[0]["n"]
    if not n:
        return [Sentence("info", say("none_escalated"))]
    return [Sentence("info", say("escalated", n=say.number(n)))]


def _solved(say: Words, reader: Reader) -> list[Sentence]:
    """Whether what was known when the period began has been solved."""
    old: dict[tuple[str, str], list[Row]] = {}
    for row in _findings(reader):
        if row["is_old"]:
            old.setdefault((row["pain_point"], row["touchpoint"]), []).append(row)
    if not old:
        return [Sentence("info", say("no_old_findings"))]
    left = [sum(row["left_on"] is not None for row in rows) / len(rows) for rows in old.values()]
    late = [
        rows[0] for rows in old.values() if any(r["is_late"] and not r["left_on"] for r in rows)
    ]
    values = {
        "n": len(old),
        "solved": sum(share == 1 for share in left),
        "eased": sum(0 < share < 1 for share in left),
        "late": len(late),
    }
    tone = "good" if values["solved"] == len(old) else "bad" if late else "info"
    found = [Sentence(tone, say("old_findings", **values), 52 if tone != "info" else 30)]
    if late:
        names = dict.fromkeys(row[f"title_{say.language}"] for row in late)
        found.append(Sentence("bad", say("still_late", list=say.listing([*names][:SHOWN]))))
    return found


def _worst(say: Words, points: list[Row]) -> list[Sentence]:
    ranked = [row for row in points if row["place"] is not None and row["cases"]]
    if not ranked:
        return [Sentence("info", say("no_points"))]
    row = ranked[0]
    values = {
        "point": row[f"title_{say.language}"],
        "place": say.member("touchpoint", row["touchpoint"]),
        "n": say.number(row["cases"]),
        "m": say.number(row["cases_before"]),
    }
    return [Sentence("bad", say("worst_point", **values), 38)]


def _chart(say: Words, clocks: list[Row]) -> Chart:
    rows = [
        {
            "label": row[f"title_{say.language}"],
            "actual": share(row["met"], row["met"] + row["breached"]),
            "expected": row["target_share"],
        }
        for row in clocks
        if row["met"] + row["breached"]
    ]
    read = [f"{r['label']} {say.share(r['actual'])}" for r in rows]
    about = say("chart_alt", list=say.listing(read))
    return Chart("service-clocks", say("chart"), charts.bars(say, rows, "share"), about)


def _clock_table(say: Words, clocks: list[Row]) -> Table:
    rows = tuple(
        {
            "clock": row[f"title_{say.language}"],
            "target": duration_text(row["target"], say.language),
            "tickets": row["tickets"],
            "met": row["met"],
            "breached": row["breached"],
            "waiting": row["waiting"],
            "kept": share(row["met"], row["met"] + row["breached"]),
            "wanted": row["target_share"],
            "kept_before": share(row["met_before"], row["met_before"] + row["breached_before"]),
            "minutes": row["minutes"],
        }
        for row in clocks
    )
    listed = columns(
        say,
        ("clock", "text"), ("target", "text"), ("tickets", "number"), ("met", "number"),
        ("breached", "number"), ("waiting", "number"), ("kept", "share", 1), ("wanted", "share"),
        ("kept_before", "share", 1), ("minutes", "number"),
    )  # fmt: skip
    return Table("service-clock-table", say("clocks"), listed, rows, say("clock_note"))


def _point_table(say: Words, points: list[Row]) -> Table:
    rows = tuple(
        {
            "point": row[f"title_{say.language}"],
            "touchpoint": say.member("touchpoint", row["touchpoint"]),
            "department": say.department(row["department"]),
            "level": say(f"level_{row['level']}") if row["level"] else None,
            "cases": row["cases"],
            "cases_before": row["cases_before"],
            "customers": row["customers"],
            "score": row["score"],
            "score_before": row["score_before"],
        }
        for row in points
    )
    listed = columns(
        say,
        ("point", "text"), ("touchpoint", "text"), ("department", "text"), ("level", "text"),
        ("cases", "number"), ("cases_before", "number"), ("customers", "number"),
        ("score", "number", 4), ("score_before", "number", 4),
    )  # fmt: skip
    return Table("pain-points", say("point_table"), listed, rows, say("point_note"), short=SHOWN)


def _finding_table(say: Words, findings: list[Row]) -> Table:
    rows = tuple(
        {
            "point": row[f"title_{say.language}"],
            "touchpoint": say.member("touchpoint", row["touchpoint"]),
            "level": say(f"level_{row['level']}"),
            "department": say.department(row["department"]),
            "found_on": row["found_on"],
            "due_on": row["due_on"],
            "left_on": row["left_on"],
            "result": say(_result(row)),
        }
        for row in findings
    )
    listed = columns(
        say,
        ("point", "text"), ("touchpoint", "text"), ("level", "text"), ("department", "text"),
        ("found_on", "date"), ("due_on", "date"), ("left_on", "date"), ("result", "text"),
    )  # fmt: skip
    return Table("pain-point-findings", say("findings"), listed, rows, short=SHOWN)


def _result(row: Row) -> str:
    if row["left_on"]:
        return "solved_late" if row["is_late"] else "solved"
    return "late" if row["is_late"] else "open"
