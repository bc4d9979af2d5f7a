"""Marts of the review over rows made up for them: balances, cohorts, the care program, cases."""

import datetime as dt
import random
from collections import Counter
from decimal import Decimal

import duckdb
import pytest

from careloop.contract import entities
from careloop.ledger.mirror import LEDGER_TABLES
from careloop.program.load import load_program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import rows_of
from jinja_sql import Models

AS_OF = dt.datetime(2026, 10, 31, 16)
UPSTREAM = {
    "int_orders": "order_id varchar, customer_id varchar, ordered_at timestamp, "
    "is_counted boolean, amount_program decimal(18, 4)",
    "int_customer_orders": "customer_id varchar, first_order_at timestamp",
    "int_customer_profile": "customer_id varchar, is_strategic boolean, spend_rank double",
    "stg_interactions": "customer_id varchar, occurred_at timestamp",
    "dim_calendar": "day date, month_start date, quarter_start date",
    "fct_customer_changes": CARRIED["customer_changes"][1],
    "fct_care_decisions": "decision_key varchar, rule varchar, outcome varchar, gate varchar, "
    "as_of timestamp, as_of_on date",
    "fct_care_deliveries": "message_id varchar, rule varchar, kind varchar, customer_id varchar, "
    "offer varchar, contact_on date, sent_at timestamp, is_opened boolean, is_clicked boolean, "
    "is_replied boolean, is_answered boolean, is_bounced boolean, is_unsubscribed boolean, "
    "conversion_event varchar, conversion varchar, conversion_value decimal(18, 4)",
    "register_follow_ups": "task_id varchar, origin varchar, customer_id varchar, state varchar, "
    "done_at timestamp",
    "int_kpi_periods": "period_type varchar, period_start date, starts_at timestamp, "
    "ends_at timestamp, is_over boolean",
    "int_kpi_standings": "customer_id varchar, valid_from timestamp, valid_until timestamp, "
    "segment varchar",
    "fct_cases": "case_id varchar, case_kind varchar, kind varchar, category varchar, "
    "touchpoint varchar, urgency varchar, department varchar, opened_at timestamp, "
    "opened_on date, solved_at timestamp, confirmed_at timestamp, is_resolved boolean, "
    "is_dissatisfied boolean, satisfaction decimal(5, 4), confirmation varchar, "
    "resolution varchar",
    "int_ticket_outcomes": "ticket_id varchar, is_reopened boolean",
}


def local(text: str) -> dt.datetime:
    """UTC of a local time in Shanghai."""
    return dt.datetime.fromisoformat(text) - dt.timedelta(hours=8)


class Marts:
    """One company's tables in memory, as of 2026-11-01 in Shanghai."""

    def __init__(self, pack: str = "retail_care") -> None:
        self.con = duckdb.connect()
        self.program = load_program(PROJECT_ROOT / "programs" / pack)
        for schema in ("raw", "run", "ledger", "staging", "intermediate", "marts"):
            self.con.execute(f"create schema {schema}")
        for entity in entities().values():
            columns = ", ".join(f'"{c.name}" {c.sql_type}' for c in entity.columns.values())
            self.con.execute(f"create table raw.{entity.name} ({columns})")
        self.con.execute(
            "create table run.context as select 'r' as run_id, ?::timestamp as as_of_local, "
            "?::timestamp as as_of_utc, ?::date as as_of_date, ? as zone, ? as pack, "
            "'h' as pack_hash, 'CNY' as currency, 'zh-CN' as locale",
            [AS_OF + dt.timedelta(hours=8), AS_OF, dt.date(2026, 11, 1), self.program.zone, pack],
        )
        self.con.execute(
            "create table run.erasures (customer_id varchar, erased_at timestamp); "
            "create table run.previous_decisions (decision_key varchar, as_of_on date); "
            f"create table run.previous_care_days ({CARRIED['care_days'][1]})"
        )
        for table, columns in LEDGER_TABLES.items():
            self.con.execute(f"create table ledger.{table} ({columns})")
        first, last = dt.date(2024, 1, 1), dt.date(2027, 1, 1)
        write_program_tables(self.con, self.program, first, last)
        self.models = Models(DBT_PROJECT, self.con)
        for name, columns in UPSTREAM.items():
            self.con.execute(f"create table {self.models.place(name)} ({columns})")
        self.con.execute(
            f"insert into {self.models.place('dim_calendar')} select day, "
            "date_trunc('month', day), date_trunc('quarter', day) "
            "from (select unnest(generate_series(date '2025-01-01', date '2026-12-31', "
            "interval 1 day))::date as day)"
        )

    def add(self, model: str, columns: str, *rows: tuple) -> None:
        place = self.models.place(model) if model in UPSTREAM else model
        marks = ", ".join("?" * len(columns.split(", ")))
        if rows:
            self.con.executemany(f"insert into {place} ({columns}) values ({marks})", rows)

    def rows(self, model: str, where: str = "true") -> list[dict]:
        return rows_of(self.con, f"from {self.models.place(model)} where {where}")

    def changes(self, dimension: str, *rows: tuple[str, str | None, str | None, str]) -> None:
        """Customer, from, to, local day."""
        values = [
            (f"{who} {dimension} {day}", who, dimension, before, after,
             dt.date.fromisoformat(day), local(day),
             "no longer in the data" if after is None and dimension == "segment" else "why")
            for who, before, after, day in rows
        ]  # fmt: skip
        self.add(
            "fct_customer_changes",
            "change_key, customer_id, dimension, from_value, to_value, changed_on, as_of, reason",
            *values,
        )


