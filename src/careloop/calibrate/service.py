"""Service targets that are always or never met.

A case of a clock counts if it began in the period and is decided: met or breached. A target is
always met from ``calibration.always_met`` of the cases on: then the shortest target within the
largest change that would still have been met as often is proposed. It is never met up to
``calibration.seldom_met``: then the shortest longer target within the largest change that enough
cases would have met (the clock's ``target_share``) is proposed; mostly there is none, and it is the
work, not the number, that has to change.
"""

from math import ceil, floor

from careloop.calibrate.draft import Draft
from careloop.calibrate.edit import Change
from careloop.calibrate.marts import Marts, Row
from careloop.calibrate.model import Column, Finding, Promise, Words
from careloop.calibrate.say import LANGUAGES, Percent, say
from careloop.program.base import duration_seconds, split_duration
from careloop.program.codes import code_text, duration_text
from careloop.program.load import FILE
from careloop.program.sla import Clock

TABLES = {"fct_ticket_clocks": "channel", "fct_case_clocks": "null::varchar"}
FINER = {"w": ("d", 7), "d": ("h", 24), "h": ("m", 60), "m": ("s", 60)}

_DECIDED = """
select clock, {channel} as channel, state, elapsed_seconds, stopped_at is not null as is_done
from {table}
where state in ('met', 'breached') and started_at >= $starts_at and started_at < $ends_at
    and target = list_extract(map_extract($targets::map(varchar, varchar), clock), 1)
"""
_BY_CLOCK = """
select clock, count(*) as cases, count(*) filter (where state = 'met') as met,
    quantile_disc(elapsed_seconds, 0.5) as median_seconds,
    quantile_disc(elapsed_seconds, 0.9) as slow_seconds
from decided group by clock
"""
_BY_CHANNEL = """
select clock, channel, count(*) as cases, count(*) filter (where state = 'met') as met
from decided where channel is not null group by all order by all
"""
_WITHIN = """
select count(*) filter (where is_done and elapsed_seconds <= $seconds) / count(*) as share
from decided where clock = $clock
"""


def service(marts: Marts) -> tuple[list[Draft], list[Finding]]:
    """Proposals for targets, and a table of the clocks."""
    _decide(marts)
    found = {row["clock"]: row for row in marts.rows(_BY_CLOCK)}
    drafts, findings, rows = [], [], []
    for clock in marts.program.sla.clocks:
        row = found.get(clock.id)
        if row is None:
            continue
        rows.append(_row(clock, row))
        if row["cases"] < marts.program.calibration.min_cases:
            continue
        judged = _judge(marts, clock, row)
        drafts += [judged] if isinstance(judged, Draft) else []
        findings += [judged] if isinstance(judged, Finding) else []
    if rows:
        findings.append(_clocks(marts, rows))
        findings += _channels(marts)
    else:
        findings.append(Finding("service.none", "service", say("no_cases")))
    return drafts, findings


def met_share(marts: Marts, clock: str) -> float | None:
    """Share of the decided cases of a clock that met today's target; None without any."""
    _decide(marts)
    rows = [row for row in marts.rows(_BY_CLOCK) if row["clock"] == clock]
    return rows[0]["met"] / rows[0]["cases"] if rows else None


def _decide(marts: Marts) -> None:
    """The table ``decided``: cases of the period judged by today's targets."""
    clocks = marts.program.sla.clocks
    targets = {"key": [c.id for c in clocks], "value": [c.target for c in clocks]}
    parts = [
        _DECIDED.format(table=table, channel=channel)
        for table, channel in TABLES.items()
        if marts.has(table)
    ]
    empty = (
        "select null::varchar as clock, null::varchar as channel, null::varchar as state, "
        "null::bigint as elapsed_seconds, null::boolean as is_done where false"
    )
    values = {
        "targets": targets,
        "starts_at": marts.moment(marts.period.first_day),
        "ends_at": marts.moment(marts.until),
    }
    marts.con.execute(
        f"create or replace temp table decided as {' union all '.join(parts) or empty}",
        values if parts else {},
    )


def _judge(marts: Marts, clock: Clock, row: Row) -> Draft | Finding | None:
    rules = marts.program.calibration
    share = row["met"] / row["cases"]
    seconds = duration_seconds(clock.target)
    title = Words(clock.title.en, clock.title.zh)
    told = say(
        "clock_evidence",
        met=row["met"],
        cases=row["cases"],
        share=Percent(share),
        target=_length(clock.target),
        median=_span(row["median_seconds"]),
        slow=_span(row["slow_seconds"]),
    )
    if rules.seldom_met < share < rules.always_met:
        return None
    always = share >= rules.always_met
    new, then = None, None
    if seconds is not None:
        new, then = _shorter(marts, clock, seconds) if always else _longer(marts, clock, seconds)
    if new is None or then is None:
        text = say("always_met" if always else "never_met", name=title, evidence=told)
        tone = "good" if always else "bad"
        return Finding(f"service.{clock.id}", "service", text, tone)
    draft = Draft(
        f"sla.{clock.id}.target",
        "service",
        say("change_title", name=title, old=_length(clock.target), new=_length(new)),
        Change(FILE, ("sla", "clocks", clock.id, "target"), clock.target, new),
        told,
        {key: value for key, value in row.items() if key != "clock"},
        row["cases"],
        effect=say("clock_effect", now=Percent(share), then=Percent(then), target=_length(new)),
        promises=[
            Promise(
                f"clock_met:{clock.id}", round(share, 6), round(then, 6), round(then, 6), "more"
            )
        ],
    )
    draft.caveats.append(say("promise_to_customers"))
    if not always:
        draft.doubt("looser")
    return draft


