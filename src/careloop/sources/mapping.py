"""From a mapping to SQL: the typed canonical columns, and what is wrong with each row."""

import difflib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

from careloop.contract import Column, Entity
from careloop.errors import SourceError
from careloop.sources.edits import edited_sql, known_sql, receipt_sql
from careloop.sources.files import LINE
from careloop.sources.spec import Edits, Mapping
from careloop.warehouse import key_text, literal, names_of, quote

TRUE = ("true", "t", "yes", "y", "1", "是", "有")
FALSE = ("false", "f", "no", "n", "0", "否", "无")
UNREADABLE = "unreadable: "
EARLIEST, LATEST = "1900-01-01", "2100-01-01"


@dataclass
class Plan:
    """How the columns of one relation map to an entity.

    expressions: canonical column → SQL over the source's columns. missing: canonical columns
    nothing maps to. left_over: source columns nothing uses. sets: where only edits are read, SQL
    of the list of canonical columns a row sets.
    """

    entity: Entity
    zone: str
    where: str | None
    expressions: dict[str, str]
    source_columns: list[str]
    types: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, set[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    sets: str | None = None

    def staged_sql(self, relation: str, *, full: bool) -> str:
        """``relation`` mapped to the canonical columns, with what is wrong with each row.

        ``_error`` is null for a sound row, else the first column that breaks the contract.
        In full also ``_line``, ``_key``, ``_columns`` and ``_reasons`` (lists) and, for broken
        rows, ``_raw`` (the source's row as JSON); ``relation`` must then carry line numbers.
        """
        names = names_of(self.entity.columns)
        typed = ", ".join(self._typed(column) for column in self.entity.columns.values())
        raw = ", ".join(f"raw_{c}" for c in self.expressions)
        breaches = self.breaches()
        if not full:
            checks = " ".join(f"when {test} then {literal(c)}" for c, test, _ in breaches)
            inner = f"select {typed}, {raw} from ({self._values_sql(relation)})"
            return f"select {names}, case {checks} end as _error from ({inner})"
        columns = ", ".join(f"case when {test} then {literal(c)} end" for c, test, _ in breaches)
        reasons = ", ".join(f"case when {test} then {reason} end" for _, test, reason in breaches)
        key = key_text(self.entity.key)
        row = ", ".join(f"{literal(c)}, _source_{n}" for n, c in enumerate(self.source_columns))
        values = self._values_sql(relation, full=True)
        inner = f"select {typed}, {raw}, * exclude ({raw}) from ({values})"
        sets, wanted = (", _sets", "true") if self.sets else ("", "len(_reasons) > 0")
        listed = (
            f"select {names}{sets}, {LINE} as _line, {key} as _key, "
            f"list_distinct(list_filter([{columns}], lambda x: x is not null)) as _columns, "
            f"list_filter([{reasons}], lambda x: x is not null) as _reasons, "
            f"columns(lambda c: starts_with(c, '_source_')) from ({inner})"
        )
        return (
            f"select {names}{sets}, _line, _key, _columns, _reasons, _columns[1] as _error, "
            f"case when {wanted} then json_object({row})::varchar end as _raw "
            f"from ({listed})"
        )

    def _values_sql(self, relation: str, *, full: bool = False) -> str:
        """Source rows that pass `where`, each mapped expression as ``raw_<column>``."""
        select = [f"{_clean(e, self.types[c])} as raw_{c}" for c, e in self.expressions.items()]
        if full:
            select.append(LINE)
            select += [f"{quote(c)} as _source_{n}" for n, c in enumerate(self.source_columns)]
            select += [f"{self.sets} as _sets"] if self.sets else []
        where = f" where {self.where}" if self.where else ""
        return f"select {', '.join(select)} from {relation} as source{where}"

    def breaches(self) -> list[tuple[str, str, str]]:
        """(column, SQL that is true when the row breaks the contract, SQL of the reason)."""
        result = []
        for name, column in self.entity.columns.items():
            value = f"'''' || left(replace(raw_{name}::varchar, '{UNREADABLE}', ''), 60) || ''''"
            said = f"{literal(name + ': ')} || {literal('a value') if column.personal else value}"
            if name in self.expressions:
                test = f"raw_{name} is not null and {quote(name)} is null"
                result.append((name, test, f"{said} || {literal(_not_a(column))}"))
            if column.required:
                absent = f"raw_{name} is null" if name in self.expressions else "true"
                result.append((name, absent, literal(f"{name}: is missing")))
            if name not in self.expressions:
                continue
            for test, problem in _limits(column):
                result.append((name, test, f"{said} || {literal(problem)}"))
        return result

    def guard(self, con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
        """Make expressions that fail on some row reject that row; returns their columns.

        Such a row is known by inputs that are not blank where the expression gives nothing.
        """
        guarded = []
        for name, expression in self.expressions.items():
            where = f" where {self.where}" if self.where else ""
            try:
                con.execute(f"select count({expression}) from {relation} as source{where}")
            except duckdb.Error:
                given = [
                    f"nullif(trim({quote(c)}::varchar), '')" for c in sorted(self.inputs[name])
                ]
                shown = f"'{UNREADABLE}' || coalesce({', '.join(given) or 'null'})"
                self.expressions[name] = f"coalesce(try({expression})::varchar, {shown})"
                self.types[name] = "VARCHAR"
                guarded.append(name)
        return guarded

    def _typed(self, column: Column) -> str:
        if column.name not in self.expressions:
            return f"null::{column.sql_type} as {quote(column.name)}"
        raw, source_type = f"raw_{column.name}", self.types[column.name]
        return f"{_cast(raw, source_type, column, self.zone)} as {quote(column.name)}"


def make_plan(
    con: duckdb.DuckDBPyConnection,
    entity: Entity,
    mapping: Mapping,
    relation: str,
    zone: str,
    place: str,
) -> Plan:
    """Bind ``mapping`` to the columns of ``relation``; raises SourceError naming ``place``.

    A source column with a canonical name maps itself unless the mapping says otherwise.
    """
    described = con.execute(f"describe select * from {relation} as source").fetchall()
    available = {row[0]: row[1] for row in described if not row[0].startswith("_careloop_")}
    expressions: dict[str, str] = {}
    for name in entity.columns:
        if name in mapping.columns:
            if mapping.columns[name] is not None:
                given = str(mapping.columns[name])
                expressions[name] = quote(given) if given in available else given
        elif name in available:
            expressions[name] = quote(name)
    used: set[str] = set()
    inputs: dict[str, set[str]] = {}
    types: dict[str, str] = {}
    for name, expression in expressions.items():
        types[name] = _bind(con, expression, relation, available, f"{place}: columns.{name}")
        inputs[name] = _columns_in(con, expression)
        used |= inputs[name]
    if mapping.where:
        _bind(con, mapping.where, relation, available, f"{place}: where")
        used |= _columns_in(con, mapping.where)
    folded = {column.casefold() for column in used}
    plan = Plan(
        entity=entity,
        zone=zone,
        where=mapping.where,
        expressions=expressions,
        source_columns=list(available),
        types=types,
        inputs=inputs,
        missing=[c for c in entity.columns if c not in expressions],
        left_over=[c for c in available if c.casefold() not in folded],
    )
    if mapping.edits:
        _only_edits(con, plan, mapping.edits, relation, place)
    lacking = [c for c in plan.missing if entity.columns[c].required]
    if lacking:
        raise SourceError(
            f"{place}: nothing maps to the required column{'s' if len(lacking) > 1 else ''} "
            f"{', '.join(lacking)}; the columns are: {', '.join(available)}",
            f"add {lacking[0]}: <SQL expression> under columns, or export the missing column",
        )
    return plan


def _only_edits(
    con: duckdb.DuckDBPyConnection, plan: Plan, edits: Edits, relation: str, place: str
) -> None:
    """Restrict the plan to rows with an edited cell, and let unedited cells stand for the values
    the row was written with."""
    hidden = edits.column
    if hidden not in plan.source_columns:
        raise SourceError(
            f"{place}: the hidden column {hidden!r} is missing",
            "it holds the rows' keys; export the workbook again and copy your edits into it",
        )
    cells = {
        name: [c for c in plan.source_columns if c in plan.inputs[name] and c != hidden]
        for name in plan.expressions
    }
    told = [found for name, found in cells.items() if name not in plan.entity.key]
    seen = [c for c in plan.source_columns if any(c in found for found in told)]
    added = f"{receipt_sql(hidden)} is null"
    sets = []
    for name, expression in plan.expressions.items():
        column, edited = plan.entity.columns[name], edited_sql(hidden, cells[name])
        sets.append(
            f"case when {added} or {edited if cells[name] else 'true'} then {literal(name)} end"
        )
        known = known_sql(hidden, name)
        if name in plan.entity.key and column.type == "text":
            plan.expressions[name] = f"coalesce({known}, {expression})"
        elif column.type == "text":
            kept = f"{known} is not null and not {edited}"
            plan.expressions[name] = f"case when {kept} then {known} else {expression} end"
        plan.types[name] = _bind(con, plan.expressions[name], relation, {}, place)
    plan.sets = f"list_filter([{', '.join(sets)}], lambda x: x is not null)"
    plan.where = f"({plan.where or 'true'}) and ({added} or {edited_sql(hidden, seen)})"
    plan.left_over = [c for c in plan.left_over if c != hidden]


def _bind(
    con: duckdb.DuckDBPyConnection,
    expression: str,
    relation: str,
    available: dict[str, str],
    place: str,
) -> str:
    """The type of ``expression`` over ``relation``."""
    try:
        rows = con.execute(
            f"describe select ({expression}) as value from {relation} as source"
        ).fetchall()
    except duckdb.Error as error:
        unknown = [c for c in _columns_in(con, expression) if c not in available]
        if unknown:
            close = difflib.get_close_matches(unknown[0], available, n=1)
            guess = f"did you mean {close[0]}? " if close else ""
            raise SourceError(
                f"{place}: the column {unknown[0]!r} is missing; "
                f"the columns are: {', '.join(available)}",
                f"{guess}correct the expression in source.yml, or export the column",
            ) from error
        raise SourceError(f"{place}: `{expression}`: {_first_line(error)}") from error
    return rows[0][1]


def _columns_in(con: duckdb.DuckDBPyConnection, expression: str) -> set[str]:
    """Names of the columns an SQL expression reads."""
    text = con.execute("select json_serialize_sql(?)", [f"select ({expression})"]).fetchall()[0][0]
    found: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("class") == "COLUMN_REF":
                found.add(node["column_names"][-1])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(json.loads(text))
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _clean(expression: str, source_type: str) -> str:
    return f"nullif(trim({expression}), '')" if source_type == "VARCHAR" else f"({expression})"


def _not_a(column: Column) -> str:
    names = {
        "integer": "a whole number",
        "number": "a number",
        "money": "an amount",
        "boolean": "true or false",
        "date": "a date",
        "timestamp": "a point in time",
        "text": "text",
    }
    return f" is not {names[column.type]}"


def _limits(column: Column) -> list[tuple[str, str]]:
    """(SQL that is true outside the column's limits, what to say about it)."""
    limits = []
    name = quote(column.name)
    if column.allowed:
        allowed = ", ".join(literal(value) for value in column.allowed)
        problem = f" is not one of {', '.join(column.allowed)}"
        limits.append((f"{name} not in ({allowed})", problem))
    if column.min is not None:
        limits.append((f"{name} < {column.min}", f" is below {column.min:g}"))
    if column.max is not None:
        limits.append((f"{name} > {column.max}", f" is above {column.max:g}"))
    if column.type in ("date", "timestamp"):
        test = f"{name} < date '{EARLIEST}' or {name} >= date '{LATEST}'"
        limits.append((test, f" is outside {EARLIEST} … {LATEST}"))
    return limits


def _cast(raw: str, source_type: str, column: Column, zone: str) -> str:
    text = source_type == "VARCHAR"
    match column.type:
        case "text":
            readable = f"case when not starts_with({raw}, '{UNREADABLE}') then {raw} end"
            return readable if text else f"nullif(trim({raw}::varchar), '')"
        case "timestamp":
            return _to_utc(raw, source_type, zone)
        case "date" if source_type == "TIMESTAMP WITH TIME ZONE":
            return f"timezone({literal(zone)}, {raw})::date"
        case "boolean" if text:
            true, false = (", ".join(literal(v) for v in values) for values in (TRUE, FALSE))
            return (
                f"case when lower({raw}) in ({true}) then true "
                f"when lower({raw}) in ({false}) then false end"
            )
        case "integer" if source_type not in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT"):
            number = f"try_cast({raw} as double)"
            return f"case when {number} = floor({number}) then try_cast({raw} as bigint) end"
        case "number":
            return (
                f"case when isfinite(try_cast({raw} as double)) then try_cast({raw} as double) end"
            )
        case _:
            return f"try_cast({raw} as {column.sql_type})"


def _to_utc(raw: str, source_type: str, zone: str) -> str:
    """SQL that reads local or offset-carrying times as naive UTC."""
    if source_type == "TIMESTAMP WITH TIME ZONE":
        return f"({raw} at time zone 'UTC')"
    if source_type != "VARCHAR":
        return _local_to_utc(f"try_cast({raw} as timestamp)", zone)
    # A plain cast would silently ignore an offset; only texts that may carry one pay for it.
    local = _local_to_utc(f"try_cast({raw} as timestamp)", zone)
    offset = f"regexp_matches({raw}, '(?i)(z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$')"
    plain = f"length({raw}) <= 10 or (length({raw}) = 19 and {raw}[17] = ':')"
    return (
        f"case when {plain} or not {offset} then {local} "
        f"else try_cast({raw} as timestamptz) at time zone 'UTC' end"
    )


def _local_to_utc(local: str, zone: str) -> str:
    slow = f"(timezone({literal(zone)}, {local}) at time zone 'UTC')"
    minutes = constant_offset(zone)
    if minutes is None:
        return slow
    return (
        f"case when {local} >= timestamp '1995-01-01' "
        f"then {local} - interval {minutes} minute else {slow} end"
    )


def constant_offset(zone: str) -> int | None:
    """Minutes east of UTC if the zone has kept one offset since 1995, else None.

    Calendar arithmetic through time-zone rules costs ten times a subtraction.
    """
    info = ZoneInfo(zone)
    moment, offsets = datetime(1995, 1, 1, tzinfo=info), set()
    while moment.year < 2040 and len(offsets) < 2:
        offsets.add(moment.replace(tzinfo=info).utcoffset())
        moment += timedelta(days=7)
    (first, *others) = offsets
    return None if others or first is None else int(first.total_seconds() // 60)
