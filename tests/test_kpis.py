"""KPIs: periods, standings, judging of targets, history, intervals, and what explains a change."""

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from statsmodels.stats.proportion import proportion_confint

from careloop.program.goals import KpiTarget
from careloop.program.kpis import KPIS
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.tables import program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import rows_of
from jinja_sql import Models
from memory import fill

Row = dict[str, Any]
PACK = load_program("retail_care", PROJECT_ROOT / "programs")
AS_OF = dt.datetime(2026, 11, 9, 16)  # midnight of November 10th in Shanghai
START = dt.date(2026, 1, 1)
DAY = dt.timedelta(days=1)
FACTS = ("care", "loyalty", "voice", "service", "state")
FACT = (
    "kpi varchar, period_type varchar, period_start date, customer_id varchar, owner_id varchar, "
    "touchpoint varchar, is_core boolean, numerator decimal(28, 6), denominator decimal(28, 6)"
)
TABLES = {
    "intermediate.int_orders": "ordered_at timestamp",
    "staging.stg_interactions": "occurred_at timestamp",
    "staging.stg_tickets": "opened_at timestamp",
    "staging.stg_surveys": "answered_at timestamp",
    "marts.fct_customer_changes": CARRIED["customer_changes"][1],
    "marts.dim_customers": "customer_id varchar, segment varchar, stage varchar, tier varchar, "
    "region varchar, account_manager_id varchar",
    "raw.benchmarks": "kpi varchar, period varchar, value double, source varchar",
    "run.previous_kpi_states": CARRIED["kpi_states"][1],
    "run.previous_kpi_findings": CARRIED["kpi_findings"][1],
    **{f"intermediate.int_kpi_{name}": FACT for name in FACTS},
}
PROGRAM_TABLES = (
    "settings", "kpis", "kpi_targets", "watched_kpis", "benchmarks", "findings", "finding_rules",
)  # fmt: skip
MODELS = (
    "int_kpi_targets", "int_kpi_periods", "int_kpi_standings", "int_kpi_facts", "int_kpi_cells", "fct_kpis",
    "fct_kpi_owners",
    "int_kpi_sums", "fct_kpi_states", "int_kpi_values", "rpt_kpi_targets", "rpt_kpis",
    "rpt_kpi_deviations", "fct_kpi_findings", "dim_kpis",
)  # fmt: skip


class World:
    """A warehouse in memory with the facts of KPIs, in which the models of KPIs run."""

    def __init__(self, rows: dict[str, list[Row]] | None = None) -> None:
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'; set threads = 1")
        for schema in ("raw", "run", "program", "staging", "intermediate", "marts"):
            self.con.execute(f"create schema {schema}")
        for table, columns in TABLES.items():
            self.con.execute(f"create table {table} ({columns})")
        self.models = Models(DBT_PROJECT, self.con)
        for table, those in (rows or {}).items():
            self.put(table, those)

    def put(self, table: str, rows: list[Row]) -> None:
        """Replaces what a table has."""
        self.con.execute(f"delete from {table}")
        fill(self.con, table, rows)

    def run(
        self, program: Program, as_of: dt.datetime = AS_OF, models: tuple[str, ...] = MODELS
    ) -> "World":
        self.con.execute(
            "create or replace table run.context as select ?::timestamp as as_of_utc, "
            "?::date as as_of_date, 'Asia/Shanghai' as zone, 'h' as pack_hash",
            [as_of, (as_of + dt.timedelta(hours=8)).date()],
        )
        tables = program_tables(program, START, START)
        for name in PROGRAM_TABLES:
            self.con.register("new_table", tables[name].arrow())
            self.con.execute(f"create or replace table program.{name} as from new_table")
            self.con.unregister("new_table")
        self.models.run(*models)
        return self

    def rows(self, query: str) -> list[Row]:
        return rows_of(self.con, query)


def pack(*targets: Row, started_on: dt.date | None = START, **operation: Any) -> Program:
    """The pack with other targets, and nothing to find."""
    goals = PACK.goals.model_copy(
        update={"targets": [KpiTarget(**t) for t in targets], "started_on": started_on}
    )
    working = PACK.operation.model_copy(update={"min_sample": 10, **operation})
    return PACK.model_copy(update={"goals": goals, "operation": working, "findings": []})


def target(id: str, **parts: Any) -> Row:
    return {"id": id, "kpi": "repurchase_rate", "direction": "at_least", **parts}


