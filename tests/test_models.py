"""The dbt project: against a plain Python reference, over days, and with every pack."""

import datetime as dt
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml

from careloop.contract import entities
from careloop.program.load import load_program, program_names
from careloop.program.measures import MEASURES
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT, Settings
from careloop.transform.care_inputs import write_care_inputs
from careloop.transform.dbt import DBT_PROJECT, NOT_UNIT_TESTS, invoke
from careloop.transform.prepare import CARRIED
from conftest import packs_of

Rows = dict[str, list[dict[str, Any]]]
PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
ZONE = ZoneInfo("Asia/Shanghai")
DAY = dt.date(2026, 6, 1)

GRAINS = {
    "dim_customers": "customer_id",
    "dim_products": "product_id",
    "dim_calendar": "day",
    "fct_orders": "order_id",
    "fct_customer_changes": "change_key",
    "fct_model_runs": "model_run",
    "fct_product_associations": "product_id, associated_product_id",
    "fct_customer_next_products": "customer_id, rank",
    "fct_replacements_due": "customer_id, product_id",
    "fct_tickets": "ticket_id",
    "fct_late_deliveries": "order_id",
    "dim_sla_targets": "target_key",
    "fct_case_clocks": "case_kind, case_id, clock",
    "fct_incidents": "incident_id",
    "fct_incident_steps": "incident_id, step",
    "int_care_overdue": "occasion",
    "int_case_clock_cases": "case_kind, case_id, clock",
    "int_incident_tickets": "ticket_id",
    "fct_follow_ups": "follow_up_id",
    "rpt_response_times": "period_start, clock, slice, slice_value",
    "fct_corrections": "ticket_id, clock",
    "dim_kpis": "kpi",
    "fct_kpis": "kpi, period_type, period_start, segment, stage, tier, region, touchpoint, is_core",
    "fct_kpi_owners": "kpi, period_type, period_start, owner_id",
    "fct_kpi_states": "recorded_on, kpi, slice_kind, slice",
    "rpt_kpis": "kpi, period_type, period_start, slice_kind, slice",
    "rpt_kpi_targets": "target_id, period_type, period_start, slice_kind, slice",
    "rpt_kpi_deviations": "kpi, period_type, period_start, dimension, member",
    "fct_kpi_findings": "finding_key",
    "int_kpi_targets": "target_id",
    "int_kpi_periods": "period_type, period_start",
    "int_kpi_standings": "customer_id, valid_from",
    "int_kpi_sums": "kpi, period_type, period_start, slice_kind, slice",
    "int_kpi_values": "kpi, period_type, period_start, slice_kind, slice",
    "fct_pain_point_cases": "case_id",
    "fct_pain_point_findings": "finding_key",
    "rpt_pain_points": "period_type, period_start, pain_point, touchpoint",
    "rpt_problem_identification": "period_type, period_start, scope, core_only",
    "rpt_unidentified_cases": "period_type, period_start, kind, category, touchpoint",
    "rpt_staff": "period_type, period_start, group_kind, group_id, measure",
    "int_case_classes": "case_id",
    "int_pain_point_periods": "period_type, period_no",
    "int_pain_points": "period_type, period_start, pain_point, touchpoint",
    "fct_cases": "case_id",
    "fct_quality_samples": "period, period_start, sample_no",
    "rpt_closed_loop": "step, department, owner_id, urgency",
    "rpt_service_quality": "month, touchpoint, kind, department",
    "rpt_knowledge": "problem, resolution",
    "int_ticket_outcomes": "ticket_id",
    "int_ticket_answers": "ticket_id",
    "int_low_scores": "response_id",
    "int_cases": "case_id",
    "fct_ticket_clocks": "ticket_id, clock",
    "fct_ticket_clock_events": "ticket_id, clock, cycle, event_no",
    "fct_customer_health": "customer_id, component",
    "fct_customer_health_history": "customer_id, recorded_on",
    "rpt_health": "segment, component",
    "rpt_health_history": "recorded_on, segment, component",
    "fct_customer_tiers": "customer_id",
    "fct_customer_tier_changes": "change_key",
    "fct_points": "entry_id",
    "fct_referral_rewards": "referral_id",
    "fct_churn_model_runs": "churn_model_run",
    "fct_care_deliveries": "message_id",
    "register_follow_ups": "task_id",
    "register_customers": "customer_id",
    "register_tickets": "ticket_id",
    "register_satisfaction": "survey_id",
    "rpt_care_uplift": "experiment_kind, experiment, period",
    "int_care_message_states": "message_id",
    "int_care_responses": "message_id",
    "int_care_conversions": "message_id",
    "int_care_outcomes": "customer_id, event, outcome_id",
    "int_care_exposures": "experiment_kind, experiment, period, customer_id",
    "int_care_uplift_groups": "experiment_kind, experiment, period",
    "int_care_uplift": "experiment_kind, experiment, period",
    "rpt_retention": "cohort_month, months_since",
    "rpt_value": "period_type, period_start, segment",
    "rpt_care_days": "as_of_on, rule, outcome, gate",
    "rpt_care_program": "period_type, period_start, rule",
    "rpt_churn_cases": "period_type, period_start, level",
    "rpt_cases_of_note": "period_type, period_start, note, place",
    "rpt_segment_flows": "period_type, period_start, dimension, from_value, to_value",
    "rpt_segment_migration": "period_type, period_start, dimension, value",
    "rpt_segment_shares": "segment",
    "rpt_return_intervals": "month_start, interval_days",
    "rpt_loads": "batch_id",
    "rpt_run": "run_id",
    "rpt_profile_coverage": "attribute",
    "fct_customer_tags": "customer_id, tag",
    "fct_customer_channels": "customer_id, channel",
    "rpt_tag_completeness": "tag",
    "fct_care_decisions": "decision_key",
    "rpt_care_decisions": "rule, outcome, gate, segment",
    "int_care_slots": "purpose, channel",
    "int_care_freshness": "purpose",
    "int_care_consents": "customer_id, purpose",
    "int_care_suppressions": "customer_id, purpose",
    "int_care_contacts": "message_id",
    "int_care_gates": "decision_key",
    "int_care_arbitration": "decision_key",
    "int_customer_responses": "customer_id, channel, daypart",
    "int_customer_channels": "customer_id, channel",
    "int_customer_most": "customer_id, kind",
    "int_customer_preferences": "customer_id",
    "int_customer_tag_summary": "customer_id",
    "fct_customer_alerts": "alert_key",
    "rpt_alerts": "signal",
    "rpt_churn_levels": "segment, churn_level",
    "int_customer_observation": "customer_id",
    "int_customer_answers": "customer_id, kind",
    "int_signal_candidates": "customer_id, signal",
    "int_signal_likelihoods": "direction, baseline_events, baseline_days, recent_days, "
    "recent_events",
    "int_customer_signals": "customer_id, signal",
    "int_customer_alerts": "customer_id, signal, onset_on",
    "int_customer_churn": "customer_id",
    "int_orders": "order_id",
    "int_customer_orders": "customer_id",
    "int_customer_interactions": "customer_id",
    "int_customer_tickets": "customer_id",
    "int_customer_surveys": "customer_id",
    "int_customer_consents": "customer_id",
    "int_customer_rfm": "customer_id",
    "int_customer_profile": "customer_id",
    "int_customer_segments": "customer_id",
    "int_customer_previous": "customer_id",
    "int_customer_value": "customer_id",
    "int_purchase_histories": "customer_id",
    "int_churn_features": "customer_id",
    "int_churn_fit": "version",
    "int_churn_training": "customer_id",
    "int_customer_churn_risk": "customer_id",
    "int_value_factors": "repeats, age_days",
    "int_value_fit": "version",
    "int_value_model": "value_note",
    "int_products": "product_id",
    "int_product_baskets": "basket_id, product_no",
    "int_customer_activity": "customer_id",
    "int_customer_health": "customer_id",
    "int_customer_health_recorded": "customer_id",
    "int_customer_tier_walk": "customer_id",
    "int_customer_tiers": "customer_id",
    "int_customer_tier_changes": "customer_id, change_no",
    "int_point_campaign_days": "reason, day",
    "int_point_activity": "customer_id, entered_on, reason",
    "int_point_expiries": "customer_id, expired_on",
    "int_customer_points": "customer_id",
    "int_referral_rewards": "referral_id",
    "int_customer_loyalty": "customer_id",
    "int_care_customers": "customer_id",
    "int_care_days": "day",
    "int_care_rule_days": "rule, came_up_on, month_day",
    "int_care_events": "customer_id, occasion",
    "int_care_candidates": "customer_id, rule, occasion",
}


