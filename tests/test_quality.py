"""Quality gates: real Great Expectations on small DuckDB files."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from careloop.contract import Entity, entities
from careloop.errors import GateError
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.quality import check
from careloop.quality.declared import Declared, declared
from careloop.quality.gate import run_gate
from careloop.quality.limits import limits
from careloop.quality.parameters import filled, personal_columns
from careloop.quality.report import render, write_report
from careloop.quality.results import (
    COLUMNS,
    TABLE,
    ExpectationError,
    GateResult,
    published_results,
    write_results,
)
from careloop.settings import PROJECT_ROOT, Settings

ROWS = 40
AS_OF = datetime(2026, 7, 1)
EXPECTATIONS = PROJECT_ROOT / "expectations"
MODELS = PROJECT_ROOT / "dbt_project" / "models"
# Values that must never leave the lake; looked for in every result and page.
PERSONAL = ("王小明", "13800138000", "not-an-address", "secret complaint")


@dataclass(frozen=True)
class Run:
    program: Program
    run_id: str = "r1"
    as_of: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    version: str = "20260701T0000-r1"


@pytest.fixture(scope="module")
def program() -> Program:
    return load_program("retail_care", PROJECT_ROOT / "programs")


def _column(entity: Entity, name: str) -> str:
    """A sound value for a column of row ``i``."""
    column = entity.columns[name]
    fixed = {
        "member_since": "timestamp '2026-06-15'",
        "birthday": "date '1990-05-05'",
        "phone": "'13800138000'",
        "email": "'w' || i || '@example.com'",
        "name": "'王小明'",
        "description": "'secret complaint'",
        "currency": "'CNY'",
        "supervisor_id": "case when i > 0 then 'staff_id0' end",
        "period": "'2026'",
        "scale_min": "1",
        "scale_max": "5",
        "score": "4",
        "referrer_id": "'other'",
        "channel": "'email'",
    }
    if name in fixed:
        return fixed[name]
    if column.allowed:
        return f"'{column.allowed[0]}'"
    return {
        "text": f"'{name}' || i",
        "integer": "i",
        "number": "10",
        "money": "10",
        "boolean": "true",
        "date": "date '2026-06-01'",
        "timestamp": "timestamp '2026-06-01' + to_minutes(i)",
    }[column.type]


def build_raw(settings: Settings) -> None:
    settings.build.mkdir(parents=True, exist_ok=True)
    settings.warehouse.unlink(missing_ok=True)
    with duckdb.connect(str(settings.warehouse)) as con:
        con.execute(check._RUN)
        con.execute("update run.context set as_of_local = ?, as_of_utc = ?", [AS_OF, AS_OF])
        for number, entity in enumerate(entities().values(), 1):
            values = ", ".join(
                f'({_column(entity, c.name)})::{c.sql_type} as "{c.name}"'
                for c in entity.columns.values()
            )
            con.execute(
                f"create table raw.{entity.name} as select {values}, 'crm' as _source, "
                f"{number} as _batch from range({ROWS}) as r(i)"
            )
            con.execute(
                "insert into run.batches values (?, ?, ?, 'crm', ?, ?, 40, 40, 0, 0, 0, 0, 'r1', "
                "'2026-06-01', '2026-06-30 20:00')",
                [number, f"b{number}", entity.name, f"{entity.name}.csv", AS_OF],
            )
            con.execute(
                "insert into run.previous_volumes values (?, ?, '2026-06-30')", [entity.name, ROWS]
            )


def build_marts(settings: Settings) -> None:
    """The columns of the models' contracts, with rows that agree with one another."""
    settings.marts.unlink(missing_ok=True)
    with duckdb.connect(str(settings.marts)) as con:
        check._create_marts(con, MODELS)
        rows = f"from range({ROWS}) as r(i)"
        con.execute(
            "insert into dim_customers by name select 'customer_id' || i as customer_id, "
            "'core' as segment, 'spend' as segment_reason, 'new' as stage, 'age' as stage_reason, "
            "'Zhejiang' as region, 0.5 as spend_rank, 3 as orders_total, 10 as spend_total, "
            f"3 as r_score, 3 as f_score, 3 as m_score, 90 as tenure_days {rows}"
        )
        con.execute(
            "insert into fct_orders by name select 'order_id' || i as order_id, "
            f"true as is_counted, 'customer_id' || i as customer_id, 10 as amount_program {rows}"
        )
        con.execute(
            "insert into fct_customer_changes by name select 'k' || i as change_key, "
            "'segment' as dimension, 'core' as to_value, timestamp '2026-06-30' as as_of " + rows
        )
        con.execute(
            "insert into rpt_segment_migration by name select 'month' as period_type, "
            "date '2026-07-01' as period_start, 'segment' as dimension, 'core' as value, "
            "10 as opening, 5 as new_customers, 32 as entered, 5 as departed, 1 as erased, "
            "1 as left_data, 40 as closing"
        )
        con.execute(
            "insert into rpt_segment_shares by name select 'core' as segment, 40 as customers, "
            "1.0 as actual_share, 1.0 as expected_share, 0.0 as gap"
        )
        con.execute(
            "insert into dim_calendar by name select (date '2026-01-01' + i::integer) as day "
            "from range(365) as r(i)"
        )
        con.execute(
            "insert into fct_customer_tags by name select 'customer_id' || i as customer_id, "
            "'region' as tag, 'Zhejiang' as value, 'customers.region' as evidence, "
            "date '2026-06-01' as evidence_on, date '2026-07-01' as evaluated_on " + rows
        )
        con.execute(
            "insert into fct_customer_channels by name select 'customer_id' || i as customer_id, "
            "'sms' as channel, 1 as responses, 1 as score, 1.0 as share, "
            f"date '2026-06-01' as last_response_on, 1 as channel_rank {rows}"
        )
        con.execute(
            "insert into rpt_tag_completeness by name select 'overall' as tag, 40 as customers, "
            "40 as filled, 40 as tagged, 0.9 as target, true as is_met, true as is_fresh"
        )