@pytest.fixture(scope="module")
def marts() -> Marts:
    return Marts()


def test_migration_reconciles_with_new_moved_erased_and_gone() -> None:
    one = Marts()
    one.changes(
        "segment",
        ("a", None, "new", "2026-07-02"), ("a", "new", "core", "2026-08-03"),
        ("b", None, "core", "2026-07-02"), ("b", "core", None, "2026-08-10"),
        # Erased on 20 August; what the pseudonym does later is nobody's movement.
        ("erased-c", None, "core", "2026-07-02"), ("erased-c", "core", "dormant", "2026-09-05"),
        # Erased before the first run, and erased only after as_of.
        ("erased-d", None, "new", "2026-08-02"), ("erased-e", None, "new", "2026-08-02"),
        # Erased, and then gone from the data.
        ("erased-f", None, "new", "2026-07-02"), ("erased-f", "new", None, "2026-10-02"),
    )  # fmt: skip
    one.add(
        "run.erasures", "customer_id, erased_at",
        ("erased-c", local("2026-08-20T10:00")), ("erased-d", local("2026-07-20")),
        ("erased-e", local("2026-11-03")), ("erased-f", local("2026-09-30T23:30")),
    )  # fmt: skip
    one.models.run("rpt_segment_flows", "rpt_segment_migration")
    rows = one.rows("rpt_segment_migration")
    parts = ("opening", "new_customers", "entered", "departed", "erased", "left_data", "closing")
    for row in rows:
        assert row["opening"] + row["new_customers"] + row["entered"] - row["departed"] \
            - row["erased"] - row["left_data"] == row["closing"], row  # fmt: skip
        assert min(row[part] for part in parts) >= 0
    found = {
        (r["period_start"].isoformat(), r["value"]): tuple(r[part] for part in parts)
        for r in rows
        if r["period_type"] == "month" and r["dimension"] == "segment"
    }
    assert found["2026-08-01", "core"] == (2, 0, 1, 0, 1, 1, 1)
    assert found["2026-08-01", "new"] == (2, 1, 0, 1, 0, 0, 2)
    assert found["2026-08-01", "(erased)"] == (0, 1, 1, 0, 0, 0, 2)
    assert found["2026-09-01", "new"] == (2, 0, 0, 0, 1, 0, 1)
    assert found["2026-09-01", "dormant"] == (0, 0, 0, 0, 0, 0, 0)
    assert found["2026-10-01", "(erased)"] == (3, 0, 0, 0, 0, 1, 2)
    for key in {(r["period_type"], r["period_start"], r["dimension"]) for r in rows}:
        mine = [r for r in rows if (r["period_type"], r["period_start"], r["dimension"]) == key]
        shares = [r["actual_share"] for r in mine if r["actual_share"] is not None]
        assert sum(shares) == pytest.approx(1 if any(r["closing"] for r in mine) else 0)


