"""`python -m benchmarks.dispatch --messages 20000`: messages per second through a channel that does
nothing, beside the bare commits that keep the promise of sending once.

The floor is as many transactions, each changing two rows of a SQLite file as durably
(write-ahead log, synchronous=full): a dispatcher that commits its intent before every message
can't be faster on this disk.
"""

import argparse
import resource
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Self

from benchmarks.dispatch_lab import NOON, Lab
from careloop.channels.base import Receipt, Rendered
from careloop.cli.output import print_table
from careloop.ledger import mirror
from careloop.ledger.database import open_ledger


class Nowhere:
    """Takes every message."""

    name, accepts_idempotency_key = "email", False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, message: Rendered) -> Receipt:  # noqa: ARG002 the protocol's
        return Receipt()


def floor(folder: Path, count: int) -> float:
    """Seconds of ``count`` durable transactions and nothing else."""
    con = sqlite3.connect(folder / "floor.db", isolation_level=None)
    con.execute("pragma journal_mode = wal")
    con.execute("pragma synchronous = full")
    con.execute("create table t (a integer primary key, b text)")
    con.executemany("insert into t values (?, ?)", ((n, "x" * 300) for n in range(count + 1)))
    start = time.perf_counter()
    for n in range(count):
        con.execute("begin immediate")
        con.execute("update t set b = ? where a = ?", ("y" * 300, n))
        con.execute("update t set b = ? where a = ?", ("z" * 300, n + 1))
        con.execute("commit")
    return time.perf_counter() - start


def main() -> None:
    """Plan, mirror and dispatch so many messages; print seconds, CPU seconds and rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatch", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    count = parser.parse_args().messages
    rows: list[list[object]] = []

    def timed(name: str, number: int, work: object) -> None:
        start, cpu = time.perf_counter(), time.process_time()
        work()  # type: ignore[operator]
        seconds = time.perf_counter() - start
        rows.append([name, number, seconds, time.process_time() - cpu, number / seconds])

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as home:
        lab = Lab.at(Path(home))
        # Half of the decisions are e-mails.
        file = lab.version(2 * count)
        timed("plan (all channels)", 2 * count, lambda: lab.plan(file))
        timed("dispatch", count, lambda: lab.dispatch({"email": Nowhere()}, NOON))
        with open_ledger(lab.settings) as ledger:
            timed("mirror (events)", 3 * count, lambda: mirror.export(ledger, lab.settings))
        timed("bare commits", count, lambda: floor(Path(home), count))
        assert lab.rows("select count(*) from messages where state = 'sent'") == [(count,)]
    print_table(["what", "rows", "seconds", "CPU seconds", "a second"], rows)
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
