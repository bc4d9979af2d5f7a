"""Every KPI, period and slice against the reference in pandas: as published, and on a company
with a ledger, gaps and moments beside midnight, with every pack."""

import datetime as dt
import shutil
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from careloop.program.kpis import KPIS
from careloop.program.load import load_program, program_names
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from conftest import Company, packs_of
from jinja_sql import Models
from kpi_reference import (
    BY_CUSTOMER,
    BY_ROW,
    BY_SPAN,
    Books,
    Frame,
    differences,
    every_slice,
    expected_periods,
)

PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
PERIODS = "intermediate.int_kpi_periods"
MADE = (
    "int_care_outcomes", "int_care_message_states", "int_care_responses", "int_care_conversions",
    "fct_care_deliveries", "register_follow_ups",
    "int_kpi_targets", "int_kpi_periods", "int_kpi_standings", "int_kpi_days", "int_kpi_activity",
    "int_kpi_care", "int_kpi_loyalty", "int_kpi_voice", "int_kpi_service", "int_kpi_state",
    "int_kpi_facts", "int_kpi_cells", "int_kpi_sums",
)  # fmt: skip


def agree(expected: Frame, actual: Frame) -> None:
    found = differences(expected, actual)
    counts = found.groupby(["kpi", "slice_kind"]).size().to_dict()
    assert found.empty, f"{counts}\n{found.head(20).to_string()}"


def test_every_kpi_has_a_reference() -> None:
    assert {*BY_ROW, *BY_CUSTOMER, *BY_SPAN} == set(KPIS)


# -- as published -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def books(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """The warehouse of the company's last run, with its published marts."""
    folder = tmp_path_factory.mktemp("books")
    shutil.copy(company.settings.warehouse, folder / "warehouse.duckdb")
    shutil.copy(company.settings.published / "marts.duckdb", folder / "marts.duckdb")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as con:
        con.execute(f"attach '{folder / 'marts.duckdb'}' as marts")
        yield Books(con, load_program("retail_care", PROGRAMS))


def test_periods_are_whole_local_days(books: Books) -> None:
    periods = books(PERIODS)
    listed = {
        row[:3] for row in periods[["period_type", "period_start", "period_end"]].itertuples(index=False)
    }  # fmt: skip
    for row in periods.itertuples():
        span = books.span(row.period_type, row.period_start, row.period_end)
        assert (row.starts_at, row.ends_at, row.seen_until) == (
            span.starts_at, span.ends_at, span.seen_until,
        )  # fmt: skip
        assert row.is_over == (span.ends_at <= books.as_of)
        months = {"month": 1, "quarter": 3, "year": 12}[row.period_type]
        assert row.period_end == row.period_start + pd.DateOffset(months=months)
    assert set(expected_periods(books)) <= listed
    today = [p for p in listed if p[1] <= books.today < p[2]]
    assert {kind for kind, *_ in today} == {"month", "quarter", "year"}


def test_published_kpis_are_those_of_the_reference(books: Books) -> None:
    published = books("marts.rpt_kpis")
    recorded = published["is_state"] & published["is_over"]
    expected = every_slice(books, books(PERIODS))
    agree(expected, published[~recorded])
    keys = ["kpi", "period_type", "period_start", "slice"]
    cells = {"segment": ("fct_kpis", "segment"), "region": ("fct_kpis", "region"),
             "owner": ("fct_kpi_owners", "owner_id")}  # fmt: skip
    for kind, (mart, column) in cells.items():
        found = books(f"marts.{mart}").rename(columns={column: "slice"})
        sums = found.groupby(keys)[["numerator", "denominator"]].sum().reset_index()
        known = expected[expected["slice_kind"] == kind]
        agree(known, sums[sums["kpi"].isin(known["kpi"])].assign(slice_kind=kind))


def test_state_of_past_months_is_what_runs_recorded(company: Company, books: Books) -> None:
    """The last record of a month is of the run at the beginning of the next."""
    asked = "select numerator, denominator from rpt_kpis where slice_kind = 'all' and kpi = '{}' "
    for version in sorted(company.settings.published.glob("marts-*T0000-*.duckdb"))[1:]:
        with duckdb.connect(str(version), read_only=True) as con:
            people = con.sql("select * from dim_customers").df()
            month = pd.Timestamp(people["as_of_on"].iloc[0]) - pd.DateOffset(months=1)
        known = people[people["predicted_value"].notna()]
        wanted = {
            "core_segment_share": ((people["segment"] == "core").sum(), len(people)),
            "segment_coverage": (people["segment"].notna().sum(), len(people)),
            "ltv": ((known["spend_total"] + known["predicted_value"]).sum(), len(known)),
        }
        for kpi, sums in wanted.items():
            sql = asked.format(kpi) + f"and period_type = 'month' and period_start = '{month:%F}'"
            (found,) = company.rows(sql)
            assert [float(x) for x in found] == pytest.approx([float(x) for x in sums]), kpi


# -- a company with a ledger and gaps, under every pack ----------------------------------------