def test_what_a_run_finds_as_a_quarter_begins_is_of_the_one_that_ended() -> None:
    # Else a history of monthly runs shows every quarter's customers as they were a month before.
    one = Marts()
    one.changes(
        "segment",
        ("a", None, "new", "2026-07-01"), ("a", "new", "core", "2026-10-01"),
        ("b", None, "new", "2026-07-01"), ("b", "new", "core", "2026-10-02"),
    )  # fmt: skip
    one.models.run("rpt_segment_flows", "rpt_segment_migration")
    found = {
        (r["period_start"].isoformat(), r["value"]): (r["opening"], r["closing"])
        for r in one.rows("rpt_segment_migration", "period_type = 'quarter'")
        if r["dimension"] == "segment"
    }
    assert found["2026-04-01", "new"] == (0, 2)
    assert found["2026-07-01", "new"] == (2, 1)
    assert found["2026-07-01", "core"] == (0, 1)
    assert found["2026-10-01", "core"] == (1, 2)


def test_retention_is_what_counting_by_hand_gives(marts: Marts) -> None:
    rng = random.Random(3)
    orders = [
        (f"o{i}", f"c{rng.randrange(40)}", local("2025-01-15") + dt.timedelta(
            seconds=rng.randrange(56_000_000)), rng.random() < 0.9)
        for i in range(400)
    ]  # fmt: skip
    orders = [o for o in orders if o[2] < AS_OF]
    marts.add("int_orders", "order_id, customer_id, ordered_at, is_counted", *orders)
    firsts: dict[str, dt.datetime] = {}
    months: dict[str, set[int]] = {}
    for _, who, at, counted in orders:
        if counted:
            firsts[who] = min(firsts.get(who, at), at)
            day = at + dt.timedelta(hours=8)
            months.setdefault(who, set()).add(day.year * 12 + day.month)
    marts.add("int_customer_orders", "customer_id, first_order_at", *firsts.items())
    marts.models.run("rpt_retention")
    rows = marts.rows("rpt_retention")
    cohorts = Counter(min(mine) for mine in months.values())
    assert sum(r["customers"] for r in rows if r["months_since"] == 0) == len(months)
    for row in rows:
        cohort = row["cohort_month"].year * 12 + row["cohort_month"].month
        month = cohort + row["months_since"]
        people = [mine for mine in months.values() if min(mine) == cohort]
        assert row["customers"] == cohorts[cohort]
        assert row["retained"] == sum(month in mine for mine in people)
        assert row["returned"] == sum(any(cohort < m <= month for m in mine) for mine in people)
        assert row["is_complete"] == (month < 2026 * 12 + 11)
    now = 2026 * 12 + 11
    assert len(rows) == sum(now - cohort + 1 for cohort in cohorts)


