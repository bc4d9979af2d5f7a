"""What is known of one customer that rules look at: read from the published version and the lake,
both only read."""

from dataclasses import dataclass, field
from datetime import date, datetime

import duckdb

from careloop.contract import entities
from careloop.errors import SettingsError
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.program.conditions import Condition, condition_sql
from careloop.program.model import Program
from careloop.published import open_published
from careloop.settings import Settings
from careloop.warehouse import Row, connect, names_of, rows_of

# Column of the customers entity that each anniversary is of; the first order's is not there.
ANNIVERSARIES = {
    "birthday": "birthday",
    "registration": "registered_at",
    "membership": "member_since",
    "company": "company_founded_on",
    "cooperation": "cooperation_start_on",
}
_ENTITIES = {
    "orders": (
        "order_id", "ordered_at", "status", "paid_at", "shipped_at", "promised_at",
        "delivered_at", "cancelled_at", "updated_at",
    ),
    "interactions": ("interaction_id", "occurred_at", "kind"),
    "tickets": (
        "ticket_id", "opened_at", "acknowledged_at", "first_response_at", "resolved_at",
        "closed_at", "kind", "urgency", "touchpoint",
    ),
    "surveys": ("response_id", "answered_at"),
    "follow_ups": ("follow_up_id", "done_at"),
}  # fmt: skip


@dataclass
class Facts:
    """as_of: UTC; nothing later is in it, except days to come. profile: the row of
    ``dim_customers``. holds: which conditions of rules hold now, None where it can't be said."""

    customer_id: str
    as_of: datetime
    as_of_on: date
    customer: Row = field(default_factory=dict)
    profile: Row = field(default_factory=dict)
    tags: dict[str, set[str]] = field(default_factory=dict)
    orders: list[Row] = field(default_factory=list)
    interactions: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)
    surveys: list[Row] = field(default_factory=list)
    follow_ups: list[Row] = field(default_factory=list)
    referrals: list[Row] = field(default_factory=list)
    replacements: list[Row] = field(default_factory=list)
    next_products: int = 0
    holds: dict[str, bool | None] = field(default_factory=dict)


def read_facts(settings: Settings, program: Program, customer_id: str) -> Facts:
    """Everything about one customer; raises SettingsError if the version doesn't know the id or
    was made by another pack."""
    con = open_published(settings)
    try:
        run = rows_of(con, "select * from rpt_run")[0]
        if run["pack"] != program.name:
            raise SettingsError(
                f"the published version is of {run['pack']}, not of {program.name}",
                f"add --program {run['pack']}, or run `careloop run` with {program.name}",
            )
        facts = Facts(customer_id, run["as_of_utc"], run["as_of_on"])
        _published(con, facts, program)
    finally:
        con.close()
    _from_lake(settings, facts)
    return facts


def _published(con: duckdb.DuckDBPyConnection, facts: Facts, program: Program) -> None:
    found = _of(con, facts, "select * from dim_customers")
    if not found:
        raise SettingsError(
            f"there is no customer {facts.customer_id} in the published version",
            '`careloop sql "select customer_id from dim_customers limit 10"` shows ids',
        )
    facts.profile = found[0]
    for row in _of(con, facts, "select * from fct_customer_tags"):
        facts.tags.setdefault(row["tag"], set()).add(row["value"])
    facts.replacements = _of(con, facts, "select * from fct_replacements_due", "due_on")
    facts.next_products = len(_of(con, facts, "select * from fct_customer_next_products"))
    facts.referrals = _of(
        con, facts, "select referrer_id as customer_id, * from fct_referral_rewards", "converted_at"
    )
    for rule in program.rules:
        conditions = (rule.audience.when, getattr(rule.trigger.condition, "when", None))
        for condition in conditions:
            if condition is not None:
                sql = condition_sql(condition)
                facts.holds[sql] = _holds(con, facts.customer_id, sql)


def _holds(con: duckdb.DuckDBPyConnection, customer_id: str, sql: str) -> bool | None:
    """Whether a condition holds by the published figures; None if they lack a measure."""
    try:
        query = f"select {sql} from dim_customers where customer_id = $id"
        return bool(con.execute(query, {"id": customer_id}).fetchall()[0][0])
    except duckdb.BinderException:
        return None


def holds(facts: Facts, condition: Condition) -> bool | None:
    """Whether a condition of a rule holds now."""
    return facts.holds.get(condition_sql(condition))


def _from_lake(settings: Settings, facts: Facts) -> None:
    lake, known = Lake(settings.lake), entities()
    con = connect(settings)
    try:
        customers = f"select * from ({current(lake, known['customers'])})"
        columns = names_of(["customer_id", *ANNIVERSARIES.values()])
        found = _of(con, facts, f"select {columns} from ({customers})")
        facts.customer = found[0] if found else {}
        for entity, wanted in _ENTITIES.items():
            columns = names_of(["customer_id", *wanted])
            rows = _of(con, facts, f"select {columns} from ({current(lake, known[entity])})")
            setattr(facts, entity, [_seen(row, facts.as_of) for row in rows])
    finally:
        con.close()
    facts.orders = [order for order in facts.orders if order["ordered_at"]]
    facts.interactions = [row for row in facts.interactions if row["occurred_at"]]


def _seen(row: Row, as_of: datetime) -> Row:
    """Without what happened after ``as_of``; a promise may lie ahead."""
    return {
        name: None
        if isinstance(value, datetime) and value > as_of and name != "promised_at"
        else value
        for name, value in row.items()
    }


def _of(con: duckdb.DuckDBPyConnection, facts: Facts, sql: str, order: str = "1, 2") -> list[Row]:
    """The customer's rows."""
    query = f"select * from ({sql}) where customer_id = $id order by {order}"
    return rows_of(con, query, {"id": facts.customer_id})
