"""What a round takes from the last refresh: written with each published version, read by rounds.

Marts are in the version anyway. Intermediate relations are kept in its schema ``watch``: whole, or
without rows where the customers' own mart has the same, or the rules of service look at none.
"""

import duckdb

from careloop.errors import SettingsError
from careloop.settings import Settings
from careloop.transform.dbt import manifest
from careloop.transform.prepare import CARRIED
from careloop.warehouse import connect, literal, quote
from careloop.watch.models import Selection, selection

SCHEMA = "watch"
# One row per customer; what the models of the watch read of them dim_customers has, too.
OF_CUSTOMERS = (
    "int_care_customers",
    "int_customer_profile",
    "int_customer_segments",
    "int_customer_loyalty",
)
# Only looked at for rules that the watch leaves to the refresh.
NOT_NEEDED = (
    "int_customer_interactions",
    "int_customer_points",
    "fct_replacements_due",
)


def keep_inputs(settings: Settings) -> None:
    """Write schema ``watch`` into the marts that are about to be published; nothing in it is
    personal."""
    names = selection(manifest(settings)).intermediate
    with connect(settings, settings.marts) as con:
        con.execute(f"attach {literal(settings.warehouse)} as warehouse (read_only)")
        con.execute(f"create schema if not exists {SCHEMA}")
        for name in names:
            rows = "limit 0" if name in (*OF_CUSTOMERS, *NOT_NEEDED) else ""
            con.execute(
                f"create or replace table {SCHEMA}.{quote(name)} as "
                f"from warehouse.intermediate.{quote(name)} {rows}"
            )
        con.execute("detach warehouse")


def write_history(con: duckdb.DuckDBPyConnection) -> None:
    """Tables ``run.previous_…``, empty."""
    for name, (_, columns) in CARRIED.items():
        con.execute(f"create table run.previous_{name} ({columns})")


def take_inputs(con: duckdb.DuckDBPyConnection, wanted: Selection) -> None:
    """Create what the models read from the version that is attached as ``published``; of
    customers only those in ``watch.customers``. Raises SettingsError for a version of an earlier
    release."""
    there = _columns_of(con)
    con.execute("create schema if not exists intermediate")
    for name in wanted.intermediate:
        _take(con, there, f"{SCHEMA}.{name}", f"intermediate.{name}")
    for name in wanted.marts:
        _take(con, there, f"main.{name}", f"marts.main.{name}")
    for name in wanted.history:
        table, _ = CARRIED[name.removeprefix("previous_")]
        if f"main.{table}" in there:
            only = _only(there[f"main.{table}"])
            con.execute(
                f"insert into run.{name} by name select * from published.main.{quote(table)} {only}"
            )


def _take(
    con: duckdb.DuckDBPyConnection, there: dict[str, list[str]], origin: str, target: str
) -> None:
    if origin not in there:
        raise SettingsError(
            f"the published version has no {origin}, which the watch needs",
            "run `careloop run` once with this release",
        )
    name = origin.partition(".")[2]
    if name in NOT_NEEDED or not _is_looked_at(con, name):
        rows = f"from published.{origin} limit 0"
    elif name == "int_care_customers":
        rows = _care_customers(there)
    elif name == "int_customer_orders":
        rows = _customer_orders()
    elif name in OF_CUSTOMERS:
        rows = _from_customers(there, name, {})
    else:
        rows = (
            f"select * from published.{origin} {_only(there[origin])} "
            f"where {'tag in (' + WANTED_TAGS + ')' if name == 'fct_customer_tags' else 'true'}"
        )
    con.execute(f"create table {target} as {rows}")


WANTED_TAGS = "select split_part(value, '=', 1) from program.rule_lists where list = 'tags'"
# Large, and only looked at where a rule or a clock of the pack asks for it.
LOOKED_AT = {
    "int_customer_profile": "select 1 from program.rules where audience_condition is not null",
    "fct_customer_tags": WANTED_TAGS,
    "fct_customer_next_products": "select 1 from program.rules where about is not null",
    "int_customer_orders": "select 1 from published.dim_sla_targets where starts = 'first_deal'",
}


def _is_looked_at(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    return name not in LOOKED_AT or bool(con.execute(LOOKED_AT[name]).fetchall())


def _only(columns: list[str]) -> str:
    return "semi join watch.customers using (customer_id)" if "customer_id" in columns else ""


def _columns_of(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    rows = con.execute(
        "select schema_name || '.' || table_name, list(column_name order by column_index) "
        "from duckdb_columns() where database_name = 'published' group by all"
    ).fetchall()
    return dict(rows)


def _from_customers(there: dict[str, list[str]], name: str, known: dict[str, str]) -> str:
    """Rows of a relation from dim_customers; what neither that nor ``known`` has is null."""
    have = there["main.dim_customers"]
    values = [
        f"{known.get(c) or ('d.' + quote(c) if c in have else 'null')} as {quote(c)}"
        for c in there[f"{SCHEMA}.{name}"]
    ]
    return (
        f"select * from published.{SCHEMA}.{name} where false union all by name "
        f"select {', '.join(values)} from watch.customers as w "
        "left join published.main.dim_customers as d using (customer_id)"
    )


def _care_customers(there: dict[str, list[str]]) -> str:
    """The customers as the gates see them: as of the last refresh, but reached, asked, called and
    answered as of now. Customers who came since are known by their addresses only."""
    known = {
        "customer_id": "w.customer_id",
        "last_contacted_at": "f.last_contacted_at",
        "last_answered_at": "s.last_answered_at",
        "last_ordered_at": "o.last_ordered_at",
        "open_tickets": "coalesce(t.open_tickets, 0)",
        **{
            column: f"coalesce(r.{column}, false)"
            for column in ("has_phone", "has_email", "has_wecom", "has_push")
        },
    }
    as_of = "(select as_of_utc from run.context)"

    def latest(table: str, time: str, name: str) -> str:
        return (
            f"left join (select customer_id, max({time}) as {name} from raw.{table} "
            f"where {time} <= {as_of} group by customer_id) as {table[0]} using (customer_id)"
        )

    return " ".join(
        [
            _from_customers(there, "int_care_customers", known),
            "left join run.reachability as r using (customer_id)",
            latest("follow_ups", "done_at", "last_contacted_at"),
            latest("surveys", "answered_at", "last_answered_at"),
            latest("orders", "ordered_at", "last_ordered_at"),
            "left join (select customer_id, count(*) as open_tickets from raw.tickets "
            f"where opened_at <= {as_of} and coalesce(resolved_at > {as_of}, true) "
            f"and coalesce(closed_at > {as_of}, true) "
            "group by customer_id) as t using (customer_id)",
        ]
    )


def _customer_orders() -> str:
    """As of the last refresh, and customers who ordered for the first time since."""
    published = f"published.{SCHEMA}.int_customer_orders"
    return (
        f"select * from {published} semi join watch.customers using (customer_id) "
        "where first_order_at is not null union all by name "
        "select customer_id, min(ordered_at) as first_order_at, max(ordered_at) as last_order_at "
        f"from raw.orders anti join (select customer_id from {published} "
        "where first_order_at is not null) using (customer_id) "
        "where ordered_at <= (select as_of_utc from run.context) "
        "and coalesce(status not in ('cancelled', 'returned'), true) "
        "and customer_id in (from watch.customers_of_cases) group by customer_id"
    )
