"""Writes a query's rows as a CSV, JSON lines, Parquet or Excel file, byte for byte repeatable."""

import codecs
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import xlsxwriter

from careloop.sample.dirt import Dirt

_CHUNK = 1 << 22


@dataclass(frozen=True)
class FileRows:
    """One written file: path relative to the sample, data rows, size in bytes."""

    file: str
    rows: int
    size: int


def as_exported(con: duckdb.DuckDBPyConnection, query: str, path: Path, encoding: str) -> str:
    """``query`` with its times written as the exporting system does."""
    if path.suffix == ".jsonl":
        return _with_times(con, query, "%Y-%m-%dT%H:%M:%SZ")
    if path.suffix == ".csv" and encoding == "gb18030":
        return _with_times(con, query, "%Y/%m/%d %H:%M:%S")
    return query


def write_rows(
    con: duckdb.DuckDBPyConnection,
    query: str,
    path: Path,
    encoding: str = "utf-8",
    dirt: Dirt | None = None,
) -> int:
    """Writes the rows of ``query``, then those of ``dirt``; returns their number."""
    if path.suffix == ".parquet":
        everything = _after(con, query, dirt.query) if dirt and dirt.query else query
        return _copy(con, everything, path, "format parquet, parquet_version v2")
    csv = path.suffix == ".csv"
    draft = path.with_name(f".{path.name}.draft")
    rows = _copy(con, query, draft, "format csv, header" if csv else "format json")
    if dirt:
        rows += _append(con, dirt, draft, "format csv, header false" if csv else "format json")
    if encoding == "utf-8":
        draft.replace(path)
    else:
        _transcode(draft, path, encoding)
        draft.unlink()
    return rows


def write_excel(con: duckdb.DuckDBPyConnection, query: str, path: Path, created: datetime) -> int:
    """Writes the rows of ``query`` as a workbook that says it was made at ``created``."""
    cursor = con.execute(query)
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    with xlsxwriter.Workbook(str(path)) as book:
        book.set_properties({"created": created, "title": path.stem})
        sheet = book.add_worksheet(path.stem)
        sheet.write_row(0, 0, names)
        for index, row in enumerate(rows, start=1):
            sheet.write_row(index, 0, row)
    return len(rows)


def _copy(con: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> int:
    target = str(path).replace("'", "''")
    return con.execute(f"copy ({query}) to '{target}' ({options})").fetchall()[0][0]


def _append(con: duckdb.DuckDBPyConnection, dirt: Dirt, draft: Path, options: str) -> int:
    rows = 0
    with draft.open("ab") as target:
        if dirt.query:
            extra = draft.with_suffix(".dirt")
            rows = _copy(con, dirt.query, extra, options)
            target.write(extra.read_bytes())
            extra.unlink()
        for line in dirt.short:
            target.write(f"{line}\n".encode())
    return rows + len(dirt.short)


def _after(con: duckdb.DuckDBPyConnection, query: str, extra: str) -> str:
    """The rows of ``query``, then those of ``extra``; a bare `union all` may mix their order."""
    first = ", ".join(row[0] for row in con.execute(f"describe {query}").fetchall()[:3])
    return (
        f"select * exclude (part) from (select *, 0 as part from ({query}) "
        f"union all select *, 1 from ({extra})) order by part, {first}"
    )


def _with_times(con: duckdb.DuckDBPyConnection, query: str, pattern: str) -> str:
    described = con.execute(f"describe {query}").fetchall()
    times = [row[0] for row in described if row[1] == "TIMESTAMP"]
    if not times:
        return query
    replaced = ", ".join(f"strftime({name}, '{pattern}') as {name}" for name in times)
    return f"select * replace ({replaced}) from ({query})"


def _transcode(draft: Path, path: Path, encoding: str) -> None:
    """UTF-8 text of ``draft`` as ``encoding``; `utf-8-sig` writes the byte order mark once."""
    decode = codecs.getincrementaldecoder("utf-8")()
    encode = codecs.getincrementalencoder(encoding)()
    with draft.open("rb") as source, path.open("wb") as target:
        while block := source.read(_CHUNK):
            target.write(encode.encode(decode.decode(block)))
        target.write(encode.encode(decode.decode(b"", True), True))
