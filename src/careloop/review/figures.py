"""Small things several sections need."""

from collections.abc import Iterable
from typing import Any

from careloop.review.model import Column, Kind
from careloop.review.reader import Reader, Row
from careloop.review.words import UNKNOWN, Words
from careloop.warehouse import has_tables


def has(reader: Reader, *tables: str) -> bool:
    """Whether the published version has all these tables; one of an earlier release may not."""
    return has_tables(reader.con, *tables)


def share(part: Any, whole: Any) -> float | None:
    """part / whole; None where there is nothing to divide by, or either is unknown."""
    return None if part is None or not whole else float(part) / float(whole)


def difference(now: Any, before: Any) -> float | None:
    """now - before; None where either is unknown."""
    return None if now is None or before is None else float(now) - float(before)


def growth(now: Any, before: Any) -> float | None:
    """Relative change; None where either is unknown or there was nothing before."""
    return None if now is None or not before else float(now) / float(before) - 1


def total(rows: Iterable[Row], key: str) -> Any:
    """Sum of a column, without the unknown; 0 of no rows."""
    return sum(row[key] for row in rows if row[key] is not None)


def reasons_of(say: Words, run: Row) -> str:
    """Why a run of a model was not accepted; versions of earlier releases say it in English."""
    reasons = run.get("reasons_zh") if say.language == "zh" else None
    return reasons or run["reasons"] or UNKNOWN


def columns(say: Words, *wanted: tuple[str, Kind] | tuple[str, Kind, int]) -> tuple[Column, ...]:
    """Columns by key, kind and digits; their titles are the section's texts ``col_<key>``."""
    return tuple(Column(key, say(f"col_{key}"), *rest) for key, *rest in wanted)