def fact(period: str, start: dt.date, numerator: float, denominator: float, **more: Any) -> Row:
    return {
        "kpi": "repurchase_rate",
        "period_type": period,
        "period_start": start,
        "numerator": Decimal(str(numerator)),
        "denominator": Decimal(str(denominator)),
        **more,
    }


def quarter(number: int, year: int = 2026) -> dt.date:
    return dt.date(year, 3 * number - 2, 1)


def judged(rows: list[Row], *targets: Row, as_of: dt.datetime = AS_OF, **more: Any) -> list[Row]:
    world = World({"intermediate.int_kpi_loyalty": rows}).run(
        pack(*targets, **more), as_of, MODELS[: MODELS.index("rpt_kpi_targets") + 1]
    )
    return world.rows("from marts.rpt_kpi_targets order by target_no, period_start, slice")


def states(rows: list[Row]) -> dict[tuple[str, dt.date], str]:
    return {(row["target_id"], row["period_start"]): row["state"] for row in rows}


# -- periods -----------------------------------------------------------------------------------


def test_periods_are_the_running_ones_those_before_and_baselines() -> None:
    program = pack(
        target("year", change=0.1, baseline="year_before_start", within="1y", every="year"),
        started_on=dt.date(2024, 5, 15),
    )
    world = World().run(program, models=("int_kpi_targets", "int_kpi_periods"))
    rows = world.rows("from intermediate.int_kpi_periods order by period_type, period_start")
    of = {kind: [r for r in rows if r["period_type"] == kind] for kind in ("month", "quarter")}
    assert [r["period_start"] for r in of["month"]][::13] == [
        dt.date(2025, 10, 1),
        dt.date(2026, 11, 1),
    ]
    assert len(of["month"]) == 14
    assert [r["period_start"] for r in of["quarter"]] == [
        dt.date(2025, 4, 1), dt.date(2025, 7, 1), dt.date(2025, 10, 1), dt.date(2026, 1, 1),
        dt.date(2026, 4, 1), dt.date(2026, 7, 1), dt.date(2026, 10, 1),
    ]  # fmt: skip
    years = {(r["period_start"], r["period_end"]) for r in rows if r["period_type"] == "year"}
    ends = [(q + 100 * DAY).replace(day=1) for q in (r["period_start"] for r in of["quarter"])]
    assert years == {
        *((end.replace(year=end.year - 1), end) for end in ends),
        (dt.date(2025, 11, 11), dt.date(2026, 11, 11)),
        (dt.date(2023, 5, 15), dt.date(2024, 5, 15)),
    }
    running = {(r["period_type"], r["period_start"]) for r in rows if not r["is_over"]}
    assert running == {
        ("month", dt.date(2026, 11, 1)),
        ("quarter", dt.date(2026, 10, 1)),
        ("year", dt.date(2026, 1, 1)),
        ("year", dt.date(2025, 11, 11)),
    }
    for row in rows:
        midnight = dt.datetime.combine(row["period_start"], dt.time()) - dt.timedelta(hours=8)
        assert row["starts_at"] == midnight
        assert row["seen_until"] == min(row["ends_at"], AS_OF)
        assert row["is_over"] == (row["ends_at"] <= AS_OF)


def test_weeks_are_there_if_a_target_asks_for_them() -> None:
    program = pack(target("weekly", value=0.5, every="week"))
    rows = World().run(program).rows(
        "from intermediate.int_kpi_periods where period_type = 'week' order by period_start"
    )  # fmt: skip
    assert len(rows) == 13
    assert {row["period_start"].weekday() for row in rows} == {0}
    assert rows[-1]["period_start"] == dt.date(2026, 11, 9)
    assert (
        not World().run(pack()).rows("from intermediate.int_kpi_periods where period_type = 'week'")
    )


def test_a_program_that_does_not_say_starts_with_the_month_of_the_first_data() -> None:
    tables = {
        "intermediate.int_orders": [{"ordered_at": dt.datetime(1970, 1, 1)},
                                    {"ordered_at": dt.datetime(2025, 8, 3)}],
        "staging.stg_tickets": [{"opened_at": dt.datetime(2025, 6, 30, 17)}],
    }  # fmt: skip
    program = pack(
        target("core", change=0.1, baseline="start_quarter", within="6mo"), started_on=None
    )
    rows = World(tables).run(program).rows("from intermediate.int_kpi_targets")
    assert rows[0]["started_on"] == dt.date(2025, 7, 1)
    assert rows[0]["due_on"] == dt.date(2026, 1, 1)
    assert rows[0]["baseline_period_start"] == dt.date(2025, 7, 1)
    rows = World().run(program).rows("from intermediate.int_kpi_targets")
    assert rows[0]["started_on"] == dt.date(2026, 11, 10)


