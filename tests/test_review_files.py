"""What surrounds the review: workbook, PDF, alerts, charts and dbt's documentation."""

import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from apprise_receiver import Receiver
from careloop.cli.docs import server
from careloop.errors import CareloopError, GateError, SettingsError
from careloop.escalate.operators import KPI, Notice, Told, tell_operators
from careloop.judge import Marts, NotOverError, marts_for, wait_for_marts
from careloop.judge.run import _line
from careloop.ledger.database import has_ledger, open_ledger
from careloop.program.load import load_program
from careloop.quality.results import GateResult, Result
from careloop.refresh import Refresh
from careloop.review import parse_period
from careloop.review.excel import write_workbook
from careloop.review.kpi_chart import known_kpis, kpi_chart, spec_of, write_chart
from careloop.review.model import Chart, Column, Section, Sentence, Table
from careloop.review.pdf import NoBrowserError, find_browser, write_pdf
from careloop.review.words import Words
from careloop.settings import Settings, load_settings
from conftest import Company, run

PROGRAM = load_program("retail_care")
ZH, EN = (Words("words", language, PROGRAM) for language in ("zh", "en"))
MADE = datetime(2026, 10, 31, 16)
NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)

# ------------------------------------------------------------------------------------ workbook

COLUMNS = (
    Column("kpi", "指标"),
    Column("value", "Value", "by_unit"),
    Column("change", "Change", "change"),
    Column("share", "Share", "share", 1),
    Column("money", "Money", "money", 2),
    Column("day", "Day", "date"),
    Column("state", "State", "state"),
    Column("trend", "Trend", "trend"),
    Column("late", "Late"),
)
ROWS = (
    {
        "kpi": "=1+1 复购率", "unit": "share", "value": 0.1234, "change": -0.05, "share": 0.5,
        "money": Decimal("12.30"), "day": date(2026, 7, 1), "state": "missed", "trend": [1, None],
        "late": True,
    },
    {
        "kpi": None, "unit": "nps", "value": 27.8, "change": 2.0, "share": float("nan"),
        "money": None, "day": None, "state": None, "late": False,
    },
)  # fmt: skip
TABLE = Table("kpis", "KPIs / 指标: [all]", COLUMNS, ROWS, note="only what is judged", short=1)
SECTIONS = [
    Section("kpis", "指标", blocks=(TABLE, Chart("c", "no table", {}, "nothing"), TABLE)),
    Section("b", "B", sections=(Section("c", "C", blocks=(Table("t", "history", (Column("a", "A"),), ()),)),)),
]  # fmt: skip
HEADLINE = [Sentence("bad", "NPS missed"), Sentence("good", "复购率达成")]


def book(path: Path, say: Words) -> openpyxl.Workbook:
    write_workbook(path, "Review 2026Q3", SECTIONS, HEADLINE, say, MADE)
    return openpyxl.load_workbook(path)


def test_every_table_is_a_sheet_after_the_contents(tmp_path: Path) -> None:
    made = book(tmp_path / "r.xlsx", ZH)
    assert made.sheetnames == ["目录", "指标 KPIs 指标 all", "指标 KPIs 指标 all 2", "history 2"]
    contents = [[cell.value for cell in row] for row in made["目录"].rows]
    assert contents[0][0] == "Review 2026Q3"
    assert [row[0] for row in contents if row[0] and row[0][0] in "✗✓"] == [
        "✗ NPS missed",
        "✓ 复购率达成",
    ]
    assert contents[-3:] == [
        ["指标 KPIs 指标 all", "指标", 2, "only what is judged"],
        ["指标 KPIs 指标 all 2", "指标", 2, "only what is judged"],
        ["history 2", "B · C", 0, None],
    ]
    links = [cell.hyperlink.location for (cell, *_) in made["目录"].rows if cell.hyperlink]
    assert links == ["'指标 KPIs 指标 all'!A1", "'指标 KPIs 指标 all 2'!A1", "'history 2'!A1"]