RAW_DAMAGE = """
insert into raw.customers select * from raw.customers where customer_id = 'customer_id3';
update raw.customers set registered_at = '0022-01-01' where customer_id = 'customer_id5';
insert into raw.contacts by name select * replace (99 as _batch) from raw.contacts limit 1;
update raw.contacts set email = 'not-an-address' where customer_id = 'customer_id7';
update raw.consents set changed_at = '1970-01-01', channel = 'E-Mail'
    where customer_id = 'customer_id2';
insert into raw.orders by name select * replace (99 as _batch) from raw.orders limit 1;
update raw.orders set ordered_at = '2999-01-01', currency = 'XYZ' where order_id = 'order_id9';
update raw.orders set amount = 0, delivered_at = '2026-01-01' where substr(order_id, 9)::int > 12;
update raw.interactions set occurred_at = '1970-01-01' where interaction_id = 'interaction_id4';
update raw.tickets set resolved_at = '2026-01-01' where substr(ticket_id, 10)::int > 30;
update raw.tickets set opened_at = '1970-01-01' where ticket_id = 'ticket_id8';
update raw.ticket_events set "at" = '1970-01-01' where ticket_id = 'ticket_id8';
update raw.surveys set score = 50 where response_id = 'response_id6';
update raw.surveys set score = 0 where response_id = 'response_id11';
update raw.points set "at" = '1970-01-01' where entry_id = 'entry_id1';
update raw.receipts set "at" = '1970-01-01' where receipt_id = 'receipt_id1';
update raw.exposures set exposed_at = '1970-01-01' where exposure_id = 'exposure_id1';
update raw.referrals set "at" = '1970-01-01' where referral_id = 'referral_id1';
update run.batches set rows_rejected = 30 where entity = 'tickets';
update run.batches set loaded_at = '2026-05-01' where entity = 'orders';
"""
RAW_EMPTIED = """
delete from raw.customers;
delete from raw.orders;
delete from raw.consents where substr(customer_id, 12)::int < 20;
"""
MARTS_DAMAGE = """
insert into dim_customers select * from dim_customers where customer_id = 'customer_id0';
alter table rpt_segment_shares add column phone varchar;
update dim_customers set customer_id = 'a@example.com' where customer_id = 'customer_id1';
update dim_customers set region = '138 0013 8000', industry = 'ask x@y.cn first',
    member_tier = 'x@y.cn', service_package = 'x@y.cn', source_channel = '+8613800138000',
    account_manager_id = 'x@y.cn'
    where customer_id = 'customer_id2';
update dim_customers set segment = null, stage = null, segment_reason = null, stage_reason = null
    where customer_id = 'customer_id3';
update dim_customers set segment = 'vip', stage = 'old' where customer_id = 'customer_id4';
update dim_customers set spend_rank = 1.5, spend_long_rank = 1.5, frequency_rank = 1.5,
    recency_rank = 1.5, interaction_rank = 1.5, returned_share = 1.5, late_delivery_share = 1.5,
    last_satisfaction = 1.5 where customer_id = 'customer_id5';
update dim_customers set orders_total = -1, spend_total = -1, spend_long = -1,
    interactions_long = -1, tickets_long = -1, open_tickets = -1, days_since_last_order = -1,
    days_since_last_interaction = -1 where customer_id = 'customer_id6';
update dim_customers set r_score = null where customer_id = 'customer_id7';
update fct_orders set amount_program = -5 where order_id = 'order_id1';
update fct_orders set amount_program = null, customer_id = null where order_id = 'order_id2';
update fct_customer_changes set change_key = 'k0' where change_key = 'k1';
update fct_customer_changes set dimension = 'mood', from_value = 'core', as_of = '2026-08-01'
    where change_key = 'k2';
update rpt_segment_migration set entered = -1;
update rpt_segment_migration set closing = 39;
update rpt_segment_shares set customers = 39, actual_share = 1.2;
update dim_calendar set day = '2026-01-01' where day > '2026-06-01';
insert into fct_customer_tags from fct_customer_tags limit 5;
update fct_customer_tags set value = 'ask 138 0013 8000', evidence_on = '2026-08-01'
    where customer_id = 'customer_id7';
update fct_customer_channels set channel_rank = 2 where customer_id = 'customer_id1';
update rpt_tag_completeness set filled = 41;
update dim_customers set churn_risk = 1.5, p_alive = 1.5, predicted_value = -1,
    value_method = 'guess' where customer_id = 'customer_id8';
insert into fct_customer_alerts by name select 'a' as alert_key, 'c' as customer_id,
    's' as signal, true as is_open, 1.5 as likelihood, date '2026-06-02' as onset_on,
    date '2026-06-01' as last_seen_on, 'cleared' as close_reason,
    timestamp '2026-08-01' as as_of from range(2);
insert into fct_customer_health by name select 'c' as customer_id, 'x' as component,
    101 as score, 101 as contribution, 'mood' as aspect, false as is_known;
insert into fct_customer_health_history by name select 'c' as customer_id,
    date '2026-06-01' as recorded_on, 101 as health_score, timestamp '2026-08-01' as as_of
    from range(2);
insert into fct_care_deliveries by name select 'm' as message_id, 'gone' as state,
    'converted' as conversion from range(2);
insert into register_follow_ups by name select 't' as task_id, 'late' as state from range(2);
insert into register_customers by name select 'c' as customer_id from range(2);
insert into register_tickets by name select 't' as ticket_id, 'late' as progress from range(2);
insert into register_satisfaction by name select 's' as survey_id from range(2);
insert into rpt_care_uplift by name select 'rule' as experiment_kind, 'r' as experiment,
    '2026-06' as period, 2 as treated_conversions, 1 as treated_customers,
    'wrong_sizes' as verdict from range(2);
insert into fct_customer_next_products by name
    select 'c' as customer_id, 'p' as product_id, 1 as rank from range(2);
insert into fct_customer_tier_changes by name select 'k' as change_key, 0 as change_no,
    timestamp '2026-08-01' as as_of from range(2);
insert into fct_customer_tiers by name select 'c' as customer_id, 'gold' as tier,
    date '2026-06-01' as kept_until, timestamp '2026-06-30' as as_of from range(2);
insert into fct_late_deliveries by name select 'o' as order_id, 'gone' as state, -1 as days_late
    from range(2);
insert into dim_sla_targets by name select 'k' as target_key, 'solved' as clock,
    timestamp '2026-06-02' as valid_from, timestamp '2026-06-01' as valid_until,
    timestamp '2026-08-01' as as_of from range(2);
insert into fct_case_clocks by name select 'order' as case_kind, 'o' as case_id,
    'c' as clock, 'late' as state, timestamp '2026-06-02' as started_at,
    timestamp '2026-06-01' as stopped_at from range(2);
insert into fct_incidents by name select 'i' as incident_id, 0 as tickets,
    timestamp '2026-06-02' as began_at, timestamp '2026-06-01' as last_ticket_at from range(2);
insert into fct_incident_steps by name select 'i' as incident_id, 'start' as step from range(2);
insert into dim_sla_targets by name select 'l' || i as target_key, 'closed' as clock
    from range(2) as r(i);
insert into fct_follow_ups by name select 'f' as follow_up_id, 'late' as state from range(2);
insert into rpt_response_times by name select date '2026-06-01' as period_start, 'c' as clock,
    'all' as slice, 'all' as slice_value, 1.5 as on_time_share from range(2);
insert into fct_corrections by name select 't' as ticket_id, 'c' as clock, 'late' as state
    from range(2);
insert into fct_pain_point_cases by name select 'c' as case_id, 'slow' as pain_point
    from range(2);
insert into fct_pain_point_findings by name select 'f' as finding_key,
    date '2026-06-01' as found_on, date '2026-05-01' as left_on from range(2);
insert into dim_kpis by name select 'k' as kpi from range(2);
insert into fct_kpis by name select 'k' as kpi, 'month' as period_type,
    date '2026-06-01' as period_start, 0 as denominator from range(2);
insert into fct_kpi_owners by name select 'k' as kpi, 'month' as period_type,
    date '2026-06-01' as period_start, 0 as denominator from range(2);
insert into fct_kpi_states by name select date '2026-06-01' as recorded_on, 'k' as kpi,
    'all' as slice_kind, '(all)' as slice from range(2);
insert into rpt_kpis by name select 'k' as kpi, 'month' as period_type, 'share' as unit,
    date '2026-06-01' as period_start, 'all' as slice_kind, '(all)' as slice, 1.5 as value,
    'met' as state from range(2);
insert into rpt_kpi_targets by name select 't' as target_id, 'month' as period_type,
    date '2026-06-01' as period_start, 'all' as slice_kind, '(all)' as slice,
    'nice' as state from range(2);
insert into rpt_kpi_deviations by name select 'k' as kpi, 'month' as period_type,
    date '2026-06-01' as period_start, 'segment' as dimension, 'core' as member,
    0.1 as total_effect, 0.1 as total_previous_value, 0.5 as total_value from range(2);
insert into fct_kpi_findings by name select 'f' as finding_key, date '2026-06-02' as found_on,
    date '2026-06-01' as due_on from range(2);
insert into rpt_pain_points by name select 'rolling' as period_type,
    date '2026-06-01' as period_start, 'slow' as pain_point, 'use' as touchpoint,
    1.5 as score, 3 as customers_touched, 2 as customers_active from range(2);
insert into rpt_problem_identification by name select 'rolling' as period_type,
    date '2026-06-01' as period_start, 'all' as scope, false as core_only, 3 as cases,
    1 as by_category, 1 as by_keyword, 0 as unmatched from range(2);
insert into rpt_unidentified_cases by name select 'rolling' as period_type,
    date '2026-06-01' as period_start, 'fault' as kind, 'x' as category, 'use' as touchpoint
    from range(2);
insert into rpt_staff by name select 'month' as period_type, date '2026-06-01' as period_start,
    'owner' as group_kind, 's' as group_id, 'on_time_rate' as measure, 1.5 as value,
    true as is_small_sample, 1 as place from range(2);
insert into fct_ticket_clocks by name select 't' as ticket_id, 'c' as clock, 'late' as state,
    true as is_open, -1 as elapsed_seconds from range(2);
insert into fct_ticket_clock_events by name select 't' as ticket_id, 'c' as clock, 1 as cycle,
    1 as event_no, 'end' as event from range(2);
insert into fct_points by name select 'e' as entry_id, 'c' as customer_id, -1 as points,
    'expiry' as origin, timestamp '2026-08-01' as entered_at from range(2);
insert into fct_points by name select 'n' as entry_id, 'd' as customer_id, 'found' as origin;
insert into fct_product_associations by name select 'p' as product_id,
    'p' as associated_product_id, 1.5 as confidence from range(2);
insert into fct_referral_rewards by name select 'r' as referral_id, 'c' as referrer_id,
    1.5 as reward_share, 1 as nth from range(2);
insert into fct_replacements_due by name select 'c' as customer_id, 'p' as product_id,
    'now' as state, date '2099-01-01' as last_bought_on from range(2);
insert into fct_tickets by name select 't' as ticket_id from range(2);
insert into fct_cases by name select 't' as case_id, 'wish' as case_kind, 'gone' as current_step,
    -1 as step_hours from range(2);
insert into rpt_closed_loop by name select 'solved' as step, 'd' as department, 's' as owner_id,
    'general' as urgency, 1 as cases, 2 as stuck, 1.5 as on_time_share from range(2);
insert into rpt_service_quality by name select date '2026-06-01' as month, 't' as touchpoint,
    'k' as kind, 'd' as department, 1.5 as first_contact_rate, 1.5 as reopen_rate,
    1.5 as repeat_rate, 1.5 as dissatisfied_share from range(2);
insert into fct_quality_samples by name select 'day' as period, date '2026-06-01' as period_start,
    't' as ticket_id from range(2);
insert into rpt_knowledge by name select 'p' as problem, 'r' as resolution,
    1.5 as satisfied_share from range(2);
insert into rpt_health by name select 'core' as segment, '(total)' as component,
    39 as customers, 39 as customers_known, 101 as average_score, 0.5 as red_share,
    0.5 as yellow_share, 0.5 as green_share;
insert into fct_care_decisions by name select 'k' as decision_key, 'sent' as outcome,
    date '2026-06-01' as eligible_on, date '2026-07-01' as as_of_on from range(2);
insert into fct_care_decisions by name select 'l' as decision_key, 'send' as outcome,
    'caps' as gate, '{"consent": {"ok": false}, "suppression": {"ok": true}}' as gates,
    timestamp '2026-06-30' as not_before, timestamp '2026-07-01' as as_of, 7 as order_no;
insert into fct_care_decisions by name select 'm' as decision_key, 'withheld' as outcome,
    'holdout' as gate, 'x' as gate_reason, 'treated' as arm, false as reached_holdout;
insert into rpt_return_intervals by name select date '2026-06-01' as month_start,
    0 as interval_days, 2 as returns, 1 as visits from range(2);
insert into rpt_care_decisions by name select 'r' as rule, 'send' as outcome, '(none)' as gate,
    'core' as segment from range(2);
insert into rpt_retention by name select date '2026-05-01' as cohort_month, 1 as months_since,
    2 as customers, 3 as retained, 1 as returned from range(2);
insert into rpt_value by name select 'month' as period_type, date '2026-06-01' as period_start,
    'core' as segment, 2 as buyers, 3 as new_buyers, 2 as orders, 1 as spend, 1 as spend_known
    from range(2);
insert into rpt_care_days by name select date '2026-06-01' as as_of_on, 'r' as rule,
    'send' as outcome, '(none)' as gate, 1 as decisions, 2 as came_up from range(2);
insert into rpt_care_program by name select 'month' as period_type,
    date '2026-06-01' as period_start, 'r' as rule, 1 as planned, 2 as messages_sent, 0 as tasks
    from range(2);
insert into rpt_churn_cases by name select 'month' as period_type,
    date '2026-06-01' as period_start, 'high' as level, -1 as opening, 0 as closing from range(2);
insert into rpt_cases_of_note by name select 'month' as period_type,
    date '2026-06-01' as period_start, 'praised' as note, 2 as place, 1 as cases_noted
    from range(2);
insert into rpt_run by name select date '2026-07-01' as as_of_on;
"""


