"""A company in memory in which the models of KPIs run, and its periods by plain Python."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT, load_settings
from careloop.transform.care_inputs import write_care_inputs
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import Row, rows_of
from jinja_sql import Models
from memory import fill, open_raw, write_context

Raw = dict[str, list[Row]]
Key = tuple[str, str, dt.date]
UPSTREAM = {
    "intermediate.int_case_clock_cases": "case_kind varchar, case_id varchar, "
    "customer_id varchar, owner_id varchar, department varchar, clock varchar, "
    "target_key varchar, cycle integer, started_at timestamp, stopped_at timestamp, "
    "ended_at timestamp",
    "intermediate.int_customer_segments": "customer_id varchar, segment varchar, stage varchar",
    "intermediate.int_customer_loyalty": "customer_id varchar, tier varchar",
    "intermediate.int_customer_preferences": "customer_id varchar, preferred_channel varchar, "
    "preferred_channel_basis varchar",
    "marts.fct_customer_changes": CARRIED["customer_changes"][1],
    "marts.fct_customer_tier_changes": "customer_id varchar, change_no integer, "
    "from_tier varchar, tier varchar, changed_on date",
    "marts.fct_pain_point_findings": CARRIED["pain_point_findings"][1],
    "marts.fct_kpi_findings": CARRIED["kpi_findings"][1],
    "run.previous_sla_targets": CARRIED["sla_targets"][1],
    "run.previous_kpi_findings": CARRIED["kpi_findings"][1],
    "run.previous_quality_samples": CARRIED["quality_samples"][1],
    "intermediate.int_kpi_periods": "period_type varchar, period_start date, period_end date, "
    "starts_at timestamp, ends_at timestamp, seen_until timestamp, is_over boolean",
}
ACTIVITY = (
    "stg_customers",
    "stg_orders",
    "stg_interactions",
    "stg_tickets",
    "stg_surveys",
    "int_orders",
    "int_customer_orders",
    "fct_orders",
    "int_kpi_days",
    "int_kpi_activity",
)
LOYALTY = (*ACTIVITY, "int_kpi_loyalty")
CARE = (
    *ACTIVITY, "stg_follow_ups", "stg_exposures", "int_care_message_states",
    "int_care_responses", "int_care_outcomes", "int_care_conversions", "fct_care_deliveries",
    "fct_follow_ups", "register_follow_ups", "int_kpi_care",
)  # fmt: skip


class Needing(Models):
    """Models that note which others they refer to, themselves or in macros."""

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self.needed: list[str] = []

    def _globals(self) -> dict[str, Any]:
        return super()._globals() | {"ref": self._ref}

    def _ref(self, name: str) -> str:
        self.needed.append(name)
        return self.place(name)


class World:
    """Rows of the contract's entities under a pack; times are UTC, as_of is a local wall time."""

    def __init__(
        self, raw: Raw, as_of: str, pack: str | Program = "retail_care", zone: str | None = None
    ) -> None:
        self.con = open_raw(raw)
        for table, columns in UPSTREAM.items():
            self.con.execute(f"create table {table} ({columns})")
        program = load_program(pack, PROJECT_ROOT / "programs") if isinstance(pack, str) else pack
        self.zone = ZoneInfo(zone or program.zone)
        self.as_of = self.utc(as_of)
        self.today = dt.datetime.fromisoformat(as_of).date()
        write_context(self.con, self.as_of, self.today, str(self.zone), program.currency)
        write_care_inputs(self.con, load_settings(home="/nonexistent"))
        write_program_tables(self.con, program, dt.date(2024, 1, 1), dt.date(2027, 12, 31))
        self.periods = list(self._periods())
        self.fill("intermediate.int_kpi_periods", self.periods)
        self.models = Needing(DBT_PROJECT, self.con)
        self.given = set(UPSTREAM)
        self.built = set(self.given)

    def fill(self, table: str, rows: list[Row]) -> None:
        fill(self.con, table, rows)

    def refill(self, raw: Raw) -> None:
        """Other rows instead, and nothing built."""
        for table in self.con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where schema_name = 'raw' or table_name like '%findings'"
        ).fetchall():
            self.con.execute(f"truncate {table[0]}")
        for entity, rows in raw.items():
            self.fill(f"raw.{entity}", rows)
        self.built = set(self.given)

    def run(self, *models: str) -> "World":
        """Builds just these, in the order given."""
        self.models.run(*models)
        return self

    def build(self, *models: str) -> "World":
        """Builds models and all they need that is neither given nor built."""
        for table, name in ((self.models.place(name), name) for name in models):
            if table not in self.built:
                self.built.add(table)
                self.models.needed.clear()
                sql = self.models.sql(name)
                self.build(*dict.fromkeys(self.models.needed))
                self.con.execute(f"create or replace table {table} as {sql}")
        return self

    def rows(self, query: str) -> list[Row]:
        return rows_of(self.con, query)

    def utc(self, local: str) -> dt.datetime:
        return utc(local, str(self.zone))

    def day(self, moment: dt.datetime) -> dt.date:
        return moment.replace(tzinfo=dt.UTC).astimezone(self.zone).date()

    def sums(self, model: str, dimension: str | None = None) -> dict:
        """Numerator and denominator by KPI, period and, if asked for, a column."""
        found: dict = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for row in self.rows(f"from intermediate.{model}"):
            key = (row["kpi"], row["period_type"], row["period_start"])
            total = found[(*key, row[dimension]) if dimension else key]
            total[0] += row["numerator"]
            total[1] += row["denominator"]
            assert row["denominator"] > 0, row
        return {key: tuple(value) for key, value in found.items()}

    def within(self, moment: dt.datetime | None) -> list[tuple[str, dt.date]]:
        """Periods that a moment belongs to."""
        return [
            (p["period_type"], p["period_start"])
            for p in self.periods
            if moment is not None and p["starts_at"] <= moment < p["seen_until"]
        ]

    def _periods(self) -> Any:
        month = self.today.replace(day=1)
        quarter = month.replace(month=(month.month - 1) // 3 * 3 + 1)
        spans = [("month", add(month, -i), add(month, 1 - i)) for i in range(14)]
        spans += [("quarter", add(quarter, -3 * i), add(quarter, 3 - 3 * i)) for i in range(7)]
        spans += [("year", add(end, -12), end) for _, _, end in spans[-7:]]
        tomorrow = self.today + dt.timedelta(days=1)
        spans.append(("year", tomorrow.replace(year=tomorrow.year - 1), tomorrow))
        monday = self.today - dt.timedelta(days=self.today.weekday())
        weeks = [monday - dt.timedelta(weeks=i) for i in range(14)]
        spans += [("week", day, day + dt.timedelta(weeks=1)) for day in weeks]
        for kind, first, end in dict.fromkeys(spans):
            starts, ends = self.utc(str(first)), self.utc(str(end))
            yield {
                "period_type": kind, "period_start": first, "period_end": end,
                "starts_at": starts, "ends_at": ends, "seen_until": min(ends, self.as_of),
                "is_over": ends <= self.as_of,
            }  # fmt: skip


def utc(local: str, zone: str = "Asia/Shanghai") -> dt.datetime:
    """A wall time as UTC without zone."""
    moment = dt.datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(dt.UTC).replace(tzinfo=None)


def add(day: dt.date, months: int) -> dt.date:
    """The first of a month so many months later."""
    place = day.year * 12 + day.month - 1 + months
    return dt.date(place // 12, place % 12 + 1, 1)
