"""Clocks and staff written by hand, for the tests of escalation."""

import csv
from pathlib import Path
from typing import Any

import duckdb

from careloop.escalate.staff import Person
from careloop.ingest.run import ingest
from careloop.settings import Settings

STAFF = [
    Person("S1", "service", "service", "S8", True, "宋丹", "s1@example.com"),
    Person("S2", "service", "service", "S8", True, "郑艳", "s2@example.com"),
    Person("S8", "supervisor", "service", None, True, "沈晨曦", "s8@example.com"),
    Person("S9", "department_head", "service", None, True, "叶梓涵", "s9@example.com"),
]
COLUMNS = {
    "clock": "varchar",
    "cycle": "integer",
    "customer_id": "varchar",
    "owner_id": "varchar",
    "department": "varchar",
    "target": "varchar",
    "started_at": "timestamp",
    "stopped_at": "timestamp",
    "warn_on_at": "timestamp",
    "due_at": "timestamp",
    "breached_at": "timestamp",
    "elapsed_seconds": "bigint",
    "state": "varchar",
    "is_open": "boolean",
}
TICKETS = {"ticket_id": "varchar", "kind": "varchar", "urgency": "varchar", **COLUMNS}
CASES = {"case_kind": "varchar", "case_id": "varchar", **COLUMNS}


def put_staff(settings: Settings, staff: list[Person] = STAFF) -> None:
    """A batch of the lake with the staff."""
    folder = settings.home / "crm"
    folder.mkdir(parents=True, exist_ok=True)
    fields = list(Person.__dataclass_fields__)
    entities = {
        "customers": (["customer_id"], [["C1"]]),
        "orders": (
            ["order_id", "customer_id", "ordered_at", "amount"],
            [["O1", "C1", "2026-10-01", "1"]],
        ),
        "staff": (fields, [[getattr(person, name) for name in fields] for person in staff]),
    }
    mapping = "name: crm\nzone: UTC\nentities:\n"
    for entity, (columns, rows) in entities.items():
        mapped = ", ".join(f"{column}: {column}" for column in columns)
        mapping += f"  {entity}: {{file: {entity}.csv, columns: {{{mapped}}}}}\n"
        with (folder / f"{entity}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    (folder / "source.yml").write_text(mapping, "utf-8")
    ingest(settings.model_copy(update={"sources": [folder]}), "2026-11-01")


def clocks_file(
    home: Path,
    clocks: list[dict[str, Any]],
    cases: list[dict[str, Any]] | None = None,
    name: str = "20261102T1000-service",
) -> Path:
    """A file of marts with these clocks of tickets, and with other cases unless None."""
    folder = home / "watch"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"marts-{name}.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        _table(con, "fct_ticket_clocks", TICKETS, clocks)
        if cases is not None:
            _table(con, "fct_case_clocks", CASES, cases)
    return path


def _table(
    con: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    con.execute(f"create table {name} ({', '.join(f'{c} {t}' for c, t in columns.items())})")
    usual = {
        "cycle": 1,
        "owner_id": "S1",
        "department": "service",
        "target": "24h",
        "is_open": True,
        "kind": "complaint",
        "urgency": "general",
    }
    for given in rows:
        row = usual | given | {"ticket_id": given["case_id"]}
        row.setdefault("customer_id", "C" + row["case_id"][1:])
        con.execute(
            f"insert into {name} values ({', '.join('?' for _ in columns)})",
            [row.get(column) for column in columns],
        )