def _run(root: Path, gate: str, program: Program, damage: str = "") -> GateResult:
    settings = Settings(home=root)
    build_raw(settings)
    if gate == "marts":
        build_marts(settings)
    with duckdb.connect(str(settings.warehouse if gate == "raw" else settings.marts)) as con:
        con.execute(damage or "select 1")
    return run_gate(settings, gate, Run(program), folder=EXPECTATIONS)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, program: Program) -> dict[str, GateResult]:
    """Gates over sound, damaged and emptied tables; each run once for the whole module."""
    stale = [
        f.model_copy(update={"severity": "critical"}) if f.entity == "orders" else f
        for f in program.data.freshness
    ]
    strict = program.model_copy(
        update={"data": program.data.model_copy(update={"freshness": stale})}
    )
    root = tmp_path_factory.mktemp("quality")
    return {
        "raw": _run(root / "a", "raw", program),
        "marts": _run(root / "b", "marts", program),
        "raw damaged": _run(root / "c", "raw", strict, RAW_DAMAGE),
        "raw emptied": _run(root / "d", "raw", program, RAW_EMPTIED),
        "marts damaged": _run(root / "e", "marts", program, MARTS_DAMAGE),
    }


@pytest.mark.parametrize("gate", ["raw", "marts"])
def test_sound_data_passes_and_everything_declared_ran(
    outcomes: dict[str, GateResult], gate: str
) -> None:
    outcome = outcomes[gate]
    outcome.raise_if_critical()
    assert [r.told() for r in outcome.results if not r.success] == []
    ran = [(r.table, r.type, r.severity) for r in outcome.results]
    for expectation in declared(gate, EXPECTATIONS):
        assert (expectation.table, expectation.type, expectation.severity) in ran
    assert len(declared(gate, EXPECTATIONS)) <= len(ran)


