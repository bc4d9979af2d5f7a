"""Reads the page of one customer from a published version: sections with rows, without words."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict

from careloop.errors import CareloopError, SettingsError
from careloop.program.base import language
from careloop.published import open_published
from careloop.settings import Settings
from careloop.warehouse import Row, literal, quote, rows_of

JSON_TIMES = 10


class Section(BaseModel):
    """What to show and where it comes from, as explained at the top of ``sections.yml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: dict[str, str]
    form: Literal["fields", "table"]
    table: str | None = None
    customer: str = "customer_id"
    show: list[str] = []
    order: list[str] = []
    needs: list[str] = []
    sql: str | None = None
    titles: dict[str, list[str]] = {}
    like: dict[str, str] = {}
    hide: list[str] = []
    most: int = 1

    @property
    def tables(self) -> list[str]:
        return [self.table] if self.table else self.needs


@dataclass
class Found:
    """A section with the customer's rows, up to ``JSON_TIMES`` as many as a terminal shows."""

    section: Section
    columns: list[str]
    rows: list[Row]
    more: int = 0

    @property
    def shown(self) -> list[str]:
        """Columns for a terminal; JSON has all of them."""
        return [column for column in self.columns if column not in self.section.hide]


@dataclass
class Page:
    """The page. run: the row of rpt_run. windows: days of the program's windows. titles: (table,
    id) of the program → en and zh."""

    customer_id: str
    run: Row
    windows: dict[str, str]
    sections: list[Found] = field(default_factory=list)
    titles: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)


@cache
def sections() -> list[Section]:
    """Every section in the order of the page."""
    text = files("careloop.customer_page").joinpath("sections.yml").read_text("utf-8")
    return [Section(**body) for body in yaml.safe_load(text)]


def read_page(
    settings: Settings, customer_id: str, version: str | None = None, locale: str | None = None
) -> Page:
    """The page of one customer; raises SettingsError when the version does not know the id."""
    con = open_published(settings, version)
    try:
        run = rows_of(con, "select * from rpt_run")[0]
        if not rows_of(
            con, "select 1 from dim_customers where customer_id = $id", {"id": customer_id}
        ):
            raise _unknown(con, customer_id)
        lang = language(locale or run["locale"])
        page = Page(customer_id, run, _windows(con))
        columns = _columns(con)
        for section in sections():
            found = _read(con, section, customer_id, columns, lang)
            if found:
                page.sections.append(found)
        page.titles = _titles(con, page, columns)
        return page
    except duckdb.Error as error:
        raise CareloopError(f"the page can't be read: {error}", "run `careloop marts`") from error
    finally:
        con.close()


def _read(
    con: duckdb.DuckDBPyConnection,
    section: Section,
    customer_id: str,
    columns: dict[str, list[str]],
    lang: str,
) -> Found | None:
    if any(table not in columns for table in section.tables):
        return None
    limit = section.most * JSON_TIMES
    if section.sql:
        query = section.sql.replace("$lang", lang)
    else:
        there = columns[str(section.table)]
        shown = [c for c in section.show or there if c in there and c != section.customer]
        if not shown:
            return None
        order = [
            f"{quote(name.removeprefix('-'))} {'desc' if name.startswith('-') else 'asc'}"
            for name in section.order
            if name.removeprefix("-") in there
        ]
        query = (
            f"select {', '.join(map(quote, shown))} from {quote(str(section.table))} "
            f"where {quote(section.customer)} = $customer"
            + (f" order by {', '.join(order)} nulls last" if order else "")
        )
    # One row more than is kept says whether there are more, without counting them.
    rows = rows_of(con, f"select * from ({query}) limit {limit + 1}", {"customer": customer_id})
    if not rows or all(value is None for row in rows for value in row.values()):
        return None
    return Found(section, list(rows[0]), rows[:limit], max(0, len(rows) - limit))


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Columns of every published table; the program's own tables as ``program.NAME``."""
    found: dict[str, list[str]] = {}
    for schema, table, column in con.execute(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "where schema_name in ('main', 'program') and not internal "
        "order by schema_name, table_name, column_index"
    ).fetchall():
        name = table if schema == "main" else f"program.{table}"
        found.setdefault(name, []).append(column)
    return found


def _titles(
    con: duckdb.DuckDBPyConnection, page: Page, columns: dict[str, list[str]]
) -> dict[tuple[str, str], dict[str, str]]:
    """Titles of the program's ids that the page's sections refer to."""
    wanted = sorted({t for f in page.sections for ts in f.section.titles.values() for t in ts})
    titles = {}
    for table in wanted:
        there = columns.get(f"program.{table}", [])
        keys = [c for c in there if c in ("id", "segment", "stage", "level")]
        if not keys or not {"title_en", "title_zh"} <= set(there):
            continue
        for key, en, zh in con.execute(
            f"select {quote(keys[0])}, title_en, title_zh from program.{quote(table)}"
        ).fetchall():
            titles[table, key] = {"en": en, "zh": zh}
    return titles


def _windows(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    start = "profile.windows."
    sql = "select key, value from program.settings where starts_with(key, ?)"
    rows = rows_of(con, sql, [start])
    names = {row["key"].removeprefix(start).removesuffix("_days"): row["value"] for row in rows}
    return {"short": "?", "medium": "?", "long": "?", **names}


def _unknown(con: duckdb.DuckDBPyConnection, customer_id: str) -> SettingsError:
    """The error for an id that is not there, with ids that begin alike."""
    start = customer_id[: max(1, len(customer_id) - 2)].lower()
    near = [
        row["customer_id"]
        for row in rows_of(
            con,
            "select customer_id from dim_customers "
            f"where starts_with(lower(customer_id), {literal(start)}) "
            "order by customer_id limit 2000",
        )
    ]
    alike = get_close_matches(customer_id, near, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    return SettingsError(
        f"there is no customer {customer_id} in this version",
        f'{hint}`careloop sql "select customer_id, segment from dim_customers limit 10"` '
        "shows ids; --version looks at an older version",
    )
