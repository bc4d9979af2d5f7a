"""All the customer tables must be the same, or the times compare nothing."""

from pathlib import Path

import duckdb

from benchmarks.company import Company

ROUNDED = 1e-4
# Texts that pandas and polars leave out.
LEFT_OUT = {
    f"{dimension}_{suffix}"
    for dimension in ("segment", "stage")
    for suffix in ("title_en", "title_zh", "reason", "since")
} | {"as_of_on"}


def check_same(company: Company) -> list[str]:
    """Compare with the published dim_customers and fct_orders; returns what was compared.

    The script must agree in every value, pandas and polars up to rounding. Raises
    AssertionError naming the column and a customer.
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
            _compare(con, "script.dim_customers", "dim_customers", "customer_id")
            _compare(con, "script.fct_orders", "fct_orders", "order_id")
            compared.append("script")
        for library in ("polars", "pandas"):
            file = company.root / f"{library}.parquet"
            if file.exists():
                _compare_rounded(con, file)
                compared.append(library)
    return compared


def _compare(con: duckdb.DuckDBPyConnection, mine: str, mart: str, key: str) -> None:
    for left, right in ((mine, f"marts.{mart}"), (f"marts.{mart}", mine)):
        found = con.execute(
            f"select count(*), min({key}) from (from {left} except all from {right})"
        ).fetchall()[0]
        assert not found[0], f"{found[0]} rows of {left} are not in {right}, such as {found[1]}"


def _compare_rounded(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    columns = con.execute(
        "select column_name, data_type from duckdb_columns() "
        "where database_name = 'marts' and table_name = 'dim_customers'"
    ).fetchall()
    names = {row[0] for row in con.execute(f"describe from '{file}'").fetchall()}
    for name, kind in columns:
        if name in LEFT_OUT:
            continue
        assert name in names, f"{file.name} lacks {name}"
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
