"""All the tables must be the same, or the times compare nothing."""

from pathlib import Path

import duckdb

from benchmarks.company import Company

# What the script writes: (mart, key, columns it leaves out).
MARTS = [
    # The fitted churn model is not part of the comparison.
    ("dim_customers", "customer_id", {"churn_risk"}),
    ("fct_orders", "order_id", set()),
    ("fct_customer_health", "customer_id", set()),
    ("fct_customer_health_history", "customer_id", set()),
    ("fct_customer_alerts", "alert_key", set()),
    ("fct_customer_tags", "customer_id", set()),
    ("fct_customer_channels", "customer_id", set()),
    ("fct_customer_tiers", "customer_id", set()),
    ("fct_points", "entry_id", set()),
    ("fct_referral_rewards", "referral_id", set()),
    ("fct_product_associations", "product_id", set()),
    ("fct_customer_next_products", "customer_id", set()),
    ("fct_replacements_due", "customer_id", set()),
    ("fct_tickets", "ticket_id", set()),
    ("fct_follow_ups", "follow_up_id", set()),
    # Says which program pack decided; by hand there is none.
    ("fct_customer_changes", "change_key", {"pack_hash"}),
]
ROUNDED = 1e-4


def check_same(company: Company) -> list[str]:
    """Compare with the published marts; returns what was compared.

    The script must agree in every value, the customer tables of pandas and polars up to rounding
    in every column they have. Raises AssertionError naming the column or table and a customer.
    """
    compared = []
    with duckdb.connect() as con:
        published = company.settings.published / "marts.duckdb"
        if not published.exists():
            return []
        con.execute(f"attach '{published.resolve()}' as marts (read_only)")
        script = company.root / "script.duckdb"
        if script.exists():
            con.execute(f"attach '{script}' as script (read_only)")
            for mart, key, left_out in MARTS:
                compare(con, mart, key, left_out)
            compared.append("script")
        for library in ("polars", "pandas"):
            file = company.root / f"{library}.parquet"
            if file.exists():
                _compare_rounded(con, file)
                compared.append(library)
    return compared


def compare(con: duckdb.DuckDBPyConnection, mart: str, key: str, left_out: set[str]) -> None:
    """Every row of ``script.<mart>`` is one of ``marts.<mart>`` and the other way round, but for
    the columns left out; raises AssertionError with one of the keys."""
    columns = [
        row[0]
        for row in con.execute(f"describe from marts.{mart}").fetchall()
        if row[0] not in left_out
    ]
    names = ", ".join(f'"{column}"' for column in columns)
    for left, right in (("script", "marts"), ("marts", "script")):
        found = con.execute(
            f"select count(*), min({key}) from (select {names} from {left}.{mart} "
            f"except all select {names} from {right}.{mart})"
        ).fetchall()[0]
        assert not found[0], f"{found[0]} rows of {left}.{mart} are not in {right}: {found[1]}"


def _compare_rounded(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    names = {row[0] for row in con.execute(f"describe from '{file}'").fetchall()}
    columns = con.execute(
        "select column_name, data_type from duckdb_columns() "
        "where database_name = 'marts' and table_name = 'dim_customers'"
    ).fetchall()
    for name, kind in columns:
        if name not in names:
            continue
        differs = f"a.{name} is distinct from b.{name}"
        if kind.startswith(("DOUBLE", "DECIMAL")):
            differs = (
                f"(a.{name} is null) <> (b.{name} is null) or "
                f"abs(a.{name}::double - b.{name}::double) > {ROUNDED}"
            )
        found = con.execute(
            f"select count(*), min(coalesce(a.customer_id, b.customer_id)) from '{file}' as a "
            f"full join marts.dim_customers as b on a.customer_id = b.customer_id where {differs}"
        ).fetchall()[0]
        assert not found[0], f"{file.name}: {name} differs for {found[0]} customers: {found[1]}"
