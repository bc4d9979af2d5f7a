"""Sections of the review beside the KPIs: of the small company, of one without data, in words."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from careloop.contract import entities
from careloop.program.load import load_program
from careloop.program.period import parse_period
from careloop.published import current_version
from careloop.review.model import Chart, Section, Table
from careloop.review.reader import Reader
from careloop.review.sections import (
    care_program,
    cases,
    churn,
    data_quality,
    decisions,
    health,
    migration,
    retention,
    service,
    value,
)
from careloop.review.words import Words, texts
from careloop.settings import PROJECT_ROOT
from conftest import Company

BUILD = {
    "health": health, "migration": migration, "retention": retention, "value": value,
    "care_program": care_program, "service": service, "churn": churn, "cases": cases,
    "data_quality": data_quality, "decisions": decisions,
}  # fmt: skip
# Latin words in Chinese: names of files and tables, and what has no other name.
LATIN = {"App", "AUC", "CRM", "Excel", "NPS", "RFM", "careloop", "sample", "customer_id"}
NAMES = LATIN | {column for entity in entities().values() for column in entity.columns}
PLACES = "广东|浙江|江苏|上海|北京|四川|湖北|湖南|山东|河南|福建|陕西|重庆|辽宁|新疆"
STRAY = {
    "zh": lambda text: set(re.findall("[A-Za-z_]{3,}", re.sub(r"marts\.\w+", "", text))) - NAMES,
    "en": lambda text: re.search("[\u4e00-\u9fff]", re.sub(PLACES, "", text)),
}
# Columns of migration-segment-table that must balance.
PARTS = ("opening", "new_customers", "entered", "departed", "erased", "left_data", "closing")


@pytest.fixture(scope="module")
def marts(company: Company) -> Iterator[duckdb.DuckDBPyConnection]:
    version = current_version(company.settings)
    assert version
    with duckdb.connect(str(version), read_only=True) as con:
        yield con


@pytest.fixture(scope="module")
def nothing(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The tables of the company without a row but that of the run."""
    version = current_version(company.settings)
    path = tmp_path_factory.mktemp("nothing") / "marts.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"attach '{version}' as full_one (read_only)")
        listed = "select table_name from duckdb_tables() where database_name = 'full_one' " \
                 "and schema_name = 'main'"  # fmt: skip
        for (table,) in con.execute(listed).fetchall():
            rows = "" if table == "rpt_run" else "limit 0"
            con.execute(f"create table {table} as from full_one.main.{table} {rows}")
        con.execute("detach full_one")
        yield con


def reader(con: duckdb.DuckDBPyConnection, period: str = "2026Q4", language: str = "en") -> Reader:
    program = load_program(PROJECT_ROOT / "programs" / "retail_care")
    as_of = con.execute("select as_of_local from rpt_run").fetchall()[0][0]
    as_of = as_of.replace(tzinfo=ZoneInfo(program.zone))
    return Reader(con, program, parse_period(period), language, as_of)


def shown(section: Section) -> list[str]:
    """Every text of a section that somebody reads."""
    found = [section.title, *(s.text for s in section.sentences)]
    for block in section.blocks:
        found += [block.title, block.note]
        if isinstance(block, Chart):
            found.append(block.alt)
        else:
            found += [column.title for column in block.columns]
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("period", ["2026Q3", "2026Q4", "2026-10"])
@pytest.mark.parametrize("name", BUILD)
def test_a_section_reads_well(
    marts: duckdb.DuckDBPyConnection, name: str, period: str, language: str
) -> None:
    one = reader(marts, period, language)
    section = BUILD[name].build(one)
    assert section
    assert section.id == name
    assert section.sentences
    for text in shown(section):
        assert "None" not in text
        assert "{" not in text
        assert "nan" not in text.split()
        if language == "en":
            assert not re.search("[\u4e00-\u9fff]", text), text
    ids = [block.id for block in section.blocks]
    assert len(ids) == len(set(ids))
    say = Words(name, language, one.program)
    for block in section.blocks:
        if isinstance(block, Table):
            assert block.rows
            for row in block.rows:
                assert list(row) == [column.key for column in block.columns]
                assert all(isinstance(say.cell(row, column), str) for column in block.columns)
        else:
            assert json.loads(json.dumps(block.spec)) == block.spec
    assert BUILD[name].build(one) == section