# -- standings -----------------------------------------------------------------------------------


def change(customer: str, dimension: str, value: str | None, day: dt.datetime) -> Row:
    return {"customer_id": customer, "dimension": dimension, "to_value": value, "as_of": day}


def customer(name: str, segment: str = "core", **more: Any) -> Row:
    return {
        "customer_id": name, "segment": segment, "stage": "active", "tier": None,
        "region": "north", "account_manager_id": "m1", **more,
    }  # fmt: skip


def test_standings_are_what_held_and_facts_count_where_their_period_began() -> None:
    first, second, third = (dt.datetime(2026, month, 1) for month in (3, 5, 8))
    world = World(
        {
            "marts.dim_customers": [
                customer("mover", "core", tier="gold"),
                customer("steady", "new", region=None, account_manager_id=None),
            ],
            "marts.fct_customer_changes": [
                change("mover", "segment", "new", first),
                change("mover", "stage", "active", first),
                change("mover", "segment", "core", second),
                change("mover", "tier", "gold", third),
                change("mover", "churn_level", "high", third + DAY),
                change("steady", "segment", "new", first),
                change("steady", "stage", "active", first),
                change("gone", "segment", "new", first),
                change("gone", "stage", "active", first),
                change("gone", "segment", None, second),
                change("gone", "stage", None, second),
            ],
            "intermediate.int_kpi_loyalty": [
                *(fact("quarter", quarter(n), 1, 1, customer_id="mover") for n in (1, 2, 3, 4)),
                fact("quarter", quarter(4), 1, 1, customer_id="steady"),
                fact("quarter", quarter(1), 1, 1, customer_id="gone"),
                fact("quarter", quarter(4), 0, 1, customer_id="gone"),
                fact("quarter", quarter(4), 0, 2, customer_id=None, owner_id="m2"),
                fact("quarter", dt.date(2020, 1, 1), 1, 1, customer_id="mover"),
            ],
        }
    ).run(pack())
    spans = world.rows(
        "select customer_id, valid_from, valid_until, segment, tier, region "
        "from intermediate.int_kpi_standings order by customer_id, valid_from nulls first"
    )
    assert [tuple(row.values()) for row in spans] == [
        ("gone", None, second, "new", None, None),
        ("gone", second, None, None, None, None),
        ("mover", None, second, "new", None, "north"),
        ("mover", second, third, "core", None, "north"),
        ("mover", third, None, "core", "gold", "north"),
        ("steady", None, None, "new", None, None),
    ]
    cells = world.rows(
        "select period_start, segment, tier, region, numerator, denominator "
        "from marts.fct_kpis order by all"
    )
    assert [tuple(row.values()) for row in cells] == [
        (quarter(1), "new", "(unknown)", "(unknown)", 1, 1),
        (quarter(1), "new", "(unknown)", "north", 1, 1),
        (quarter(2), "new", "(unknown)", "north", 1, 1),
        (quarter(3), "core", "(unknown)", "north", 1, 1),
        (quarter(4), "(unknown)", "(unknown)", "(unknown)", 0, 3),
        (quarter(4), "core", "gold", "north", 1, 1),
        (quarter(4), "new", "(unknown)", "(unknown)", 1, 1),
    ]
    slices = world.rows(
        "select slice_kind, slice, numerator, denominator from marts.rpt_kpis "
        f"where period_start = '{quarter(4)}' and slice_kind in ('all', 'owner', 'touchpoint', "
        "'core') order by all"
    )
    assert [tuple(row.values()) for row in slices] == [
        ("all", "(all)", 2, 5),
        ("owner", "(unknown)", 1, 2),
        ("owner", "m1", 1, 1),
        ("owner", "m2", 0, 2),
    ]


# -- targets -------------------------------------------------------------------------------------


def test_a_target_without_deadline_is_met_or_missed_if_enough_is_known() -> None:
    rows = judged(
        [
            fact("quarter", quarter(1), 9, 10),
            fact("quarter", quarter(2), 89, 100),
            fact("quarter", quarter(3), 9, 9),
            fact("quarter", quarter(4), 90, 100),
        ],
        target("reach", value=0.9),
        target("strictly", value=0.9, direction="above"),
    )
    assert states(rows) == {
        ("reach", quarter(1)): "met",
        ("reach", quarter(2)): "missed",
        ("reach", quarter(3)): "not_enough_data",
        ("reach", quarter(4)): "met",
        ("strictly", quarter(1)): "missed",
        ("strictly", quarter(2)): "missed",
        ("strictly", quarter(3)): "not_enough_data",
        ("strictly", quarter(4)): "missed",
    }
    last = rows[3]
    assert (last["is_over"], last["attainment"], last["due_on"]) == (False, 1.0, None)
    assert last["expected_now"] == last["target"] == 0.9