def _name(gate: str, expectation: Declared) -> tuple[str, str]:
    values = {
        "latest_possible": AS_OF,
        "as_of_utc": AS_OF,
        "customers": 40,
        "segments": ["core"],
        "stages": ["new"],
        "currencies": ["CNY"],
        "personal_columns": personal_columns(),
    }
    return expectation.table, filled(expectation, values).expectation["en"]


@pytest.mark.parametrize(
    ("gate", "expectation"),
    [
        pytest.param(gate, e, id=e.where.removeprefix("expectations/"))
        for gate in ("raw", "marts")
        for e in declared(gate, EXPECTATIONS)
        if e.severity == "critical"
    ],
)
def test_every_critical_expectation_can_fail(
    outcomes: dict[str, GateResult], gate: str, expectation: Declared
) -> None:
    damaged = [outcomes[name] for name in outcomes if name.startswith(f"{gate} ")]
    failed = {(r.table, r.expectation["en"]) for o in damaged for r in o.failures}
    assert _name(gate, expectation) in failed


@pytest.mark.parametrize(
    ("outcome", "table", "sentence", "failing", "keys"),
    [
        ("raw damaged", "raw.customers", "customer_id is unique", 2, ("customer_id3",)),
        ("raw damaged", "raw.orders", "currency is one of CNY", 1, ("order_id9",)),
        ("raw damaged", "raw.contacts", "email looks like an e-mail address", 1, ("customer_id7",)),
        ("raw damaged", "raw.orders", "order_id is unique across batches", 1, ("order_id0",)),
        ("raw damaged", "run.batches", "at most 20% of a file's rows are rejected", 1,
         ("tickets/tickets.csv",)),
        ("raw emptied", "raw.orders", "the table has at least 1 rows", None, ()),
        ("marts damaged", "marts.dim_customers", "no mart has a personal column", 1,
         ("rpt_segment_shares.phone",)),
        ("marts damaged", "marts.rpt_segment_shares", "the segments add up", None, ()),
        ("marts damaged", "marts.dim_customers", "segment is one of core", 1, ("customer_id4",)),
        ("marts damaged", "marts.rpt_segment_migration", "opening + new + entered − left", 1,
         ("month/2026-07-01/segment/core",)),
    ],
)  # fmt: skip
def test_a_failure_names_rows_and_keys(
    outcomes: dict[str, GateResult],
    outcome: str,
    table: str,
    sentence: str,
    failing: int | None,
    keys: tuple[str, ...],
) -> None:
    found = [
        r
        for r in outcomes[outcome].results
        if r.table == table and r.expectation["en"].startswith(sentence) and not r.success
    ]
    assert [(r.rows_failing, r.keys) for r in found] == [(failing, keys)]


