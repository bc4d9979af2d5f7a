"""Every kind of export is mapped, typed and, where it can't be, refused or quarantined."""

import gzip
import json
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from careloop.contract import entities
from careloop.errors import CareloopError, SourceError
from careloop.ingest.run import Ingested, ingest
from careloop.lake.batches import Lake
from careloop.lake.quarantine import create_open_rejects
from careloop.lake.relations import current
from careloop.settings import Settings, load_settings

CUSTOMERS = (
    "customer_id,registered_at,sex\nC1,2026-01-02 10:00:00,female\nC2,2026-01-03 10:00:00,male\n"
)
ORDERS = "order_id,customer_id,ordered_at,amount\nO1,C1,2026-02-01 12:00:00,10.50\n"
MAPPING = """
name: shop
zone: Asia/Shanghai
{head}
entities:
  customers:
    file: customers{suffix}
{customers}
  orders:
    file: orders*.csv
{orders}
"""


class Crm:
    """A source folder, a home directory, and what a test asks of them."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "crm"
        self.folder.mkdir()
        self.settings: Settings = load_settings(home=root / "home", sources=[self.folder])
        self.map()
        self.put("customers.csv", CUSTOMERS)
        self.put("orders.csv", ORDERS)

    def map(self, *, head="", customers="", orders="", suffix=".csv") -> None:
        text = MAPPING.format(head=head, customers=customers, orders=orders, suffix=suffix)
        (self.folder / "source.yml").write_text(text, "utf-8")

    def put(self, name: str, text: str | bytes, encoding="utf-8") -> None:
        data = text if isinstance(text, bytes) else text.encode(encoding)
        (self.folder / name).write_bytes(data)

    def load(self) -> Ingested:
        return ingest(self.settings, "2026-11-01T00:00:00")

    def rows(self, entity: str, columns: str = "*") -> list[tuple]:
        relation = current(Lake(self.settings.lake), entities()[entity])
        with duckdb.connect() as con:
            return con.execute(f"select {columns} from ({relation}) order by all").fetchall()

    def quarantine(self, columns: str = "entity, line, key, reason") -> list[tuple]:
        with duckdb.connect() as con:
            create_open_rejects(con, Lake(self.settings.lake))
            return con.execute(f"select {columns} from open_rejects order by all").fetchall()


@pytest.fixture
def crm(tmp_path: Path) -> Crm:
    return Crm(tmp_path)


def test_local_times_become_utc_and_offsets_hold(crm: Crm) -> None:
    crm.put(
        "customers.csv",
        "customer_id,registered_at\n"
        "C1,2026-01-02 10:00:00\nC2,2026-01-02T10:00:00Z\nC3,2026-01-02 10:00+02\n"
        "C4,2026-01-02\nC5,2026-01-02 10:00:00.500\nC6,2026-01-02T10:00:00.25+08:00\n",
    )
    assert not crm.load().refused
    assert crm.rows("customers", "customer_id, registered_at") == [
        ("C1", datetime(2026, 1, 2, 2)),
        ("C2", datetime(2026, 1, 2, 10)),
        ("C3", datetime(2026, 1, 2, 8)),
        ("C4", datetime(2026, 1, 1, 16)),
        ("C5", datetime(2026, 1, 2, 2, 0, 0, 500000)),
        ("C6", datetime(2026, 1, 2, 2, 0, 0, 250000)),
    ]


def test_daylight_saving_zone(crm: Crm) -> None:
    text = (crm.folder / "source.yml").read_text().replace("Asia/Shanghai", "Europe/London")
    crm.put("source.yml", text)
    crm.put(
        "customers.csv",
        "customer_id,registered_at\nC1,2026-01-15 12:00:00\nC2,2026-07-15 12:00:00\n",
    )
    crm.load()
    assert crm.rows("customers", "registered_at") == [
        (datetime(2026, 1, 15, 12),),
        (datetime(2026, 7, 15, 11),),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_headings_and_quoted_newlines(crm: Crm, encoding: str) -> None:
    head = "" if encoding.startswith("utf-8") else f"encoding: {encoding}"
    crm.map(
        head=head,
        customers="    columns: {customer_id: 会员号, region: 省 份, registered_at: \"strptime(注册, '%Y/%m/%d')\"}",
    )
    crm.put("customers.csv", '会员号,省 份,注册\nC1,"广\n东",2026/01/02\n', encoding)
    crm.put("orders.csv", ORDERS, encoding)
    assert not crm.load().refused
    assert crm.rows("customers", "customer_id, region") == [("C1", "广\n东")]


def test_other_delimiter_and_gzip(crm: Crm) -> None:
    crm.map(suffix=".csv.gz", customers='    delimiter: ";"')
    crm.put("customers.csv.gz", gzip.compress(b"customer_id;sex\nC1;male\n"))
    assert not crm.load().refused
    assert crm.rows("customers", "customer_id, sex") == [("C1", "male")]


def test_json_lines(crm: Crm) -> None:
    crm.map(suffix=".jsonl", customers="    columns: {customer_id: id}")
    lines = [
        {"id": "C1", "sex": "female", "is_strategic": True, "extra": {"a": [1]}},
        {"id": 1002, "registered_at": "2026-01-02T00:00:00+08:00"},
    ]
    crm.put("orders.csv", ORDERS.replace("C1", "1002"))
    crm.put("customers.jsonl", "\n".join(map(json.dumps, lines)) + "\nnot json\n")
    crm.load()
    assert crm.rows("customers", "customer_id, sex, is_strategic") == [
        ("1002", None, None),
        ("C1", "female", True),
    ]
    assert crm.quarantine("line, reason") == [(3, "not JSON: Expecting value")]


def test_parquet_keeps_its_types(crm: Crm) -> None:
    crm.map(suffix=".parquet")
    table = pa.table(
        {
            "customer_id": [1, 2],
            "registered_at": [datetime(2026, 1, 2, 10), None],
            "birthday": [None, datetime(1990, 2, 28).date()],
        }
    )
    pq.write_table(table, crm.folder / "customers.parquet")
    assert not crm.load().refused
    found = crm.rows("customers", "customer_id, registered_at, birthday::varchar")
    assert found == [("1", datetime(2026, 1, 2, 2), None), ("2", None, "1990-02-28")]


def test_excel(crm: Crm) -> None:
    crm.map(suffix=".xlsx", customers="    sheet: 会员\n    columns: {customer_id: 编号}")
    with xlsxwriter.Workbook(crm.folder / "customers.xlsx") as book:
        book.add_worksheet("说明").write(0, 0, "ignore")
        sheet = book.add_worksheet("会员")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["编号", "birthday", "sex"])
        sheet.write(1, 0, 10001)
        sheet.write_datetime(1, 1, datetime(1990, 5, 1), day)
        sheet.write_row(2, 0, ["C2", "not a day", "male"])
    crm.put("orders.csv", ORDERS.replace("C1", "10001"))
    crm.load()
    assert crm.rows("customers", "customer_id, birthday::varchar") == [("10001", "1990-05-01")]
    assert crm.quarantine("line, key, reason") == [(3, "C2", "birthday: 'not a day' is not a date")]


def test_several_sources_feed_one_entity(crm: Crm, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "source.yml").write_text(
        "name: store\nzone: Asia/Shanghai\nentities:\n  customers: {file: c.csv}\n"
        "  orders: {file: o.csv}\n"
    )
    crm.put(
        "customers.csv",
        "customer_id,region,sex,updated_at\nC1,Beijing,female,2026-03-01\nC2,,male,2026-01-01\n",
    )
    (store / "c.csv").write_text(
        "customer_id,region,birthday,updated_at\nC1,Shanghai,1990-01-01,2026-02-01\nC3,Xian,,2026-01-01\n"
    )
    (store / "o.csv").write_text(
        "order_id,customer_id,ordered_at,amount\nS1,C1,2026-02-02,5\nS2,C3,2026-02-02,7\n"
    )
    crm.settings.sources.append(store)
    assert not crm.load().refused
    # Column by column the latest known value holds; a source without a column takes nothing away.
    assert crm.rows("customers", "customer_id, region, sex, birthday::varchar, _source") == [
        ("C1", "Beijing", "female", "1990-01-01", "shop+store"),
        ("C2", None, "male", None, "shop"),
        ("C3", "Xian", None, None, "store"),
    ]
    assert crm.rows("orders", "order_id, _source") == [
        ("O1", "shop"),
        ("S1", "store"),
        ("S2", "store"),
    ]


BAD_ROWS = {
    "no key": (",C1,2026-02-01,1", "order_id: is missing"),
    "impossible date": ("O2,C1,2026-02-30,1", "ordered_at: '2026-02-30' is not a point in time"),
    "year outside": ("O2,C1,0026-02-03,1", "ordered_at: '0026-02-03' is outside"),
    "not a number": ("O2,C1,2026-02-01,ten", "amount: 'ten' is not an amount"),
    "negative": ("O2,C1,2026-02-01,-1", "amount: '-1' is below 0"),
    "missing": ("O2,C1,,1", "ordered_at: is missing"),
    "unknown customer": ("O2,C9,2026-02-01,1", "customer_id: C9 is not among the customers"),
    "too few columns": ("O2,C1,2026-02-01", "3 columns instead of 4"),
    "too many columns": ("O2,C1,2026-02-01,1,2", "5 columns instead of 4"),
    "stray quote": ('O2,"C1"x,2026-02-01,1', "',' expected after '\"'"),
}


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_bad_rows_are_quarantined_with_line_and_reason(crm: Crm, row: str, reason: str) -> None:
    after = "O3,C2,2026-02-03,3\n"
    crm.put("orders.csv", f"{ORDERS}{row}\n{after}")
    loaded = crm.load()
    assert not loaded.refused
    assert [r[0] for r in crm.rows("orders", "order_id")] == ["O1", "O3"]
    ((line, found, raw),) = crm.quarantine("line, reason, raw")
    assert (line, found[: len(reason)]) == (3, reason)
    assert "2026" in raw or "C1" in raw
    batch = next(b for b in loaded.loaded if b.entity == "orders")
    counts = (batch.rows_read, batch.rows_loaded, batch.rows_rejected + batch.rows_held)
    assert counts == (3, 2, 1)


def test_lines_are_exact_behind_quoted_newlines(crm: Crm) -> None:
    text = 'order_id,customer_id,ordered_at,amount,channel\nO1,C1,2026-02-01,1,"a\nb\nc"\nO2,C1,x,1,web\n'
    crm.put("orders.csv", text)
    crm.load()
    assert crm.quarantine("line, key") == [(5, "O2")]


def test_a_failing_expression_rejects_its_row_only(crm: Crm) -> None:
    crm.map(customers="    columns: {registered_at: \"strptime(registered_at, '%Y/%m/%d')\"}")
    crm.put("customers.csv", "customer_id,registered_at\nC1,2026/01/02\nC2,2026-13-99\nC3,\n")
    assert not crm.load().refused
    assert [r[0] for r in crm.rows("customers", "customer_id")] == ["C1", "C3"]
    assert crm.quarantine("line, key, reason") == [
        (3, "C2", "registered_at: '2026-13-99' is not a point in time")
    ]


def test_reasons_never_show_personal_values(crm: Crm) -> None:
    known = entities()["contacts"]
    assert all(
        c.personal for name, c in known.columns.items() if name not in ("customer_id", "updated_at")
    )
    with (crm.folder / "source.yml").open("a") as file:
        file.write("  tickets: {file: tickets.csv}\n")
    crm.put(
        "tickets.csv",
        "ticket_id,customer_id,opened_at,description\nT1,C1,never,my phone is 13800138000\n",
    )
    crm.load()
    ((reason,),) = crm.quarantine("reason")
    assert "138" not in reason


REFUSED = {
    "empty": ("orders.csv", b"", "orders.csv is empty"),
    "binary": ("orders.csv", b"PK\x03\x04\x00\x01rubbish", "is an Excel or zip file, not text"),
    "nul bytes": ("orders.csv", b"order_id\x00\x01\x02", "is a binary file, not text"),
    "wrong encoding": ("orders.csv", "order_id,客户\nO1,张三\n".encode("gb18030"), "is not utf-8"),
    "late wrong encoding": (
        "orders.csv",
        ORDERS.encode() * 5000 + "O2,张三,2026-02-02,1\n".encode("gb18030"),
        "is not utf-8",
    ),
    "truncated": ("orders.csv", ORDERS.encode() + b"O2,C1,2026-0", "breaks off in line 3"),
    "truncated in a quote": ("orders.csv", ORDERS.encode() + b'O2,"C1', "breaks off in line 3"),
    "missing column": (
        "orders.csv",
        b"order_id,customer_id,amount\nO1,C1,1\n",
        "nothing maps to the required column ordered_at",
    ),
    "doubled column": ("orders.csv", b"order_id,order_id\nO1,O1\n", "names 'order_id' twice"),
}


@pytest.mark.parametrize(("name", "data", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_unreadable_files_are_refused_whole(crm: Crm, name: str, data: bytes, message: str) -> None:
    crm.put(name, data)
    loaded = crm.load()
    assert message in str(loaded.refused[0])
    assert crm.rows("orders") == []
    assert len(crm.rows("customers")) == 2, "the other files are loaded all the same"
    with pytest.raises(SourceError, match="orders"):
        loaded.raise_if_refused()


@pytest.mark.parametrize(
    ("suffix", "data", "message"),
    [
        (".parquet", b"PAR1 cut off", "no complete Parquet file"),
        (".xlsx", b"PK\x03\x04 cut off", "no readable workbook"),
        (".jsonl", b'{"customer_id": "C1"}\n{"customer_id": "C', "truncated"),
        (".csv.gz", gzip.compress(CUSTOMERS.encode() * 50, mtime=0)[:-20], "truncated"),
        (".pdf", b"%PDF", "can't be read"),
    ],
)
def test_other_formats_cut_off(crm: Crm, suffix: str, data: bytes, message: str) -> None:
    crm.map(suffix=suffix)
    crm.put(f"customers{suffix}", data)
    assert message in str(crm.load().refused[0])
    assert crm.rows("customers") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("zone: Asia/Shanghai", "zone: Asia/Shanghia"), "zone: 'Asia/Shanghia' is no IANA"),
        (("  customers:", "  custmers:"), "did you mean customers?"),
        (
            ("file: orders*.csv", "file: orders*.csv\n    columns: {odrered_at: x}"),
            "did you mean ordered_at?",
        ),
        (
            ("file: orders*.csv", "file: orders*.csv\n    columns: {amount: amuont}"),
            "did you mean amount?",
        ),
        (
            ("file: orders*.csv", "file: orders*.csv\n    columns: {amount: 'sum('}"),
            "columns.amount",
        ),
        (("file: orders*.csv", "files: orders*.csv"), "entities.orders.0.files"),
        (("file: orders*.csv", "file: sales.csv"), "no file matches sales.csv"),
        (("name: shop", "name: [shop"), "not valid YAML"),
    ],
)
def test_wrong_mappings_name_the_place(crm: Crm, change: tuple[str, str], message: str) -> None:
    path = crm.folder / "source.yml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(CareloopError) as caught:
        crm.load().raise_if_refused()
    assert message in str(caught.value)