def read_out(section: Section, say: Words) -> Iterator[str]:
    """Every text of a section: what stands around, in cells, and in charts."""
    yield from shown(section)
    for part in section.sections:
        yield from read_out(part, say)
    for block in section.blocks:
        if isinstance(block, Table):
            for row in block.rows:
                yield from (say.cell(row, column) for column in block.columns)
        else:
            yield from drawn(block.spec)


def drawn(spec: object) -> Iterator[str]:
    """What a chart's data and its titles say."""
    if isinstance(spec, list):
        for item in spec:
            yield from drawn(item)
    elif isinstance(spec, dict):
        for key, item in spec.items():
            if key == "values":
                rows = [row for row in item if isinstance(row, dict)]
                yield from (text for row in rows for text in row.values() if isinstance(text, str))
            elif key == "title" and isinstance(item, str):
                yield item
            else:
                yield from drawn(item)


@pytest.mark.parametrize("period", ["2026Q3", "2026Q4", "2026-10"])
@pytest.mark.parametrize("name", [*BUILD, "kpis", "deviations"])
def test_what_is_read_is_in_one_language(
    marts: duckdb.DuckDBPyConnection, name: str, period: str
) -> None:
    build = BUILD.get(name) or import_module(f"careloop.review.sections.{name}")
    for language in ("zh", "en"):
        one = reader(marts, period, language)
        say = Words(name, language, one.program)
        texts = {text for text in read_out(build.build(one), say) if text}
        assert {text for text in texts if STRAY[language](text)} == set()


@pytest.mark.parametrize("name", BUILD)
def test_without_data_a_section_says_so(nothing: duckdb.DuckDBPyConnection, name: str) -> None:
    for language in ("en", "zh"):
        section = BUILD[name].build(reader(nothing, "2026Q4", language))
        assert section
        assert section.sentences
        assert not any(isinstance(block, Chart) for block in section.blocks)
        assert "None" not in " ".join(shown(section))


@pytest.mark.parametrize("name", BUILD)
def test_of_an_earlier_release_a_section_is_left_out_or_whole(name: str) -> None:
    with duckdb.connect() as con:
        con.execute(
            "create table rpt_run as select timestamp '2026-11-01' as as_of_local, "
            "timestamp '2026-10-31 16:00' as as_of_utc"
        )
        section = BUILD[name].build(reader(con))
    assert section is None or name == "decisions"


@pytest.mark.parametrize("name", BUILD)
def test_words_are_there_in_both_languages_and_hide_no_common_ones(name: str) -> None:
    mine, common = texts(name), texts("words")
    for key, text in mine.items():
        assert {"en", "zh"} <= set(text) <= {"en", "zh", "one"}, key
        named = {language: set(re.findall(r"{(\w+)}", text[language])) for language in text}
        assert named["zh"] <= named["en"] | {"n"}, key
        has_words = re.search("[a-z]", re.sub("{.*?}", "", text["en"]))
        assert re.search("[\u4e00-\u9fff]", text["zh"]) or not has_words, key
    assert not set(mine) & set(common)
    source = Path(str(BUILD[name].__file__)).read_text("utf-8")
    literal = set(re.findall(r'say\("(\w+)"', source))
    assert literal <= set(mine) | set(common)


def _table(section: Section, name: str) -> Table:
    return next(b for b in section.blocks if isinstance(b, Table) and b.id == name)


@pytest.mark.parametrize("dimension", ["segment", "stage"])
@pytest.mark.parametrize("period", ["2026Q3", "2026Q4", "2026-10", "2026-11"])
def test_the_balance_shown_reconciles(
    marts: duckdb.DuckDBPyConnection, period: str, dimension: str
) -> None:
    rows = _table(migration.build(reader(marts, period)), f"migration-{dimension}-table").rows
    for row in rows:
        opening, new, entered, departed, erased, left, closing = (row[part] for part in PARTS)
        assert opening + new + entered - departed - erased - left == closing
    assert sum(r["entered"] for r in rows) == sum(r["departed"] for r in rows)
    assert sum(r["actual_share"] for r in rows) == pytest.approx(1)