def test_before_its_deadline_a_change_is_judged_by_the_line_from_its_baseline() -> None:
    """+50 % within a year from 0.4: 0.6, and by the end of June 0.4 + 0.2 × 181 / 365."""
    expected = 0.4 + 0.2 * 181 / 365
    reached = {"repurchase_rate": 0.61, "win_back_rate": 0.6, "wake_up_rate": 0.55,
               "activation_7d": 1822 / 3650, "retention_12m": 0.49}  # fmt: skip
    rows, targets = [], []
    for kpi, value in reached.items():
        rows.append(fact("quarter", quarter(1), 400, 1000, kpi=kpi))
        rows.append(fact("quarter", quarter(2), round(value * 36500), 36500, kpi=kpi))
        parts = {"change": 0.5, "baseline": "start_quarter", "within": "1y", "stretch": 0.75}
        targets.append(target(kpi, kpi=kpi, **parts))
    found = [row for row in judged(rows, *targets) if row["period_start"] == quarter(2)]
    assert [row["state"] for row in found] == ["met", "met", "on_track", "on_track", "missed"]
    for row in found:
        assert row["target"] == pytest.approx(0.6)
        assert row["stretch"] == pytest.approx(0.7)
        assert (row["baseline"], row["baseline_period_start"]) == (0.4, quarter(1))
        assert row["expected_now"] == pytest.approx(expected)
        assert row["due_on"] == dt.date(2027, 1, 1)


def test_a_target_is_within_what_its_unit_can_be() -> None:
    rows = [fact("quarter", quarter(n), 90, 100, kpi=kpi) for n in (1, 2)
            for kpi in ("repurchase_rate", "first_response_minutes")]  # fmt: skip
    parts = {"baseline": "start_quarter", "within": "1y"}
    more = target("more", change=0.25, **parts)
    slower = target("slower", kpi="first_response_minutes", change=-0.5, **parts)
    found = judged(rows, more, slower | {"direction": "at_most"})
    targets = {
        row["target_id"]: row["target"] for row in found if row["period_start"] == quarter(2)
    }
    assert targets == {"more": 1.0, "slower": 0.45}


def test_running_periods_are_expected_to_be_as_far_as_they_are_seen() -> None:
    rows = judged(
        [fact("quarter", quarter(1), 400, 1000), fact("quarter", quarter(4), 500, 1000)],
        target("more", change=0.5, baseline="start_quarter", within="1y"),
    )
    days = (dt.date(2026, 11, 10) - START).days
    assert rows[3]["expected_now"] == pytest.approx(0.4 + 0.2 * days / 365)
    assert (rows[3]["is_over"], rows[3]["state"]) == (False, "missed")


def test_after_its_deadline_nothing_is_on_track() -> None:
    rows = judged(
        [fact("quarter", quarter(n), value, 1000) for n, value in ((1, 400), (2, 590), (3, 590))],
        target("more", change=0.5, baseline="start_quarter", within="6mo"),
    )
    assert rows[1]["due_on"] == quarter(3)
    # The quarter that ends with the deadline is judged by the target itself.
    assert [row["state"] for row in rows][1:3] == ["missed", "missed"]
    assert rows[1]["expected_now"] == rows[1]["target"]


def test_lower_is_better_where_it_says_so() -> None:
    rows = []
    for n, minutes in ((1, 60), (2, 45), (3, 40), (4, 17.5)):
        rows.append(fact("month", quarter(n), minutes * 20, 20, kpi="first_response_minutes"))
    faster = {"id": "faster", "kpi": "first_response_minutes", "direction": "at_most",
              "change": -0.7, "baseline": "start_month", "within": "1y", "every": "month"}  # fmt: skip
    found = {row["period_start"]: row for row in judged(rows, faster)}
    assert found[quarter(1)]["baseline"] == 60
    assert found[quarter(2)]["expected_now"] == pytest.approx(60 - 42 * 120 / 365)
    assert [found[quarter(n)]["state"] for n in (2, 3, 4)] == ["on_track", "missed", "met"]
    assert found[quarter(4)]["attainment"] == pytest.approx(18 / 17.5)
    assert found[dt.date(2026, 2, 1)]["state"] == "not_enough_data"


