"""The review's page: of a calm company and of an ugly one, in both languages."""

import base64
import hashlib
import json
import os
import re
import string
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from careloop.durable import put
from careloop.errors import SettingsError
from careloop.program.goals import WatchedKpi
from careloop.review import Written, parse_period, write
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader
from careloop.review.sections import ORDER
from careloop.review.sections.kpis import _lacks
from careloop.review.targets import foremost, free, history
from careloop.review.words import Words, texts
from careloop.settings import Settings
from review_world import AS_OF, EVIL, LONG, make_world, pack

CALM, UGLY = "retail_care", "online_crm"
VERSION = f"{AS_OF:%Y%m%d}T0000-0123456789"
PARTS = ["page", "words", "headline", *ORDER]
# What a Chinese page may say in Latin letters: names of products, symbols, ids.
LATIN = {"careloop", "excel", "nps", "utc"}

AGAIN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_review_page import review
print(review(Path({home!r}), "online_crm", "en", ugly=True, make=False).html)
"""


def review(
    home: Path, name: str, language: str, *, ugly: bool, make: bool = True, period: str = "2026Q3"
) -> Written:
    """The review of a made-up company."""
    program = pack(name, evil=ugly)
    if make:
        file = make_world(home / "published" / f"marts-{VERSION}.duckdb", program, ugly=ugly)
        (home / "published" / "marts.duckdb").symlink_to(file.name)
    settings = Settings(home=home, program=name)
    return write(settings, program, parse_period(period), language=language)


@dataclass
class Page(HTMLParser):
    """What is in a page: tags with their attributes, visible text, contents of scripts."""

    html: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[tuple[dict[str, str | None], str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.inside = ""
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside = tag
            self.scripts += [(dict(attrs), "")] if tag == "script" else []

    def handle_endtag(self, _: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif not self.inside and data.strip():
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return review(tmp_path_factory.mktemp("calm"), CALM, "zh", ugly=False)


@pytest.fixture(scope="module")
def ugly(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return review(tmp_path_factory.mktemp("ugly"), UGLY, "en", ugly=True)


@pytest.fixture(scope="module")
def pages(calm: Written, ugly: Written) -> dict[str, Page]:
    return {"zh": Page(calm.html.read_text("utf-8")), "en": Page(ugly.html.read_text("utf-8"))}


def section(written: Written, name: str) -> Section:
    return next(section for section in written.sections if section.id == name)


def table(written: Written, name: str) -> Table:
    return next(table for table in written.tables if table.id == name)


def charts(part: Section) -> list[Chart]:
    own = [block for block in part.blocks if isinstance(block, Chart)]
    return own + [chart for inner in part.sections for chart in charts(inner)]


def test_nothing_is_asked_of_the_network(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert not page.all("link")
        assert not page.all("img")
        assert not page.all("iframe")
        assert [a for _, a in page.tags if "src" in a] == []
        links = {a["href"] for a in page.all("a")}
        assert links
        assert all(link and link.startswith("#") for link in links)
        policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
        assert policy
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "http" not in policy
        assert "unsafe-eval" not in policy
        assert "connect-src" not in policy


def test_only_the_two_own_scripts_may_run(pages: dict[str, Page]) -> None:
    for page in pages.values():
        policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a) or ""
        running = [text for attributes, text in page.scripts if "type" not in attributes]
        hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in running]
        assert len(page.scripts) == 4
        assert re.findall(r"'sha256-([^']+)'", policy) == hashes


def test_names_with_markup_stay_text(ugly: Written, pages: dict[str, Page]) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages["en"].html
    assert EVIL in json.dumps([row for t in ugly.tables for row in t.rows], default=str)
    assert EVIL not in pages["en"].html
    data = [text for attributes, text in pages["en"].scripts if "type" in attributes]
    assert not any("<" in text for text in data)


@pytest.mark.slow
def test_a_second_process_writes_the_same_bytes(ugly: Written) -> None:
    before = ugly.html.read_bytes()
    ugly.html.unlink()
    code = AGAIN.format(tests=str(Path(__file__).parent), home=str(ugly.folder.parents[1]))
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert ugly.html.read_bytes() == before


def test_it_is_small(ugly: Written) -> None:
    assert ugly.html.stat().st_size < 2_500_000


def test_every_chart_is_drawn_and_told(
    calm: Written, ugly: Written, pages: dict[str, Page]
) -> None:
    for written, page in ((calm, pages["zh"]), (ugly, pages["en"])):
        found = {chart.id: chart for part in written.sections for chart in charts(part)}
        boxes = {a["data-chart"]: a for a in page.all("div") if a.get("class") == "chart"}
        assert set(found) == set(boxes)
        assert all(a["role"] == "img" for a in boxes.values())
        assert {key: a["aria-label"] for key, a in boxes.items()} == {
            key: chart.alt for key, chart in found.items()
        }
        assert all(len(chart.alt) > 10 and chart.title for chart in found.values())
        stills = [a for a in page.all("svg") if a.get("class") == "still"]
        assert len(stills) == len(found) > 5
        specs = next(text for a, text in page.scripts if a.get("id") == "specs")
        assert set(json.loads(specs)) == set(found)


def test_ids_are_used_once_and_links_lead_somewhere(pages: dict[str, Page]) -> None:
    for page in pages.values():
        ids = Counter(a["id"] for _, a in page.tags if a.get("id"))
        assert [name for name, times in ids.items() if times > 1] == []
        assert {(a["href"] or "")[1:] for a in page.all("a")} <= set(ids)
        values = [value for _, a in page.tags for value in a.values() if value]
        assert {ref for v in values for ref in re.findall(r"url\(#([^)]+)\)", v)} <= set(ids)


def test_the_page_is_in_one_language(pages: dict[str, Page]) -> None:
    assert pages["zh"].all("html")[0]["lang"] == "zh-CN"
    assert pages["en"].all("html")[0]["lang"] == "en"
    text = re.sub(r"\([a-z_]+\)|（[a-z0-9]+）| retail_care", "", pages["zh"].text)
    assert set(map(str.lower, re.findall(r"[A-Za-z]{3,}", text))) <= LATIN
    labels = {a["aria-label"] for _, a in pages["en"].tags if a.get("aria-label")}
    own = [text for text in labels if text and not re.search("大区|省|华|西南|东北", text)]
    assert [text for text in own if re.search("[一-鿿]", text)] == []


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("part", PARTS)
def test_words_are_there_in_both_languages(part: str) -> None:
    for key, entry in texts(part).items():
        if key.startswith("kpi_"):
            continue
        assert {"en", "zh"} <= set(entry) <= {"en", "zh", "one"}, key
        assert all(isinstance(text, str) and text for text in entry.values()), key
        assert not re.search("[一-鿿]", entry["en"] + entry.get("one", "")), key
        assert fields_of(entry.get("one", "")) <= fields_of(entry["en"]), key
        if not key.startswith("period_"):
            assert fields_of(entry["en"]) == fields_of(entry["zh"]), key


def test_targets_are_judged_by_the_last_period_seen(ugly: Written) -> None:
    ends = {row["period_type"]: str(row["period_end"]) for row in ugly.kpis}
    assert ends == {
        "week": "2026-09-28",
        "month": "2026-10-01",
        "quarter": "2026-10-01",
        "year": "2026-10-01",
    }
    weekly = next(row for row in ugly.kpis if row["period_type"] == "week")
    assert weekly["periods_judged"] == 9
    spec = next(c for c in charts(section(ugly, "kpis")) if c.id == "trend-target_1").spec
    seen = re.findall(r'"period": "([0-9-]+)"', json.dumps(spec))
    assert max(seen) == "2026-09"


def test_as_the_next_period_begins_it_is_not_shown_yet(ugly: Written) -> None:
    # The review by schedule is made from marts of the very moment at which the quarter ends.
    file = ugly.html.parents[2] / "published" / "marts.duckdb"
    with duckdb.connect(str(file), read_only=True) as con:
        period = parse_period("2026Q3")
        end = datetime.combine(period.end_day, time(), ZoneInfo("Asia/Shanghai"))
        read = Reader(con, pack(UGLY), period, "en", end)
        for rows in (*history(read).values(), *free(read).values()):
            assert max(row["period_end"] for row in rows) <= period.end_day
        early = replace(read, as_of=end - timedelta(days=1))
        assert any(
            row["period_end"] == period.end_day for rows in history(early).values() for row in rows
        )


def test_what_is_watched_by_the_month_is_shown_beside_its_quarterly_target(
    ugly: Written,
) -> None:
    program = pack(UGLY)
    with duckdb.connect(
        str(ugly.html.parents[2] / "published" / "marts.duckdb"), read_only=True
    ) as con:
        sql = "from rpt_kpi_targets where slice_kind = 'all' and period_type = 'quarter'"
        kpi = con.execute(f"select kpi {sql} and kpi in (select kpi from rpt_kpis where "
                          "period_type = 'month' and slice_kind = 'all') and kpi not in (select kpi "
                          "from rpt_kpi_targets where period_type = 'month') order by kpi"
                          ).fetchall()[0][0]  # fmt: skip
        read = Reader(con, program, parse_period("2026Q3"), "en", datetime(2026, 10, 20))
        assert kpi not in free(read)
        goals = program.goals.model_copy(update={"watched": [WatchedKpi(kpi=kpi, every="month")]})
        watching = replace(read, program=program.model_copy(update={"goals": goals}))
        assert {row["period_type"] for row in free(watching)[kpi]} == {"month"}


def test_of_several_targets_on_a_figure_the_foremost_is_told() -> None:
    row = {"kpi": "a", "period_start": 1, "slice_kind": "all", "slice": "(all)"}
    rows = [
        {**row, "target_no": 1, "is_critical": False},
        {**row, "target_no": 2, "is_critical": True},
        {**row, "target_no": 3, "is_critical": False, "slice": "other"},
        {**row, "target_no": 4, "is_critical": False, "slice": "other"},
    ]
    assert [r["target_no"] for r in foremost(rows)] == [2, 3]


def test_a_running_period_says_so(tmp_path: Path) -> None:
    running = review(tmp_path, "service_desk", "en", ugly=False, period="2026Q4")
    said = [sentence.text for sentence in running.headline if sentence.tone == "info"]
    assert said[0] == "Q4 2026 isn't over: figures are those until 2026-10-20."
    quarterly = [row for row in running.kpis if row["period_type"] == "quarter"]
    assert quarterly
    assert not any(row["is_over"] for row in quarterly)
    assert "2026-10-01 to 2026-12-31 (not over)" in Page(running.html.read_text("utf-8")).text


def test_the_headline_is_short_and_most_important_first(calm: Written, ugly: Written) -> None:
    for written in (calm, ugly):
        ids = {part.id for part in written.sections}
        for tone in ("good", "bad"):
            found = [s for s in written.headline if s.tone == tone]
            assert 1 <= len(found) <= 3
            assert [s.rank for s in found] == sorted((s.rank for s in found), reverse=True)
            assert all(s.section in ids for s in found if s.rank)
    missed = [row for row in ugly.kpis if row["state"] == "missed" and row["is_critical"]]
    worst = [s for s in ugly.headline if s.tone == "bad"]
    assert sum(s.rank >= 90 for s in worst) == min(3, len(missed)) > 0


def test_what_cannot_be_judged_says_why(ugly: Written) -> None:
    unknown = [row for row in ugly.kpis if row["state"] == "not_enough_data"]
    assert unknown
    said = " ".join(s.text for s in section(ugly, "kpis").sentences)
    assert "Too few cases to judge" in said
    assert "Care satisfaction (3)" in said
    assert "Nothing was counted for" in said
    shown = {row["id"]: row for row in table(ugly, "kpis").rows}
    assert all(shown[row["target_id"]]["attainment"] is None for row in unknown)
    assert "without enough data" in said


def test_a_target_ahead_without_a_baseline_has_cases_enough() -> None:
    row = {"denominator": 31, "target": 0.9, "is_state": False}
    assert _lacks(row, 30) == "no_baseline"
    assert _lacks(row, 32) == "too_few"
    assert _lacks({**row, "is_state": True}, 32) == "no_baseline"
    assert _lacks({**row, "target": None}, 32) == "no_target"
    assert _lacks({**row, "denominator": 0}, 30) == "no_cases"


def test_many_owners_are_listed_in_the_workbook_only(ugly: Written, pages: dict[str, Page]) -> None:
    owners = table(ugly, "kpis_by_owner")
    assert len(owners.rows) == 100
    assert owners.short == 15
    assert "15 of 100 rows; all are in the workbook." in pages["en"].text
    assert LONG in json.dumps(table(ugly, "deviations").rows, default=str, ensure_ascii=False)


def test_effects_add_up_to_the_change(calm: Written, ugly: Written) -> None:
    for written in (calm, ugly):
        parts = section(written, "deviations").sections
        assert parts
        summaries = [b for part in parts for b in part.blocks if isinstance(b, Table)]
        for summary in summaries:
            totals = {round(row["total"], 9) for row in summary.rows}
            assert len(totals) == 1, summary.id
            for row in summary.rows:
                assert row["rate"] + row["mix"] == pytest.approx(row["total"], abs=1e-9)
        rows = table(written, "deviations").rows
        assert all(
            row["rate_effect"] + row["mix_effect"] == pytest.approx(row["total_effect"], abs=1e-9)
            for row in rows
        )


def data_of(spec: Any) -> list[dict[str, Any]]:
    """The data of a chart's first layer."""
    return (spec.get("data") or spec["layer"][0]["data"])["values"]