def test_cells_are_what_they_are_and_look_so(tmp_path: Path) -> None:
    sheet = book(tmp_path / "r.xlsx", EN)["指标 KPIs 指标 all"]
    head, first, second = sheet.rows
    assert [cell.value for cell in head] == [
        "指标", "Value", "Change", "Share", "Money", "Day", "State", "Late",
    ]  # fmt: skip
    assert [cell.value for cell in first] == [
        "=1+1 复购率", 0.1234, -5, 0.5, 12.3, datetime(2026, 7, 1), "✗ missed", "yes",
    ]  # fmt: skip
    assert first[0].data_type == "s", "a text is no formula"
    assert [cell.value for cell in second] == [None, 27.8, 2, None, None, None, None, "no"]
    assert [cell.number_format for cell in first[1:6]] == [
        "0.0%", '+#,##0.0" pp";-#,##0.0" pp";0.0" pp"', "0.0%", "#,##0.00", "yyyy-mm-dd",
    ]  # fmt: skip
    assert second[1].number_format == "#,##0.0"
    assert second[2].number_format == "+#,##0.0;-#,##0.0;0.0"
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B2", "A1:H3")
    assert sheet.page_setup.orientation == "landscape"


def test_the_same_review_gives_the_same_workbook(tmp_path: Path) -> None:
    for name in ("a", "b"):
        book(tmp_path / f"{name}.xlsx", ZH)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xlsx", "b.xlsx"]
    with pytest.raises(SettingsError, match="can't be written"):
        write_workbook(Path("/proc/none/r.xlsx"), "x", SECTIONS, [], ZH, MADE)


# ----------------------------------------------------------------------------------------- pdf


