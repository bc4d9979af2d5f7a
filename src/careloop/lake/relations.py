"""The rows of an entity that hold now, as SQL over the batches' Parquet files."""

from careloop.contract import Entity
from careloop.lake.batches import Lake
from careloop.warehouse import literal, names_of, quote


def file_list(paths: list[str]) -> str:
    """A DuckDB list of Parquet files."""
    return "[" + ", ".join(literal(path) for path in paths) + "]"


def empty(entity: Entity, *, numbered: bool = False) -> str:
    """The entity's relation without rows."""
    number = ", null::bigint as _row" if numbered else ""
    columns = [f"null::{c.sql_type} as {quote(c.name)}" for c in entity.columns.values()]
    meta = "null::varchar as _source, null::integer as _batch"
    return f"select {', '.join(columns)}, {meta}{number} limit 0"


def versions(lake: Lake, entity: Entity, *, numbered: bool = False) -> str:
    """One row per key, or per key and source where sources are merged column by column.

    numbered: also ``_row``, the row's number within its batch's file.
    """
    rows = lake.files(entity.name, "rows")
    if not rows:
        return empty(entity, numbered=numbered)
    names = names_of([*entity.columns, "_source", "_batch"])
    dead = lake.files(entity.name, "dead")
    if not dead and not numbered:
        return f"select {names} from {stored(entity, rows)}"
    number = ", file_row_number as _row" if numbered else ""
    select = f"select {names}{number} from {stored(entity, rows, numbered=True)}"
    if not dead:
        return select
    # Numbers, not keys: comparing thirty million texts would cost seconds in every scan.
    return (
        f"{select} as r anti join read_parquet({file_list(dead)}) as dead "
        "on dead._batch = r._batch and dead._row = r.file_row_number"
    )


def stored(entity: Entity, files: list[str], *, numbered: bool = False) -> str:
    """The rows of batches' files. A column that the contract got later than a batch was loaded is
    unknown in it."""
    options = f"union_by_name=true, file_row_number={str(numbered).lower()}"
    rows = f"select * from read_parquet({file_list(files)}, {options})"
    return f"(({empty(entity)}) union all by name {rows})"


def current(lake: Lake, entity: Entity, only: str = "") -> str:
    """One row per key: what everything downstream reads. only: SQL after ``from …`` that leaves
    out keys, before anything is merged."""
    sources = {b.source for b in lake.active(entity.name) if b.rows_loaded}
    if entity.merge != "columns" or len(sources) < 2:
        return (
            f"select * from ({versions(lake, entity)}) {only}" if only else versions(lake, entity)
        )
    # Several sources know the same customer: of each column the latest known value holds. Most
    # are known to one source only, and grouping costs more than looking who isn't.
    newest = "coalesce(epoch(updated_at)::bigint, 0) * 1000000 + _batch"
    keys = names_of(entity.key)
    others = [quote(column) for column in entity.columns if column not in entity.key]
    names = f"{keys}, {', '.join(others)}, _source, _batch"
    merged = [f"arg_max({c}, _rank) filter (where {c} is not null) as {c}" for c in others]
    return (
        f"with known as (select * from ({versions(lake, entity)}) {only}), "
        f"shared as (select {keys} from known group by {keys} having count(*) > 1) "
        f"select {names} from known anti join shared using ({keys}) "
        f"union all select {keys}, {', '.join(merged)}, "
        "string_agg(distinct _source, '+' order by _source) as _source, max(_batch) as _batch "
        f"from (select *, {newest} as _rank from known semi join shared using ({keys})) "
        f"group by {keys}"
    )