MIDNIGHT = "date_trunc('{}', {} + interval 8 hour) - interval 8 hour"
GAPS = {
    "orders": (
        "ordered_at = case when hash(order_id) % 12 = 0 then " + MIDNIGHT.format("month", "ordered_at")
        + " when hash(order_id) % 12 = 1 then " + MIDNIGHT.format("quarter", "ordered_at")
        + " - interval 1 microsecond else ordered_at end",
        "status = case when hash(order_id) % 17 = 0 then 'returned' else status end",
    ),
    "interactions": (
        "occurred_at = case when hash(interaction_id) % 12 = 0 then "
        + MIDNIGHT.format("month", "occurred_at") + " else occurred_at end",
        "kind = case when hash(interaction_id) % 9 = 0 then 'live_view' else kind end",
    ),
    "customers": (
        "registered_at = case hash(customer_id) % 9 when 0 then null when 1 then "
        + MIDNIGHT.format("month", "registered_at") + " - interval 7 day else registered_at end",
        "region = case when hash(customer_id) % 8 > 0 then region end",
        "account_manager_id = case when hash(customer_id) % 5 > 0 then account_manager_id end",
        "sex = case when hash(customer_id) % 3 > 0 then sex end",
    ),
    "surveys": (
        "scale_min = case when hash(response_id) % 7 > 0 then scale_min end",
        "scale_max = case when hash(response_id) % 13 > 0 then scale_max end",
        "score = case when hash(response_id) % 11 > 0 then score end",
        "ticket_id = case when hash(response_id) % 5 > 1 then ticket_id end",
        "customer_id = case when hash(response_id) % 6 > 0 then customer_id end",
        "aspect = case hash(response_id) % 4 when 0 then 'consult' when 1 then 'use' else aspect end",
        "answered_at = case when hash(response_id) % 10 = 0 then "
        + MIDNIGHT.format("month", "answered_at") + " else answered_at end",
    ),
    "tickets": (
        "customer_id = case when hash(ticket_id) % 6 > 0 then customer_id end",
        "owner_id = case when hash(ticket_id) % 5 > 0 then owner_id end",
        "touchpoint = case when hash(ticket_id) % 7 > 0 then touchpoint end",
        "kind = case when hash(ticket_id) % 8 > 0 then kind end",
        "automatic_response_at = coalesce(automatic_response_at, case when hash(ticket_id) % 3 = 0 "
        "then opened_at + interval 20 second end)",
        "first_response_at = case when hash(ticket_id) % 4 > 0 then first_response_at end",
        "handed_over_at = case hash(ticket_id) % 6 when 1 then first_response_at + interval 1 hour "
        "when 2 then first_response_at when 3 then null else handed_over_at end",
        "resolved_at = case when hash(ticket_id) % 9 > 0 then resolved_at end",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(books: Books, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models over the company with gaps and moments at midnights, and findings of two years."""
    con = books.con
    for entity, changes in GAPS.items():
        columns = ", ".join(
            f"{sql} as {name}" for name, sql in (c.split(" = ", 1) for c in changes)
        )
        con.execute(
            f"create or replace temp table gaps as select * replace ({columns}) from raw.{entity}"
        )
        (kind,) = con.execute(
            f"select table_type from information_schema.tables where table_schema = 'raw' and table_name = '{entity}'"
        ).fetchall()[0]  # fmt: skip
        con.execute(f"drop {'view' if kind == 'VIEW' else 'table'} raw.{entity}")
        con.execute(f"create table raw.{entity} as from gaps")
    # Bought again at the very end of twelve months, and just after.
    for name, again in {
        "late": "2026-08-31 15:59:59.999999",
        "too late": "2026-08-31 16:00",
    }.items():
        for n, at in enumerate(("2025-08-10 12:00", again)):
            con.execute(
                "insert into raw.orders (order_id, customer_id, ordered_at, amount) "
                f"values ('{name} {n}', '{name}', '{at}', 10)"
            )
    rng = np.random.default_rng(5)
    today = books.today.date()
    for place, columns in {
        "marts.fct_pain_point_findings": "finding_key, pain_point, touchpoint, level, is_core, found_on, due_on, left_on, is_late, as_of",
        "run.previous_kpi_findings": "finding_key, rule, level, kpi, found_on, due_on, left_on, as_of",
    }.items():  # fmt: skip
        for n in range(60):
            found, due, left = (int(x) for x in rng.integers((0, 5, 1), (500, 90, 120)))
            found_on = today - dt.timedelta(days=found)
            due_on, left_on = (found_on + dt.timedelta(days=x) for x in (due, left))
            values = {
                "finding_key": f"made {n}", "pain_point": "slow_answer", "rule": "slow",
                "touchpoint": ["consult", "use"][n % 2], "level": "high", "kpi": "nps",
                "is_core": n % 3 == 0, "found_on": found_on, "due_on": due_on,
                "left_on": left_on if left_on <= today else None, "is_late": False,
                "as_of": books.as_of.to_pydatetime() - dt.timedelta(days=1),
            }  # fmt: skip
            names = columns.split(", ")
            marks = ", ".join("?" * len(names))
            con.execute(
                f"insert into {place} ({columns}) values ({marks})", [values[x] for x in names]
            )
    models = Models(DBT_PROJECT, con)
    for name in MADE:
        views = con.execute("select count(*) from duckdb_views() where view_name = ?", [name])
        if views.fetchall()[0][0]:
            con.execute(f"drop view {models.place(name)}")
    models.run("int_customer_orders", "fct_orders", "int_ticket_outcomes", "fct_tickets")
    columns = ("customer_id", "owner_id", "touchpoint", "kind")
    con.execute(
        f"update marts.fct_ticket_clocks as clocks set {', '.join(f'{c} = t.{c}' for c in columns)} "
        "from marts.fct_tickets as t where clocks.ticket_id = t.ticket_id"
    )
    return models


def write_random_ledger(con: duckdb.DuckDBPyConnection, as_of: dt.datetime) -> None:
    """Some 1500 messages and tasks of the pack's rules, with all that can come of them."""
    rng = np.random.default_rng(9)
    people = [
        c for (c,) in con.execute("select customer_id from raw.customers order by 1").fetchall()
    ]
    rules = con.execute(
        "select rule, purpose, trigger_name from program.rules order by 1"
    ).fetchall()
    greetings = [r for r in rules if r[2] in ("birthday", "membership")]
    greetings += [("no_longer_a_rule", "care", name) for name in ("birthday", "membership")]
    tables: dict[str, list[dict[str, Any]]] = {"messages": [], "events": [], "feedback": []}
    for n in range(1500):
        chosen = greetings if n % 3 == 0 else rules
        rule, purpose, name = chosen[rng.integers(len(chosen))]
        planned = as_of - dt.timedelta(days=int(rng.integers(1, 400)))
        if n % 10 == 0:  # the local midnight that begins a month
            local = (planned + dt.timedelta(hours=8)).replace(day=1)
            planned = min(local - dt.timedelta(hours=8), as_of - dt.timedelta(days=1))
        kind = "task" if n % 4 == 0 else "send"
        state = rng.choice(["sent", "sent", "sent", "sent", "failed", "cancelled", "planned"])
        message = {
            "message_id": f"m{n}", "decision_key": f"d{n}", "customer_id": str(rng.choice(people)),
            "rule": rule, "occasion": f"{name}:2026", "purpose": purpose, "kind": kind,
            "channel": str(rng.choice(["email", "sms", "wecom", "app_push"])),
            "contact_on": (planned + dt.timedelta(hours=8)).date() + dt.timedelta(days=int(rng.integers(3))),
            "due_at": planned + dt.timedelta(days=3), "as_of": planned,
            "owner_id": "S1" if kind == "task" and n % 8 == 0 else None,
        }  # fmt: skip
        tables["messages"].append(message)
        for step in dict.fromkeys(
            ["planned", "sending" if state in ("sent", "failed") else "planned", state]
        ):
            tables["events"].append(
                {"seq": len(tables["events"]), "message_id": f"m{n}", "at_utc": planned, "state": str(step)}
            )  # fmt: skip
        if state != "sent":
            continue
        chances = {
            "delivered": 0.8,
            "opened": 0.5,
            "clicked": 0.2,
            "soft_bounce": 0.1,
            "done": 0.5,
            "replied": 0.1,
        }
        for what, chance in chances.items():
            if rng.random() < chance and not (message["channel"] == "sms" and what == "opened"):
                at = planned + dt.timedelta(hours=int(rng.integers(0, 200)))
                tables["feedback"].append(
                    {"feedback_id": f"{what}{n}", "message_id": f"m{n}", "at_utc": at, "kind": what,
                     "customer_id": message["customer_id"]}
                )  # fmt: skip
    for name, found in tables.items():
        con.register("made", pd.DataFrame(found))
        con.execute(f"create or replace table ledger.{name} as from (from ledger.{name} limit 0) "
                    "union all by name from made")  # fmt: skip
        con.unregister("made")


@pytest.mark.parametrize("pack", packs_of())
def test_kpis_are_those_of_the_reference_under_every_pack(
    pack: str, world: Models, books: Books
) -> None:
    program = load_program(pack, PROGRAMS)
    changes = {
        "operation": {"kpi_months": 2, "kpi_quarters": 1},
        "uplift": {"window_days": 17},
    }
    program = program.model_copy(
        update={k: getattr(program, k).model_copy(update=v) for k, v in changes.items()}
    )
    con, today = world.con, books.today
    write_program_tables(
        con, program, dt.date(today.year - 5, 1, 1), dt.date(today.year + 1, 12, 31)
    )
    write_random_ledger(con, books.as_of.to_pydatetime())
    world.run(*MADE)
    here = Books(con, program)
    sums = here("intermediate.int_kpi_sums")
    agree(every_slice(here, here(PERIODS)), sums)
    counted = sums[sums["slice_kind"] == "all"].groupby("kpi")[["numerator", "denominator"]].sum()
    has_occasions = any(o.kind == "business" for o in program.calendar.occasions)
    silent = set() if has_occasions else {"occasion_participation"}
    if not any(rule.purpose == "marketing" for rule in program.rules):
        silent.add("targeted_reach_rate")
    assert set(counted.index) == set(KPIS) - silent, "the others have something to count"
