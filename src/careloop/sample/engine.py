"""The working database of a sample: a throw-away DuckDB file with seeded, repeatable randomness."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from careloop.sample.words import load_words, set_variable

ZONE = "Asia/Shanghai"
HISTORY_DAYS = 1461
MEMORY_LIMIT = "2GB"


@contextmanager
def open_engine(
    folder: Path,
    customers: int,
    seed: int,
    as_of: date,
    lang: str,
    share: tuple[float, str] = (1, ""),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which `cust`, `ord` and `tick` stand as of the start of ``as_of``.

    share: the part of all customers that is made, and the tag that chooses them.
    The working file lies in ``folder`` and goes away at the end, whatever happens.
    """
    with TemporaryDirectory(prefix=".work-", dir=folder) as work:
        # one thread alone cuts Parquet row groups differently, two or more all alike
        config = {"threads": max(2, os.cpu_count() or 2), "memory_limit": MEMORY_LIMIT}
        con = duckdb.connect(str(Path(work) / "sample.duckdb"), config=config)
        try:
            con.execute("set enable_progress_bar = false")
            con.execute("set preserve_insertion_order = true")
            # tables are written nearly in order, so that the final sorts cost little
            con.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
            _set_size(con, customers, seed, as_of, lang)
            set_variable(con, "share", float(share[0]))
            set_variable(con, "share_tag", share[1])
            load_words(con, lang)
            con.execute(sql("base"))
            con.execute(_poisson())
            for step in ("days", "customers", "profile", "orders", "tickets", "lines"):
                if step == "customers":
                    con.execute(_slots())
                con.execute(sql(step))
            yield con
        finally:
            con.close()


def sql(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return files("careloop.sample").joinpath(f"sql/{name}.sql").read_text("utf-8")


def _set_size(
    con: duckdb.DuckDBPyConnection, customers: int, seed: int, as_of: date, lang: str
) -> None:
    """Everything that depends on the arguments only."""
    start = as_of - timedelta(days=HISTORY_DAYS)
    managers = max(6, customers // 3000)
    agents = max(10, customers // 1500)
    for name, value in {
        "seed": seed,
        "customers": customers,
        "start_date": start,
        "start_us": (start - date(1970, 1, 1)) // timedelta(microseconds=1),
        "days": HISTORY_DAYS,
        "t_end": HISTORY_DAYS * 86400,
        "lang": lang,
        "first_k": 0,
        "touched": None,
        "products": max(40, min(480, customers // 20)),
        "managers": managers,
        "agents": agents,
        "staff": managers + agents + max(3, agents // 10),
    }.items():
        set_variable(con, name, value)


def _slots() -> str:
    return "set variable slots = (select max(first_slot) from day)"


def _poisson() -> str:
    """A macro poisson(mean, hash): exact by inversion below 4, else by the normal approximation."""
    cases = []
    for most in range(13):
        chance = "1"
        for k in range(most, 0, -1):
            chance = f"1 + m / {k} * ({chance})"
        cases.append(f"when wide(h, 0) * exp(m) <= {chance} then {most}")
    return (
        "create or replace macro poisson(m, h) as case "
        "when m >= 4 then greatest(0, round(m + sqrt(m) * normal(h)))::int "
        f"{' '.join(cases)} else 13 end"
    )
