"""What the parts of a review read from: one published version, one period, one language."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from careloop.program.model import Program
from careloop.review.period import Period
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
        $previous_first_day and $period_type (quarter, month) are there if the query names them."""
        known = {
            "first_day": self.period.first_day,
            "end_day": self.period.end_day,
            "previous_first_day": self.period.previous.first_day,
            "period_type": self.period.kind,
            **(parameters or {}),
        }
        return rows_of(self.con, sql, named_in(sql, known))

    def title(self, row: Row, name: str = "title") -> str:
        """A row's title in the language: of the columns <name>_en and <name>_zh."""
        return row[f"{name}_{self.language}"]

    @property
    def last_day(self) -> date:
        """The last local day seen: of the period, or that before as_of while it runs."""
        return min(self.period.end_day, self.as_of.date())
