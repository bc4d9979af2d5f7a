"""Bad rows for ``--dirty``: damaged copies of good rows, so nothing good is lost with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from careloop.sample.exports import Export

SHORT = "too few columns"


@dataclass(frozen=True)
class Damage:
    """One defect: the columns it overwrites, and what loading should do with the row."""

    defect: str
    values: tuple[tuple[str, str | None], ...]
    expect: str


def rejected(defect: str, **values: str | None) -> Damage:
    """A row that can't be loaded at all."""
    return Damage(defect, tuple(values.items()), "rejected")


def unknown_customer(**values: str) -> Damage:
    """A row that waits for a customer who never comes."""
    return Damage("unknown customer", tuple(values.items()), "held")


def older(**values: str) -> Damage:
    """An older version of a row that is there already: it must not win."""
    return Damage("older duplicate", tuple(values.items()), "replaced")


@dataclass(frozen=True)
class Dirt:
    """The bad rows of one file: ``query`` yields the complete ones, ``short`` the cut lines."""

    query: str
    short: list[str]
    record: list[tuple[str | None, str, str]]


def make_dirt(
    con: duckdb.DuckDBPyConnection, export: "Export", query: str, share: float, typed: bool
) -> Dirt:
    """Damages copies of ``share`` of the rows of ``query``; record: key, defect, expected.

    typed: the file has native types, so only what a type can hold is possible.
    """
    columns = [(row[0], row[1]) for row in con.execute(f"describe {query}").fetchall()]
    types = dict(columns)
    damages = [d for d in export.damage if not typed or _fits(con, d, types)]
    if export.kind != "csv":
        damages = [d for d in damages if d.defect != SHORT]
    whole = ", ".join(name if typed else f"{name}::varchar as {name}" for name, _ in columns)
    pick = f"hash({export.key}, {columns[1][0]}::varchar, getvariable('seed'))"
    con.execute(
        f"create or replace temp table chosen as select {whole}, "
        f"({pick} >> 20) % {len(damages)} as defect_no from ({query}) "
        f"where ({pick} & 1048575) < {round(share * (1 << 20))}"
    )
    parts, short, record = [], [], []
    for index, damage in enumerate(damages):
        rows = f"(select * exclude (defect_no) from chosen where defect_no = {index})"
        fresh = damage.expect != "replaced"
        damaged = f"select * replace ({_changes(export, damage, types, typed, fresh)}) from {rows}"
        if damage.defect == SHORT:
            half = len(columns) // 2
            for row in con.execute(damaged).fetchall():
                short.append(",".join(row[:half]))
        else:
            parts.append(damaged)
        record += [
            (key, damage.defect, damage.expect)
            for (key,) in con.execute(f"select {export.key} from ({damaged})").fetchall()
        ]
    query = f"from ({' union all '.join(parts)}) order by all" if parts else ""
    return Dirt(query, sorted(short), sorted(record, key=lambda row: (row[1], row[0] or "")))


def _fits(con: duckdb.DuckDBPyConnection, damage: Damage, types: dict[str, str]) -> bool:
    """Whether columns of these types can hold the damage."""
    if damage.defect == SHORT:
        return False
    return all(
        value is None
        or con.execute(f"select try_cast(? as {types[column]})", [value]).fetchall()[0][0]
        is not None
        for column, value in damage.values
    )


def _changes(
    export: "Export", damage: Damage, types: dict[str, str], typed: bool, fresh: bool
) -> str:
    """The `replace` list of a damage, the key of its own included."""
    changes: dict[str, str] = {}
    if fresh:
        column, expression = export.fresh
        if not typed and column == "line_no":
            expression = "(line_no::integer + 50)::varchar"
        changes[column] = expression
    for column, value in damage.values:
        text = "null" if value is None else "'" + value.replace("'", "''") + "'"
        changes[column] = f"cast({text} as {types[column] if typed else 'varchar'})"
    return ", ".join(f"{expression} as {column}" for column, expression in changes.items())
