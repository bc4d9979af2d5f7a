"""What the parts of a review read from: one published version, one period, one language."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from careloop.errors import CareloopError
from careloop.program.dates import start_of
from careloop.program.model import Program
from careloop.program.period import Period
from careloop.published import open_published
from careloop.settings import Settings
from careloop.warehouse import Row, named_in, rows_of


@dataclass(frozen=True)
class Reader:
    """con: read-only connection to the published marts; period: what is judged; language: zh or
    en; as_of: local time of the marts, aware."""

    con: duckdb.DuckDBPyConnection
    program: Program
    period: Period
    language: str
    as_of: datetime

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[Row]:
        """The rows of a query on the marts. Named parameters $first_day, $end_day,
        $previous_first_day (local days), $starts_at, $ends_at, $previous_starts_at (the same in
        UTC) and $period_type (quarter, month) are there if the query names them."""
        period, zone = self.period, self.program.zone
        known = {
            "first_day": period.first_day,
            "end_day": period.end_day,
            "previous_first_day": period.previous.first_day,
            "starts_at": start_of(period.first_day, zone),
            "ends_at": start_of(period.end_day, zone),
            "previous_starts_at": start_of(period.previous.first_day, zone),
            "period_type": period.kind,
            **(parameters or {}),
        }
        return rows_of(self.con, sql, named_in(sql, known))

    def title(self, row: Row, name: str = "title") -> str:
        """A row's title in the language: of the columns <name>_en and <name>_zh."""
        return row[f"{name}_{self.language}"]

    @property
    def until(self) -> date:
        """The first local day after what is seen of the period."""
        return self.period.until(self.as_of)


def kpi_rows(settings: Settings, sql: str, values: Row, version: str | None) -> list[Row]:
    """The rows of a query on the published KPIs; raises CareloopError where there are none."""
    con = open_published(settings, version)
    try:
        return rows_of(con, sql, values)
    except duckdb.CatalogException as error:
        raise CareloopError(
            "what is published has no KPIs yet", "run `careloop run` with this version of careloop"
        ) from error
    finally:
        con.close()