def test_baselines_are_measured_where_the_program_says() -> None:
    before = (dt.date(2025, 1, 1), dt.date(2026, 1, 1))
    yearly = target("yearly", change=0.25, baseline="year_before_start", within="1y", every="year")
    rows = judged([fact("year", before[0], 30, 100), fact("year", before[1], 38, 100)], yearly)
    row = next(row for row in rows if row["period_start"] == before[1])
    assert (row["baseline"], row["baseline_period_type"]) == (0.3, "year")
    assert (row["baseline_period_start"], row["state"]) == (before[0], "met")
    # Periods that were over when the program began are not judged.
    assert min(row["period_end"] for row in rows) > START

    months = {dt.date(2025, 9, 1): 20, dt.date(2025, 10, 1): 30, dt.date(2026, 9, 1): 25,
              dt.date(2026, 10, 1): 36}  # fmt: skip
    again = target("again", change=0.25, baseline="same_month_last_year", every="month")
    rows = judged([fact("month", day, n, 100) for day, n in months.items()], again)
    found = {row["period_start"]: row for row in rows}
    assert found[dt.date(2026, 9, 1)]["baseline_period_start"] == dt.date(2025, 9, 1)
    assert found[dt.date(2026, 9, 1)]["state"] == "met"
    assert found[dt.date(2026, 10, 1)]["target"] == pytest.approx(0.375)
    assert found[dt.date(2026, 10, 1)]["state"] == "missed"
    assert found[dt.date(2026, 8, 1)]["state"] == "not_enough_data"

    known = target("known", value=0.6, baseline_value=0.4, within="1y")
    row = judged([fact("quarter", quarter(2), 55, 100)], known)[1]
    assert (row["baseline"], row["baseline_period_start"]) == (0.4, None)
    assert row["state"] == "on_track"
    # A value with a deadline and no known baseline is measured over the period of the start.
    rows = [fact("quarter", quarter(1), 40, 100), fact("quarter", quarter(2), 55, 100)]
    assert judged(rows, target("open", value=0.6, within="1y"))[1]["baseline"] == 0.4


def test_without_a_baseline_only_what_is_reached_can_be_said() -> None:
    """A baseline that too few stand behind is none."""
    targets, rows = [], []
    for kpi, value, first in (("repurchase_rate", 60, None), ("win_back_rate", 50, None),
                              ("wake_up_rate", 60, 2), ("activation_7d", 50, 2)):  # fmt: skip
        rows.append(fact("quarter", quarter(2), value, 100, kpi=kpi))
        rows += [fact("quarter", quarter(1), 1, first, kpi=kpi)] if first else []
        targets.append(target(f"ahead_{kpi}", kpi=kpi, value=0.6, within="1y"))
        targets.append(
            target(f"more_{kpi}", kpi=kpi, change=0.5, baseline="start_quarter", within="1y")
        )
    found = [row for row in judged(rows, *targets) if row["period_start"] == quarter(2)]
    assert {row["baseline"] for row in found} == {None}
    met = {row["target_id"] for row in found if row["state"] == "met"}
    assert met == {"ahead_repurchase_rate", "ahead_wake_up_rate"}
    assert {row["state"] for row in found} == {"met", "not_enough_data"}


def test_targets_are_judged_on_their_own_slices() -> None:
    owners = [fact("quarter", quarter(3), n, 100, owner_id=f"m{n}") for n in (30, 70)]
    places = [
        fact("quarter", quarter(3), n * 100, 100, kpi="touchpoint_satisfaction", touchpoint=place)
        for place, n in (("consult", 90), ("payment", 60))
    ]
    cores = [
        fact("quarter", quarter(3), n, 100, kpi="problem_identification_rate", is_core=is_core)
        for is_core, n in ((True, 99), (False, 50))
    ]
    consult = target("consult", kpi="touchpoint_satisfaction", touchpoint="consult", value=80)
    core = target("core", kpi="problem_identification_rate", core_only=True, value=0.98)
    rows = judged([*owners, *places, *cores], target("own", by_owner=True, value=0.4),
                  consult, core, target("actives", stage="active", value=0.1))  # fmt: skip
    found = [
        (row["target_id"], row["slice_kind"], row["slice"], row["value"], row["state"])
        for row in rows
        if row["period_start"] == quarter(3)
    ]
    assert found == [
        ("own", "all", "(all)", 0.5, "met"),
        ("own", "owner", "m30", 0.3, "missed"),
        ("own", "owner", "m70", 0.7, "met"),
        ("consult", "touchpoint", "consult", 90.0, "met"),
        ("core", "core", "core", 0.99, "met"),
        ("actives", "stage", "active", None, "not_enough_data"),
    ]


