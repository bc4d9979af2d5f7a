"""The pack as tables of the warehouse's schema ``program``, for SQL to join to.

``settings`` holds every single value under its dotted path (`key`, `value`, as text; things in
lists go by their id). Every list of the pack is a table of its own, in the pack's order.
Times of day and dates are local to the program's zone.
"""

from collections.abc import Iterator
from datetime import date
from functools import cache
from math import isinf
from typing import Any, get_args, get_origin

import duckdb
import pyarrow as pa

from careloop.program.base import Closed, Text, duration_seconds, split_duration
from careloop.program.calendar import calendar_days, occasion_days, work_intervals
from careloop.program.conditions import Condition, condition_sql, condition_text, reason_sql
from careloop.program.keywords import any_pattern
from careloop.program.kpis import KPIS, LIMITS
from careloop.program.model import Program
from careloop.program.rule_tables import rule_tables
from careloop.program.table_data import TableData
from careloop.program.tag_sql import tag_inputs, tag_rule


def write_program_tables(
    con: duckdb.DuckDBPyConnection, program: Program, first_day: date, last_day: date
) -> None:
    """Replaces the schema ``program`` with the pack's tables; the calendar covers ``first_day``
    to ``last_day``. Raises ProgramError where the calendar cannot."""
    tables = program_tables(program, first_day, last_day)
    con.execute("drop schema if exists program cascade")
    con.execute("create schema program")
    for name, data in tables.items():
        con.register("careloop_program_table", data.arrow())
        try:
            con.execute(f'create table program."{name}" as select * from careloop_program_table')
        finally:
            con.unregister("careloop_program_table")


def program_tables(program: Program, first_day: date, last_day: date) -> dict[str, TableData]:
    """Every table by name, in a fixed order."""
    tables = {
        "settings": _settings(program),
        "segments": _rules(program.segments, "segment"),
        "stages": _rules(program.stages, "stage"),
        "activity_levels": _rules(program.activity.levels, "level"),
        **_calendar(program, first_day, last_day),
        "exchange_rates": _exchange_rates(program),
        "kpis": _kpis(),
        "rfm_bands": _rfm_bands(program),
        **_tag_tables(program),
        **rule_tables(program),
        "pain_point_patterns": _pain_point_patterns(program),
    }
    for name, path in LISTS.items():
        items, model = _at(program, path)
        tables |= _list_tables(name, items, model)
    return tables


# Table of each list in the pack; lists inside its items become tables named after both.
LISTS: dict[str, str] = {
    "rfm_groups": "rfm.groups",
    "health_components": "health.components",
    "signals": "churn.signals",
    "alert_levels": "churn.levels",
    "tags": "tags.definitions",
    "dayparts": "channel_preference.contact_times.dayparts",
    "offers": "offers",
    "caps": "caps.limits",
    "tiers": "loyalty.tiers",
    "point_earnings": "loyalty.points.earn",
    "point_campaigns": "loyalty.points.campaigns",
    "referral_steps": "loyalty.referrals.steps",
    "departments": "departments",
    "touchpoints": "touchpoints",
    "sla_clocks": "sla.clocks",
    "escalation": "sla.escalation",
    "corrections": "sla.corrections",
    "loop_steps": "closed_loop.steps",
    "low_scores": "closed_loop.low_scores",
    "told_levels": "alerts.levels",
    "pain_point_classes": "pain_points.classes",
    "pain_point_rules": "pain_points.rules",
    "pain_point_levels": "pain_points.levels",
    "service_packages": "service_packages",
    "emergency_steps": "emergency.steps",
    "registers": "registers.lists",
    "ticket_types": "registers.ticket_types",
    "kpi_targets": "goals.targets",
    "watched_kpis": "goals.watched",
    "benchmarks": "benchmarks",
    "findings": "findings",
    "freshness_limits": "data.freshness",
    "volume_limits": "data.volume",
}
# Lists written out by hand above, and those of the calendar.
_OTHER_LISTS = {
    "segments",
    "stages",
    "activity.levels",
    "calendar.occasions",
    "calendar.closed_days",
    "calendar.open_days",
}


def _settings(program: Program) -> TableData:
    data = program.model_dump(mode="json", by_alias=True, exclude_none=True)
    table = TableData({"key": pa.string(), "value": pa.string()})
    table.rows = [("pack.hash", program.hash), *_flat(data, "")]
    return table


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            name = item.get("id", i) if isinstance(item, dict) else i
            yield from _flat(item, f"{path}.{name}")
    else:
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        yield path, text


def _rules(rules: list, name: str) -> TableData:
    """Ordered rules: segments, stages, activity levels."""
    text = pa.string()
    columns = {"position": pa.int32(), name: text, "title_en": text, "title_zh": text}
    if name == "segment":
        columns["expected_share"] = pa.float64()
    columns |= {
        "is_default": pa.bool_(),
        "condition": text,
        "condition_sql": text,
        "reason_sql": text,
        "about_en": text,
        "about_zh": text,
        "gets_en": text,
        "gets_zh": text,
    }
    table = TableData(columns)
    for position, rule in enumerate(rules, 1):
        gets = getattr(rule, "gets", None) or getattr(rule, "care", [])
        row = [position, rule.id, rule.title.en, rule.title.zh]
        row += [rule.expected_share] if name == "segment" else []
        row += [
            rule.when is None,
            condition_text(rule.when),
            condition_sql(rule.when),
            reason_sql(rule.when),
            rule.about.en if rule.about else None,
            rule.about.zh if rule.about else None,
            "; ".join(text.en for text in gets),
            "；".join(text.zh for text in gets),
        ]
        table.rows.append(tuple(row))
    return table


