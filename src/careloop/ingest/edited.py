"""Rows that people edited: names become ids, and what they left alone stays as it is loaded."""

import duckdb

from careloop.contract import Entity, entities
from careloop.ingest.stage import Staged
from careloop.lake.batches import Lake
from careloop.lake.relations import current, versions
from careloop.sources.edits import receipt_sql
from careloop.sources.files import LINE
from careloop.sources.spec import Edits
from careloop.warehouse import literal, names_of, quote

# Of a text such as `Wang Fang (S1001)` the id.
_IN_BRACKETS = r"[(（]\s*([^()（）]+?)\s*[)）]\s*$"


def settle_names(
    con: duckdb.DuckDBPyConnection, lake: Lake, edits: Edits, relation: str, staged: Staged
) -> None:
    """Put ids in place of names; a name nobody or several have rejects its row, and so does a row
    that was copied together with its hidden key. relation: the file as it was read."""
    hidden = receipt_sql(edits.column)
    con.execute(
        f"create or replace temp table copied as select {LINE} as line from {relation} "
        f"where {hidden} is not null qualify count(*) over (partition by {hidden}) > 1"
    )
    _reject(
        con,
        staged,
        "_line in (from copied)",
        edits.column,
        "the row was copied with its hidden key: empty that cell in the copy",
    )
    for column, whose in edits.names.items():
        if lake.files(whose, "rows"):
            _settle(con, lake, column, whose, staged)


def _settle(
    con: duckdb.DuckDBPyConnection, lake: Lake, column: str, whose: str, staged: Staged
) -> None:
    con.execute(
        "create or replace temp table named as select said, min(id) as id, "
        f"count(distinct id) as ids from ({_sayings(lake, whose)}) "
        "where said is not null group by said"
    )
    name = quote(column)
    con.execute(
        "create or replace temp table settled as select distinct "
        f"r.{name} as said, coalesce(case when n.ids = 1 then n.id end, k.id) as id, "
        f"coalesce(n.ids, 0) as ids from {staged.rows} as r "
        f"left join named as n on n.said = trim(r.{name}) "
        f"left join named as k on k.said = k.id and k.ids = 1 "
        f"and k.id = regexp_extract(r.{name}, '{_IN_BRACKETS}', 1) "
        f"where list_contains(r._sets, {literal(column)}) and r.{name} is not null"
    )
    given = f"list_contains(_sets, {literal(column)}) and {name}"
    some = f"{given} in (select said from settled where id is null and ids > 1)"
    none = f"{given} in (select said from settled where id is null and ids = 0)"
    _reject(con, staged, some, column, f"several {whose} have this name: write the id")
    _reject(con, staged, none, column, f"is neither id nor name of the {whose} loaded")
    _rewrite(
        con,
        staged,
        f"select r.* replace (coalesce(s.id, r.{name}) as {name}) "
        f"from {staged.rows} as r left join settled as s "
        f"on s.said = r.{name} and list_contains(r._sets, {literal(column)})",
    )


def _sayings(lake: Lake, whose: str) -> str:
    """id and what it is called, one row each."""
    if whose == "staff":
        staff = current(lake, entities()["staff"])
        return (
            f"with s as ({staff}) select staff_id as id, staff_id as said from s "
            "union all select staff_id, trim(name) from s"
        )
    return (
        f"with c as ({current(lake, entities()['customers'])}), "
        f"k as ({current(lake, entities()['contacts'])}) "
        "select customer_id as id, customer_id as said from c "
        "union all select customer_id, trim(company_name) from k "
        "union all select customer_id, trim(name) from k"
    )


def _reject(
    con: duckdb.DuckDBPyConnection, staged: Staged, test: str, column: str, why: str
) -> None:
    said = literal(f"{column}: {why}")
    _rewrite(
        con,
        staged,
        f"select * replace (list_append(_columns, {literal(column)}) as _columns, "
        f"list_append(_reasons, {said}) as _reasons, "
        f"coalesce(_error, {literal(column)}) as _error) from {staged.rows} where {test} "
        f"union all by name select * from {staged.rows} where not coalesce({test}, false)",
    )


def keep_unedited(
    con: duckdb.DuckDBPyConnection, lake: Lake, entity: Entity, edits: Edits, staged: Staged
) -> None:
    """Complete each row with what is loaded of its key, and leave out rows that say nothing new.

    Without that an edited cell would empty every column the file does not have.
    """
    keys = names_of(entity.key)
    first = quote(entity.key[0])
    loaded = f"(select {names_of(entity.columns)} from ({versions(lake, entity)}))"
    others = [c for c in entity.columns if c not in entity.key]
    replaced = ", ".join(f"{_kept(entity, edits, c, first)} as {quote(c)}" for c in others)
    told = [c for c in others if c != entity.order_column]
    differs = " or ".join(
        f"({_kept(entity, edits, c, first)}) is distinct from old.{quote(c)}" for c in told
    )
    same = "".join(f" and old.{quote(key)} = new.{quote(key)}" for key in entity.key)
    repeated = ""
    if edits.skip_repeated:
        *whose, when = entity.key
        said = quote(edits.skip_repeated)
        latest = (
            f"select {names_of(whose)}, arg_max({said}, {quote(when)}) as {said} "
            f"from {loaded} group by {names_of(whose)}"
        )
        repeated = f"anti join ({latest}) as latest using ({names_of(whose)}, {said})"
    _rewrite(
        con,
        staged,
        f"select new.* replace ({replaced}) from "
        f"(select * from {staged.rows} as staged {repeated}) as new "
        f"left join {loaded} as old on true{same} "
        f"where new._error is not null or old.{first} is null or {differs} "
        f"order by new.{keys.replace(', ', ', new.')}, new._line",
    )


def _kept(entity: Entity, edits: Edits, column: str, first: str) -> str:
    """The value of a column: the edited one, or what is loaded."""
    name = quote(column)
    new, old = f"new.{name}", f"old.{name}"
    if column == entity.order_column:
        return f"greatest({new}, {old})"
    given = f"(old.{first} is null or list_contains(new._sets, {literal(column)}))"
    if column in edits.keep_if_blank:
        return f"case when {given} then coalesce({new}, {old}) else {old} end"
    if column in edits.keep_first:
        kept = f"case when {new} is not null then coalesce({old}, {new}) end"
        return f"case when {given} then {kept} else {old} end"
    return f"case when {given} then {new} else {old} end"


def _rewrite(con: duckdb.DuckDBPyConnection, staged: Staged, select: str) -> None:
    target = staged.path.with_name("edited.parquet")
    exclude = f"select * exclude (file_row_number) from ({select})"
    con.execute(f"copy ({exclude}) to {literal(target)} (format parquet, compression zstd)")
    target.replace(staged.path)
