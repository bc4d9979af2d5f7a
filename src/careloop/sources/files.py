"""Reading export files: CSV, JSON lines, Parquet and Excel, as relations DuckDB can query.

A clean CSV or JSON-lines file is read by DuckDB alone. Where a line can't be read, or a row
breaks the contract, the file is read again line by line, so that every rejected row is kept
with its exact line.
"""

import codecs
import csv
import gzip
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import charset_normalizer
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from careloop.errors import SourceError
from careloop.warehouse import literal

LINE = "_careloop_line"
SAVED_AT = "_careloop_saved_at"
_MODIFIED = re.compile(rb"<dcterms:modified[^>]*>([^<]+)<")
CHUNK = 50_000
BINARY = (b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"%PDF")
CSV_SUFFIXES = {".csv", ".tsv", ".txt"}
JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
csv.field_size_limit(2**27)


@dataclass
class Broken:
    """A line that is no record: where it stands, what it says, and why."""

    line: int
    raw: str
    reason: str


@dataclass
class Table:
    """A file as a relation. lines: whether it has the column ``_careloop_line``."""

    path: Path
    relation: str
    lines: bool
    broken: list[Broken] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """How to read a file: its encoding, delimiter and, for Excel, sheet."""

    encoding: str = "utf-8"
    delimiter: str = ","
    sheet: str | None = None

    @property
    def codec(self) -> str:
        name = codecs.lookup(self.encoding).name
        return "utf-8-sig" if name == "utf-8" else name


def suffix_of(path: Path) -> str:
    """``.csv`` for both ``a.csv`` and ``a.csv.gz``."""
    suffixes = [s.lower() for s in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else suffixes[-1]


def open_table(path: Path, form: Format, scratch: Path) -> Table:
    """``path`` as a relation; raises SourceError when it is not what its name says."""
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name} is empty", "export it again, or remove it")
    suffix = suffix_of(path)
    if suffix in CSV_SUFFIXES:
        return _open_csv(path, form, scratch)
    if suffix in JSON_SUFFIXES:
        return _open_jsonl(path, form, scratch)
    if suffix == ".parquet":
        return _open_parquet(path)
    if suffix in (".xlsx", ".xls", ".xlsb", ".ods"):
        return _open_excel(path, form, scratch)
    raise SourceError(
        f"{path.name}: files ending in {suffix} can't be read",
        "export as .csv, .jsonl, .parquet or .xlsx (.csv and .jsonl may be .gz)",
    )


def read_carefully(path: Path, form: Format, scratch: Path) -> Table:
    """The same file read line by line: with ``_careloop_line``, and its broken lines apart."""
    if suffix_of(path) in CSV_SUFFIXES:
        return _careful_csv(path, form, scratch)
    return _careful_jsonl(path, form, scratch)


def _open_csv(path: Path, form: Format, scratch: Path) -> Table:
    header = _csv_header(path, form)
    readable = path
    if form.codec != "utf-8-sig":
        readable = scratch / "utf8.csv"
        with (
            _text(path, form) as source,
            readable.open("w", encoding="utf-8", newline="") as target,
        ):
            _decoding(path, form, lambda: shutil.copyfileobj(source, target, 1 << 20))
    columns = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in header)
    relation = (
        f"read_csv({literal(readable)}, columns={{{columns}}}, auto_detect=false, header=true, "
        f"delim={literal(form.delimiter)}, quote='\"', escape='\"', strict_mode=true, "
        "null_padding=false, max_line_size=33554432)"
    )
    return Table(path, relation, lines=False)


