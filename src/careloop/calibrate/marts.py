"""The published marts, as one calibration sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from careloop.errors import SettingsError
from careloop.program.dates import start_of
from careloop.program.model import Program
from careloop.program.period import Period
from careloop.published import check_known
from careloop.warehouse import Row, has_tables, literal, named_in, quote, rows_of

# dim_customers has the day of the first order instead of the days since.
_MEASURES = """
create or replace temp view customers as
select *, date_diff('day', first_order_on, as_of_on) as days_since_first_order
from {place}.dim_customers
"""
_COLUMNS = """
select column_name from duckdb_columns()
where database_name = ? and schema_name = 'main' and table_name = 'dim_customers'
"""


@dataclass(frozen=True)
class Marts:
    """con: read-only connection; period: what is judged; as_of: local, aware; pack_hash: of the
    pack the marts were built with; standings_as_of: local, aware, of view ``customers``."""

    con: duckdb.DuckDBPyConnection
    program: Program
    period: Period
    as_of: datetime
    pack_hash: str
    standings_as_of: datetime

    @classmethod
    def of(
        cls,
        con: duckdb.DuckDBPyConnection,
        program: Program,
        period: Period,
        kept: Sequence[Path] = (),
    ) -> "Marts":
        """kept: other published versions, the oldest first. Customers are taken from the first
        that sees the period's end under today's pack, else from the version of ``con``. Raises
        SettingsError where the marts are another pack's or do not know the period."""
        as_of, pack, pack_hash = con.execute(
            "select as_of_local, pack, pack_hash from rpt_run"
        ).fetchall()[0]
        if pack != program.name:
            raise SettingsError(
                f"the published version is of the pack {pack}, not {program.name}",
                f"name it with --program {pack}",
            )
        if period.is_ahead(as_of):
            raise SettingsError(
                f"{period.name} begins after the published data ends ({as_of:%Y-%m-%d})",
                "name an earlier period, or run `careloop run` first",
            )
        check_known(con, period)
        zone = ZoneInfo(program.zone)
        standings_as_of = _standings(con, program, period, as_of, kept)
        return cls(
            con, program, period, as_of.replace(tzinfo=zone), pack_hash,
            standings_as_of.replace(tzinfo=zone),
        )  # fmt: skip

    @property
    def until(self) -> date:
        """The first local day after what is seen of the period."""
        return self.period.until(self.as_of)

    @property
    def is_over(self) -> bool:
        return self.until == self.period.end_day

    def moment(self, day: date) -> datetime:
        """The UTC moment, without a zone, at which a local day begins."""
        return start_of(day, self.program.zone)

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a query; $first_day, $until (local days), $starts_at and $ends_at (UTC) are
        there if the query names them."""
        known = {
            "first_day": self.period.first_day,
            "until": self.until,
            "starts_at": self.moment(self.period.first_day),
            "ends_at": self.moment(self.until),
            **(values or {}),
        }
        return rows_of(self.con, sql, named_in(sql, known))

    def one(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """The only value of a query."""
        return next(iter(self.rows(sql, values)[0].values()))

    def has(self, table: str) -> bool:
        """Whether the version has a mart; older versions may not."""
        return has_tables(self.con, table)


def _standings(
    con: duckdb.DuckDBPyConnection,
    program: Program,
    period: Period,
    as_of: datetime,
    kept: Sequence[Path],
) -> datetime:
    """Makes view ``customers``; returns the as_of of the version it is from."""
    own = con.execute("select current_database()").fetchall()[0][0]
    needed = set(con.execute(_COLUMNS, [own]).fetchall())
    for file in kept:
        con.execute(f"attach {literal(file)} as standings (read_only)")
        day, pack, pack_hash = con.execute(
            "select as_of_local, pack, pack_hash from standings.rpt_run"
        ).fetchall()[0]
        if (
            period.end_day <= day.date()
            and day < as_of
            and (pack, pack_hash) == (program.name, program.hash)
            and needed <= set(con.execute(_COLUMNS, ["standings"]).fetchall())
        ):
            con.execute(_MEASURES.format(place="standings"))
            return day
        con.execute("detach standings")
    con.execute(_MEASURES.format(place=quote(own)))
    return as_of
