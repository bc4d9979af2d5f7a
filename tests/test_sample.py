"""The sample CRM, judged by the files it writes, as a loader would meet them."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner

import careloop.sample
from careloop.cli.sample import register
from careloop.contract import entities
from careloop.errors import SettingsError, SourceError
from careloop.sample import make_delta, make_sample

WORDS = Path(careloop.sample.__file__).with_name("words.yml")
AS_OF = date(2026, 11, 1)
SIZE = 800
END = {"online": "2026-10-31 16:00:00", "store": "2026-11-01 00:00:00"}


def digest(root: Path) -> dict[str, str]:
    """Hash of every file under ``root`` by relative path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows(root: Path, file: str) -> str:
    """SQL that reads one exported file, CSV as text columns and turned into UTF-8 first."""
    path = root / file
    if path.suffix == ".parquet":
        return f"read_parquet('{path}')"
    if path.suffix == ".jsonl":
        return f"read_json('{path}', format = 'newline_delimited')"
    encoding = "gb18030" if file.startswith("store/") else "utf-8-sig"
    copy = root.with_name(f"{root.name}-utf8") / file
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(path.read_bytes().decode(encoding), "utf-8", newline="")
    return f"read_csv('{copy}', header = true, all_varchar = true, quote = '\"', escape = '\"')"


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crm")
    make_sample(root, SIZE, 7, AS_OF)
    return root


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def one(con: duckdb.DuckDBPyConnection, query: str) -> object:
    return con.execute(query).fetchall()[0][0]


def test_same_arguments_same_bytes_and_another_seed_differs(crm: Path, tmp_path: Path) -> None:
    make_sample(tmp_path / "again", SIZE, 7, AS_OF)
    make_sample(tmp_path / "other", SIZE, 8, AS_OF)
    first, other = digest(crm), digest(tmp_path / "other")
    assert first == digest(tmp_path / "again")
    same = {file for file in first if first[file] == other[file]}
    assert same == {"online/benchmarks.csv", "online/source.yml", "store/source.yml"}


def test_every_entity_is_mapped_and_every_mapped_column_exists(
    crm: Path, con: duckdb.DuckDBPyConnection
) -> None:
    mapped = set()
    for source in ("online", "store"):
        spec = yaml.safe_load((crm / source / "source.yml").read_text("utf-8"))
        assert spec["name"] == source
        for entity, bodies in spec["entities"].items():
            mapped.add(entity)
            for body in bodies if isinstance(bodies, list) else [bodies]:
                (path,) = (crm / source).glob(body["file"])
                assert set(body.get("columns", {})) <= set(entities()[entity].columns)
                if path.suffix == ".xlsx":
                    continue
                described = con.execute(f"describe from {rows(crm, f'{source}/{path.name}')}")
                headings = {row[0] for row in described.fetchall()}
                reachable = headings | set(body.get("columns", {}))
                assert set(entities()[entity].key) <= reachable, entity
                selected = ", ".join(body.get("columns", {}).values()) or "*"
                where = body.get("where", "true")
                con.execute(
                    f"select {selected} from {rows(crm, f'{source}/{path.name}')} "
                    f"where {where} limit 5"
                )
    # Receipts answer what was sent, and the company has run no experiment of its own.
    assert mapped == set(entities()) - {"receipts", "exposures"}


