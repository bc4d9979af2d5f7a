"""What the figures rest on, and what they cannot say."""

from datetime import timedelta

from careloop.contract import entities
from careloop.program.dates import start_of
from careloop.review.figures import columns, has, share, total
from careloop.review.model import Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.targets import judged
from careloop.review.words import Words, words_of

SHOWN = 8
NAMED = 4


def build(reader: Reader) -> Section | None:
    """Loads of the period, tests of the last run, gaps, small samples, limits."""
    if not has(reader, "rpt_loads", "rpt_run"):
        return None
    say = words_of(reader, "data_quality")
    loads, tests, gaps = _loads(reader), _tests(reader), _gaps(reader)
    sentences = (
        *_loaded(say, reader, loads),
        *_tested(say, tests),
        *_fresh(say, reader),
        *_unknown(say, gaps),
        *_small(say, reader),
        *_limits(say, reader),
    )
    blocks = []
    if loads:
        blocks.append(_load_table(say, loads))
    if tests:
        blocks.append(_test_table(say, tests))
    if gaps:
        blocks.append(_gap_table(say, gaps))
    return Section("data_quality", say("title"), sentences, tuple(blocks))


def _loads(reader: Reader) -> list[Row]:
    if not has(reader, "meta_freshness"):
        return []
    return reader.rows(
        "select entity, count(*) as batches, sum(rows_read) as rows_read, "
        "sum(rows_loaded) as rows_loaded, sum(rows_rejected) as rows_rejected, "
        "sum(rows_held) as rows_held, max(loaded_at) as loaded_at from rpt_loads "
        "where loaded_at >= $starts_at and loaded_at < $ends_at group by entity order by entity"
    )


def _tests(reader: Reader) -> list[Row]:
    """Failed expectations of the run the marts are from."""
    if not has(reader, "rpt_data_quality"):
        return []
    return reader.rows(
        "select gate, table_name, severity, expectation_en, expectation_zh, why_en, why_zh, "
        "rows_checked, rows_failing from rpt_data_quality where not is_success "
        "order by severity, rows_failing desc nulls last, gate, expectation_no"
    )


def _gaps(reader: Reader) -> list[Row]:
    if not has(reader, "rpt_profile_coverage"):
        return []
    return reader.rows(
        "select attribute, customers, known, 1 - coverage as unknown from rpt_profile_coverage "
        "where coverage < 1 order by coverage, attribute"
    )


def _loaded(say: Words, reader: Reader, loads: list[Row]) -> list[Sentence]:
    read, rejected = total(loads, "rows_read"), total(loads, "rows_rejected")
    if not read:
        return [Sentence("info", say("no_loads"))]
    worst = max(loads, key=lambda r: (share(r["rows_rejected"], r["rows_read"]) or 0, r["entity"]))
    values = {
        "n": say.number(sum(r["batches"] for r in loads)),
        "read": say.number(read),
        "rejected": say.number(rejected),
        "x": say.share(share(rejected, read), 2),
        "held": say.number(total(loads, "rows_held")),
    }
    found = [Sentence("info", say("loaded", **values))]
    part = share(worst["rows_rejected"], worst["rows_read"]) or 0
    if part > reader.program.data.max_rejected_share / 2:
        values = {"entity": _entity(say, worst["entity"]), "x": say.share(part)}
        found.append(Sentence("bad", say("many_rejected", **values), 37))
    return found


def _tested(say: Words, tests: list[Row]) -> list[Sentence]:
    critical = [row for row in tests if row["severity"] == "critical"]
    if critical:
        names = dict.fromkeys(_table_name(say, row["table_name"]) for row in critical)
        text = say("critical", n=len(critical), list=say.listing([*names][:NAMED]))
        return [Sentence("bad", text, 92)]
    if tests:
        return [Sentence("info", say("warnings", n=len(tests)))]
    return [Sentence("good", say("all_passed"))]


def _fresh(say: Words, reader: Reader) -> list[Sentence]:
    """Entities whose last event is older than the pack allows."""
    limits = {item.entity: item.max_age for item in reader.program.data.freshness}
    if not limits or not has(reader, "meta_freshness"):
        return []
    rows = reader.rows(
        "select entity, max(latest_event_at) as latest from meta_freshness "
        "where as_of = (select max(as_of) from meta_freshness) group by entity order by entity"
    )
    end = start_of(reader.until, reader.program.zone)
    old = []
    for row in rows:
        limit = limits.get(row["entity"], "")
        is_in_days = limit.endswith("d") and limit[:-1].isdigit()
        if row["latest"] and is_in_days and end - row["latest"] > timedelta(days=int(limit[:-1])):
            age = say.days((end - row["latest"]).days)
            old.append(say("old_entity", entity=_entity(say, row["entity"]), age=age))
    if old:
        return [Sentence("bad", say("old", list=say.listing(old)), 36)]
    return [Sentence("good", say("fresh"))]


