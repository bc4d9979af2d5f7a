"""Batches: loaded once, upserted by key, healed by corrections, and whole after any crash."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from careloop.lake.batches import Lake
from test_sources import Crm

ORDER_HEAD = "order_id,customer_id,ordered_at,amount,updated_at\n"


@pytest.fixture
def crm(tmp_path: Path) -> Crm:
    return Crm(tmp_path)


def amounts(crm: Crm) -> dict[str, float]:
    return {key: float(amount) for key, amount in crm.rows("orders", "order_id, amount")}


def test_the_same_file_loads_nothing_whatever_its_name(crm: Crm) -> None:
    assert len(crm.load().loaded) == 2
    again = crm.load()
    assert (len(again.loaded), again.skipped) == (0, 2)
    (crm.folder / "orders.csv").rename(crm.folder / "orders-archived.csv")
    assert crm.load().loaded == []


def test_latest_updated_at_wins_whichever_comes_last(crm: Crm) -> None:
    crm.put(
        "orders.csv",
        ORDER_HEAD + "O1,C1,2026-02-01,10,2026-02-05\nO2,C1,2026-02-01,20,2026-02-05\n",
    )
    crm.load()
    crm.put(
        "orders-late.csv",
        ORDER_HEAD + "O1,C1,2026-02-01,1,2026-02-04\nO2,C1,2026-02-01,2,2026-02-06\n",
    )
    (batch,) = crm.load().loaded
    assert amounts(crm) == {"O1": 10, "O2": 2}
    assert (batch.rows_loaded, batch.rows_outdated, batch.rows_replaced) == (1, 1, 1)


def test_without_updated_at_the_later_batch_wins(crm: Crm) -> None:
    crm.load()
    crm.put("orders.csv", "order_id,customer_id,ordered_at,amount\nO1,C1,2026-02-01,99\n")
    crm.load()
    assert amounts(crm) == {"O1": 99}


def test_what_was_loaded_before_the_contract_grew_stays_readable(crm: Crm) -> None:
    """An earlier release's batches have fewer columns, also those of waiting rows."""
    orders = crm.folder / "orders.csv"
    crm.put("orders.csv", orders.read_text("utf-8") + "O9,C9,2026-02-01,9\n")
    crm.load()
    for path in crm.settings.lake.glob("*/*/*.parquet"):
        if path.name in ("rows.parquet", "held.parquet"):
            table = pq.read_table(path)
            fewer = [name for name in table.column_names if name not in ("region", "store_id")]
            pq.write_table(table.select(fewer), path)
    before = crm.rows("customers", "customer_id, region")
    customers = (crm.folder / "customers.csv").read_text("utf-8")
    crm.put("customers.csv", customers + "C9,2026-01-01,male\n")
    crm.load()
    assert len(crm.rows("customers")) == len(before) + 1
    assert {region for _, region in before} == {None}
    assert "O9" in amounts(crm)
    assert {store for (store,) in crm.rows("orders", "store_id")} == {None}


def test_within_a_file_the_latest_version_of_a_key_stays(crm: Crm) -> None:
    rows = "O1,C1,2026-02-01,1,2026-02-04\nO1,C1,2026-02-01,2,2026-02-06\nO1,C1,2026-02-01,3,2026-02-05\n"
    crm.put("orders.csv", ORDER_HEAD + rows)
    batch = crm.load().loaded[-1]
    assert amounts(crm) == {"O1": 2}
    assert (batch.rows_loaded, batch.rows_outdated) == (1, 2)


def test_a_file_that_returns_to_an_earlier_state_is_loaded_again(crm: Crm) -> None:
    first = (crm.folder / "orders.csv").read_text()
    crm.load()
    crm.put("orders.csv", first.replace("10.50", "99"))
    crm.load()
    crm.put("orders.csv", first)
    assert len(crm.load().loaded) == 1
    assert amounts(crm) == {"O1": 10.5}


def test_a_changed_mapping_loads_the_same_file_anew(crm: Crm) -> None:
    crm.load()
    crm.map(orders="    columns: {amount: try_cast(amount as double) * 2}")
    (batch,) = crm.load().loaded
    assert batch.supersedes
    assert amounts(crm) == {"O1": 21}