def _calendar(program: Program, first: date, last: date) -> dict[str, TableData]:
    text, stamp = pa.string(), pa.timestamp("us")
    calendar = program.calendar
    days = calendar_days(calendar, first, last)
    columns = {
        "date": pa.date32(),
        "weekday": pa.int32(),
        "is_workday": pa.bool_(),
        "is_holiday": pa.bool_(),
        "is_make_up_day": pa.bool_(),
        "holiday_en": text,
        "holiday_zh": text,
        "festival": text,
        "festival_en": text,
        "festival_zh": text,
    }
    occasions = [
        (day, o.id, o.kind, o.title.en, o.title.zh)
        for year in range(first.year, last.year + 1)
        for day, o in occasion_days(calendar, year)
        if first <= day <= last
    ]
    return {
        "calendar_days": TableData(columns, [tuple(vars(day).values()) for day in days]),
        "work_intervals": TableData(
            {"date": pa.date32(), "opens_at": stamp, "closes_at": stamp},
            [(d.date, *span) for d in days for span in work_intervals(calendar, d)],
        ),
        "occasion_days": TableData(
            {
                "date": pa.date32(),
                "occasion": text,
                "kind": text,
                "title_en": text,
                "title_zh": text,
            },
            occasions,
        ),
    }


def _exchange_rates(program: Program) -> TableData:
    rates = {program.currency: 1.0, **program.exchange_rates}
    columns = {"currency": pa.string(), "rate": pa.float64()}
    return TableData(columns, [(name, float(rates[name])) for name in sorted(rates)])


def _kpis() -> TableData:
    """The KPIs there are, the same for every pack."""
    texts = ("about", "numerator", "denominator")
    columns = {
        "position": pa.int32(),
        "kpi": pa.string(),
        **dict.fromkeys(("unit", "better", "of"), pa.string()),
        **dict.fromkeys(("is_state", "is_proportion"), pa.bool_()),
        **dict.fromkeys(("least_value", "greatest_value"), pa.float64()),
        **{f"{text}_{language}": pa.string() for text in texts for language in ("en", "zh")},
        "models": pa.string(),
    }
    table = TableData(columns)
    for position, kpi in enumerate(KPIS.values(), 1):
        least, greatest = LIMITS[kpi.unit]
        values = {
            **vars(kpi),
            "is_proportion": kpi.is_proportion,
            "least_value": least,
            "greatest_value": None if isinf(greatest) else greatest,
            "models": ", ".join(kpi.models),
        }
        table.rows.append((position, kpi.name, *(values[key] for key in list(columns)[2:])))
    return table


def _rfm_bands(program: Program) -> TableData:
    """Score of each axis from (inclusive) to (exclusive); open ends are NULL. Empty for the
    quantile method. Recency counts days: fewer score higher."""
    columns = {
        "axis": pa.string(),
        "score": pa.int32(),
        "from_value": pa.float64(),
        "below_value": pa.float64(),
    }
    table = TableData(columns)
    rfm = program.rfm
    if rfm.method != "bands" or rfm.bands is None:
        return table
    for axis in ("recency_days", "frequency", "monetary"):
        cuts = [None, *map(float, getattr(rfm.bands, axis)), None]
        for i in range(rfm.bins):
            score = rfm.bins - i if axis == "recency_days" else i + 1
            table.rows.append((axis, score, cuts[i], cuts[i + 1]))
    return table


def _tag_tables(program: Program) -> dict[str, TableData]:
    """The rules of tags as SQL, and what they look at."""
    text = pa.string()
    columns = ("tag", "value_sql", "filled_sql", "evidence_sql", "evidence_on_sql", "applies_sql")
    rules = TableData({"position": pa.int32(), **dict.fromkeys(columns, text)})
    for position, tag in enumerate(program.tags.definitions, 1):
        rule = tag_rule(tag, program.channel_preference)
        rules.rows.append((position, *vars(rule).values()))
    inputs = TableData({"kind": text, "name": text, "needs": text})
    inputs.rows = list(tag_inputs(program.tags))
    return {"tag_rules": rules, "tag_inputs": inputs}


def _pain_point_patterns(program: Program) -> TableData:
    """Keywords of the pain points as patterns; the rows without a word find any of a rule's."""
    text = pa.string()
    columns = {"position": pa.int32(), "rule": text, "is_exception": pa.bool_(),
               "word_no": pa.int32(), "word": text, "pattern": text}  # fmt: skip
    table = TableData(columns)
    for position, rule in enumerate(program.pain_points.rules, 1):
        for is_exception, words in ((False, rule.keywords), (True, rule.unless_keywords)):
            if not words:
                continue
            table.rows.append((position, rule.id, is_exception, 0, None, any_pattern(words)))
            table.rows += [
                (position, rule.id, is_exception, number, word, any_pattern([word]))
                for number, word in enumerate(words, 1)
            ]
    return table


