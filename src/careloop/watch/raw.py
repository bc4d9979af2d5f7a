"""The raw entities of a round: the rows of its candidates, nothing personal, the rest empty."""

import duckdb

from careloop.contract import Entity, entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current, empty
from careloop.warehouse import quote

# Which rows of an entity are needed; what is not named here is left empty.
ONLY = {
    "customers": "semi join watch.customers using (customer_id)",
    "contacts": "semi join watch.customers using (customer_id)",
    "consents": "semi join watch.customers using (customer_id)",
    "orders": "semi join watch.orders using (order_id)",
    "tickets": "semi join watch.tickets using (ticket_id)",
    "ticket_events": "semi join watch.tickets using (ticket_id)",
    "surveys": "where customer_id in (from watch.customers) or ticket_id in (from watch.tickets)",
    "follow_ups": "semi join watch.customers using (customer_id)",
    "products": "where true",
    "staff": "where true",
    "benchmarks": "where true",
}


def write_raw(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Schema ``raw``. Only contacts keep what is personal: their addresses are looked up."""
    con.execute("create schema raw")
    for entity in entities().values():
        only = ONLY.get(entity.name)
        rows = current(lake, entity, only) if only else empty(entity)
        kept = "*" if entity.name == "contacts" else _kept(entity)
        con.execute(f"create table raw.{entity.name} as select {kept} from ({rows})")


def _kept(entity: Entity) -> str:
    personal = [c for c in entity.columns.values() if c.personal]
    if not personal:
        return "*"
    emptied = [f"null::{c.sql_type} as {quote(c.name)}" for c in personal]
    return f"* replace ({', '.join(emptied)})"