def test_corrections_clear_the_quarantine(crm: Crm) -> None:
    crm.put("orders.csv", ORDER_HEAD + "O1,C1,never,10,\nO2,C1,2026-02-01,x,\n,C1,2026-02-01,5,\n")
    crm.load()
    assert len(crm.quarantine()) == 3
    crm.put(
        "orders.csv",
        ORDER_HEAD + "O1,C1,2026-02-01,10,\nO2,C1,2026-02-01,x,\nO3,C1,2026-02-01,5,\n",
    )
    crm.load()
    assert crm.quarantine("line, key") == [(3, "O2")], "shown once, not once per edition"
    crm.put("orders-fixed.csv", ORDER_HEAD + "O2,C1,2026-02-01,7,\n")
    crm.load()
    assert crm.quarantine() == []
    assert amounts(crm) == {"O1": 10, "O2": 7, "O3": 5}


def test_rows_wait_for_their_parents_and_are_then_released(crm: Crm) -> None:
    with (crm.folder / "source.yml").open("a") as file:
        file.write("  order_lines: {file: lines.csv}\n")
    crm.put(
        "orders.csv",
        "order_id,customer_id,ordered_at,amount\nO1,C1,2026-02-01,1\nO9,C9,2026-02-01,9\n",
    )
    crm.put("lines.csv", "order_id,line_no,quantity\nO1,1,1\nO9,1,2\n")
    batches = crm.load().loaded
    assert [(b.entity, b.rows_held) for b in batches] == [
        ("customers", 0),
        ("orders", 1),
        ("order_lines", 1),
    ]
    assert len(crm.quarantine("waiting")) == 2
    crm.put("customers.csv", "customer_id\nC1\nC2\nC9\n")
    released = crm.load().loaded
    assert [(b.entity, b.rows_loaded) for b in released] == [
        ("customers", 3),
        ("orders", 1),
        ("order_lines", 1),
    ]
    assert crm.quarantine() == []
    assert amounts(crm) == {"O1": 1, "O9": 9}
    assert crm.load().loaded == []


def test_a_waiting_row_never_overrides_a_newer_version(crm: Crm) -> None:
    crm.put("orders.csv", "order_id,customer_id,ordered_at,amount\nO9,C9,2026-02-01,1\n")
    crm.load()
    crm.put("orders-new.csv", "order_id,customer_id,ordered_at,amount\nO9,C1,2026-02-01,2\n")
    crm.load()
    crm.put("customers.csv", "customer_id\nC1\nC2\nC9\n")
    crm.load()
    assert amounts(crm) == {"O9": 2}


def test_counts_add_up(crm: Crm) -> None:
    crm.put(
        "orders.csv",
        ORDER_HEAD
        + "O1,C1,2026-02-01,1,\nO1,C1,2026-02-01,2,\nO2,C9,2026-02-01,2,\nO3,C1,x,1,\nO4,C1\n",
    )
    b = crm.load().loaded[-1]
    assert (b.rows_read, b.rows_loaded, b.rows_outdated, b.rows_held, b.rows_rejected) == (
        5,
        1,
        1,
        1,
        2,
    )


LOADER = """
import sys
from pathlib import Path
from careloop.ingest.run import ingest
from careloop.settings import load_settings
settings = load_settings(home=Path(sys.argv[1]), sources=[Path(sys.argv[2])])
print("ready", flush=True)
ingest(settings, "2026-11-01T00:00:00")
"""


def test_a_killed_load_leaves_the_old_or_the_new_state(crm: Crm) -> None:
    """kill -9 at random moments; then one undisturbed load gives every row once."""
    rows = [f"O{n},C{1 + n % 2},2026-02-01,{n},2026-02-02" for n in range(30_000)]
    crm.put("orders.csv", ORDER_HEAD + "\n".join(rows) + "\n")
    chance = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", LOADER, str(crm.settings.home), str(crm.folder)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.25))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        lake = Lake(crm.settings.lake)
        loaded = {b.entity for b in lake.batches()}
        assert len(crm.rows("orders")) == (30_000 if "orders" in loaded else 0)
    crm.load()
    assert len(crm.rows("orders")) == 30_000
    assert len(Lake(crm.settings.lake).batches("orders")) == 1
    assert not (crm.settings.lake / ".scratch").exists() or not any(
        (crm.settings.lake / ".scratch").iterdir()
    )
