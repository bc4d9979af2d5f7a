"""Orders to measure lifetime value on: CDNOW's, and simulated ones that follow the model."""

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

AS_OF = date(2026, 11, 1)
CDNOW_AS_OF = date(1997, 10, 1)
DAYS = 1_095
SEED = 7
# About what fits the sample CRM: ten orders a customer in three years; time in days.
R, ALPHA, A, B = 0.77, 18.0, 0.35, 4.0
P, Q, V = 4.0, 4.0, 300.0


def cdnow(file: Path, folder: Path) -> None:
    """The sample's purchases as orders."""
    folder.mkdir(parents=True, exist_ok=True)
    duckdb.execute(
        rf"""
        copy (
            select cell[1] as customer_id, strptime(cell[3], '%Y%m%d') as ordered_at,
                   cell[5]::decimal(18, 4) as amount
            from (
                select string_split_regex(trim(line), '\s+') as cell
                from (
                    select unnest(string_split(content, chr(10))) as line
                    from read_text('{file}')
                )
                where trim(line) <> ''
            )
        ) to '{folder / "orders.parquet"}'
        """
    )
    (folder / "as_of").write_text(CDNOW_AS_OF.isoformat())


def simulated(customers: int, folder: Path) -> None:
    """Customers of BG/NBD and Gamma-Gamma who first ordered on some day of three years; each
    round of the loop is the next order of all who are still there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "as_of").write_text(AS_OF.isoformat())
    rng = np.random.default_rng(SEED)
    rate, leaving = rng.gamma(R, 1 / ALPHA, customers), rng.beta(A, B, customers)
    scale = 1 / rng.gamma(Q, 1 / V, customers)
    here, at = np.arange(customers), rng.uniform(0, DAYS, customers)
    ids, days, amounts = [], [], []
    while len(here):
        ids.append(here.astype("int32"))
        days.append(at.astype("float32"))
        amounts.append(np.round(rng.gamma(P, scale[here]), 2).astype("float32"))
        stays = rng.random(len(here)) >= leaving[here] if len(ids) > 1 else np.full(len(here), True)
        here, at = here[stays], at[stays]
        at = at + rng.exponential(1 / rate[here])
        inside = at < DAYS
        here, at = here[inside], at[inside]
    table = pa.table(
        {"id": np.concatenate(ids), "day": np.concatenate(days), "amount": np.concatenate(amounts)}
    )
    plain = folder / "plain.parquet"
    pq.write_table(table, plain)
    duckdb.execute(
        f"""
        copy (
            select 'C' || lpad(id::varchar, 8, '0') as customer_id,
                   timestamp '{AS_OF}' - to_seconds(({DAYS} - day) * 86400 + 1) as ordered_at,
                   amount::decimal(18, 4) as amount
            from '{plain}' order by day
        ) to '{folder / "orders.parquet"}'
        """
    )
    plain.unlink()