def utc(local: dt.datetime, zone: ZoneInfo = ZONE) -> dt.datetime:
    return local.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None)


@dataclass
class Company:
    """A warehouse with literal rows, and the marts dbt makes of it."""

    settings: Settings

    def prepare(
        self, rows: Rows, day: dt.date = DAY, pack: str = "retail_care", history: Path | None = None
    ) -> "Company":
        build = self.settings.build
        build.mkdir(parents=True, exist_ok=True)
        for path in (self.settings.warehouse, self.settings.marts):
            path.unlink(missing_ok=True)
        with duckdb.connect(str(self.settings.warehouse)) as con:
            con.execute("create schema raw; create schema run")
            for entity in entities().values():
                columns = {**{c.name: c.sql_type for c in entity.columns.values()},
                           "_source": "varchar", "_batch": "integer"}  # fmt: skip
                ddl = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
                con.execute(f"create table raw.{entity.name} ({ddl})")
                values = [
                    [row.get(name, "test" if name == "_source" else None) for name in columns]
                    for row in rows.get(entity.name, [])
                ]
                if values:
                    marks = ", ".join("?" * len(columns))
                    con.executemany(f"insert into raw.{entity.name} values ({marks})", values)
            self._write_run(con, day, pack, history)
        return self

    def _write_run(
        self, con: duckdb.DuckDBPyConnection, day: dt.date, pack: str, history: Path | None
    ) -> None:
        program = load_program(pack, PROGRAMS)
        local = dt.datetime.combine(day, dt.time())
        as_of = utc(local, ZoneInfo(program.zone))
        con.execute(
            "create table run.context as select 'run' as run_id, ?::timestamp as as_of_local, "
            "?::timestamp as as_of_utc, ?::date as as_of_date, ? as zone, ? as pack, "
            "? as pack_hash, ? as currency, ? as locale",
            [local, as_of, day, program.zone, program.name, program.hash, program.currency,
             program.locales[0]],
        )  # fmt: skip
        con.execute(
            "create table run.batches (batch_seq integer, batch_id varchar, entity varchar, "
            "source varchar, file varchar, loaded_at timestamp, rows_read bigint, "
            "rows_loaded bigint, rows_rejected bigint, rows_held bigint, rows_outdated bigint, "
            "rows_replaced bigint, run_id varchar, min_event_at timestamp, "
            "max_event_at timestamp)"
        )
        con.execute("insert into run.batches (batch_seq, batch_id, entity) values (1, 'b', 'o')")
        write_care_inputs(con, self.settings)
        for name, (_, columns) in CARRIED.items():
            con.execute(f"create table run.previous_{name} ({columns})")
        if history:
            con.execute(f"attach '{history}' as published (read_only)")
            there = {t for (t,) in con.execute(
                "select table_name from duckdb_tables() where database_name = 'published'"
            ).fetchall()}  # fmt: skip
            for name, (table, _) in CARRIED.items():
                if table in there:
                    con.execute(
                        f"insert into run.previous_{name} by name select * from published.{table}"
                    )
            con.execute("detach published")
        self.use(pack, con)

    def use(self, pack: str, con: duckdb.DuckDBPyConnection | None = None) -> None:
        """Put the tables of another pack in place; the rest stays."""
        if con:
            self._write_program(con, pack)
            return
        with duckdb.connect(str(self.settings.warehouse)) as own:
            self._write_program(own, pack)

    def _write_program(self, con: duckdb.DuckDBPyConnection, pack: str) -> None:
        first, last = dt.date(DAY.year - 3, 1, 1), dt.date(DAY.year, 12, 31)
        write_program_tables(con, load_program(pack, PROGRAMS), first, last)
        # Packs need not know the second currency of the random orders.
        con.execute("delete from program.exchange_rates where currency = 'USD'")
        con.execute("insert into program.exchange_rates values ('USD', 7.25)")

    def dbt(self, *arguments: str) -> Any:
        return invoke(self.settings, list(arguments))

    def build(self, *arguments: str) -> "Company":
        result = self.dbt("build", *NOT_UNIT_TESTS, *arguments)
        assert result.success, failures(result)
        return self

    def query(self, sql: str) -> list[dict[str, Any]]:
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as con:
            con.execute(f"attach '{self.settings.marts}' as marts (read_only)")
            cursor = con.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute(self, sql: str) -> None:
        with duckdb.connect(str(self.settings.warehouse)) as con:
            con.execute(sql)

    def export(self, tmp_path: Path) -> dict[str, bytes]:
        """Bytes of the tables that must not depend on anything but the data."""
        with duckdb.connect(str(self.settings.marts), read_only=True) as con:
            for table in ("dim_customers", "fct_orders", "fct_customer_changes"):
                con.execute(
                    f"copy (from {table} order by all) to '{tmp_path / table}.csv' (format csv)"
                )
        return {file.name: file.read_bytes() for file in sorted(tmp_path.glob("*.csv"))}