def test_the_error_is_one_sentence_with_table_expectation_rows_and_keys(
    outcomes: dict[str, GateResult],
) -> None:
    outcome = outcomes["raw damaged"]
    only = [r for r in outcome.failures if "delivered_at" in r.expectation["en"]]
    outcome = replace(outcome, results=only)
    with pytest.raises(GateError) as error:
        outcome.raise_if_critical()
    assert "\n" not in error.value.what
    assert error.value.what.startswith(
        "the raw gate stopped the run: raw.orders fails “delivered_at is at or after ordered_at "
        "in at least 90 % of rows” in 28 of 41 rows: order_id13, "
    )
    assert len(only[0].keys) == 10
    assert error.value.what.endswith(", …")
    assert "expectations/raw/orders.yml" in error.value.hint


def test_lost_customers_are_critical_and_the_sentence_counts(
    outcomes: dict[str, GateResult],
) -> None:
    failures = [
        r for r in outcomes["raw emptied"].failures if "last published" in r.expectation["en"]
    ]
    assert {(r.table, r.observed) for r in failures} == {
        ("raw.customers", "0"),
        ("raw.orders", "0"),
        ("raw.consents", "20"),
    }
    assert "falls by at most 50%" in failures[0].told() or "20%" in failures[0].told()


def test_staleness_follows_the_packs_severity(outcomes: dict[str, GateResult]) -> None:
    stale = [r for r in outcomes["raw damaged"].failures if "last batch" in r.expectation["en"]]
    assert [(r.table, r.observed) for r in stale] == [("raw.orders", "2026-05-01 00:00")]


