"""Reading a Postgres database into a Parquet file, without a row passing through Python."""

import hashlib
import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from careloop.errors import SourceError, UnreachableError
from careloop.sources.files import LINE, Table
from careloop.sources.spec import Mapping, Source
from careloop.warehouse import literal, quote


def extract(source: Source, mapping: Mapping, scratch: Path, after: str | None) -> Table:
    """The mapping's table or query as a Table; only rows from cursor value ``after`` on.

    Raises SourceError when the address is unset or the database refuses; the address itself,
    which may hold a password, is never shown.
    """
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    variable = source.database_url_env or ""
    url = os.environ.get(variable)
    if not url:
        raise SourceError(
            f"source {source.name}: the environment variable {variable} is not set",
            f"export {variable}=postgresql://user:password@host/database",
        )
    target = scratch / "extract.parquet"
    try:
        connection = dbapi.connect(url)
    except Error as error:
        raise UnreachableError(
            f"source {source.name}: the database can't be reached: {_plain(error, url)}",
            f"check that it is up and that {variable} is right",
        ) from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(_statement(mapping, after))
            reader = cursor.fetch_record_batch()
            with pq.ParquetWriter(target, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
    except Error as error:
        what = mapping.table or "the query"
        raise SourceError(
            f"source {source.name}: the database refused {what}: {_plain(error, url)}",
            f"check {variable}, and that the user may read it",
        ) from error
    relation = f"(select *, null::bigint as {LINE} from read_parquet({literal(target)}))"
    return Table(target, relation, lines=True)


def _plain(error: Exception, url: str) -> str:
    """The error's first line, without the address."""
    return str(error).replace(url, "…").strip().splitlines()[0]


def _statement(mapping: Mapping, after: str | None) -> str:
    name = ".".join(quote(part) for part in (mapping.table or "").split("."))
    rows = (
        f"select * from {name}" if mapping.table else f"select * from ({mapping.query}) as source"
    )
    if mapping.cursor and after is not None:
        rows += f" where {quote(mapping.cursor)} >= {literal(after)}"
    return rows


def content_hash(con: duckdb.DuckDBPyConnection, relation: str) -> str:
    """A hash of the rows of ``relation``, whatever order the database gave them in."""
    rows = con.execute(
        f"select count(*), bit_xor(md5_number(source::varchar)) from {relation} as source"
    ).fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def last_cursor(con: duckdb.DuckDBPyConnection, relation: str, column: str) -> str | None:
    """The greatest value of ``column`` read, as text."""
    return con.execute(f"select max({quote(column)})::varchar from {relation}").fetchall()[0][0]