def fake_browser(folder: Path, script: str) -> Path:
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_without_a_browser_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("careloop.review.pdf.APPLICATIONS", ())
    with pytest.raises(NoBrowserError, match=r"(?s)no PDF was made.*CARELOOP_BROWSER"):
        find_browser(Settings(home=tmp_path))
    monkeypatch.setenv("CARELOOP_BROWSER", "firefox")
    with pytest.raises(SettingsError, match="there is no browser firefox"):
        find_browser(load_settings(home=tmp_path))
    mine = fake_browser(tmp_path, "exit 0")
    monkeypatch.setenv("CARELOOP_BROWSER", str(mine))
    assert find_browser(load_settings(home=tmp_path)) == mine
    monkeypatch.delenv("CARELOOP_BROWSER")
    assert find_browser(load_settings(home=tmp_path)) == mine, "the first one on PATH"


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # A child that nobody waits for stays in the table of processes.
    return "Z" in Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def test_a_browser_that_fails_or_hangs_is_ended(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>hello")
    told = tmp_path / "child"
    hanging = fake_browser(tmp_path, f"sleep 60 & echo $! > {told}; wait")
    settings = Settings(home=tmp_path, browser=str(hanging))
    with pytest.raises(CareloopError, match="took longer than 1 seconds"):
        write_pdf(settings, page, tmp_path / "page.pdf", MADE, seconds=1)
    child = int(told.read_text())
    assert any(is_gone(child) or time.sleep(0.05) for _ in range(100)), "its children end too"
    fake_browser(tmp_path, "echo no display >&2; exit 3")
    with pytest.raises(CareloopError, match="ended with 3: no display"):
        write_pdf(settings, page, tmp_path / "page.pdf", MADE)
    assert not (tmp_path / "page.pdf").exists()


def test_a_pdf_is_dated_as_the_marts_are(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>hello")
    text = "%PDF-1.4 /CreationDate (D:20261122205656+00'00') /ModDate (D:20261122205656+00'00')"
    script = (
        f'for a in "$@"; do case "$a" in --print-to-pdf=*) echo "{text}" > "${{a#*=}}";; esac; done'
    )
    settings = Settings(home=tmp_path, browser=str(fake_browser(tmp_path, script)))
    pdf = write_pdf(settings, page, tmp_path / "page.pdf", MADE.replace(tzinfo=UTC))
    assert pdf.read_text().count("(D:20261031160000+00'00')") == 2
    assert len(pdf.read_text()) == len(text) + 1


# -------------------------------------------------------------------------------------- alerts


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()
    monkeypatch.setenv("CARELOOP_CHANNEL_ALERTS_URL", found.url)
    yield found
    found.stop()


def told_settings(home: Path) -> Settings:
    return Settings(home=home, program="retail_care", channels={"alerts": {"type": "apprise"}})


def notices(*names: str) -> list[Notice]:
    return [
        Notice(KPI, ("retail_care", name, "quarter:2026-07-01"), f"{name} 未达成") for name in names
    ]


def states(settings: Settings) -> list[tuple]:
    with open_ledger(settings) as ledger, ledger.read() as con:
        sql = "select kind, channel, state, attempts, failures from alerts order by seq"
        return [tuple(row) for row in con.exec_driver_sql(sql)]


def test_a_notice_is_told_once_together_with_what_is_new(
    receiver: Receiver, tmp_path: Path
) -> None:
    settings = told_settings(tmp_path)
    tell: Callable[..., Told] = lambda *names: tell_operators(  # noqa: E731
        settings, "指标", notices(*names), "zh-CN", NOW
    )
    assert tell("nps", "reach") == Told(True, sent=2)
    assert tell("reach", "nps") == Told(True, known=2)
    assert tell("nps", "retention") == Told(True, sent=1, known=1)
    assert [body["message"].strip() for body in receiver.bodies] == [
        "nps 未达成\nreach 未达成",
        "retention 未达成",
    ]
    assert states(settings) == [("kpi", "alerts", "sent", 1, 0)] * 3


def test_what_failed_is_tried_again_and_given_up_at_last(
    receiver: Receiver, tmp_path: Path
) -> None:
    settings = told_settings(tmp_path)
    settings.channels["alerts"]["tries"] = 2
    receiver.answers = [403, 500, 500]
    tell = lambda: tell_operators(settings, "指标", notices("nps"), "zh-CN", NOW)  # noqa: E731
    assert (tell().failed, states(settings)[0][2]) == (1, "planned"), "the channel was down"
    assert (tell().failed, states(settings)[0][2:]) == (1, ("failed", 2, 1))
    assert (tell().failed, states(settings)[0][2:]) == (1, ("failed", 3, 2))
    assert tell() == Told(True, known=1)
    assert len(receiver.bodies) == 3


def test_what_a_dead_process_was_telling_is_not_told_again(
    receiver: Receiver, tmp_path: Path
) -> None:
    settings = told_settings(tmp_path)
    receiver.answers = [403]
    tell_operators(settings, "指标", notices("nps"), "zh-CN", NOW)
    with open_ledger(settings) as ledger, ledger.write() as con:
        con.exec_driver_sql(
            "update alerts set state = 'sending', worker = 'gone', lease_until = '2026-11-01 05:00:00.000000'"
        )
    later = NOW + timedelta(hours=1)
    assert tell_operators(settings, "指标", notices("nps"), "zh-CN", later) == Told(True, known=1)
    assert states(settings)[0][2] == "unknown"
    assert len(receiver.bodies) == 1


def test_where_nobody_is_named_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, program="retail_care")
    assert tell_operators(settings, "指标", notices("nps"), "zh-CN", NOW) == Told(False)
    assert not has_ledger(settings)


def failed_result(table: str, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "run_id": "r", "as_of": datetime(2026, 11, 1), "gate": "marts", "table": table,
        "expectation": {"en": "amount is at least 0", "zh": "金额不小于 0"}, "type": "t",
        "column": "amount", "severity": "critical", "success": False, "rows_checked": 1200,
        "rows_failing": 3, "keys": ("order O-77 of 王小明",), "observed": None,
        "why": {"en": "Money.", "zh": "金额。"},
    }  # fmt: skip
    return Result(**{**values, **changes})


def test_a_broken_gate_is_told_once_without_keys(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = Refresh(told_settings(tmp_path), PROGRAM, NOW)
    results = [failed_result("marts.fct_orders"), failed_result("x", severity="warning")]
    gate = GateResult("marts", "r", datetime(2026, 11, 1), results)
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(GateError, match="the marts gate stopped the run"):
            refresh.stop_if_critical(gate, NOW, said.append)
    (body,) = receiver.bodies
    assert (
        body["title"]
        == "客户关怀与体验提升方案：截至 2026-11-01 00:00 的刷新未通过数据集市检查，未发布新数据"
    )
    assert body["message"].strip() == "marts.fct_orders：不满足“金额不小于 0”（1,200 行中 3 行）"
    other = GateResult("marts", "r", datetime(2026, 11, 1), [failed_result("marts.dim_customers")])
    receiver.answers = [400]
    with pytest.raises(GateError):
        refresh.stop_if_critical(other, NOW, said.append)
    assert said == ["the alert was not sent: HTTP 400"]
    monkeypatch.delenv("CARELOOP_CHANNEL_ALERTS_URL")
    with pytest.raises(GateError):
        refresh.stop_if_critical(other, NOW, said.append)
    assert said[-1].startswith("the alert was not sent: channel alerts has no url")
    fine = GateResult("marts", "r", datetime(2026, 11, 1), [failed_result("x", severity="warning")])
    refresh.stop_if_critical(fine, NOW, said.append)


def test_a_line_names_owners_by_number_only() -> None:
    row = {
        "kpi": "complaints_on_time", "period_type": "month", "period_start": date(2026, 9, 1),
        "slice_kind": "owner", "slice": None, "target": 0.95, "lowest": 0.5, "highest": 0.7,
        "unit": "share", "missed": 2, "judged": 7,
    }  # fmt: skip
    assert _line(row, EN).endswith("September 2026: 2 of 7 owners missed the target 95.0%")
    touchpoint = {**row, "slice_kind": "touchpoint", "slice": "payment"}
    assert _line(touchpoint, ZH).startswith("支付: ")
    assert "50.0%" in _line(touchpoint, ZH)


# --------------------------------------------------------------------------------------- marts


def test_a_review_waits_for_marts_that_reach_the_end(company: Company) -> None:
    slept: list[float] = []
    said: list[str] = []
    october = parse_period("2026-10")
    marts = wait_for_marts(company.settings, PROGRAM, october, 0, said.append, sleep=slept.append)
    assert marts.as_of.isoformat() == "2026-11-01T00:00:00+08:00"
    assert (
        company.settings.published / f"marts-{marts.version}.duckdb"
        == (company.settings.published / "marts.duckdb").resolve()
    )
    with pytest.raises(NotOverError) as caught:
        wait_for_marts(
            company.settings, PROGRAM, parse_period("2026Q4"), 2.5, said.append, sleep=slept.append
        )
    assert caught.value.what == (
        "2026Q4 ends with 2026-12-31, and the published marts are as of 2026-11-01 00:00"
    )
    assert slept == [60, 60, 30]
    assert said == ["the marts are as of 2026-11-01 00:00; waiting for those of 2027-01-01"]


def test_periods_and_programs_that_do_not_fit_are_refused(company: Company, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="2027Q1 had not begun"):
        marts_for(company.settings, PROGRAM, parse_period("2027Q1"))
    running = marts_for(company.settings, PROGRAM, parse_period("2026Q4"))
    assert isinstance(running, Marts), "a quarter that runs is judged as far as it is seen"
    with pytest.raises(SettingsError, match="of the program retail_care, not of key_account"):
        marts_for(company.settings, load_program("key_account"), parse_period("2026Q3"))
    with pytest.raises(NotOverError, match="not there"):
        wait_for_marts(
            Settings(home=tmp_path), PROGRAM, parse_period("2026Q3"), 0, print, sleep=lambda _: None
        )


# -------------------------------------------------------------------------------------- charts


def test_a_kpi_in_the_terminal(company: Company) -> None:
    shown = company.run("chart", "kpi", "repurchase_rate", "--language", "en")
    expected = company.rows(
        "select value, denominator from rpt_kpis where kpi = 'repurchase_rate' and slice_kind = "
        "'all' and period_type = 'quarter' and period_start = date '2026-07-01'"
    )
    (line,) = [line for line in shown.splitlines() if line.startswith("2026Q3")]
    assert f"{100 * expected[0][0]:.1f}%" in line
    assert f"{expected[0][1]:,.0f}" in line
    assert "█" in line
    assert "2026Q4 (not over yet)" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_kpi_by_segment_has_the_values_of_the_mart(company: Company) -> None:
    data = json.loads(company.run("chart", "kpi", "repurchase_rate", "--by", "segment", "--json"))
    found = {(row["period_start"], row["slice"]): row["value"] for row in data["rows"]}
    expected = company.rows(
        "select period_start::varchar, slice, value from rpt_kpis where kpi = 'repurchase_rate' "
        "and slice_kind = 'segment' and period_type = 'quarter' and value is not null"
    )
    assert found == {(start, name): value for start, name, value in expected}
    order = [segment.id for segment in PROGRAM.segments]
    last = [row["slice"] for row in data["rows"] if row["period_start"] == "2026-07-01"]
    assert last == sorted(last, key=lambda name: order.index(name) if name in order else 99)


def test_lines_while_they_can_be_told_apart_else_bars(company: Company) -> None:
    lines = kpi_chart(company.settings, PROGRAM, "repurchase_rate", by="segment")
    assert not lines.is_bars
    assert "series" in json.dumps(spec_of(lines, EN))
    bars = kpi_chart(company.settings, PROGRAM, "repurchase_rate", by="region")
    assert bars.is_bars == (len({row["slice"] for row in bars.rows}) > 6)
    drawn = json.dumps(spec_of(bars, EN))
    assert '"bar"' in drawn or not bars.is_bars
    state = kpi_chart(company.settings, PROGRAM, "profile_completeness", by="segment", every="year")
    assert len(state.last) == len({row["slice"] for row in state.last})


@pytest.mark.parametrize("ending", ["html", "svg", "png"])
def test_a_chart_as_a_file(company: Company, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"chart.{ending}"
    chart = kpi_chart(company.settings, PROGRAM, "nps", language="zh")
    assert write_chart(chart, ZH, path) == path
    data = path.read_bytes()
    if ending == "png":
        assert data.startswith(b"\x89PNG")
        return
    text = data.decode()
    assert "净推荐值" in text
    if ending == "html":
        assert "<script src" not in text
        assert not any(
            f'="{start}' in text.split("<script>")[0] for start in ("http:", "https:", "//")
        )
    first = path.read_bytes()
    write_chart(chart, ZH, path)
    assert path.read_bytes() == first


def test_charts_that_cannot_be_drawn_say_why(company: Company, tmp_path: Path) -> None:
    for arguments, told in (
        (["repurchase_rat"], "did you mean repurchase_rate"),
        (["nps", "--by", "colour"], "allowed: segment"),
        (["nps", "--period", "decade"], "allowed: week"),
        (["ltv", "--period", "week"], "there are no figures of ltv per week"),
        (["nps", "--out", str(tmp_path / "x.gif")], "endings: .html, .svg, .png"),
    ):
        with pytest.raises(SettingsError, match=told):
            company.run("chart", "kpi", *arguments)
    with pytest.raises(SettingsError, match="nothing is published"):
        known_kpis(Settings(home=tmp_path))


def test_the_list_has_every_kpi_with_figures(company: Company) -> None:
    listed = {row["kpi"] for row in json.loads(company.run("chart", "list", "--json"))}
    (names,) = zip(
        *company.rows("select distinct kpi from rpt_kpis where value is not null"), strict=True
    )
    assert listed == set(names)
    assert "净推荐值" in company.run("chart", "list")


# -------------------------------------------------------------------------------- dbt's own docs


@pytest.mark.slow
def test_the_models_are_documented_as_one_page(company: Company, tmp_path: Path) -> None:
    settings = company.copy(tmp_path / "home")
    told = run(settings, "docs", "--no-serve", "--json")
    page = Path(json.loads(told)["page"])
    text = page.read_text("utf-8")
    assert "INLINE DATA" not in text
    assert "model.careloop.rpt_kpis" in text
    assert "https://fonts" not in text
    rows = company.one("select count(*) from dim_customers")
    assert f'"label": "Rows", "value": {rows}' in text
    left = (settings.home / "docs").rglob("*.duckdb")
    assert not list(left), "nothing of the warehouse stays"
    with server(page.parent, 0) as running:
        assert running.server_address[0] == "127.0.0.1"
        with pytest.raises(SettingsError, match="can't be used"):
            server(page.parent, running.server_port)
    shutil.rmtree(settings.home / "docs")