def test_warnings_are_recorded_and_do_not_stop_the_run(tmp_path: Path, program: Program) -> None:
    outcome = _run(
        tmp_path,
        "raw",
        program,
        "update raw.contacts set phone = 'call me' where customer_id = 'customer_id7';"
        "update run.batches set loaded_at = '2026-06-01' where entity = 'orders'",
    )
    outcome.raise_if_critical()
    assert {(r.table, r.expectation["en"], r.keys) for r in outcome.warnings} == {
        ("raw.contacts", "phone looks like a phone number", ("customer_id7",)),
        ("raw.orders", "the last batch is at most 3d old", ()),
    }
    # The file is free again: another connection may write.
    with duckdb.connect(str(Settings(home=tmp_path).warehouse)) as con:
        con.execute("create table free (a integer)")


def test_rejected_rows_stop_the_run_until_a_corrected_file_arrives(
    tmp_path: Path, program: Program
) -> None:
    """A run stopped by a bad file must not let the file through on the next day."""
    settings = Settings(home=tmp_path)
    build_raw(settings)
    query = (
        "insert into run.batches select * replace (? as batch_seq, ?::bigint as rows_rejected, "
        "?::timestamp as loaded_at) from run.batches where entity = 'orders' limit 1"
    )
    counts = []
    with duckdb.connect(str(settings.warehouse)) as con:
        con.execute("update run.previous_volumes set as_of = '2026-06-20'")
        for seq, rejected, loaded in [(51, 35, "2026-06-30"), (52, 1, "2026-07-01")]:
            con.execute(query, [seq, rejected, loaded])
            rule = next(e for e in limits(con, program.data) if "rejected" in e.expectation["en"])
            counts.append(len(con.execute(rule.query("run.batches")).fetchall()))
    assert counts == [1, 0]