def test_the_effects_drawn_are_all_of_them(ugly: Written) -> None:
    drawn = charts(section(ugly, "deviations"))
    assert drawn
    for chart in drawn:
        said = re.search(r"together ([+−]?[\d.,]+)", chart.alt)
        assert said
        whole = float(said[1].replace("−", "-").replace(",", ""))
        scale = 100 if "pp" in chart.note else 1
        values = data_of(chart.spec)
        assert scale * sum(row["effect"] for row in values) == pytest.approx(whole, abs=0.051)


def test_the_monthly_form_is_short(tmp_path: Path) -> None:
    monthly = review(tmp_path, CALM, "en", ugly=False, period="2026-09")
    ids = [part.id for part in monthly.sections]
    assert ids[:3] == ["headline", "kpis", "deviations"]
    assert not set(ids) & {"health", "retention", "value"}
    assert "Monthly review September 2026" in Page(monthly.html.read_text("utf-8")).text


def test_a_section_made_elsewhere_is_shown(tmp_path: Path) -> None:
    program = pack(CALM)
    make_world(tmp_path / "published" / f"marts-{VERSION}.duckdb", program)
    extra = Section("calibration", "Calibration", (Sentence("bad", "Too narrow & <b>", 99),))
    written = write(
        Settings(home=tmp_path, program=CALM),
        program,
        parse_period("2026Q3"),
        language="en",
        version=VERSION,
        extra=extra,
    )
    bad = next(sentence for sentence in written.headline if sentence.tone == "bad")
    assert (bad.text, bad.section) == ("Too narrow & <b>", "calibration")
    assert "Too narrow &amp; &lt;b&gt;" in written.html.read_text("utf-8")