def test_references_hold(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        f"create or replace table known as "
        f"select customer_no as id from {rows(crm, 'online/customers.csv')} "
        f"union select 会员号 from {rows(crm, 'store/members.csv')}"
    )
    assert one(con, "select count(*) from known") == SIZE
    customer_columns = {
        "online/contacts.csv": "customer_no",
        "online/consents.csv": "customer_no",
        "online/orders.csv": "customer_no",
        "online/interactions.csv": "customer_no",
        "online/tickets.jsonl": "customer_no",
        "online/surveys.csv": "customer_no",
        "online/follow_ups.csv": "customer_no",
        "online/points.csv": "customer_no",
        "online/referrals.csv": "referrer_no",
        "store/orders.csv": "会员号",
        "store/visits.csv": "会员号",
        "store/tickets.csv": "会员号",
    }
    for file, column in customer_columns.items():
        source = rows(crm, file)
        lost = f"select count(*) from {source} where {column} not in (select id from known)"
        assert one(con, lost) == 0, file
    for child, key, parent, parent_key in (
        ("online/order_lines.csv", "order_no", "online/orders.csv", "order_no"),
        ("online/ticket_events.csv", "ticket_id", "online/tickets.jsonl", "ticket_id"),
        ("store/order_lines.csv", "订单号", "store/orders.csv", "订单号"),
    ):
        lost = (
            f"select count(*) from {rows(crm, child)} c "
            f"anti join {rows(crm, parent)} p on c.{key} = p.{parent_key}"
        )
        assert one(con, lost) == 0, child


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("online/customers.csv", "customer_no"),
        ("online/consents.csv", "customer_no, purpose, channel, changed_at"),
        ("online/orders.csv", "order_no"),
        ("online/order_lines.csv", "order_no, line_no"),
        ("online/interactions.csv", "interaction_id"),
        ("online/tickets.jsonl", "ticket_id"),
        ("online/ticket_events.csv", 'ticket_id, "at"'),
        ("online/surveys.csv", "response_id"),
        ("online/follow_ups.csv", "follow_up_id"),
        ("online/points.csv", "entry_id"),
        ("online/referrals.csv", "referral_id"),
        ("store/orders.csv", "订单号"),
        ("store/visits.csv", "记录号"),
        ("store/tickets.csv", "工单号"),
    ],
)
def test_keys_are_unique(crm: Path, con: duckdb.DuckDBPyConnection, file: str, key: str) -> None:
    total, different = con.execute(
        f"select count(*), count(distinct ({key})) from {rows(crm, file)}"
    ).fetchall()[0]
    assert total == different > 0


