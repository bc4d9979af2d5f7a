"""Adds the days after a sample: dated files with new rows and newer versions of old ones."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from careloop.errors import SettingsError, SourceError
from careloop.sample.engine import open_engine, sql
from careloop.sample.exports import EXPORTS, is_parquet
from careloop.sample.files import FileRows
from careloop.sample.make import MARKER, write_export, write_marker
from careloop.sample.words import set_variable

SHARE_A_DAY = 0.015
MAX_DAYS = 365


def make_delta(
    dir: Path | str,
    customers: int | None = None,
    seed: int | None = None,
    as_of: date | None = None,
    days: int = 1,
    *,
    on_file: Callable[[str], None] | None = None,
) -> list[FileRows]:
    """Writes what happens on ``days`` days from ``as_of`` on (by default: where the sample ends).

    A file carries the date of the morning after its day: the as_of at which it is complete.
    customers, seed: checked against the sample when given. Repeating a day writes the same bytes.
    Raises SourceError where ``dir`` is no sample, SettingsError for arguments that don't fit it.
    """
    root = Path(dir)
    marker = _read_marker(root)
    for name, value in (("customers", customers), ("seed", seed)):
        if value is not None and value != marker[name]:
            raise SettingsError(
                f"{name} is {value}, but {root} was made with {marker[name]}",
                "leave it out, or make the sample anew",
            )
    begin = date.fromisoformat(marker["as_of"])
    first = as_of or date.fromisoformat(marker["reaches"])
    index = (first - begin).days
    if index < 0 or index + days > MAX_DAYS:
        raise SettingsError(
            f"{first} plus {days} days is outside the year after {begin}",
            "choose days after the sample's as_of, or make the sample anew",
        )
    result = []
    for offset in range(index, index + days):
        result += _write_day(root, marker, begin, offset, on_file or (lambda _: None))
    reached = (first + timedelta(days=days)).isoformat()
    write_marker(root, **marker | {"reaches": max(reached, marker["reaches"])})
    return result


def _write_day(
    root: Path, marker: dict[str, Any], begin: date, offset: int, tell: Callable[[str], None]
) -> list[FileRows]:
    day = (begin + timedelta(days=offset + 1)).isoformat()
    customers, parquet = marker["customers"], is_parquet(marker["fmt"], marker["customers"])
    result = []
    share = (SHARE_A_DAY, f"delta {offset}")
    with open_engine(root, customers, marker["seed"], begin, marker["lang"], share) as con:
        set_variable(con, "day_no", offset)
        con.execute(sql("delta"))
        for export in EXPORTS:
            if not export.daily:
                continue
            file = export.file(parquet, day)
            tell(file)
            rows, _ = write_export(con, export, root / file, begin)
            if not rows:  # a system that has nothing to report exports nothing
                (root / file).unlink()
                continue
            result.append(FileRows(file, rows, (root / file).stat().st_size))
    return result


def _read_marker(root: Path) -> dict[str, Any]:
    path = root / MARKER
    marker = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if not marker.get("reaches"):
        raise SourceError(f"{root} holds no complete sample", f"careloop sample {root} makes one")
    return marker