def _at(program: Program, path: str) -> tuple[list, type[Closed]]:
    """The list at a path and the model of its items; empty where a part is left out."""
    value: Any = program
    model: type[Closed] = Program
    for part in path.split("."):
        value = getattr(value, part) if value is not None else None
        model = _item_model(model.model_fields[part].annotation)
    return value or [], model


def _item_model(annotation: Any) -> type[Closed]:
    """The model inside ``X``, ``X | None`` or ``list[X]``."""
    if isinstance(annotation, type) and issubclass(annotation, Closed):
        return annotation
    return next(m for arg in get_args(annotation) if (m := _item_model_or_none(arg)))


def _item_model_or_none(annotation: Any) -> type[Closed] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Closed) else None
    return next((m for a in get_args(annotation) if (m := _item_model_or_none(a))), None)


def _list_tables(
    name: str, items: list, model: type[Closed], parent: str = "", parents: list | None = None
) -> dict[str, TableData]:
    """A table for a list of models, and one for each list of models inside it."""
    key = {parent: pa.string()} if parent else {}
    columns = {"position": pa.int32(), **key, **_columns(model)}
    table = TableData(columns)
    for i, item in enumerate(items):
        owner = parents[i] if parents is not None else None
        prefix = (owner[1], owner[0]) if owner is not None else (i + 1,)
        table.rows.append((*prefix, *_cells(item)))
    result = {name: table}
    for fname, info in model.model_fields.items():
        child = _item_model_or_none(info.annotation)
        if not _is_list(info.annotation) or child is None:
            continue
        owned = [
            (getattr(item, "id", None) or getattr(item, "level", str(i + 1)), position, part)
            for i, item in enumerate(items)
            for position, part in enumerate(getattr(item, fname) or [], 1)
        ]
        singular = name[:-1] if name.endswith("s") else name
        result |= _list_tables(
            f"{singular}_{fname}", [o[2] for o in owned], child, singular, [o[:2] for o in owned]
        )
    return result


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) is list:
        return True
    return any(_is_list(arg) for arg in get_args(annotation))


def _is_kind(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_is_kind(arg, kind) for arg in get_args(annotation))


_DURATIONS = {
    "target",
    "after",
    "within",
    "over",
    "per",
    "valid",
    "max_age",
    "act_within",
    "correct_within",
    "solve_within",
    "fix_within",
    "new_time",
}


@cache
def _plan(model: type[Closed]) -> tuple[tuple[str, str, str, Any], ...]:
    """Name, column, form and type of each field of a model."""
    plan = []
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if _is_list(annotation) and _item_model_or_none(annotation) is not None:
            continue  # a table of its own
        if _is_kind(annotation, Text):
            form = "text"
        elif _is_kind(annotation, Condition):
            form = "condition"
        elif name in ("r", "f", "m"):
            form = "range"
        elif _is_list(annotation):
            form = "list"
        else:
            duration = name in _DURATIONS and _is_kind(annotation, str)
            form = "duration" if duration else "scalar"
        plan.append((name, info.alias or name, form, annotation))
    return tuple(plan)


def _columns(model: type[Closed]) -> dict[str, pa.DataType]:
    text, whole = pa.string(), pa.int32()
    columns: dict[str, pa.DataType] = {}
    for _, key, form, annotation in _plan(model):
        if form == "text":
            columns |= {f"{key}_en": text, f"{key}_zh": text}
        elif form == "condition":
            columns |= {"condition": text, "condition_sql": text, "reason_sql": text}
        elif form == "range":
            columns |= {f"{key}_from": whole, f"{key}_to": whole}
        else:
            columns[key] = text if form == "list" else _scalar_type(annotation)
        if form == "duration":
            columns |= {f"{key}_amount": whole, f"{key}_unit": text, f"{key}_seconds": pa.int64()}
    return columns


def _scalar_type(annotation: Any) -> pa.DataType:
    kinds = {str: pa.string(), date: pa.date32(), float: pa.float64(), bool: pa.bool_()}
    kinds[int] = pa.int64()
    for kind, arrow in kinds.items():
        if _is_kind(annotation, kind):
            return arrow
    return pa.string()  # one of a few words


def _cells(item: Closed) -> Iterator[Any]:
    """The values of an item, in the order of ``_columns``."""
    for name, _, form, _ in _plan(type(item)):
        value = getattr(item, name)
        if form == "text":
            yield from (value.en, value.zh) if value else (None, None)
        elif form == "condition":
            sql = (condition_text, condition_sql, reason_sql)
            yield from (write(value) if value else None for write in sql)
        elif form == "range":
            yield from value or (None, None)
        elif form == "list":
            yield ", ".join(map(str, value or []))
        else:
            yield value
        if form == "duration":
            yield from (*split_duration(value), duration_seconds(value)) if value else (None,) * 3
