"""Which cases a round looks at: those still open at the last refresh, and what changed since.

Schema ``watch`` of the round's warehouse: ``tickets``, ``orders`` and ``customers``, ids only; and
``open_tickets``, ``open_orders``, those of them that were open or changed themselves.
"""

import duckdb
import pyarrow as pa

from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.ledger.database import has_ledger, open_ledger
from careloop.ledger.escalations import open_ones
from careloop.program.base import rough_days
from careloop.program.model import Program
from careloop.program.service_rules import service_rules
from careloop.settings import Settings
from careloop.warehouse import literal, names_of

# What says that a row changed since; times that are planned or promised say nothing.
TIMES = {
    "tickets": (
        "opened_at",
        "automatic_response_at",
        "acknowledged_at",
        "handed_over_at",
        "first_response_at",
        "resolved_at",
        "closed_at",
        "archived_at",
        "updated_at",
    ),
    "ticket_events": ("at",),
    "surveys": ("asked_at", "answered_at"),
    "follow_ups": ("done_at",),
    "orders": (
        "ordered_at",
        "paid_at",
        "shipped_at",
        "delivered_at",
        "cancelled_at",
        "updated_at",
    ),
}
DAY = 86_400


def find_candidates(
    con: duckdb.DuckDBPyConnection, settings: Settings, lake: Lake, program: Program
) -> None:
    """Fill schema ``watch``. The version is attached as ``published``; ``run.context`` is there."""
    con.execute("create schema watch")
    _write_escalated(con, settings)
    con.execute(
        "create table watch.since as select "
        "(select as_of_utc from run.context) as until, "
        "(select as_of_utc from published.rpt_run) as as_of, "
        "coalesce((select max(batch_seq) from published.rpt_loads), 0) as batch"
    )
    con.execute(
        "alter table watch.since add column missed_from timestamp; "
        f"update watch.since set missed_from = as_of - to_seconds({_missed_for(program)})"
    )
    for entity in ("ticket_events", "surveys", "follow_ups"):
        con.execute(f"create temp table changed_{entity} as {_changed(lake, entity, program)}")
    # The one look at all tickets, and at all orders.
    con.execute(
        "create temp table all_tickets as select ticket_id, customer_id, opened_at, "
        "coalesce(resolved_at > until, true) and coalesce(closed_at > until, true) as is_open, "
        f"coalesce({_is_changed('tickets')}, false) as is_changed, "
        f"{_falls_due(program, 'ticket_opened', 'opened_at')} "
        f"or {_falls_due(program, 'ticket_solved', 'resolved_at')} as falls_due "
        f"from ({current(lake, entities()['tickets'])}), watch.since where opened_at <= until"
    )
    con.execute(f"create temp table some_orders as {_some_orders(lake, program)}")
    con.execute(f"create table watch.open_tickets as {_tickets(con, program)}")
    con.execute(f"create table watch.open_orders as {_orders(con)}")
    con.execute(f"create table watch.customers as {_customers(con, lake)}")
    # Other open tickets of the customers: a complaint mutes, and some rules wait for the end.
    con.execute(
        "create table watch.tickets as select ticket_id from watch.open_tickets union "
        "select ticket_id from all_tickets semi join watch.customers using (customer_id) "
        "where is_open"
    )
    con.execute(
        "create table watch.orders as select order_id from watch.open_orders union "
        f"select order_id from ({current(lake, entities()['orders'])}) "
        "semi join watch.customers_of_cases using (customer_id)"
    )


def _missed_for(program: Program) -> int:
    """Seconds that a missed promise is looked at after a case is over otherwise: until the last
    step of its escalation, and a week."""
    steps = [rough_days(step.after) for step in program.sla.escalation if step.after]
    return int((max(steps, default=0) + 7) * DAY)


