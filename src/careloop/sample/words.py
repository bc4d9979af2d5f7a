"""Hands the words of ``words.yml`` to DuckDB: lists as variables, phrases and topics as tables."""

from functools import cache
from importlib.resources import files
from typing import Any

import duckdb
import yaml

_LISTS = (
    "hours", "new_years", "surnames", "given_female", "given_male", "first_female", "first_male",
    "last_names", "places", "streets_zh", "streets_en", "industries", "brands_zh", "trades_zh",
    "brands_en", "trades_en", "positions_zh", "positions_en", "interests", "benchmarks",
)  # fmt: skip


@cache
def words() -> dict[str, Any]:
    """The whole of ``words.yml``."""
    return yaml.safe_load(files("careloop.sample").joinpath("words.yml").read_text("utf-8"))


def load_words(con: duckdb.DuckDBPyConnection, lang: str) -> None:
    """Sets one variable per list and fills ``topic``, ``phrase`` and ``goods``."""
    data = words()
    for name in _LISTS:
        set_variable(con, name, data[name])
    acts = [act for act in data["activity"] for _ in range(act["of_256"])]
    for key in ("kind", "channel", "product", "dwell"):
        set_variable(con, f"act_{key}", [act[key] for act in acts])
    kinds = [kind["category"] for kind in data["goods"]]
    pairs = [kinds.index(name) for kind in data["goods"] for name in kind["goes_with"]]
    set_variable(con, "goods", len(kinds))
    set_variable(con, "goes_with", pairs)
    con.execute(
        "create or replace table topic as select unnest(t, recursive := true) from unnest(?) x(t)",
        [data["topics"]],
    )
    con.execute(
        "create or replace table phrase "
        "(what varchar, topic varchar, lang varchar, texts varchar[])"
    )
    con.executemany("insert into phrase values (?, ?, ?, ?)", _phrases(data))
    con.execute(
        "create or replace table goods "
        "(i integer, category varchar, replacement_days integer, names varchar[])"
    )
    con.executemany(
        "insert into goods values (?, ?, ?, ?)",
        [
            (i, kind["category"], kind["replacement_days"], kind["en" if lang == "en" else "zh"])
            for i, kind in enumerate(data["goods"])
        ],
    )


def set_variable(con: duckdb.DuckDBPyConnection, name: str, value: Any) -> None:
    """``value`` as the DuckDB variable ``name``."""
    con.execute(f"set variable {name} = ?", [value])


def _phrases(data: dict[str, Any]) -> list[tuple[str, str | None, str, list[str]]]:
    """One row per what, topic and language; phrases without a topic carry None."""
    rows: list[tuple[str, str | None, str, list[str]]] = []
    for what in ("ticket", "result", "comment", "said"):
        for topic, by_lang in data[what].items():
            rows += [(what, topic, lang, texts) for lang, texts in by_lang.items()]
    for what in ("more", "heard", "next"):
        rows += [(what, None, lang, texts) for lang, texts in data[what].items()]
    return rows