def test_nothing_happens_after_as_of(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    checked = 0
    for file in sorted(crm.glob("*/*")):
        name = str(file.relative_to(crm))
        if file.suffix not in (".csv", ".jsonl"):
            continue
        source = rows(crm, name)
        for column, *_ in con.execute(f"describe from {source}").fetchall():
            timelike = column == "at" or column.endswith(("_at", "_since", "时间"))
            if timelike and column != "promised_at":
                latest = one(con, f'select max("{column}"::varchar) from {source}')
                latest = latest and latest.replace("/", "-").replace("T", " ").strip("Z")
                assert latest is not None, (name, column)
                assert latest < END[name.split("/")[0]], (name, column)
                checked += 1
    assert checked > 35


def test_times_of_an_order_and_a_ticket_follow_one_another(
    crm: Path, con: duckdb.DuckDBPyConnection
) -> None:
    orders, tickets = rows(crm, "online/orders.csv"), rows(crm, "online/tickets.jsonl")
    wrong = f"""select count(*) from {orders} where ordered_at > coalesce(paid_at, ordered_at)
        or paid_at > shipped_at or shipped_at > delivered_at or delivered_at > cancelled_at"""
    assert one(con, wrong) == 0
    wrong = f"""select count(*) from {tickets} where opened_at > acknowledged_at
        or acknowledged_at > first_response_at or first_response_at > resolved_at
        or resolved_at > closed_at or closed_at > archived_at or opened_at > updated_at"""
    assert one(con, wrong) == 0


def test_amount_is_the_sum_of_the_lines_less_the_discount(
    crm: Path, con: duckdb.DuckDBPyConnection
) -> None:
    wrong = f"""
        select count(*) from {rows(crm, "online/orders.csv")} o
        join (
            select order_no, sum(amount::decimal(12, 2)) as total
            from {rows(crm, "online/order_lines.csv")} group by 1
        ) l using (order_no)
        where o.amount::decimal(12, 2) + o.discount_amount::decimal(12, 2) <> l.total"""
    assert one(con, wrong) == 0


def test_points_balance_is_never_negative(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    lowest = f"""
        select min(balance) from (
            select sum(points::bigint) over (
                partition by customer_no order by "at", points::bigint desc) as balance
            from {rows(crm, "online/points.csv")})"""
    assert one(con, lowest) >= 0


def test_encodings_are_as_declared(crm: Path) -> None:
    assert (crm / "online/customers.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    for file in (crm / "store").glob("*.csv"):
        content = file.read_bytes()
        assert "会员号" in content.decode("gb18030") or "订单号" in content.decode("gb18030")
        with pytest.raises(UnicodeDecodeError):
            content.decode("utf-8")
    with (crm / "online/tickets.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["description"] for line in lines]
    assert any("\n" in text for text in texts)
    assert any('"' in text for text in texts)
    with (crm / "online/surveys.csv").open(encoding="utf-8", newline="") as file:
        assert any("\n" in row["comment"] for row in csv.DictReader(file))


def test_ids_fit_into_twelve_characters(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    for file, key in (
        ("online/orders.csv", "order_no"),
        ("online/interactions.csv", "interaction_id"),
        ("online/points.csv", "entry_id"),
    ):
        assert one(con, f"select max(length({key})) from {rows(crm, file)}") == 12


def test_shares_are_those_of_a_believable_company(
    crm: Path, con: duckdb.DuckDBPyConnection
) -> None:
    orders = (
        f"select customer_no as c, amount::double as amount, ordered_at::timestamp as at_ "
        f"from {rows(crm, 'online/orders.csv')} where status not in ('cancelled', 'returned') "
        f"union all select 会员号, 实付金额::double, strptime(下单时间, '%Y/%m/%d %H:%M:%S') "
        f"from {rows(crm, 'store/orders.csv')} where 状态 <> '已退货'"
    )
    con.execute(
        f"""create or replace table profile as
        select t.customer_id, count(c) as n, coalesce(sum(amount), 0) as spend,
            date_diff('day', max(at_), timestamp '2026-11-01') as silent,
            date_diff('day', any_value(t.registered_at), timestamp '2026-11-01') as tenure
        from '{crm}/truth/customers_truth.parquet' t left join ({orders}) on c = t.customer_id
        group by 1"""
    )
    segments = dict(
        con.execute(
            """select case
                when percent_rank > 0.88 and n >= 6 and silent <= 90 then 'core'
                when tenure <= 300 and n <= 4 then 'new'
                when coalesce(silent, tenure) > 120 then 'dormant'
                else 'potential' end, count(*) / (select count(*) from profile)
            from (select *, percent_rank() over (order by spend) as percent_rank from profile)
            group by 1"""
        ).fetchall()
    )
    assert 0.05 < segments["core"] < 0.15, segments
    assert 0.2 < segments["potential"] < 0.4, segments
    assert 0.25 < segments["new"] < 0.6, segments
    assert 0.12 < segments["dormant"] < 0.35, segments
    assert 7 < one(con, "select avg(n) from profile") < 14
    late = f"""select avg((delivered_at > promised_at)::int) from {rows(crm, "online/orders.csv")}
        where delivered_at is not null"""
    assert 0.02 < one(con, late) < 0.15
    complaints = f"""
        select is_late, avg((t.order_no is not null)::int) from (
            select order_no, delivered_at > promised_at as is_late
            from {rows(crm, "online/orders.csv")} where delivered_at is not null) o
        left join (select distinct order_no from {rows(crm, "online/tickets.jsonl")}
            where kind = 'complaint') t using (order_no)
        group by 1 order by 1"""
    on_time, is_late = (row[1] for row in con.execute(complaints).fetchall())
    assert is_late > 5 * on_time
    customers = rows(crm, "online/customers.csv")
    companies = f"select avg((type = 'company')::int) from {customers}"
    assert 0.1 < one(con, companies) < 0.2
    leap = f"select count(*) from {customers} where birthday like '%-02-29'"
    assert one(con, leap) > 0


def test_double_eleven_is_the_busiest_day(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    busiest = f"""
        select strftime(ordered_at::timestamp + interval 8 hours, '%m-%d') as day
        from {rows(crm, "online/orders.csv")}
        where ordered_at >= '2025-01-01' and ordered_at < '2026-01-01'
        group by 1 order by count(*) desc limit 1"""
    assert one(con, busiest) == "11-11"


def test_the_truth_stays_out_of_the_mapping(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    for source in ("online", "store"):
        assert "truth" not in (crm / source / "source.yml").read_text("utf-8")
    truth = f"'{crm}/truth/customers_truth.parquet'"
    assert 0.05 < one(con, f"select avg((true_left_at is not null)::int) from {truth}") < 0.5
    after = f"""select count(*) from {rows(crm, "online/orders.csv")} o join {truth} t
        on t.customer_id = o.customer_no
        where o.ordered_at::timestamp + interval 8 hours > t.true_left_at"""
    assert one(con, after) == 0


def test_dirt_is_what_the_list_says(
    crm: Path, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    make_sample(tmp_path, SIZE, 7, AS_OF, 0.05, "csv")
    with (tmp_path / "truth/dirt.csv").open(encoding="utf-8", newline="") as file:
        dirt = list(csv.DictReader(file))
    listed = Counter(row["file"] for row in dirt)
    changed = {name for name, hashed in digest(crm).items() if digest(tmp_path)[name] != hashed}
    assert changed == set(listed) | {"sample.json"}
    for file, bad in listed.items():
        good = one(con, f"select count(*) from {rows(crm, file)}")
        assert 0.03 < bad / good < 0.08, file
    assert {row["expect"] for row in dirt} == {"rejected", "held", "replaced"}
    text = (tmp_path / "online/orders.csv").read_text("utf-8")
    good = (crm / "online/orders.csv").read_text("utf-8")
    assert text.startswith(good)
    bad = list(csv.reader(text[len(good) :].splitlines()))
    named = [row for row in dirt if row["file"] == "online/orders.csv"]
    width = len(good.splitlines()[0].split(","))
    short = sum(row["defect"] == "too few columns" for row in named)
    assert short == sum(len(row) < width for row in bad) > 0
    unknown = sum(row["defect"] == "unknown customer" for row in named)
    assert unknown == sum(row[1] == "C0000404" for row in bad) > 0


def test_parquet_is_repeatable_with_native_types_and_fitting_dirt(
    tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    make_sample(tmp_path, 300, 7, AS_OF, 0.05, "parquet")
    first = digest(tmp_path)
    make_sample(tmp_path, 300, 7, AS_OF, 0.05, "parquet")
    assert digest(tmp_path) == first
    described = con.execute(f"describe from '{tmp_path}/store/orders.parquet'").fetchall()
    types = {row[0]: row[1] for row in described}
    assert types["下单时间"] == "TIMESTAMP"
    assert types["实付金额"].startswith("DECIMAL")
    assert "strptime(下单" not in (tmp_path / "store/source.yml").read_text("utf-8")
    negative = f"select count(*) from '{tmp_path}/online/orders.parquet' where amount < 0"
    assert one(con, negative) > 0


def test_delta_adds_new_rows_and_newer_versions(
    crm: Path, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    shutil.copytree(crm, tmp_path, dirs_exist_ok=True)
    first = make_delta(tmp_path, SIZE, 7, AS_OF)
    again = digest(tmp_path)
    assert make_delta(tmp_path, SIZE, 7, AS_OF) == first
    assert digest(tmp_path) == again
    assert "online/orders_2026-11-02.csv" in {f.file for f in first}
    old, new = rows(tmp_path, "online/orders.csv"), rows(tmp_path, "online/orders_2026-11-02.csv")
    changed = con.execute(
        f"select count(*), min(new.updated_at > old.updated_at) "
        f"from {new} new join {old} old using (order_no)"
    ).fetchall()[0]
    assert changed[0] < one(con, f"select count(*) from {new}")
    span = con.execute(f"select min(updated_at), max(updated_at) from {new}").fetchall()[0]
    assert END["online"] <= span[0] <= span[1] < "2026-11-01 16:00:00"
    known = (
        f"select customer_no from {rows(tmp_path, 'online/customers.csv')} union all "
        f"select customer_no from {rows(tmp_path, 'online/customers_2026-11-02.csv')}"
    )
    lost = f"select count(*) from {new} where customer_no not in ({known})"
    assert one(con, lost) == 0
    second = make_delta(tmp_path)
    assert "online/customers_2026-11-03.csv" in {f.file for f in second}
    with pytest.raises(SettingsError, match="seed"):
        make_delta(tmp_path, seed=8)


def test_a_folder_with_other_things_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text("mine")
    with pytest.raises(SourceError, match=r"report\.txt"):
        make_sample(tmp_path, 20, 7, AS_OF)
    with pytest.raises(SourceError, match="no complete sample"):
        make_delta(tmp_path)
    app = Typer()
    register(app)
    arguments = [str(tmp_path), "--customers", "60", "--as-of", "2026-11-01", "--json", "--force"]
    result = CliRunner().invoke(app, [*arguments, "--dirty", "1%", "--lang", "en"])
    assert result.exit_code == 0, result.output
    files = {row["file"]: row["rows"] for row in json.loads(result.stdout)}
    assert files["truth/customers_truth.parquet"] == 60
    assert "truth/dirt.csv" in files
    assert (tmp_path / "report.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "wrong", [{"fmt": "xml"}, {"lang": "fr"}, {"dirty": 0.9}, {"customers": 0}]
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    arguments = {"dir": tmp_path, "customers": 20, "seed": 7, "as_of": AS_OF} | wrong
    with pytest.raises(SettingsError, match=next(iter(wrong)).replace("fmt", "format")):
        make_sample(**arguments)
    assert not list(tmp_path.iterdir())


def test_products_have_companions(crm: Path, con: duckdb.DuckDBPyConnection) -> None:
    """Most products are bought with one other, of a kind that goes with theirs, far more often
    than by chance; and no more than a few are with one of another kind."""
    con.execute(
        "create or replace table bought as select distinct order_no, sku, "
        "(substr(sku, 2)::int - 1001) % 8 as kind from "
        f"{rows(crm, 'online/order_lines.csv')}"
    )
    companions = con.execute(
        "with often as (select sku, count(*) as n from bought group by all), "
        "orders as (select count(distinct order_no) as n from bought), "
        "pair as (select a.sku as one, b.sku as other, any_value(a.kind) as kind, "
        "any_value(b.kind) as other_kind, count(*) as together "
        "from bought a join bought b on a.order_no = b.order_no and a.sku <> b.sku group by all) "
        "select one, kind, other_kind, together * orders.n / (a.n * b.n) as lift from pair, orders "
        "join often a on a.sku = one join often b on b.sku = other where together >= 10 "
        "qualify row_number() over (partition by one order by lift desc, other) = 1"
    ).fetchall()
    fits = yaml.safe_load(WORDS.read_text("utf-8"))["goods"]
    kinds = [kind["category"] for kind in fits]
    strong = [row for row in companions if row[3] >= 3]
    assert len(strong) >= 30
    strange = [
        row for row in strong
        if kinds[row[2]] not in fits[row[1]]["goes_with"]
        and kinds[row[1]] not in fits[row[2]]["goes_with"]
    ]  # fmt: skip
    assert len(strange) <= 3