def test_of_several_targets_the_nearest_deadline_ahead_is_in_force() -> None:
    rows = [fact("month", dt.date(2026, month, 1), 87, 100) for month in range(1, 12)]
    targets = [
        target("now", value=0.5, every="month"),
        target("ninth", value=0.85, within="9mo", every="month", critical=True),
        target("last", value=0.9, within="1y", every="month"),
    ]
    world = World({"intermediate.int_kpi_loyalty": rows})
    world.run(pack(*targets, started_on=dt.date(2025, 11, 1)))
    found = {
        row["period_start"].month: (row["target_id"], row["state"], row["is_critical"])
        for row in world.rows(
            "from marts.rpt_kpis where period_type = 'month' and slice_kind = 'all' "
            "and period_start >= '2026-01-01'"
        )
    }
    assert found[6] == ("ninth", "met", True)
    assert found[7] == ("ninth", "met", True)  # ends on the day of the deadline
    assert found[8][:1] == ("last",)
    assert found[10] == ("last", "missed", False)
    assert found[11] == ("last", "missed", False)  # both are past: the later one
    assert len(world.rows("from marts.rpt_kpi_targets where period_start = '2026-10-01'")) == 3


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not go with"):
        KpiTarget(**target("two", value=0.5, segment="core", by_owner=True))
    with pytest.raises(ValidationError, match="days or longer"):
        KpiTarget(**target("soon", value=0.5, within="24h"))
    with pytest.raises(ValidationError, match="of a week"):
        KpiTarget(**target("week", change=0.5, baseline="same_month_last_year", every="week"))


# -- rpt_kpis ------------------------------------------------------------------------------------


def test_intervals_are_those_of_wilson_and_only_shares_have_them() -> None:
    pairs = [(0, 10), (10, 10), (1, 3), (57, 200), (999, 1000), (1, 100_000)]
    world = World(
        {
            "intermediate.int_kpi_loyalty": [
                fact("quarter", quarter(3), n, d, touchpoint=f"{n}/{d}") for n, d in pairs
            ],
            "intermediate.int_kpi_voice": [
                fact("quarter", quarter(3), 900, 10, kpi="satisfaction")
            ],
        }
    ).run(pack())
    rows = world.rows("from marts.rpt_kpis where slice_kind = 'touchpoint'")
    assert len(rows) == len(pairs)
    for row in rows:
        low, high = proportion_confint(
            int(row["numerator"]), int(row["denominator"]), method="wilson"
        )
        assert (row["low"], row["high"]) == (
            pytest.approx(low, abs=1e-9),
            pytest.approx(high, abs=1e-9),
        )
    satisfaction = world.rows("from marts.rpt_kpis where kpi = 'satisfaction'")
    assert {(r["value"], r["low"], r["high"]) for r in satisfaction} == {(90.0, None, None)}


def test_rows_know_the_period_before_and_the_industry() -> None:
    world = World(
        {
            "intermediate.int_kpi_loyalty": [
                fact("quarter", quarter(2), 30, 100),
                fact("quarter", quarter(3), 45, 100),
                fact("year", dt.date(2024, 10, 1), 40, 100),
                fact("year", dt.date(2025, 10, 1), 50, 100),
            ],
            "raw.benchmarks": [
                {"kpi": "repurchase_rate", "period": "2026", "value": 0.32, "source": "own"},
                {"kpi": "repurchase_rate", "period": "2026Q3", "value": 0.33, "source": "own"},
                {"kpi": "repurchase_rate", "period": "2025", "value": 0.31, "source": "own"},
                {"kpi": "repurchase_rate", "period": "someday", "value": 9.0, "source": "own"},
            ],
        }
    ).run(pack())
    found = {
        (row["period_type"], row["period_start"]): row
        for row in world.rows("from marts.rpt_kpis where slice_kind = 'all'")
    }
    third = found["quarter", quarter(3)]
    assert (third["previous_value"], round(third["change"], 9)) == (0.3, 0.15)
    assert (third["benchmark"], third["benchmark_source"]) == (0.33, "own")
    assert found["quarter", quarter(2)]["benchmark"] == 0.32
    assert found["quarter", quarter(2)]["previous_value"] is None
    # A rolling year is compared with the one it does not overlap.
    assert found["year", dt.date(2025, 10, 1)]["previous_value"] == 0.4
    assert third["as_of_on"] == dt.date(2026, 11, 10)


# -- what holds on a day -------------------------------------------------------------------------