def test_value_is_the_spend_of_the_segment_at_the_beginning() -> None:
    one = Marts()
    periods = [("month", f"2026-{m:02}-01", f"2026-{m + 1:02}-01") for m in (7, 8, 9, 10)]
    periods += [("quarter", "2026-07-01", "2026-10-01"), ("quarter", "2026-10-01", "2027-01-01")]
    one.add(
        "int_kpi_periods", "period_type, period_start, starts_at, ends_at, is_over",
        *[(k, s, local(s), local(e), e <= "2026-11-01") for k, s, e in periods],
    )  # fmt: skip
    one.add(
        "int_kpi_standings", "customer_id, valid_from, valid_until, segment",
        ("a", None, local("2026-08-01"), "new"), ("a", local("2026-08-01"), None, "core"),
        ("b", None, None, "new"),
    )  # fmt: skip
    orders = [
        ("1", "a", local("2026-07-01T00:00"), True, 10), ("2", "a", local("2026-08-05"), True, 20),
        ("3", "b", local("2026-07-31T23:59"), True, 5), ("4", "b", local("2026-10-01"), True, 7),
        ("5", "b", local("2026-09-01"), False, 99), ("6", "x", local("2026-10-02"), True, None),
    ]  # fmt: skip
    one.add("int_orders", "order_id, customer_id, ordered_at, is_counted, amount_program", *orders)
    one.add(
        "int_customer_orders", "customer_id, first_order_at",
        ("a", local("2026-01-01")), ("b", local("2026-07-31T23:59")), ("x", local("2026-10-02")),
    )  # fmt: skip
    one.models.run("rpt_value")
    rows = one.rows("rpt_value")
    found = {
        (r["period_type"][0], r["period_start"].isoformat(), r["segment"]):
        (r["buyers"], r["new_buyers"], r["orders"], r["spend"], r["spend_known"])
        for r in rows
    }  # fmt: skip
    assert found["m", "2026-07-01", "new"] == (2, 1, 2, 15, 10)
    assert found["m", "2026-08-01", "core"] == (1, 0, 1, 20, 20)
    assert found["q", "2026-07-01", "new"] == (2, 1, 3, 35, 30)
    assert found["q", "2026-10-01", "(unknown)"] == (1, 1, 1, 0, 0)
    for key in {(r["period_type"], r["period_start"]) for r in rows}:
        mine = [r["spend_share"] for r in rows if (r["period_type"], r["period_start"]) == key]
        assert sum(mine) == pytest.approx(1)


def test_an_occasion_comes_up_once_and_days_are_replaced(marts: Marts) -> None:
    marts.add(
        "run.previous_care_days", "as_of_on, rule, outcome, gate, decisions, came_up, as_of",
        ("2026-10-30", "welcome", "send", "(none)", 5, 5, local("2026-10-30")),
        ("2026-11-01", "welcome", "send", "(none)", 9, 9, local("2026-10-31T23:00")),
    )  # fmt: skip
    marts.add("run.previous_decisions", "decision_key, as_of_on", ("old", "2026-10-30"))
    day = dt.date(2026, 11, 1)
    marts.add(
        "fct_care_decisions", "decision_key, rule, outcome, gate, as_of, as_of_on",
        ("old", "welcome", "blocked", "caps", AS_OF, day),
        ("new", "welcome", "blocked", "caps", AS_OF, day),
        ("other", "welcome", "withheld", "holdout", AS_OF, day),
    )  # fmt: skip
    marts.models.run("rpt_care_days")
    found = {
        (r["as_of_on"].isoformat(), r["gate"]): (r["decisions"], r["came_up"])
        for r in marts.rows("rpt_care_days")
    }
    assert found == {
        ("2026-10-30", "(none)"): (5, 5),
        ("2026-11-01", "caps"): (2, 1),
        ("2026-11-01", "holdout"): (1, 1),
    }


