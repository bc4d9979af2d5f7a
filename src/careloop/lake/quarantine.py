"""What was rejected, and what of it is still open.

A rejected row is open until its key is loaded by a later batch; a row without a readable key
until a later edition of the same file is loaded.
"""

import duckdb

from careloop.contract import Entity, entities
from careloop.lake.batches import Lake
from careloop.lake.relations import file_list, versions
from careloop.warehouse import key_text, literal

COLUMNS = ("entity", "source", "file", "line", "key", "columns", "reason", "waiting")


def create_open_rejects(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Table ``open_rejects``: one row per rejected row that is still open, with ``raw``.

    ``waiting`` marks sound rows that only wait for their parent.
    """
    con.execute(
        "create or replace temp table open_rejects (entity varchar, source varchar, file varchar, "
        "line bigint, key varchar, columns varchar, reason varchar, waiting boolean, raw varchar)"
    )
    for entity in entities().values():
        if files := lake.files(entity.name, "rejects"):
            _insert_open(con, lake, entity, files)


def _insert_open(
    con: duckdb.DuckDBPyConnection, lake: Lake, entity: Entity, files: list[str]
) -> None:
    batches = lake.active(entity.name)
    editions: dict[tuple[str, str], int] = {}
    for batch in batches:
        if not batch.released_from:
            editions[batch.source, batch.file] = batch.seq
    superseded = [b.seq for b in batches if editions.get((b.source, b.file), 0) > b.seq] or [-1]
    key = key_text(entity.key)
    con.execute(
        f"create or replace temp table candidates as select * from read_parquet({file_list(files)})"
    )
    con.execute(
        "create or replace temp table loaded_keys as select _key, max(_batch) as _batch from "
        f"(select {key} as _key, _batch from ({versions(lake, entity)})) "
        "where _key in (select key from candidates) group by _key"
    )
    # Of one line offered again and again only the latest rejection is shown.
    con.execute(
        f"""
        insert into open_rejects
        select {literal(entity.name)}, source, file, line, key, columns, reason, waiting, raw
        from candidates
        left join loaded_keys on loaded_keys._key = candidates.key
        where not coalesce(loaded_keys._batch > candidates._batch, false)
          and not (keyless and candidates._batch in (select unnest({superseded})))
        qualify row_number() over (
            partition by source, coalesce(key, raw), keyless order by candidates._batch desc
        ) = 1 or key is null
        order by source, file, line, key
        """
    )


def counts(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str, str, int]]:
    """(entity, source, file, problem, rows) of the open rejects, most frequent first."""
    return con.execute(
        """
        select entity, source, file,
               case when waiting then 'waits for its parent: ' || columns
                    when columns is null or columns = '' then reason
                    else 'wrong: ' || columns end as problem,
               count(*) as rows
        from open_rejects group by all order by rows desc, entity, source, file, problem
        """
    ).fetchall()