def failures(result: Any) -> str:
    bad = [r for r in getattr(result.result, "results", []) if r.status not in ("success", "pass")]
    return "\n".join(f"{r.node.name}: {r.message}" for r in bad) or str(result.exception)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Company]:
    return lambda name: Company(
        Settings(home=tmp_path_factory.mktemp(name), threads=2, memory_limit="1GB")
    )


# -- a small company, made at random, with every kind of gap ---------------------------------


def moment(rng: random.Random, days_back: float, days_ahead: float = 5) -> dt.datetime:
    """A UTC time around as_of, often just beside a local midnight, where mistakes live."""
    days = rng.uniform(-days_ahead, days_back)
    if rng.random() < 0.4:
        local = dt.datetime.combine(DAY, dt.time()) - dt.timedelta(days=round(days))
        return utc(local) + dt.timedelta(seconds=rng.choice((-1, 0, 1)))
    local = dt.datetime.combine(DAY, dt.time()) - dt.timedelta(days=days)
    return utc(local).replace(microsecond=0)


def random_rows(seed: int = 7, customers: int = 60) -> Rows:
    rng = random.Random(seed)
    maybe = lambda value, share=0.8: value if rng.random() < share else None  # noqa: E731
    names = [f"c{i:03}" for i in range(customers)]
    buyers, talkers = names[: customers * 3 // 4], names[: customers * 4 // 5]
    rows: Rows = {
        "customers": [
            {
                "customer_id": name,
                "customer_type": maybe(rng.choice(("person", "company"))),
                "registered_at": maybe(moment(rng, 800)),
                "cooperation_start_on": maybe(DAY - dt.timedelta(days=rng.randint(-5, 900)), 0.3),
                "member_since": maybe(moment(rng, 500), 0.4),
                "member_tier": maybe("gold", 0.3),
                "is_strategic": maybe(rng.random() < 0.2),
                "region": maybe(rng.choice("NSEW")),
                "birthday": maybe(dt.date(1950, 1, 1) + dt.timedelta(days=rng.randint(0, 20000))),
            }
            for name in names
        ]
    }
    rows["orders"] = []
    for i in range(customers * 6):
        ordered = moment(rng, 500)
        later = [ordered + dt.timedelta(hours=rng.uniform(1, 200)) for _ in range(5)]
        rows["orders"].append(
            {
                "order_id": f"o{i:05}",
                "customer_id": rng.choice(buyers),
                "ordered_at": ordered,
                "status": maybe(rng.choice(("pending", "paid", "shipped", "delivered",
                                            "completed", "cancelled", "returned")), 0.95),
                "amount": Decimal(rng.randint(0, 5_000_000)).scaleb(-4),
                "discount_amount": maybe(Decimal(rng.choice((0, 5))), 0.7),
                "currency": rng.choice((None, "CNY", "CNY", "USD")),
                "paid_at": maybe(later[0]),
                "shipped_at": maybe(later[1]),
                "promised_at": maybe(later[2]),
                "delivered_at": maybe(later[3], 0.6),
                "cancelled_at": maybe(later[4], 0.2),
            }
        )  # fmt: skip
    rows["interactions"] = [
        {
            "interaction_id": f"i{i}",
            "customer_id": rng.choice(talkers),
            "occurred_at": moment(rng, 500),
            "kind": rng.choice(("login", "view", "click", "visit", "store_visit")),
            "dwell_seconds": maybe(rng.randint(0, 600)),
        }
        for i in range(customers * 10)
    ]
    rows["tickets"] = [
        {
            "ticket_id": f"t{i}",
            "customer_id": maybe(rng.choice(names), 0.9),
            "opened_at": moment(rng, 500),
            "kind": maybe(rng.choice(("complaint", "fault"))),
            "first_response_at": maybe(moment(rng, 100), 0.7),
            "resolved_at": maybe(moment(rng, 100), 0.6),
            "closed_at": maybe(moment(rng, 100), 0.4),
        }
        for i in range(customers)
    ]
    rows["surveys"] = [
        {
            "response_id": f"s{i}",
            "customer_id": maybe(rng.choice(names), 0.9),
            "kind": rng.choice(("csat", "nps", "ces")),
            "scale_min": maybe(1.0),
            "scale_max": maybe(5.0),
            "score": maybe(float(rng.randint(1, 5))),
            "asked_at": moment(rng, 300),
            "answered_at": maybe(moment(rng, 300)),
        }
        for i in range(customers * 2)
    ]
    consents = {
        (rng.choice(names), "marketing", rng.choice(("sms", "email")), moment(rng, 300))
        for _ in range(customers * 2)
    }
    rows["consents"] = [
        dict(zip(("customer_id", "purpose", "channel", "changed_at"), key, strict=True))
        | {"granted": rng.random() < 0.5}
        for key in sorted(consents)
    ]
    rows["products"] = [{"product_id": "p1", "name": "Tea", "price": Decimal("12.5")}]
    return rows


# -- the reference: the same definitions, one customer at a time ------------------------------


def local_day(at: dt.datetime | None) -> dt.date | None:
    return at.replace(tzinfo=dt.UTC).astimezone(ZONE).date() if at else None


def days(day: dt.date | None) -> int | None:
    return (DAY - day).days if day else None


def seen_orders(rows: Rows, rates: dict[str, float]) -> list[dict[str, Any]]:
    as_of, result = utc(dt.datetime.combine(DAY, dt.time())), []
    reached = {
        "cancelled": "cancelled_at",
        "returned": "cancelled_at",
        "paid": "paid_at",
        "delivered": "delivered_at",
        "completed": "delivered_at",
        "shipped": "shipped_at",
    }
    for row in rows["orders"]:
        if row["ordered_at"] > as_of:
            continue
        time_of = lambda column, row=row: (  # noqa: E731
            row[column] if row[column] and row[column] <= as_of else None
        )
        status, column = row["status"], reached.get(row["status"])
        if status is None or (column and row[column] and row[column] > as_of):
            status = next(
                (name for name, at in (("cancelled", "cancelled_at"), ("delivered", "delivered_at"),
                                       ("shipped", "shipped_at"), ("paid", "paid_at"))
                 if time_of(at)), "pending")  # fmt: skip
        counted = status not in ("cancelled", "returned")
        promised, delivered, late = row["promised_at"], time_of("delivered_at"), None
        if promised and delivered:
            late = delivered > promised
        elif promised and counted and promised < as_of:
            late = True
        rate = Decimal(str(rates[row["currency"] or "CNY"]))
        amount = (row["amount"] * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        result.append({**row, "status": status, "counted": counted, "late": late,
                       "amount_program": amount})  # fmt: skip
    return result


def reference(rows: Rows, rates: dict[str, float], windows: dict[str, int]) -> dict[str, dict]:
    """Measures of int_customer_profile without ranks and scores, by customer."""
    as_of = utc(dt.datetime.combine(DAY, dt.time()))
    orders = seen_orders(rows, rates)
    result = {}
    for customer in rows["customers"]:
        mine = lambda items, c=customer: [  # noqa: E731
            r for r in items if r["customer_id"] == c["customer_id"]
        ]
        placed = mine(orders)
        kept = [o for o in placed if o["counted"]]
        talks = [r for r in mine(rows["interactions"]) if r["occurred_at"] <= as_of]
        tickets = [r for r in mine(rows["tickets"]) if r["opened_at"] <= as_of]
        registered = customer["registered_at"]
        if registered and registered > as_of:
            if not (placed or talks or tickets):
                continue
            registered = None
        first = min((o["ordered_at"] for o in kept), default=None)
        last = max((o["ordered_at"] for o in kept), default=None)
        last_talk = max((t["occurred_at"] for t in talks), default=None)
        known = registered or first or min((t["occurred_at"] for t in talks), default=None)
        cooperation = customer["cooperation_start_on"]
        cooperation = cooperation if cooperation and cooperation <= DAY else local_day(known)
        active = [t for t in (last, last_talk, *(t["opened_at"] for t in tickets)) if t]
        judged = [o["late"] for o in placed if o["late"] is not None]
        gap = (local_day(last) - local_day(first)).days / (len(kept) - 1) if len(kept) > 1 else None
        member_since, tier = customer["member_since"], customer["member_tier"]
        if member_since and member_since > as_of:
            member_since = tier = None
        within = lambda at, window: days(local_day(at)) <= windows[window]  # noqa: E731
        row: dict[str, Any] = {
            "customer_type": customer["customer_type"],
            "is_strategic": bool(customer["is_strategic"]),
            "is_member": bool(member_since or tier),
            "member_tier": tier,
            "has_consent_marketing": consent(mine(rows["consents"]), as_of),
            "tenure_days": days(local_day(known)),
            "cooperation_days": days(cooperation),
            "days_since_first_order": days(local_day(first)),
            "days_since_last_order": days(local_day(last)),
            "days_since_last_interaction": days(local_day(last_talk)),
            "days_since_last_activity": days(local_day(max(active, default=None))),
            "orders_total": len(kept),
            "spend_total": sum((o["amount_program"] for o in kept), Decimal(0)),
            "open_tickets": sum(
                not any(t[c] and t[c] <= as_of for c in ("resolved_at", "closed_at"))
                for t in tickets
            ),
            "returned_share": (len(placed) - len(kept)) / len(placed) if placed else None,
            "late_delivery_share": sum(judged) / len(judged) if judged else None,
            "average_order_interval_days": gap,
            "interval_ratio": days(local_day(last)) / gap if gap else None,
            "last_satisfaction": answer(mine(rows["surveys"]), "csat", as_of),
            "discounted_share": sum((o["discount_amount"] or 0) > 0 for o in kept) / len(kept)
            if kept
            else None,
            "age_years": age(customer["birthday"]),
            "nps_last": answer(mine(rows["surveys"]), "nps", as_of),
        }
        for window in windows:
            recent = [o for o in kept if within(o["ordered_at"], window)]
            row[f"orders_{window}"] = len(recent)
            row[f"spend_{window}"] = sum((o["amount_program"] for o in recent), Decimal(0))
            row[f"interactions_{window}"] = sum(within(t["occurred_at"], window) for t in talks)
            row[f"logins_{window}"] = sum(
                t["kind"] == "login" and within(t["occurred_at"], window) for t in talks
            )
            row[f"tickets_{window}"] = sum(within(t["opened_at"], window) for t in tickets)
            row[f"complaints_{window}"] = sum(
                t["kind"] == "complaint" and within(t["opened_at"], window) for t in tickets
            )
            row[f"visits_{window}"] = sum(
                t["kind"] in ("visit", "store_visit") and within(t["occurred_at"], window)
                for t in talks
            )
        row["engagements_medium"] = sum(
            t["kind"] == "click" and within(t["occurred_at"], "medium") for t in talks
        )
        row["dwell_minutes_short"] = (
            sum(t["dwell_seconds"] or 0 for t in talks if within(t["occurred_at"], "short")) / 60
        )
        row["interaction_change"] = own_change(row, "interactions", "short", "long", windows)
        row["visit_change"] = own_change(row, "visits", "short", "long", windows)
        row["order_change"] = own_change(row, "orders", "medium", "long", windows)
        row |= service([t for t in tickets if within(t["opened_at"], "long")], as_of)
        asked = [s for s in mine(rows["surveys"]) if s["asked_at"] <= as_of]
        row |= answering([s for s in asked if within(s["asked_at"], "long")], as_of)
        result[customer["customer_id"]] = row
    return result


MIN_BASELINE = 5


def age(birthday: dt.date | None) -> int | None:
    if birthday is None:
        return None
    return DAY.year - birthday.year - ((DAY.month, DAY.day) < (birthday.month, birthday.day))


def own_change(
    row: dict, events: str, recent: str, baseline: str, windows: dict[str, int]
) -> float | None:
    before = row[f"{events}_{baseline}"] - row[f"{events}_{recent}"]
    known = min(windows[baseline], row["tenure_days"] or 0) - windows[recent]
    if known < windows[recent] or before < MIN_BASELINE:
        return None
    return row[f"{events}_{recent}"] / windows[recent] / (before / known)


def hours(spans: list[dt.timedelta]) -> float | None:
    return round(sum(s.total_seconds() for s in spans) / 3600 / len(spans), 4) if spans else None


def service(mine: list[dict], as_of: dt.datetime) -> dict[str, Any]:
    taken = {
        column: [t[column] - t["opened_at"] for t in mine if t[column] and t[column] <= as_of]
        for column in ("first_response_at", "resolved_at")
    }
    return {
        "resolved_share": len(taken["resolved_at"]) / len(mine) if mine else None,
        "first_response_hours": hours(taken["first_response_at"]),
        "resolution_hours": hours(taken["resolved_at"]),
    }


def answering(asked: list[dict], as_of: dt.datetime) -> dict[str, Any]:
    spans = [
        s["answered_at"] - s["asked_at"]
        for s in asked
        if s["answered_at"] and s["answered_at"] <= as_of
    ]
    return {
        "answer_hours": hours(spans),
        "answered_share": len(spans) / len(asked) if asked else None,
    }


def consent(changes: list[dict], as_of: dt.datetime) -> bool | None:
    latest: dict[str, bool] = {}
    for change in sorted(changes, key=lambda c: c["changed_at"]):
        if change["changed_at"] <= as_of:
            latest[change["channel"]] = change["granted"]
    return any(latest.values()) if latest else None


def answer(surveys: list[dict], kind: str, as_of: dt.datetime) -> float | None:
    given = [
        s for s in surveys
        if s["kind"] == kind and s["score"] is not None and s["asked_at"] <= as_of
        and s["answered_at"] and s["answered_at"] <= as_of
    ]  # fmt: skip
    values = []
    for survey in given:
        if survey["answered_at"] != max(s["answered_at"] for s in given):
            continue
        low, high = survey["scale_min"], survey["scale_max"]
        if kind == "nps":
            low, high = low or 0.0, high or 10.0
        if low is not None and high is not None:
            values.append((survey["score"] - low) / (high - low) * (10 if kind == "nps" else 1))
    return round(sum(values) / len(values), 4) if values else None


# -- tests --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(company: Callable[[str], Company]) -> Company:
    return company("built").prepare(random_rows()).build()


@pytest.fixture(scope="module")
def tomorrow(built: Company, company: Callable[[str], Company]) -> Company:
    """A month later: the history of `built`, a customer gone, and nothing new happened."""
    rows = random_rows()
    rows["customers"] = [c for c in rows["customers"] if c["customer_id"] != "c001"]
    day = DAY + dt.timedelta(days=40)
    other = company("tomorrow").prepare(rows, day, history=built.settings.marts)
    return other.build()


def test_profile_is_what_the_reference_says(built: Company) -> None:
    program = load_program("retail_care", PROGRAMS)
    windows = {
        w: getattr(program.profile.windows, f"{w}_days") for w in ("short", "medium", "long")
    }
    rates = {r["currency"]: r["rate"] for r in built.query("from program.exchange_rates")}
    expected = reference(random_rows(), rates, windows)
    actual = {r["customer_id"]: r for r in built.query("from intermediate.int_customer_profile")}
    assert actual.keys() == expected.keys()
    for name, measures in expected.items():
        for measure, value in measures.items():
            if measure not in MEASURES:
                continue
            found = actual[name][measure]
            tolerance = {float: 1e-9, Decimal: Decimal("0.001")}.get(type(value))
            wanted = pytest.approx(value, abs=tolerance) if tolerance else value
            assert found == wanted, f"{name}.{measure}: {found} instead of {value}"


def test_ranks_and_scores_are_shares_of_buyers(built: Company) -> None:
    rows = built.query("from intermediate.int_customer_profile")
    buyers = [r for r in rows if r["orders_total"]]
    assert 5 < len(buyers) < len(rows)
    better: dict[str, Callable[[dict], Any]] = {
        "spend_rank": lambda r: r["spend_total"],
        "spend_long_rank": lambda r: r["spend_long"],
        "frequency_rank": lambda r: r["orders_total"],
        "recency_rank": lambda r: -r["days_since_last_order"],
    }
    scores = {"r_score": better["recency_rank"], "f_score": lambda r: r["orders_long"],
              "m_score": better["spend_long_rank"]}  # fmt: skip
    bins = 5
    for row in rows:
        for name, key in better.items():
            share = row["orders_total"] and sum(key(b) <= key(row) for b in buyers) / len(buyers)
            assert row[name] == (pytest.approx(share) if row["orders_total"] else None)
        for name, key in scores.items():
            below = row["orders_total"] and sum(key(b) < key(row) for b in buyers)
            wanted = 1 + below * bins // len(buyers) if row["orders_total"] else None
            assert row[name] == wanted
    assert {r["rfm_group"] is None for r in rows if not r["orders_total"]} == {True}
    assert all(r["rfm_group"] for r in buyers)


def test_profile_has_every_measure_a_condition_may_use(built: Company) -> None:
    columns = {r["column_name"] for r in built.query("describe intermediate.int_customer_profile")}
    assert set(MEASURES) <= columns


def test_every_table_has_the_grain_it_says(built: Company) -> None:
    for table, key in GRAINS.items():
        schema = "intermediate" if table.startswith("int_") else "marts"
        twice = built.query(
            f"select {key} from {schema}.{table} group by {key} having count(*) > 1"
        )
        assert not twice, (table, twice[:3])


def test_first_orders_and_local_days(built: Company) -> None:
    first = built.query(
        "select customer_id, min(ordered_at) as at from marts.fct_orders where is_counted "
        "group by 1"
    )
    marked = built.query(
        "select distinct customer_id, ordered_at as at from marts.fct_orders where is_first_order"
    )
    key = lambda r: (r["customer_id"], r["at"])  # noqa: E731
    assert sorted(map(key, first)) == sorted(map(key, marked))
    for row in built.query("select ordered_at, ordered_on from marts.fct_orders"):
        assert row["ordered_on"] == local_day(row["ordered_at"])


def test_reasons_carry_the_customers_values(built: Company) -> None:
    rows = built.query(
        "select segment_reason, days_since_last_order from marts.dim_customers "
        "where segment = 'dormant' and days_since_last_order is not null"
    )
    assert rows
    for row in rows:
        assert f"({row['days_since_last_order']})" in row["segment_reason"]


@pytest.mark.parametrize("pack", packs_of(("retail_care",)))
def test_unit_tests_of_pack(built: Company, pack: str) -> None:
    """Runs the dbt unit tests of one pack, with its tables in place."""
    built.use(pack)
    try:
        result = built.dbt("test", "--select", f"test_type:unit,tag:pack_{pack}")
    finally:
        built.use("retail_care")
    assert result.success, failures(result)
    assert any(pack in r.node.name for r in result.result.results)


@pytest.mark.parametrize("pack", PACKS)
def test_unit_tests_reach_every_segment_stage_and_activity_level(pack: str) -> None:
    program = load_program(pack, PROGRAMS)
    file = DBT_PROJECT / f"models/intermediate/profile/_unit_tests_{pack}.yml"
    tests = yaml.safe_load(file.read_text("utf-8"))["unit_tests"]
    rules = {
        "segment": program.segments,
        "stage": program.stages,
        "activity_level": program.activity.levels,
    }
    for column, wanted in rules.items():
        reached = {row[column] for t in tests for row in t["expect"]["rows"] if column in row}
        assert reached == {rule.id for rule in wanted}


def test_a_change_is_found_once_with_its_measures(built: Company, tomorrow: Company) -> None:
    states = "dimension in ('segment', 'stage')"
    entries = built.query(f"from marts.fct_customer_changes where {states}")
    customers = built.query("from marts.dim_customers")
    assert len(entries) == 2 * len(customers)
    assert all(e["from_value"] is None and e["to_value"] for e in entries)
    now = {r["customer_id"]: r for r in tomorrow.query("from marts.dim_customers")}
    before = {r["customer_id"]: r for r in customers}
    changes = tomorrow.query("from marts.fct_customer_changes where as_of > "
                             f"timestamp '{utc(dt.datetime.combine(DAY, dt.time()))}'")  # fmt: skip
    found = {(c["customer_id"], c["dimension"]): (c["from_value"], c["to_value"]) for c in changes}
    expected = {
        (name, dimension): (old.get(dimension), new.get(dimension))
        for name in before.keys() | now.keys()
        for dimension in ("segment", "stage", "tier", "churn_level")
        if (old := before.get(name, {})).get(dimension) != (new := now.get(name, {})).get(dimension)
    }
    assert found == expected
    assert found["c001", "segment"] == (before["c001"]["segment"], None)
    moved = [c for c in changes if c["from_value"] and c["to_value"]]
    assert moved
    for change in (c for c in moved if c["dimension"] in ("segment", "stage")):
        measures = json.loads(change["measures"])
        assert measures["orders_total"] == now[change["customer_id"]]["orders_total"]
        assert set(measures) <= set(MEASURES)
    for name, row in now.items():
        since = row["segment_since"]
        moved_now = (name, "segment") in found
        assert since == (row["as_of_on"] if moved_now else DAY)


def test_history_is_kept_as_published(built: Company, tomorrow: Company) -> None:
    columns = "* exclude (pack_hash)"
    old = built.query(f"select {columns} from marts.fct_customer_changes order by change_key")
    kept = tomorrow.query(
        f"select {columns} from marts.fct_customer_changes where changed_on = date '{DAY}' "
        "order by change_key"
    )
    assert kept == old


def test_migration_adds_up_to_the_customers(built: Company, tomorrow: Company) -> None:
    for one in (built, tomorrow):
        rows = one.query("from marts.rpt_segment_migration order by period_start")
        customers = one.query("select count(*) as n from marts.dim_customers")[0]["n"]
        for period_type in ("month", "quarter"):
            last = max(r["period_start"] for r in rows if r["period_type"] == period_type)
            for dimension in ("segment", "stage"):
                closing = [r["closing"] for r in rows
                           if (r["period_type"], r["period_start"], r["dimension"])
                           == (period_type, last, dimension)]  # fmt: skip
                assert sum(closing) == customers
    months = {r["period_start"] for r in rows if r["period_type"] == "month"}
    # What is found as June begins is how May ended.
    assert months == {dt.date(2026, month, 1) for month in (5, 6, 7)}
    gone = tomorrow.query("from marts.rpt_segment_flows where to_value = '(gone)' "
                          "and period_type = 'month' and dimension = 'segment'")  # fmt: skip
    assert [r["customers"] for r in gone] == [1]


@pytest.mark.slow
def test_same_result_from_shuffled_rows_and_from_a_rerun(
    built: Company, company: Callable[[str], Company], tmp_path: Path
) -> None:
    rows = random_rows()
    for items in rows.values():
        random.Random(1).shuffle(items)
    # The history already holds this as_of, as after a run that is repeated.
    other = company("shuffled").prepare(rows, history=built.settings.marts)
    other.build()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert other.export(tmp_path / "a") == built.export(tmp_path / "b")


@pytest.mark.slow
def test_only_customers_and_orders(company: Callable[[str], Company]) -> None:
    rows = {name: random_rows()[name] for name in ("customers", "orders")}
    one = company("bare").prepare(rows, pack="service_desk").build()
    customers = one.query("from marts.dim_customers")
    assert customers
    for row in customers:
        assert row["interactions_long"] == row["tickets_long"] == row["open_tickets"] == 0
        unknown = ("interaction_rank", "last_satisfaction", "has_consent_marketing")
        assert [row[name] for name in unknown] == [None] * 3
        assert row["segment"]
        assert row["stage"]


@pytest.mark.slow
def test_nothing_loaded_at_all(company: Callable[[str], Company]) -> None:
    one = company("empty").prepare({}).build()
    assert one.query("select count(*) as n from marts.dim_customers") == [{"n": 0}]
    assert [r["customers"] for r in one.query("from marts.rpt_segment_shares")] == [0] * 4


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "Europe/London", "America/New_York", "Australia/Lord_Howe", "UTC"]
)
def test_local_time_agrees_with_the_time_zone_database(built: Company, zone: str) -> None:
    built.execute(f"update run.context set zone = '{zone}'")
    try:
        result = built.dbt("compile", "--inline", "select ts, {{ local_time('ts') }} as local "
                           "from (select unnest($times) as ts)")  # fmt: skip
        assert result.success, result.exception
    finally:
        built.execute("update run.context set zone = 'Asia/Shanghai'")
    rng = random.Random(3)
    start = dt.datetime.fromisoformat("1970-01-02")
    times = [
        start + dt.timedelta(minutes=30 * rng.randrange(2 * 24 * 365 * 57)) for _ in range(4000)
    ]
    with duckdb.connect() as con:
        compiled = result.result.results[0].node.compiled_code
        for at, local in con.execute(compiled, {"times": times}).fetchall():
            wanted = at.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert local == wanted, (zone, at)