def _held(numerator: int, as_of: dt.datetime, **more: Any) -> list[Row]:
    """Facts of the day, in the running periods."""
    day = (as_of + dt.timedelta(hours=8)).date()
    month = day.replace(day=1)
    starts = [("month", month), ("quarter", day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1))]
    parts = {"kpi": "core_segment_share", **more}
    return [fact(kind, start, numerator, 100, **parts) for kind, start in starts]


def test_states_are_recorded_and_a_past_period_has_its_last_record() -> None:
    world = World()
    share = target("share", kpi="core_segment_share", segment="core", change=0.2,
                   baseline="start_quarter", within="1y")  # fmt: skip
    moments = [
        dt.datetime(2026, 2, 10, 16), dt.datetime(2026, 3, 30, 16), dt.datetime(2026, 3, 31, 16),
        dt.datetime(2026, 5, 1, 16), dt.datetime(2026, 6, 30, 15), dt.datetime(2026, 7, 15, 3),
    ]  # fmt: skip
    for number, as_of in enumerate(moments):
        if number:
            world.con.execute("create or replace table kept as from marts.fct_kpi_states")
            world.put("run.previous_kpi_states", world.rows("from kept"))
        world.put("intermediate.int_kpi_state", _held(10 + number, as_of))
        world.run(pack(share), as_of, MODELS[: MODELS.index("rpt_kpi_targets") + 1])
    recorded = world.rows("from marts.fct_kpi_states order by recorded_on")
    assert [(row["recorded_on"], row["numerator"]) for row in recorded] == [
        (dt.date(2026, 2, 10), 10),
        # At midnight the day before is the last one seen: this is how the first quarter ended.
        (dt.date(2026, 3, 31), 12),
        (dt.date(2026, 5, 1), 13),
        (dt.date(2026, 6, 30), 14),
        (dt.date(2026, 7, 15), 15),
    ]
    found = {
        row["period_start"]: (row["value"], row["state"], row["baseline"], row["is_over"])
        for row in world.rows("from marts.rpt_kpi_targets")
    }
    assert found == {
        quarter(1): (0.12, "missed", 0.12, True),
        quarter(2): (0.14, "on_track", 0.12, True),
        quarter(3): (0.15, "met", 0.12, False),
    }


def test_days_are_kept_for_two_months_and_then_thinned() -> None:
    day = dt.date(2026, 11, 9)
    before = [
        {"recorded_on": day - n * DAY, "kpi": "ltv", "slice_kind": "all", "slice": "(all)",
         "numerator": Decimal(n), "denominator": Decimal(1),
         "as_of": AS_OF - n * DAY}
        for n in range(1, 200)
    ]  # fmt: skip
    before.append({**before[0], "recorded_on": day, "as_of": AS_OF - DAY / 24})
    world = World({"run.previous_kpi_states": before})
    world.put("intermediate.int_kpi_state", _held(7, AS_OF, kpi="ltv"))
    world.run(pack())
    kept = [row["recorded_on"] for row in world.rows(
        "from marts.fct_kpi_states order by recorded_on"
    )]  # fmt: skip
    assert kept[-62:] == [day - n * DAY for n in range(61, -1, -1)]
    for old in kept[:-62]:
        assert old.weekday() == 6 or (old + DAY).day == 1
    days = {row["recorded_on"] for row in before if row["recorded_on"] <= day - 62 * DAY}
    assert {d for d in days if d.weekday() == 6 or (d + DAY).day == 1} == set(kept[:-62])
    assert len(kept) == len(set(kept))
    latest = world.rows(f"from marts.fct_kpi_states where recorded_on = '{day}'")
    assert [(row["numerator"], row["as_of"]) for row in latest] == [(7, AS_OF)]


# -- deviations ----------------------------------------------------------------------------------

counts = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6))
members = st.dictionaries(st.sampled_from("abcdefgh"), counts, min_size=1)