def test_few_rejected_rows_of_a_short_file_stop_nothing(tmp_path: Path, program: Program) -> None:
    """One mistyped name in an edited register is a row in quarantine, not a night without care."""
    settings = Settings(home=tmp_path)
    build_raw(settings)
    few = program.data.few_rejected
    counts = []
    with duckdb.connect(str(settings.warehouse)) as con:
        con.execute("update run.previous_volumes set as_of = '2026-06-20'")
        for rejected, read in ((few, few + 1), (few + 1, few + 2), (few, few)):
            con.execute(
                "update run.batches set rows_read = ?, rows_rejected = ? where entity = 'orders'",
                [read, rejected],
            )
            rule = next(e for e in limits(con, program.data) if "rejected" in e.expectation["en"])
            counts.append(len(con.execute(rule.query("run.batches")).fetchall()))
    assert counts == [0, 1, 1], "one too many, and all there is, stop the run"


def _wrong(tmp_path: Path, change: dict | str, table: str = "staff") -> str:
    """The message for a folder whose file of ``table`` is changed as said."""
    folder = tmp_path / "expectations"
    shutil.copytree(EXPECTATIONS, folder)
    item = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "role"},
        "severity": "warning",
        "why": "Roles decide who acts.",
    }
    if isinstance(change, dict):
        item = {k: v for k, v in {**item, **change}.items() if v is not None}
        change = json.dumps(
            {"table": f"raw.{table}", "key": [f"{table}_id"], "expectations": [item]}, indent=1
        )
    (folder / "raw" / f"{table}.yml").write_text(change, "utf-8")
    with pytest.raises(ExpectationError) as error:
        check.check("raw", folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"type": "expect_column_value_to_not_be_nul"}, ["staff.yml:7", "expectations[0].type",
         "did you mean expect_column_values_to_not_be_null"]),
        ({"type": "expect_column_values_to_be_of_type"}, ["is not an expectation type"]),
        ({"kwargs": {"column": "role", "mostl": 1}}, ['"mostl"', "did you mean mostly", "allowed"]),
        ({"kwargs": {"column": "role", "mostly": 1.5}}, ["kwargs.mostly", "1.5"]),
        ({"kwargs": {}}, ["kwargs.column", "is missing"]),
        ({"kwargs": {"column": "rolle"}}, ['"rolle" is not a column of raw.staff',
         "did you mean role"]),
        ({"severity": "fatal"}, ["severity", "allowed: critical, warning"]),
        ({"severity": None}, ["expectations[0].severity: is missing"]),
        ({"why": None}, ["expectations[0].why: is missing"]),
        ({"why": {"en": "Only English."}}, ["one as en and one as zh"]),
        ({"wy": "x"}, ['"wy" is not a key here', "did you mean why"]),
        ({"kwargs": {"column": "role", "mostly": {"$PARAMETER": "mostley"}}},
         ['"mostley" is not a parameter', "allowed: "]),
        ({"type": "unexpected_rows_expectation", "says": "there is a role",
          "kwargs": {"unexpected_rows_query": "select staff_id from {batch} where rol is null"}},
         ["unexpected_rows_query", "rol"]),
        ({"type": "unexpected_rows_expectation", "says": "there is a role",
          "kwargs": {"unexpected_rows_query": "select staff_id from raw.staff"}}, ["{batch}"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_before_anything_runs(
    tmp_path: Path, change: dict, told: list[str]
) -> None:
    message = _wrong(tmp_path, change)
    for part in told:
        assert part in message


def test_wrong_files_are_named(tmp_path: Path) -> None:
    body = "key: [staff_id]\nexpectations: [{}]\n"
    assert "did you mean raw.staff" in _wrong(tmp_path / "a", "table: raw.staf\n" + body)
    assert "must stand in a file of its name" in _wrong(
        tmp_path / "b", "table: raw.orders\n" + body
    )
    assert "staff.yml:3: not readable YAML" in _wrong(
        tmp_path / "c", "table: raw.staff\nkey: [oops\n"
    )
    assert "is written twice" in _wrong(
        tmp_path / "d", "table: raw.staff\ntable: raw.staff\n" + body
    )
    assert "is not the key" in _wrong(
        tmp_path / "e", "table: raw.staff\nkey: [name]\nexpectations: [{}]\n"
    )
    item = (
        "  - {type: expect_column_values_to_not_be_null, kwargs: {column: role}, "
        "severity: warning, why: Needed.}\n"
    )
    twice = "table: raw.staff\nkey: [staff_id]\nexpectations:\n" + item + item
    assert "staff.yml:5: expectations[1]: " in _wrong(tmp_path / "f", twice)
    folder = tmp_path / "g"
    (folder / "raw").mkdir(parents=True)
    with pytest.raises(ExpectationError, match="no expectation files"):
        declared("raw", folder)


def test_a_table_or_column_the_file_lacks_is_named(tmp_path: Path, program: Program) -> None:
    settings = Settings(home=tmp_path)
    build_raw(settings)
    build_marts(settings)
    with duckdb.connect(str(settings.marts)) as con:
        con.execute("alter table dim_customers drop column stage_reason")
    with pytest.raises(ExpectationError, match=r'"stage_reason" is not a column'):
        run_gate(settings, "marts", Run(program), folder=EXPECTATIONS)
    with duckdb.connect(str(settings.marts)) as con:
        con.execute("drop table dim_calendar")
    with pytest.raises(ExpectationError, match=r'"marts\.dim_calendar" is not a table'):
        run_gate(settings, "marts", Run(program), folder=EXPECTATIONS)
    settings.marts.unlink()
    with pytest.raises(GateError, match="has not been built"):
        run_gate(settings, "marts", Run(program), folder=EXPECTATIONS)


def test_results_become_a_table(outcomes: dict[str, GateResult], tmp_path: Path) -> None:
    file = tmp_path / "marts.duckdb"
    both = [*outcomes["raw damaged"].results, *outcomes["marts damaged"].results]
    with duckdb.connect(str(file)) as con:
        assert write_results(con, both) == len(both)
        write_results(con, both)
        described = con.execute(f"describe {TABLE}").fetchall()
        assert {row[0]: row[1].lower() for row in described} == COLUMNS
        keys = con.execute(
            f"select count(*), count(distinct (run_id, gate, expectation_no)) from {TABLE}"
        ).fetchall()
        assert keys == [(len(both), len(both))]
    rows = published_results(file)
    row = next(r for r in rows if r["expectation_en"] == "customer_id is unique")
    assert row["failing_keys"] == ["customer_id3"]
    assert (row["rows_checked"], row["rows_failing"], row["is_success"]) == (41, 2, False)
    assert row["as_of"] == AS_OF
    with pytest.raises(GateError, match="nothing has been published"):
        published_results(tmp_path / "none.duckdb")


def test_personal_values_never_leave(outcomes: dict[str, GateResult]) -> None:
    for outcome in outcomes.values():
        told = repr(outcome.results) + "".join(r.told() for r in outcome.results)
        told += render([outcome], "zh-CN")
        for value in PERSONAL:
            assert value not in told


@pytest.mark.parametrize(("locale", "word"), [("zh-CN", "运行已中止"), ("en", "was stopped")])
def test_the_page_needs_no_network_and_speaks_the_locale(
    outcomes: dict[str, GateResult], locale: str, word: str
) -> None:
    page = render([outcomes["raw damaged"], outcomes["marts"]], locale, "retail_care")
    assert word in page
    assert not re.findall(r"(?:https?:)?//[a-z]|<script|<link|@import|url\(", page)
    assert "order_id9" in page
    for result in outcomes["raw damaged"].results:
        assert result.expectation["zh" if locale == "zh-CN" else "en"].split("<")[0][:8] in page


def test_the_page_is_written_beside_the_run(
    outcomes: dict[str, GateResult], tmp_path: Path, program: Program
) -> None:
    path = write_report(Settings(home=tmp_path), Run(program), [outcomes["raw"]])
    assert path == tmp_path / "reports" / "20260701T0000-r1" / "data-quality.html"
    assert "全部通过" in path.read_text("utf-8")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    from careloop.cli import quality

    monkeypatch.chdir(PROJECT_ROOT)
    app = typer.Typer()
    quality.register(app)
    return app


def test_the_command_line_checks_and_shows(
    cli: typer.Typer, outcomes: dict[str, GateResult], tmp_path: Path
) -> None:
    runner = CliRunner()
    checked = runner.invoke(cli, ["quality", "check", "--json"])
    assert checked.exit_code == 0, checked.output
    total = sum(len(declared(gate, EXPECTATIONS)) for gate in ("raw", "marts"))
    assert len(json.loads(checked.stdout)) == total
    published = tmp_path / "published"
    published.mkdir()
    with duckdb.connect(str(published / "marts.duckdb")) as con:
        write_results(con, outcomes["raw damaged"].results)
    shown = runner.invoke(
        cli, ["quality", "results", "--failed", "--home", str(tmp_path), "--json"]
    )
    assert shown.exit_code == 0, shown.output
    rows = json.loads(shown.stdout)
    assert len(rows) == sum(not r.success for r in outcomes["raw damaged"].results)
    text = runner.invoke(cli, ["quality", "results", "--home", str(tmp_path)])
    assert "expectations" in text.stdout
    assert "customer_id3" in text.stdout