def test_the_care_program_adds_up_to_the_ledger() -> None:
    one = Marts()
    rng = random.Random(5)
    rules = [rule.id for rule in one.program.rules][:6]
    offers = [None, "birthday_coupon", "return_discount", "welcome_pack"]
    messages, tasks = [], []
    for i in range(300):
        kind = rng.choice(("send", "task"))
        day = dt.date(2026, 4, 1) + dt.timedelta(days=rng.randrange(210))
        sent = local(day.isoformat()) if rng.random() < 0.8 else None
        conversion = rng.choice(("converted", "not_converted", "open", "not_counted"))
        conversion = conversion if sent else "not_counted"
        messages.append(
            (f"m{i}", rng.choice(rules), kind, rng.choice(offers), day, sent,
             *(bool(sent) and rng.random() < 0.3 for _ in range(6)), "order", conversion,
             Decimal(rng.randrange(100)) if conversion == "converted" else None)
        )  # fmt: skip
        if kind == "task":
            tasks.append((f"m{i}", "careloop", rng.choice(("done", "open", "overdue"))))
    one.add(
        "fct_care_deliveries",
        "message_id, rule, kind, offer, contact_on, sent_at, is_opened, is_clicked, is_replied, "
        "is_answered, is_bounced, is_unsubscribed, conversion_event, conversion, conversion_value",
        *messages,
    )
    one.add("register_follow_ups", "task_id, origin, state", *tasks)
    exposures = [
        (f"d{i}", f"c{i % 30}", rng.choice(rules), rng.choice(("holdout", "treated")),
         local("2026-04-01") + dt.timedelta(days=rng.randrange(200)))
        for i in range(80)
    ]  # fmt: skip
    one.add("ledger.exposures", "decision_key, customer_id, rule, arm, as_of", *exposures)
    one.con.execute(f"create table {one.models.place('rpt_care_days')} ({CARRIED['care_days'][1]})")
    one.con.execute(
        f"insert into {one.models.place('rpt_care_days')} values "
        "('2026-07-03', 'gone_rule', 'blocked', 'caps', 7, 4, '2026-07-02 16:00'), "
        "('2026-07-03', 'gone_rule', 'withheld', 'holdout', 3, 2, '2026-07-02 16:00'), "
        "('2026-08-03', 'gone_rule', 'send', '(none)', 6, 6, '2026-08-02 16:00')"
    )
    one.models.run("rpt_care_program")
    rows = one.rows("rpt_care_program")
    for kind in ("month", "quarter"):
        mine = [r for r in rows if r["period_type"] == kind]
        sums = Counter()
        for row in mine:
            sums.update({k: v for k, v in row.items() if isinstance(v, (int, Decimal)) and v})
        sent = [m for m in messages if m[2] == "send" and m[5]]
        assert sums["planned"] == len(messages)
        assert sums["messages_sent"] == len(sent)
        assert sums["messages_opened"] == sum(m[6] or m[7] for m in sent)
        assert sums["tasks"] == len(tasks)
        assert sums["tasks_done"] == sum(t[2] == "done" for t in tasks)
        assert sums["converted"] == sum(m[13] == "converted" for m in messages)
        assert sums["conversion_value"] == sum(m[14] or 0 for m in messages)
        assert sums["offers_given"] == sum(bool(m[3] and m[5]) for m in messages)
        assert sums["withheld"] == sum(e[3] == "holdout" for e in exposures)
        assert (sums["came_up"], sums["stopped_caps"]) == (12, 4)
    gone = next(r for r in rows if r["rule"] == "gone_rule" and r["period_type"] == "quarter")
    assert (gone["title_en"], gone["days_decided"], gone["came_up_allowed"]) == ("gone_rule", 2, 6)
    _check_costs(messages, rows)


def _check_costs(messages: list[tuple], rows: list[dict]) -> None:
    """Known only where every offer given and converted is worth something in the pack."""
    for row in (r for r in rows if r["period_type"] == "month"):
        month = row["period_start"]
        mine = [m for m in messages if m[1] == row["rule"] and m[4].replace(day=1) == month]
        used = [m for m in mine if m[3] and m[5] and m[13] == "converted"]
        if any(m[3] == "welcome_pack" for m in used):
            assert row["offer_cost_at_most"] is None
        else:
            # 20 of the coupon; 20 % off: a quarter of what was paid.
            cost = sum(20 if m[3] == "birthday_coupon" else float(m[14]) / 4 for m in used)
            assert float(row["offer_cost_at_most"]) == pytest.approx(cost, abs=1e-3)