def _shorter(marts: Marts, clock: Clock, seconds: int) -> tuple[str | None, float | None]:
    """The shortest target within the largest change that is met as often."""
    rules = marts.program.calibration
    for text, length in _steps(clock.target, 1 - rules.max_threshold_change):
        share = _within(marts, clock.id, length)
        if length < seconds and share >= rules.always_met:
            return text, share
    return None, None


def _longer(marts: Marts, clock: Clock, seconds: int) -> tuple[str | None, float | None]:
    """The shortest longer target within the largest change that enough cases would meet."""
    for text, length in _steps(clock.target, 1 + marts.program.calibration.max_threshold_change):
        share = _within(marts, clock.id, length)
        if length > seconds and share >= clock.target_share:
            return text, share
    return None, None


def _steps(target: str, factor: float) -> list[tuple[str, int]]:
    """Whole targets between today's and ``factor`` times it, ascending, in today's unit or, where
    that leaves fewer than two steps, the next finer one; with their seconds."""
    amount, unit = split_duration(target)
    if round(amount * abs(1 - factor), 6) < 2 and unit in FINER:
        finer, times = FINER[unit]
        amount, unit = amount * times, finer
    low, high = sorted((round(amount * factor, 6), float(amount)))
    texts = [f"{n}{unit}" for n in range(max(1, ceil(low)), floor(high) + 1) if n != amount]
    return [(text, duration_seconds(text) or 0) for text in texts if len(text) <= 6]


def _within(marts: Marts, clock: str, seconds: int) -> float:
    return float(marts.one(_WITHIN, {"seconds": seconds, "clock": clock}))


def _span(seconds: int) -> Words:
    """A length of time in the unit that suits it."""
    units = ((86400, "d", "天"), (3600, "h", "小时"), (60, "min", "分钟"), (1, "s", "秒"))
    size, en, zh = next(u for u in units if seconds >= 2 * u[0] or u[0] == 1)
    number = f"{seconds / size:.1f}".removesuffix(".0")
    return Words(f"{number} {en}", f"{number} {zh}")


def _row(clock: Clock, row: Row) -> Row:
    return {
        "clock": Words(clock.title.en, clock.title.zh),
        "target": _length(clock.target),
        "cases": row["cases"],
        "met": row["met"] / row["cases"],
        "wanted": clock.target_share,
        "median": _span(row["median_seconds"]),
        "slow": _span(row["slow_seconds"]),
    }


def _clocks(marts: Marts, rows: list[Row]) -> Finding:
    columns = (
        Column("clock", say("column_clock")),
        Column("target", say("column_target")),
        Column("cases", say("column_cases"), "number"),
        Column("met", say("column_met"), "share", 1),
        Column("wanted", say("column_wanted"), "share", 0),
        Column("median", say("column_median")),
        Column("slow", say("column_slow")),
    )
    rules = marts.program.calibration
    enough = [r for r in rows if r["cases"] >= rules.min_cases]
    text = say(
        "clocks_text",
        clocks=len(rows),
        always=sum(r["met"] >= rules.always_met for r in enough),
        never=sum(r["met"] <= rules.seldom_met for r in enough),
        few=len(rows) - len(enough),
        needed=rules.min_cases,
    )
    title = say("clocks_title")
    return Finding("service.clocks", "service", text, "info", title, columns, tuple(rows))


def _channels(marts: Marts) -> list[Finding]:
    """Clocks by channel, where there are cases enough to compare."""
    titles = {c.id: Words(c.title.en, c.title.zh) for c in marts.program.sla.clocks}
    least = marts.program.operation.min_sample
    rows = [
        {
            "clock": titles[row["clock"]],
            "channel": _channel(row["channel"]),
            "cases": row["cases"],
            "met": row["met"] / row["cases"],
        }
        for row in marts.rows(_BY_CHANNEL)
        if row["cases"] >= least
    ]
    if not rows:
        return []
    columns = (
        Column("clock", say("column_clock")),
        Column("channel", say("column_channel")),
        Column("cases", say("column_cases"), "number"),
        Column("met", say("column_met"), "share", 1),
    )
    worst = min(rows, key=lambda r: (r["met"], -r["cases"], r["channel"].en))
    text = say(
        "clock_channels_text",
        name=worst["clock"],
        channel=worst["channel"],
        share=Percent(worst["met"]),
        cases=worst["cases"],
    )
    title = say("clock_channels_title")
    return [Finding("service.channels", "service", text, "info", title, columns, tuple(rows))]


def _channel(name: str) -> Words:
    return Words(*(code_text("channels", name, lang) for lang in LANGUAGES))


def _length(duration: str) -> Words:
    return Words(*(duration_text(duration, lang) for lang in LANGUAGES))