def _unknown(say: Words, gaps: list[Row]) -> list[Sentence]:
    large = [row for row in gaps if row["unknown"] > 0.5]
    if not large:
        return []
    named = [
        f"{say('attribute_' + row['attribute'])} {say.share(row['unknown'], 0)}"
        for row in large[:NAMED]
    ]
    return [Sentence("info", say("unknown_share", list=say.listing(named)))]


def _small(say: Words, reader: Reader) -> list[Sentence]:
    """KPIs whose sample is too small to judge, and those without any data."""
    if not has(reader, "rpt_kpis", "rpt_kpi_targets"):
        return []
    least = reader.program.operation.min_sample
    rows = reader.rows(
        "select kpi from rpt_kpis where period_type = $period_type "
        "and period_start = $first_day and slice_kind = 'all' and not is_state "
        "and denominator < $least order by kpi",
        {"least": least},
    )
    # What is judged over another period is no smaller for that.
    longer = {r["kpi"] for r in judged(reader) if r["period_type"] != reader.period.kind}
    rows = [row for row in rows if row["kpi"] not in longer]
    if not rows:
        return []
    named = say.listing([say.kpi(row["kpi"]) for row in rows[:SHOWN]])
    return [Sentence("info", say("small", n=len(rows), least=least, list=named))]


def _limits(say: Words, reader: Reader) -> list[Sentence]:
    """What cannot be said from this data, by what is missing."""
    missing = []
    if has(reader, "fct_care_deliveries"):
        sent = reader.rows("select count(*) as n from fct_care_deliveries")[0]["n"]
        missing += [] if sent else ["no_ledger"]
    if has(reader, "rpt_care_uplift"):
        sql = "select count(*) as n from rpt_care_uplift where holdout_customers > 0"
        missing += [] if reader.rows(sql)[0]["n"] else ["no_holdouts"]
    if has(reader, "rpt_segment_migration"):
        sql = (
            "select min(period_start) as day from rpt_segment_migration "
            "where period_type = $period_type"
        )
        first = reader.rows(sql)[0]["day"]
        missing += [] if first and first < reader.period.first_day else ["no_history"]
    if has(reader, "dim_customers"):
        sql = "select count(predicted_value) as n from dim_customers"
        missing += [] if reader.rows(sql)[0]["n"] else ["no_prediction"]
    if reader.period.end_day > reader.as_of.date():
        missing.append("running")
    texts = [Sentence("info", say(f"limit_{name}")) for name in missing]
    return [*texts, Sentence("info", say("limit_offers")), Sentence("info", say("limit_today"))]


def _entity(say: Words, name: str) -> str:
    """The title of an entity of the contract."""
    entity = entities().get(name)
    return entity.title[say.language] if entity else name


def _table_name(say: Words, name: str) -> str:
    """An entity of the raw data by its title, a mart by its name."""
    return _entity(say, name.removeprefix("raw.")) if name.startswith("raw.") else name


def _load_table(say: Words, loads: list[Row]) -> Table:
    rows = tuple({**row, "rejected_share": share(row["rows_rejected"], row["rows_read"])}
                 for row in loads)  # fmt: skip
    listed = columns(
        say,
        ("entity", "text"), ("batches", "number"), ("rows_read", "number"),
        ("rows_loaded", "number"), ("rows_rejected", "number"), ("rejected_share", "share", 2),
        ("rows_held", "number"),
    )  # fmt: skip
    kept = tuple(
        {c.key: row[c.key] for c in listed} | {"entity": _entity(say, row["entity"])}
        for row in rows
    )
    return Table("loads", say("loads"), listed, kept, short=SHOWN)


def _test_table(say: Words, tests: list[Row]) -> Table:
    rows = tuple(
        {
            "table": _table_name(say, row["table_name"]),
            "expectation": row[f"expectation_{say.language}"],
            "severity": say(f"severity_{row['severity']}"),
            "rows_failing": row["rows_failing"],
            "why": row[f"why_{say.language}"],
        }
        for row in tests
    )
    listed = columns(
        say,
        ("table", "text"), ("expectation", "text"), ("severity", "text"),
        ("rows_failing", "number"), ("why", "text"),
    )  # fmt: skip
    return Table("data-tests", say("tests"), listed, rows, short=SHOWN)


def _gap_table(say: Words, gaps: list[Row]) -> Table:
    listed = columns(say, ("attribute", "text"), ("known", "number"), ("unknown", "share"))
    named = [row | {"attribute": say(f"attribute_{row['attribute']}")} for row in gaps]
    rows = tuple({c.key: row[c.key] for c in listed} for row in named)
    return Table("unknown", say("gaps"), listed, rows, short=SHOWN)