def test_a_period_that_is_not_there_yet_is_refused(calm: Written) -> None:
    settings = Settings(home=calm.folder.parents[1], program=CALM)
    with pytest.raises(SettingsError, match="2027Q1 lies after"):
        write(settings, pack(CALM), parse_period("2027Q1"), language="zh")
    with pytest.raises(SettingsError, match="of the program retail_care, not of key_account"):
        write(settings, pack("key_account"), parse_period("2026Q3"), language="zh")


def test_a_company_without_any_figures_has_a_page(tmp_path: Path) -> None:
    program = pack(CALM)
    file = make_world(tmp_path / "published" / f"marts-{VERSION}.duckdb", program)
    with duckdb.connect(str(file)) as con:
        for name in ("rpt_kpis", "rpt_kpi_targets", "rpt_kpi_deviations", "rpt_loads"):
            con.execute(f"delete from {name}")
    settings = Settings(home=tmp_path, program=CALM)
    written = write(settings, program, parse_period("2026Q3"), language="en", version=VERSION)
    assert "The program has no targets to judge in this period." in written.html.read_text("utf-8")
    assert written.kpis == []


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "review-en.html"
    put(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("no power")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no power"):
        put(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["review-en.html"]


@pytest.fixture(scope="module")
def say() -> dict[str, Words]:
    program = pack(CALM)
    return {language: Words("words", language, program) for language in ("en", "zh")}


@pytest.mark.parametrize(
    ("value", "unit", "en", "zh"),
    [
        (0.1234, "share", "12.3%", "12.3%"),
        (1234567.4, "money", "¥1,234,567", "1,234,567 元"),
        (-12.34, "nps", "−12.3", "−12.3"),
        (-0.01, "nps", "0.0", "0.0"),
        (1, "days", "1.0 days", "1.0 天"),
        (4.256, "score_5", "4.26", "4.26"),
        (None, "hours", "–", "–"),
    ],
)
def test_figures_read_by_their_unit(
    say: dict[str, Words], value: float | None, unit: str, en: str, zh: str
) -> None:
    assert (say["en"].value(value, unit), say["zh"].value(value, unit)) == (en, zh)


def test_differences_have_a_sign_and_a_unit(say: dict[str, Words]) -> None:
    assert say["en"].change(0.0213, "share") == "+2.1 pp"
    assert say["zh"].change(-0.0213, "share") == "−2.1 个百分点"
    assert say["en"].change(0.0, "share") == "0.0 pp"
    assert say["en"].change(-4.5, "minutes") == "−4.5 min"
    assert say["en"].change(-120, "money") == "−¥120"
    assert say["en"].relative(-0.4) == "−40%"


def test_large_numbers_are_short(say: dict[str, Words]) -> None:
    assert say["en"].short_money(1_234_567) == "¥1.23 M"
    assert say["zh"].short_money(1_234_567) == "123 万元"
    assert say["zh"].short(123_456_789) == "1.23 亿"
    assert say["en"].short(12_345) == "12.3 k"
    assert say["en"].short(999) == "999"
