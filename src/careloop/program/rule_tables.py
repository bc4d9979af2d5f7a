"""The care rules as tables of schema ``program``: what SQL and analysts see of them."""

from collections.abc import Iterator

import pyarrow as pa

from careloop.program.base import duration_seconds, split_duration
from careloop.program.channels import ADDRESS, SPOKEN
from careloop.program.conditions import Condition, condition_sql, condition_text
from careloop.program.model import Program
from careloop.program.rules import Rule
from careloop.program.table_data import TableData

_TEXTS = (
    "rule", "rule_version", "title_en", "title_zh", "phase", "trigger", "trigger_name",
    "trigger_condition", "trigger_condition_sql", "audience_condition",
    "audience_condition_sql", "about", "purpose", "template", "offer", "who", "cap_group",
    "conversion_event",
)  # fmt: skip
_DURATIONS = (
    "after", "until", "every", "again_after", "act_within", "cooldown", "expires_after",
    "conversion_within",
)  # fmt: skip
DEFAULT_EXPIRY = "1d"


def rule_tables(program: Program) -> dict[str, TableData]:
    """``rules``: one row per active rule. ``rule_channels``: one per rule and channel, in order of
    preference. ``rule_lists``: one per rule, list (segments, stages, tiers, tags, channels,
    alert_levels, entered_segments …, unless; kinds, urgencies, touchpoints) and value.
    ``channels``: one per channel there is, with the column of contacts it goes to (none: by the
    customer's id) and a bit of its own."""
    text = pa.string()
    columns: dict[str, pa.DataType] = {"position": pa.int32(), **dict.fromkeys(_TEXTS, text)}
    for name in _DURATIONS:
        columns |= {name: text, f"{name}_amount": pa.int32(), f"{name}_unit": text}
        columns |= {f"{name}_seconds": pa.int64()}
    columns |= {
        "days_before": pa.int32(),
        "priority": pa.int32(),
        "holdout": pa.float64(),
        "starts_on": pa.date32(),
        "ends_on": pa.date32(),
    }
    active = [rule for rule in program.rules if rule.active]
    rules = TableData(columns)
    rules.rows = [
        tuple(_row(i, rule)[name] for name in columns) for i, rule in enumerate(active, 1)
    ]
    channels = TableData({"rule": text, "position": pa.int32(), "channel": text})
    channels.rows = [(r.id, i, c) for r in active for i, c in enumerate(r.channels, 1)]
    lists = TableData({"rule": text, "list": text, "position": pa.int32(), "value": text})
    lists.rows = [row for rule in active for row in _lists(rule)]
    return {
        "channels": _channels(),
        "rules": rules,
        "rule_channels": channels,
        "rule_lists": lists,
    }


def _channels() -> TableData:
    columns = {
        "position": pa.int32(),
        "channel": pa.string(),
        "address": pa.string(),
        "is_spoken": pa.bool_(),
        "bit": pa.int32(),
    }
    rows = [
        (i, channel, address, channel in SPOKEN, 1 << (i - 1))
        for i, (channel, address) in enumerate(ADDRESS.items(), 1)
    ]
    return TableData(columns, rows)


def _row(position: int, rule: Rule) -> dict[str, object]:
    trigger = getattr(rule.trigger, rule.trigger.kind)
    event = rule.trigger.event
    conversion = rule.conversion
    row: dict[str, object] = {
        "position": position,
        "rule": rule.id,
        "rule_version": rule.version,
        "title_en": rule.title.en,
        "title_zh": rule.title.zh,
        "trigger": rule.trigger.kind,
        "trigger_name": getattr(trigger, "name", None) or getattr(trigger, "of", None),
        "days_before": getattr(trigger, "days_before", 0),
        "conversion_event": conversion.event if conversion else None,
        **_condition("trigger", getattr(trigger, "when", None)),
        **_condition("audience", rule.audience.when),
    }
    for name in ("phase", "about", "purpose", "template", "offer", "who", "cap_group", "priority"):
        row[name] = getattr(rule, name)
    for name in ("holdout", "starts_on", "ends_on"):
        row[name] = getattr(rule, name)
    durations = {
        "after": event.after if event else None,
        "until": event.until if event else None,
        "every": getattr(trigger, "every", None),
        "again_after": getattr(trigger, "again_after", None),
        "act_within": rule.act_within,
        "cooldown": rule.cooldown or getattr(trigger, "again_after", None),
        "expires_after": None if event else rule.expires_after or DEFAULT_EXPIRY,
        "conversion_within": conversion.within if conversion else None,
    }
    for name, value in durations.items():
        amount, unit = split_duration(value) if value else (None, None)
        row |= {name: value, f"{name}_amount": amount, f"{name}_unit": unit}
        row[f"{name}_seconds"] = duration_seconds(value) if value else None
    return row


def _condition(prefix: str, condition: Condition | None) -> dict[str, str | None]:
    return {
        f"{prefix}_condition": condition_text(condition) if condition else None,
        f"{prefix}_condition_sql": condition_sql(condition) if condition else None,
    }


def _lists(rule: Rule) -> Iterator[tuple[str, str, int, str]]:
    found = {
        key: getattr(rule.audience, key)
        for key in ("segments", "stages", "tiers", "tags", "channels", "alert_levels")
    }
    if entered := rule.trigger.entered:
        found |= {f"entered_{key}": getattr(entered, key) for key in type(entered).model_fields}
    if rule.trigger.event:
        found["unless"] = rule.trigger.event.unless
        found |= rule.trigger.event.filters
    for name, values in found.items():
        yield from ((rule.id, name, i, value) for i, value in enumerate(values, 1))