@settings(max_examples=40, deadline=None)
@given(before=members, now=members)
def test_rate_and_mix_add_up_to_the_change(
    deviations: World, before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]
) -> None:
    """Also where members appear or vanish; whose rate did not change has no rate effect."""
    facts = [
        {"kpi": "repurchase_rate", "period_type": "quarter", "period_start": start,
         "period_end": end, "slice_kind": kind, "slice": name, "is_over": True,
         "numerator": Decimal(n), "denominator": Decimal(d), "value": n / d}
        for start, end, there in ((quarter(2), quarter(3), before), (quarter(3), quarter(4), now))
        for kind, name, (n, d) in [
            *(("segment", name, pair) for name, pair in there.items()),
            ("all", "(all)", tuple(map(sum, zip(*there.values(), strict=True)))),
        ]
    ]  # fmt: skip
    deviations.put("intermediate.int_kpi_values", facts)
    deviations.models.run("rpt_kpi_deviations")
    rows = deviations.rows("from marts.rpt_kpi_deviations")
    assert {row["member"] for row in rows} == {*before, *now}
    total = rows[0]["total_value"] - rows[0]["total_previous_value"]
    effects = sum(row["rate_effect"] + row["mix_effect"] for row in rows)
    assert effects == pytest.approx(total, abs=1e-9)
    for row in rows:
        assert row["period_start"] == quarter(3)
        if row["previous_value"] is None or row["value"] is None:
            assert row["rate_effect"] == 0
        if abs(total) > 1e-6:
            assert row["share_of_change"] == pytest.approx(row["total_effect"] / total, rel=1e-6)


@pytest.fixture(scope="module")
def deviations() -> World:
    return World().run(pack())


def test_a_change_of_mix_alone_is_seen_as_such() -> None:
    rows = [
        fact("quarter", quarter(2), 80, 100, touchpoint="good"),
        fact("quarter", quarter(2), 20, 100, touchpoint="bad"),
        fact("quarter", quarter(3), 40, 50, touchpoint="good"),
        fact("quarter", quarter(3), 30, 150, touchpoint="bad"),
    ]
    world = World({"intermediate.int_kpi_loyalty": rows}).run(pack())
    found = {
        row["member"]: (round(row["rate_effect"], 12), round(row["mix_effect"], 12))
        for row in world.rows("from marts.rpt_kpi_deviations where dimension = 'touchpoint'")
    }
    # 0.50 to 0.35: both weights moved by 0.25, their rates are 0.375 above and 0.225 below 0.425.
    assert found == {"good": (0.0, -0.09375), "bad": (0.0, -0.05625)}


# -- findings ------------------------------------------------------------------------------------


def test_findings_are_found_stay_and_are_left() -> None:
    program = load_program("online_crm", PROJECT_ROOT / "programs")
    program = program.model_copy(
        update={"goals": program.goals.model_copy(update={"started_on": START})}
    )
    benchmark = [{"kpi": "repurchase_rate", "period": "2026", "value": 0.5, "source": "own"}]
    world = World({"raw.benchmarks": benchmark})
    loss = lambda q, n, d=100: fact("quarter", quarter(q), n, d, kpi="new_customer_loss_7d")  # noqa: E731

    def found(as_of: dt.datetime, facts: list[Row]) -> dict[str, tuple]:
        world.put("intermediate.int_kpi_loyalty", facts)
        world.run(program, as_of)
        rows = world.rows("from marts.fct_kpi_findings order by finding_key")
        world.put("run.previous_kpi_findings", rows)
        return {r["finding_key"]: (r["due_on"], r["left_on"], r["is_late"]) for r in rows}

    july, august, october = (dt.datetime(2026, month, 9, 16) for month in (7, 8, 10))
    first = found(july, [loss(2, 40), fact("quarter", quarter(2), 41, 100)])
    assert first == {"new_loss|2026-07-10": (dt.date(2026, 8, 10), None, False)}
    # The running quarter does not count, nor does a figure of few customers.
    second = found(august, [loss(2, 40, 49), loss(3, 1)])
    assert second == {"new_loss|2026-07-10": (dt.date(2026, 8, 10), None, False)}
    third = found(october, [loss(3, 39), fact("quarter", quarter(3), 40, 100)])
    assert third == {
        "new_loss|2026-07-10": (dt.date(2026, 8, 10), dt.date(2026, 10, 10), True),
        "repurchase_low|2026-10-10": (dt.date(2026, 11, 10), None, False),
    }
    row = world.rows("from marts.fct_kpi_findings where rule = 'repurchase_low'")[0]
    assert (row["value_found"], row["limit_value"]) == (0.4, pytest.approx(0.4))
    assert (row["level"], row["kpi"], row["stage"]) == ("high", "repurchase_rate", None)


def test_every_kpi_is_listed() -> None:
    rows = World().run(PACK).rows("from marts.dim_kpis order by kpi_no")
    assert [row["kpi"] for row in rows] == list(KPIS)
    of = {row["kpi"]: row for row in rows}
    assert (of["nps"]["targets"], of["nps"]["is_critical"]) == (1, True)
    assert of["touchpoint_satisfaction"]["targets"] == 3
    assert of["channel_fit"]["targets"] == 0