def test_missing_setting_is_named(company: Callable[[str], Company], built: Company) -> None:
    built.execute("create table program.kept as from program.settings")
    built.execute("delete from program.settings where key = 'rfm.window'")
    try:
        result = built.dbt("compile", "--select", "int_customer_rfm")
    finally:
        built.execute("create or replace table program.settings as from program.kept")
        built.execute("drop table program.kept")
    assert not result.success
    assert "the program has no setting `rfm.window`" in (failures(result) + str(result.exception))


NOT_ANSWERED = {
    "tickets_about_to_break",
    "best_solution_by_problem",
    "pain_points_and_owners",
    "bought_together",
    "preferred_channels",
    "displaced_by_caps",
    "price_sensitive_by_favourite",
    "what_care_achieved",
    "what_came_back",
    "tasks_overdue",
    "replacements_by_product",
}


def test_every_example_question_has_an_answer(tomorrow: Company) -> None:
    files = sorted((DBT_PROJECT / "analyses").glob("*.sql"))
    unanswered = set()
    with duckdb.connect(str(tomorrow.settings.marts), read_only=True) as con:
        for file in files:
            text = file.read_text("utf-8")
            assert text.startswith("-- "), f"{file.name} does not begin with its question"
            if not con.execute(text).fetchall():
                unanswered.add(file.stem)
    # The random company has neither order lines nor answers on channels, nor addresses.
    assert unanswered <= NOT_ANSWERED, unanswered