def _write_escalated(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Cases that are escalated and not over yet, as far as the ledger knows."""
    columns = ("case_kind", "case_id", "customer_id")
    rows: list[dict[str, str]] = []
    if has_ledger(settings):
        with open_ledger(settings) as ledger, ledger.read() as read:
            rows = open_ones(read, columns)
    data = pa.table({c: pa.array([row[c] for row in rows], pa.string()) for c in columns})
    con.register("careloop_escalated", data)
    con.execute("create table watch.escalated as select distinct * from careloop_escalated")
    con.unregister("careloop_escalated")


def _falls_due(program: Program, event: str, time: str) -> str:
    """Whether a rule that waits some time after the event may fall due between the version and
    now; what was due before, the version has decided."""
    spans = [
        (rough_days(after), _uncertain(after))
        for rule in service_rules(program)
        if rule.trigger.event and rule.trigger.event.name == event
        for after in [rule.trigger.event.after]
        if after
    ]
    tests = (
        f'("{time}" > as_of - to_seconds({int((days + more) * DAY)}) '
        f'and "{time}" <= until - to_seconds({int((days - min(more, 1)) * DAY)}))'
        for days, more in spans
    )
    return f"coalesce({' or '.join(tests) or 'false'}, false)"


def _uncertain(duration: str) -> float:
    """Days by which a duration may be longer than it says: days end with the local day, and
    working days are more over holidays."""
    if duration.endswith("wd"):
        return 1 + rough_days(duration)
    return 0 if duration[-1] in "smh" else 1


def _changed(lake: Lake, name: str, program: Program) -> str:
    """Keys of the rows that came after the version, or whose times say that they changed; of
    surveys also those whose answer a rule waited for."""
    entity = entities()[name]
    keys = [*(c for c in ("ticket_id", "order_id", "customer_id") if c in entity.columns)]
    due = _falls_due(program, "low_score", "answered_at") if name == "surveys" else "false"
    return (
        f"select distinct {names_of(keys)} "
        f"from ({current(lake, entity)}), watch.since "
        f"where {_is_changed(name)} or {due}"
    )


def _is_changed(name: str) -> str:
    times = " or ".join(f'("{t}" > as_of and "{t}" <= until)' for t in TIMES[name])
    return f"(_batch > batch or {times})"


def _tickets(con: duckdb.DuckDBPyConnection, program: Program) -> str:
    window = int(rough_days(program.emergency.in_window) * DAY) + DAY
    parts = [
        "select ticket_id from all_tickets where is_changed or falls_due",
        "select ticket_id from changed_ticket_events",
        "select ticket_id from changed_surveys where ticket_id is not null",
        "select case_id from watch.escalated where case_kind = 'ticket'",
        # A contact that names no ticket may be the call about any of the customer's.
        "select ticket_id from all_tickets semi join (select customer_id from changed_follow_ups "
        "where ticket_id is null) using (customer_id)",
        "select ticket_id from changed_follow_ups where ticket_id is not null",
        # Several tickets within some time are an incident.
        "select ticket_id from all_tickets, watch.since "
        f"where opened_at > as_of - to_seconds({window})",
    ]
    if _has(con, "fct_ticket_clocks"):
        parts.append(
            "select ticket_id from published.fct_ticket_clocks, watch.since "
            "where is_open and coalesce(breached_at > missed_from, true)"
        )
    parts.append("select ticket_id from published.fct_tickets where is_open")
    if _has(con, "fct_incidents"):
        # One that goes on is known by its first ticket.
        parts.append(
            "select ticket_id from all_tickets, "
            "(select min(first_ticket_at) as began from published.fct_incidents "
            f"where last_ticket_at > (select as_of from watch.since) - to_seconds({window})) "
            "where opened_at >= began"
        )
    return " union ".join(parts)


def _some_orders(lake: Lake, program: Program) -> str:
    """Orders that changed, or may be late or stand still: not delivered yet. One that was lost
    longer ago than any rule looks back is left alone."""
    back = _look_back(program)
    resting = int(rough_days(program.late_delivery.no_movement_after) * DAY)
    return (
        f"select order_id, customer_id, coalesce({_is_changed('orders')}, false) as is_changed "
        f"from ({current(lake, entities()['orders'])}), watch.since where {_is_changed('orders')} "
        "or (delivered_at is null and cancelled_at is null "
        "and coalesce(status not in ('delivered', 'completed', 'cancelled', 'returned'), true) "
        f"and coalesce(promised_at, shipped_at, ordered_at) > as_of - to_seconds({back}) "
        "and ordered_at <= until and (coalesce(promised_at, shipped_at, ordered_at) <= until "
        f"or ordered_at <= until - to_seconds({resting})))"
    )


def _orders(con: duckdb.DuckDBPyConnection) -> str:
    parts = [
        "select order_id from some_orders",
        "select case_id from watch.escalated where case_kind = 'order'",
    ]
    if _has(con, "fct_case_clocks"):
        parts.append(
            "select case_id from published.fct_case_clocks, watch.since "
            "where case_kind = 'order' and is_open and coalesce(breached_at > missed_from, true)"
        )
    if _has(con, "fct_late_deliveries"):
        parts.append("select order_id from published.fct_late_deliveries where state <> 'lost'")
    return " union ".join(parts)


def _look_back(program: Program) -> int:
    """Seconds before the version's as_of that an order may have been promised for."""
    late = program.late_delivery
    spans = [late.lost_after, late.tell_within, *([late.late_after] if late.late_after else [])]
    waits = [
        rough_days(rule.trigger.event.until)
        for rule in program.rules
        if rule.trigger.event and rule.trigger.event.name.startswith("delivery_")
    ]
    days = sum(map(rough_days, spans)) + max(waits, default=0) + late.promise_days + 7
    return int(days * DAY)


def _customers(con: duckdb.DuckDBPyConnection, lake: Lake) -> str:
    # Of these every order is needed: who has a first deal, and when.
    of_cases = [
        "select customer_id from watch.escalated where case_kind in ('customer', 'alert')",
        "select customer_id from some_orders anti join (select customer_id "
        "from published.dim_customers where first_order_on is not null) using (customer_id) "
        "where is_changed",
    ]
    if _has(con, "fct_case_clocks"):
        of_cases.append(
            "select customer_id from published.fct_case_clocks, watch.since where is_open "
            "and case_kind in ('customer', 'alert') and coalesce(breached_at > missed_from, true)"
        )
    con.execute(
        "create table watch.customers_of_cases as select distinct customer_id "
        f"from ({' union '.join(of_cases)}) where customer_id is not null"
    )
    orders = current(lake, entities()["orders"])
    return " union ".join(
        [
            "select customer_id from all_tickets semi join watch.open_tickets using (ticket_id) "
            "where customer_id is not null",
            f"select customer_id from ({orders}) semi join watch.open_orders using (order_id)",
            "select customer_id from changed_surveys where customer_id is not null",
            "select customer_id from changed_follow_ups",
            "select customer_id from watch.customers_of_cases",
        ]
    )


def _has(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the published version has the table."""
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = 'published' "
        f"and schema_name = 'main' and table_name = {literal(table)}"
    ).fetchall()
    return bool(found)
