"""A real Postgres database as a source."""

from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi

from careloop.errors import UnreachableError
from test_sources import ORDERS, Crm

pytestmark = pytest.mark.postgres

TABLES = """
drop schema if exists crm cascade;
create schema crm;
create table crm.members (id integer primary key, joined timestamptz, sex text, spent numeric(12, 3),
    changed timestamp);
insert into crm.members values
    (1, '2026-01-02 10:00:00+08', 'female', 12.345, '2026-02-01'),
    (2, '2026-01-03 10:00:00+00', 'unknown', null, '2026-02-02');
create table crm.sales (no text, member integer, at timestamp, total numeric(12, 2));
insert into crm.sales values ('O1', 1, '2026-03-01 12:00:00', 10.50), ('O2', 9, '2026-03-02', 1);
"""
MAPPING = """
name: erp
zone: Asia/Shanghai
database_url_env: ERP_URL
entities:
  customers:
    table: crm.members
    cursor: changed
    columns:
      customer_id: id
      registered_at: joined
      updated_at: changed
  orders:
    query: select * from crm.sales where total > 0
    columns: {order_id: no, customer_id: member, ordered_at: at, amount: total}
"""


def execute(url: str, statement: str) -> None:
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()


@pytest.fixture
def crm(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Crm:
    monkeypatch.setenv("ERP_URL", postgres_url)
    for statement in filter(str.strip, TABLES.split(";")):
        execute(postgres_url, statement)
    crm = Crm(tmp_path)
    for name in ("customers.csv", "orders.csv"):
        (crm.folder / name).unlink()
    crm.put("source.yml", MAPPING)
    return crm


def test_tables_and_queries_are_loaded_once_and_then_by_cursor(crm: Crm, postgres_url: str) -> None:
    assert not crm.load().refused
    assert [str(row) for row in crm.rows("customers", "customer_id, registered_at::varchar")] == [
        "('1', '2026-01-02 02:00:00')"
    ], "the row with the unknown sex is quarantined"
    assert [r[0] for r in crm.rows("orders", "order_id")] == ["O1"]
    assert len(crm.quarantine()) == 2
    again = crm.load()
    assert [(b.entity, b.rows_read) for b in again.loaded] == [("customers", 1)], "the cursor's tie"
    assert crm.load().loaded == []
    execute(postgres_url, "insert into crm.members values (9, now(), 'male', 1, '2026-03-01')")
    execute(
        postgres_url, "update crm.members set sex = 'male', changed = '2026-03-02' where id = 2"
    )
    loaded = crm.load().loaded
    assert [(b.entity, b.rows_read, b.rows_loaded) for b in loaded] == [
        ("customers", 2, 2),
        ("orders", 1, 1),
    ]
    assert [r[0] for r in crm.rows("customers", "customer_id")] == ["1", "2", "9"]
    assert crm.quarantine() == []


def test_an_unreachable_database_says_so_without_its_password(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_URL", "postgresql://user:secret@127.0.0.1:1/none")
    error = crm.load().refused[0]
    assert isinstance(error, UnreachableError)
    assert "can't be reached" in str(error)
    assert "secret" not in str(error)


def test_a_missing_table_and_a_missing_address(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    crm.put("source.yml", MAPPING.replace("crm.members", "crm.nobody"))
    assert "refused crm.nobody" in str(crm.load().refused[0])
    monkeypatch.delenv("ERP_URL")
    assert "ERP_URL is not set" in str(crm.load().refused[0])


def test_files_and_databases_can_feed_one_entity(crm: Crm, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "source.yml").write_text(
        "name: files\nzone: Asia/Shanghai\nentities:\n  orders: {file: o.csv}\n"
    )
    (files / "o.csv").write_text(ORDERS.replace("O1,C1", "F1,1"))
    crm.settings.sources.append(files)
    crm.load()
    assert crm.rows("orders", "order_id, _source") == [("F1", "files"), ("O1", "erp")]