def test_churn_cases_are_saved_lost_or_eased() -> None:
    one = Marts()
    one.changes(
        "churn_level",
        # Saved by an order; the case has the highest level it reached.
        ("a", None, "low", "2026-07-05"), ("a", "low", "high", "2026-07-10"),
        ("a", "high", "low", "2026-07-20"), ("a", "low", None, "2026-08-02"),
        # Again, and open.
        ("a", None, "low", "2026-09-01"),
        # Lost: the last order is long ago. Eased: it is not. Gone. Never bought.
        ("b", None, "medium", "2026-07-05"), ("b", "medium", None, "2026-10-05"),
        ("c", None, "medium", "2026-07-05"), ("c", "medium", None, "2026-10-05"),
        ("d", None, "medium", "2026-07-05"), ("e", None, "medium", "2026-07-05"),
        ("e", "medium", None, "2026-08-05"),
    )  # fmt: skip
    one.add(
        "fct_customer_changes",
        "change_key, customer_id, dimension, from_value, to_value, changed_on, as_of, reason",
        ("x", "d", "churn_level", "medium", None, dt.date(2026, 8, 9), local("2026-08-09"),
         "no longer in the data"),
    )  # fmt: skip
    one.add(
        "int_orders", "order_id, customer_id, ordered_at, is_counted",
        ("1", "a", local("2026-07-30"), True), ("2", "a", local("2026-01-30"), True),
        ("3", "b", local("2025-06-01"), True), ("4", "c", local("2026-05-01"), True),
        ("5", "c", local("2026-07-07"), False),
    )  # fmt: skip
    one.add("int_customer_profile", "customer_id, is_strategic, spend_rank",
            ("a", False, 0.95), ("b", True, 0.1), ("c", False, 0.5), ("e", False, None))  # fmt: skip
    one.add("register_follow_ups", "task_id, customer_id, done_at",
            ("t1", "a", local("2026-07-06")), ("t2", "b", local("2026-10-06")))  # fmt: skip
    one.models.run("rpt_churn_cases")
    rows = one.rows("rpt_churn_cases")
    for r in rows:
        assert r["opening"] + r["opened"] - r["saved"] - r["lost"] - r["eased"] - r["gone"] \
            == r["closing"]  # fmt: skip
    parts = ("opening", "opened", "contacted", "saved", "lost", "eased", "gone", "closing",
             "high_value_opened", "high_value_saved", "high_value_lost", "high_value_closing")  # fmt: skip
    found = {
        (r["period_start"].month, r["level"]): tuple(r[p] for p in parts)
        for r in rows
        if r["period_type"] == "quarter"
    }
    assert found[7, "high"] == (0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0)
    assert found[7, "medium"] == (0, 4, 0, 0, 0, 1, 1, 2, 1, 0, 0, 1)
    assert found[7, "low"] == (0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1)
    assert found[10, "medium"] == (2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)
    assert found[10, "low"] == (1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1)


def test_cases_of_note_are_few_ranked_and_counted() -> None:
    one = Marts()
    steps = [step.id for step in one.program.sla.escalation]
    for i in range(9):
        opened = local(f"2026-08-{i + 1:02}")
        one.add(
            "fct_cases",
            "case_id, case_kind, kind, opened_at, opened_on, solved_at, is_resolved, "
            "is_dissatisfied, satisfaction, confirmation",
            (f"t{i}", "ticket", "complaint" if i % 2 else "enquiry", opened,
             dt.date(2026, 8, i + 1), opened + dt.timedelta(hours=30), True, i == 8,
             Decimal(1) if i < 7 else None, "satisfied" if i < 2 or i >= 7 else None),
        )  # fmt: skip
        one.add("int_ticket_outcomes", "ticket_id, is_reopened", (f"t{i}", i == 6))
    one.add(
        "ledger.escalations", "escalation_id, case_kind, case_id, level, raised_at",
        ("1", "ticket", "t1", "warning", local("2026-08-02")),
        ("2", "ticket", "t2", steps[0], local("2026-08-03")),
        ("3", "ticket", "t3", steps[0], local("2026-08-04")),
        ("4", "ticket", "t3", steps[-1], local("2026-09-05")),
        ("5", "ticket", "t4", steps[-1], local("2026-11-05")),
        ("6", "order", "t5", steps[-1], local("2026-08-05")),
    )  # fmt: skip
    one.models.run("rpt_cases_of_note")
    rows = one.rows("rpt_cases_of_note", "period_type = 'quarter'")
    raised = {r["case_id"]: r for r in rows if r["note"] == "escalated"}
    assert {name: r["place"] for name, r in raised.items()} == {"t3": 1, "t2": 2}
    assert (raised["t3"]["level"], raised["t3"]["escalations"]) == (steps[-1], 2)
    praised = sorted((r["place"], r["case_id"]) for r in rows if r["note"] == "praised")
    # t6 was reopened, t8 is dissatisfied; both answers first, then complaints, then the latest.
    assert [case for _, case in praised] == ["t1", "t0", "t7", "t5", "t3"]
    assert {r["cases_noted"] for r in rows if r["note"] == "praised"} == {7}
    assert {float(r["hours_to_solution"]) for r in rows} == {30.0}