def _csv_header(path: Path, form: Format) -> list[str]:
    _refuse_binary(path, form)
    with _text(path, form) as file:
        header = _decoding(
            path, form, lambda: next(csv.reader(file, delimiter=form.delimiter), None)
        )
    if not header or not any(name.strip() for name in header):
        raise SourceError(f"{path.name} has no header line", "the first line must name the columns")
    names = [name.strip() or f"column_{n}" for n, name in enumerate(header, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{path.name}: the header names {twice[0]!r} twice", "rename one of them")
    return names


def _careful_csv(path: Path, form: Format, scratch: Path) -> Table:
    header = _csv_header(path, form)
    broken: list[Broken] = []

    def records() -> Iterator[list[Any]]:
        with _text(path, form) as file:
            lines = _Remembering(file)
            reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
            next(reader)
            while True:
                lines.taken.clear()
                start = reader.line_num + 1
                try:
                    record = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    broken.append(Broken(start, "".join(lines.taken).rstrip("\r\n"), str(error)))
                    continue
                if len(record) == len(header):
                    yield [start, *record]
                elif record:
                    reason = f"{len(record)} columns instead of {len(header)}"
                    broken.append(Broken(start, "".join(lines.taken).rstrip("\r\n"), reason))

    target = scratch / "careful.parquet"
    last = _decoding(path, form, lambda: _write_text_rows(target, header, records()))
    if broken and broken[-1].line > last and not _ends_with_newline(path):
        raise SourceError(
            f"{path.name} is truncated: it breaks off in line {broken[-1].line} "
            f"({broken[-1].reason})",
            "export or copy it again; nothing of it was loaded",
        )
    return Table(path, f"read_parquet({literal(target)})", lines=True, broken=broken)


def _open_jsonl(path: Path, form: Format, scratch: Path) -> Table:
    _refuse_binary(path, form)
    if form.codec != "utf-8-sig":
        return _careful_jsonl(path, form, scratch)
    with duckdb.connect() as con:
        objects = f"read_ndjson_objects({literal(path)})"
        try:
            rows = con.execute(
                f"select distinct unnest(json_keys(json)) from {objects} order by 1"
            ).fetchall()
        except duckdb.Error:
            return _careful_jsonl(path, form, scratch)
    columns = ", ".join(f"{literal(row[0])}: 'VARCHAR'" for row in rows)
    relation = f"read_json({literal(path)}, format='newline_delimited', columns={{{columns}}})"
    return Table(path, relation, lines=False)


def _careful_jsonl(path: Path, form: Format, scratch: Path) -> Table:
    broken: list[Broken] = []
    keys: dict[str, None] = {}

    def objects() -> Iterator[tuple[int, dict[str, Any]]]:
        with _text(path, form) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line, parse_float=str, parse_int=str)
                except json.JSONDecodeError as error:
                    broken.append(Broken(number, line.rstrip("\r\n"), f"not JSON: {error.msg}"))
                    continue
                if isinstance(value, dict):
                    yield number, value
                else:
                    broken.append(Broken(number, line.rstrip("\r\n"), "not a JSON object"))

    def scan() -> int:
        last = 0
        for number, value in objects():
            last = number
            keys.update(dict.fromkeys(value))
        return last

    last = _decoding(path, form, scan)
    if broken and broken[-1].line > last and not _ends_with_newline(path):
        raise SourceError(
            f"{path.name} is truncated: it breaks off in line {broken[-1].line}",
            "export or copy it again; nothing of it was loaded",
        )
    if not keys:
        raise SourceError(f"{path.name} holds no JSON object", "write one JSON object per line")
    header = sorted(keys)
    broken.clear()
    target = scratch / "careful.parquet"
    rows = ([n, *(_json_text(value.get(key)) for key in header)] for n, value in objects())
    _write_text_rows(target, header, rows)
    return Table(path, f"read_parquet({literal(target)})", lines=True, broken=broken)


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _open_parquet(path: Path) -> Table:
    relation = f"read_parquet({literal(path)}, file_row_number=true)"
    try:
        with duckdb.connect() as con:
            con.execute(f"describe select * from {relation}")
    except duckdb.Error as error:
        raise SourceError(
            f"{path.name} is no complete Parquet file: {str(error).splitlines()[0]}",
            "it may be truncated; export or copy it again; nothing of it was loaded",
        ) from error
    numbered = f"(select * exclude file_row_number, file_row_number + 1 as {LINE} from {relation})"
    return Table(path, numbered, lines=True)


def _open_excel(path: Path, form: Format, scratch: Path) -> Table:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        names = book.sheet_names
        sheet = form.sheet or names[0]
        if sheet not in names:
            raise SourceError(f"{path.name} has no sheet {sheet!r}; its sheets: {', '.join(names)}")
        rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (CalamineError, zipfile.BadZipFile, OSError) as error:
        raise SourceError(
            f"{path.name} is no readable workbook: {error}",
            "it may be truncated or password-protected; save it again as .xlsx",
        ) from error
    if not rows or not any(str(cell).strip() for cell in rows[0]):
        raise SourceError(f"{path.name}: the sheet {sheet!r} has no header row")
    header = [str(cell).strip() or f"column_{n}" for n, cell in enumerate(rows[0], 1)]
    target = scratch / "careful.parquet"
    records = (
        [number, *map(_cell_text, row)]
        for number, row in enumerate(rows[1:], 2)
        if any(str(cell).strip() for cell in row)
    )
    _write_text_rows(target, header, records)
    saved = f"timestamptz {literal(_saved_at(path))} as {SAVED_AT}"
    return Table(path, f"(select *, {saved} from read_parquet({literal(target)}))", lines=True)


def _saved_at(path: Path) -> str:
    """When a workbook was last saved, as it says itself; else when the file changed."""
    try:
        with zipfile.ZipFile(path) as book:
            found = _MODIFIED.search(book.read("docProps/core.xml"))
            moment = datetime.fromisoformat(found[1].decode()) if found else None
    except (zipfile.BadZipFile, KeyError, ValueError):
        moment = None
    moment = moment or datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _cell_text(cell: Any) -> str | None:
    if cell is None or cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat(sep=" ") if hasattr(cell, "hour") and hasattr(cell, "year") else str(cell)


def _write_text_rows(target: Path, header: list[str], rows: Iterator[list[Any]]) -> int:
    """Write ``rows`` (line number, then texts) as Parquet; returns the last line number."""
    fields = [pa.field(LINE, pa.int64()), *(pa.field(name, pa.string()) for name in header)]
    schema = pa.schema(fields)
    last, chunk = 0, []
    with pq.ParquetWriter(target, schema) as writer:

        def flush() -> None:
            columns = list(zip(*chunk, strict=True)) if chunk else [[] for _ in schema]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            chunk.clear()

        for row in rows:
            last = row[0]
            chunk.append(row)
            if len(chunk) == CHUNK:
                flush()
        flush()
    return last


class _Remembering:
    """The lines of a file, and those taken since ``taken`` was last cleared."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.taken: list[str] = []

    def __iter__(self) -> "Iterator[str]":
        for line in self._file:
            self.taken.append(line)
            yield line


def _text(path: Path, form: Format) -> IO[str]:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    binary = opener(path, "rb")
    return io.TextIOWrapper(binary, encoding=form.codec, errors="strict", newline="")


def _decoding(path: Path, form: Format, work: Any) -> Any:
    """Run ``work``; a decoding error becomes a SourceError that names a likely encoding."""
    try:
        return work()
    except UnicodeDecodeError as error:
        sample = _head(path, 1 << 16)
        guess = charset_normalizer.from_bytes(sample).best()
        likely = f"it looks like {guess.encoding}; " if guess else ""
        raise SourceError(
            f"{path.name} is not {form.encoding}: byte 0x{error.object[error.start]:02x} "
            f"can't be decoded ({error.reason})",
            f"{likely}set `encoding:` in source.yml, e.g. gb18030; nothing of it was loaded",
        ) from error
    except EOFError as error:
        raise SourceError(
            f"{path.name} is truncated: {error}", "copy it again; nothing of it was loaded"
        ) from error


def _head(path: Path, size: int) -> bytes:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        return file.read(size)


def _refuse_binary(path: Path, form: Format) -> None:
    head = _decoding(path, form, lambda: _head(path, 1 << 16))
    wide = form.codec.startswith(("utf-16", "utf-32"))
    if (b"\x00" in head and not wide) or head[:4] in (
        b"PK\x03\x04",
        b"PAR1",
        b"\x1f\x8b\x08\x00",
        b"%PDF",
    ):
        kind = "an Excel or zip file" if head[:2] == b"PK" else "a binary file"
        raise SourceError(
            f"{path.name} is {kind}, not text",
            "export it as text, or give it the ending of what it is (.xlsx, .parquet)",
        )


def _ends_with_newline(path: Path) -> bool:
    if path.suffix.lower() == ".gz":
        with gzip.open(path, "rb") as file:
            tail = b""
            while block := file.read(1 << 20):
                tail = block[-1:]
        return tail == b"\n"
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read(1) in (b"\n", b"\r")