def test_every_column_is_described_and_contracted(built: Company) -> None:
    manifest = json.loads((built.settings.build / "target/manifest.json").read_text("utf-8"))
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    assert len(models) > 30
    for model in models:
        relation = f'"{model["database"]}"."{model["schema"]}"."{model["name"]}"'
        actual = [r["column_name"] for r in built.query(f"describe {relation}")]
        assert list(model["columns"]) == actual, model["name"]
        undescribed = [c["name"] for c in model["columns"].values() if not c["description"]]
        assert not undescribed, (model["name"], undescribed)
        assert model["description"].startswith("One row"), model["name"]
        is_mart = model["schema"] == "main"
        assert model["contract"]["enforced"] is is_mart, model["name"]


def test_no_mart_has_a_personal_column(built: Company) -> None:
    personal = {
        c.name for e in entities().values() for c in e.columns.values() if e.personal or c.personal
    } - {"customer_id", "updated_at"}
    columns = built.query(
        "select table_name, column_name from information_schema.columns "
        "where table_catalog = 'marts'"
    )
    assert len(columns) > 100
    found = {(r["table_name"], r["column_name"]) for r in columns if r["column_name"] in personal}
    assert found == {("dim_products", "name"), ("rpt_segment_shares", "position")}


def test_models_have_no_clock_and_no_personal_source() -> None:
    for file in sorted(DBT_PROJECT.glob("m*/**/*.sql")):
        text = file.read_text("utf-8").lower()
        clock = re.search(r"\b(now\(|current_date|current_timestamp|today\(|getdate)", text)
        assert not clock, (file.name, clock)
        assert not re.search(r'source\("raw", "contacts"\)', text), file.name


def test_exposures_name_every_mart(built: Company) -> None:
    manifest = json.loads((built.settings.build / "target/manifest.json").read_text("utf-8"))
    used = {n for e in manifest["exposures"].values() for n in e["depends_on"]["nodes"]}
    marts = {k for k, n in manifest["nodes"].items()
             if n["resource_type"] == "model" and n["schema"] == "main"}  # fmt: skip
    assert marts == used
