"""Makes a whole sample CRM in one folder."""

import csv
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import duckdb

from careloop.errors import SettingsError, SourceError
from careloop.sample.dirt import make_dirt
from careloop.sample.engine import open_engine, sql
from careloop.sample.exports import EXPORTS, Export, is_parquet
from careloop.sample.files import FileRows, as_exported, write_excel, write_rows
from careloop.sample.mapping import write_mapping

MARKER = "sample.json"
MAX_CUSTOMERS = 4_000_000
Progress = Callable[[str], None]


def make_sample(
    dir: Path | str,
    customers: int,
    seed: int,
    as_of: date,
    dirty: float = 0.0,
    fmt: str = "auto",
    *,
    lang: str = "mixed",
    force: bool = False,
    on_file: Progress | None = None,
) -> list[FileRows]:
    """Writes the exports of ``customers`` customers as of the start of ``as_of`` into ``dir``.

    dirty: share (0 to 0.5) of bad rows. fmt: auto, csv or parquet. lang: zh, en or mixed.
    on_file is told each file before it is written. The same arguments give the same bytes.
    Raises SettingsError for a wrong argument and SourceError where ``dir`` holds other things.
    """
    _check(customers, dirty, fmt, lang)
    root = Path(dir)
    _make_room(root, force)
    tell = on_file or (lambda _: None)
    parquet = is_parquet(fmt, customers)
    dirt_rows: list[tuple[str, str | None, str, str]] = []
    result = []
    arguments = {
        "customers": customers, "seed": seed, "as_of": as_of.isoformat(),
        "dirty": dirty, "fmt": fmt, "lang": lang,
    }  # fmt: skip
    write_marker(root, **arguments, reaches=None)
    tell("customers, orders and tickets")
    with open_engine(root, customers, seed, as_of, lang) as con:
        for export in EXPORTS:
            file = export.file(parquet)
            tell(file)
            rows, dirt = write_export(con, export, root / file, as_of, dirty)
            dirt_rows += [(file, *row) for row in dirt]
            result.append(_written(root, file, rows))
        tell("truth")
        truth = "truth/customers_truth.parquet"
        (root / "truth").mkdir(exist_ok=True)
        result.append(_written(root, truth, write_rows(con, sql("truth"), root / truth)))
    if dirty:
        result.append(_write_dirt(root, dirt_rows))
    for source in {export.source for export in EXPORTS}:
        write_mapping(root / source, source, parquet)
    write_marker(root, **arguments, reaches=as_of.isoformat())
    return result


def write_export(
    con: duckdb.DuckDBPyConnection, export: Export, path: Path, as_of: date, dirty: float = 0.0
) -> tuple[int, list[tuple[str | None, str, str]]]:
    """Writes one file; returns its rows and, of the bad ones, key, defect and expectation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    query = sql(f"{export.source}/{export.query}")
    if path.suffix == ".xlsx":
        created = datetime.combine(as_of, time(), UTC)
        return write_excel(con, query, path, created), []
    query = as_exported(con, query, path, export.encoding)
    encoding = "utf-8" if path.suffix == ".parquet" else export.encoding
    dirt = None
    if dirty and export.damage:
        dirt = make_dirt(con, export, query, dirty, typed=path.suffix == ".parquet")
    return write_rows(con, query, path, encoding, dirt), dirt.record if dirt else []


def write_marker(root: Path, **arguments: Any) -> None:
    """``sample.json``: what the folder is, and the arguments it was made with."""
    (root / MARKER).write_text(json.dumps(arguments, indent=2) + "\n", "utf-8")


def _check(customers: int, dirty: float, fmt: str, lang: str) -> None:
    if not 1 <= customers <= MAX_CUSTOMERS:
        raise SettingsError(f"customers is {customers}", f"give 1 to {MAX_CUSTOMERS:,}")
    if not 0 <= dirty <= 0.5:
        raise SettingsError(f"dirty is {dirty:.0%}", "give 0% to 50%")
    if fmt not in ("auto", "csv", "parquet"):
        raise SettingsError(f"format is '{fmt}'", "give auto, csv or parquet")
    if lang not in ("zh", "en", "mixed"):
        raise SettingsError(f"lang is '{lang}'", "give zh, en or mixed")


def _make_room(root: Path, force: bool) -> None:
    """An empty folder, an earlier sample's content removed; anything else only with force."""
    if root.exists() and not root.is_dir():
        raise SourceError(f"{root} is a file", "name a folder for the sample")
    found = sorted(path.name for path in root.iterdir()) if root.exists() else []
    if found and not (root / MARKER).exists() and not force:
        raise SourceError(
            f"{root} is not empty and no sample ({', '.join(found[:3])} …)",
            "choose another folder, or --force to write the sample into it",
        )
    for part in ("online", "store", "truth"):
        shutil.rmtree(root / part, ignore_errors=True)
    (root / MARKER).unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)


def _write_dirt(root: Path, rows: list[tuple[str, str | None, str, str]]) -> FileRows:
    file = "truth/dirt.csv"
    with (root / file).open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("file", "key", "defect", "expect"))
        writer.writerows(rows)
    return _written(root, file, len(rows))


def _written(root: Path, file: str, rows: int) -> FileRows:
    return FileRows(file, rows, (root / file).stat().st_size)