def test_the_matrix_adds_up_to_the_balance(marts: duckdb.DuckDBPyConnection) -> None:
    one = reader(marts, "2026Q4")
    section = migration.build(one)
    for dimension in ("segment", "stage"):
        rows = _table(section, f"migration-{dimension}-table").rows
        chart = next(b for b in section.blocks if b.id == f"migration-{dimension}")
        cells = [
            value
            for values in _datasets(chart.spec)
            for value in values
            if {"from", "to", "customers"} <= set(value)
        ]
        unique = {(c["from"], c["to"]): c["customers"] for c in cells}
        for row in rows:
            came = sum(n for (_, end), n in unique.items() if end == row["value"])
            went = sum(n for (start, _), n in unique.items() if start == row["value"])
            assert came == row["closing"]
            assert went == row["opening"]


def _datasets(spec: object) -> Iterator[list[dict]]:
    """The values of every data set in a specification."""
    if isinstance(spec, dict):
        for key, inner in spec.items():
            if key == "values" and isinstance(inner, list):
                yield inner
            elif key == "datasets":
                yield from inner.values()
            else:
                yield from _datasets(inner)
    elif isinstance(spec, list):
        for inner in spec:
            yield from _datasets(inner)


def test_cohorts_hold_every_buyer_once(marts: duckdb.DuckDBPyConnection) -> None:
    sizes = "select sum(customers) from rpt_retention where months_since = 0"
    buyers = "select count(distinct customer_id) from fct_orders where is_counted"
    assert marts.execute(sizes).fetchall() == marts.execute(buyers).fetchall()
    never_fewer = (
        "select count(*) from (select returned < lag(returned) over (partition by cohort_month "
        "order by months_since) as is_fewer from rpt_retention) where is_fewer"
    )
    assert marts.execute(never_fewer).fetchall() == [(0,)]


def test_care_of_a_quarter_is_that_of_its_months(marts: duckdb.DuckDBPyConnection) -> None:
    described = marts.execute("describe rpt_care_program").fetchall()
    numbers = [name for name, kind, *_ in described if kind == "BIGINT"]
    assert len(numbers) > 20
    sums = ", ".join(f"sum({name})" for name in numbers)
    by_kind = marts.execute(
        f"select {sums} from rpt_care_program group by period_type order by period_type"
    ).fetchall()
    assert len(by_kind) == 2
    assert by_kind[0] == by_kind[1]
    came_up = marts.execute("select sum(came_up) from rpt_care_days").fetchall()[0][0]
    assert by_kind[0][numbers.index("came_up")] == came_up


def test_cases_of_alert_open_now_are_the_customers_on_a_level(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    closing = (
        "select sum(closing) from rpt_churn_cases where period_type = 'month' "
        "and period_start = (select max(period_start) from rpt_churn_cases "
        "where period_type = 'month')"
    )
    today = "select count(churn_level) from dim_customers"
    assert marts.execute(closing).fetchall() == marts.execute(today).fetchall()


def test_no_words_of_customers_and_no_addresses_are_shown(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    for name in ("cases", "service", "churn", "decisions"):
        for block in BUILD[name].build(reader(marts, "2026Q3")).blocks:
            if isinstance(block, Table):
                text = json.dumps(block.rows, default=str)
                assert "@" not in text
                assert not re.search(r"\b1[3-9]\d{9}\b", text)
                assert "customer_id" not in text


def test_decisions_have_an_owner_a_day_ahead_and_evidence(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    section = decisions.build(reader(marts, "2026Q3"))
    rows = _table(section, "decisions").rows
    assert [row["no"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert row["owner"]
        assert re.search(r"\d", row["why"])
        assert row["due_on"] >= dt.date(2026, 11, 1)
    chinese = _table(decisions.build(reader(marts, "2026Q3", "zh")), "decisions").rows
    assert [row["due_on"] for row in chinese] == [row["due_on"] for row in rows]
