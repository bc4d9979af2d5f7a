"""Reviews of two packs in headless Chromium, at a desk's width and a phone's: everything there, and
nothing asked of the network. And their PDFs, as text."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from careloop.clock import parse_as_of
from careloop.home import hold
from careloop.judge import Judged, judge
from careloop.program.load import load_program
from careloop.refresh import Refresh
from careloop.review import parse_period
from careloop.review.pdf import NAMES, has_chinese_font, write_pdf
from careloop.settings import Settings
from conftest import DAYS, Company
from pdf_text import Pdf

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium, Chrome or Edge on PATH"),
]

QUARTER = parse_period("2026Q3")
PACKS = {"retail_care": "zh", "b2b_service": "en"}
WIDTHS = {"desk": 1280, "phone": 390}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Seen:
    """What a browser said while it showed a page."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def homes(fresh: Company, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    """A home per pack, both of the same CRM; the second without gates, which are not tested here."""
    other = fresh.settings.model_copy(
        update={"home": tmp_path_factory.mktemp("b2b") / "home", "program": "b2b_service"}
    )
    program = load_program("b2b_service")
    refresh = Refresh(other, program, parse_as_of(DAYS[-1], program.zone))
    with hold(other):
        refresh.ingest(lambda _: None)
        refresh.prepare()
        refresh.build().run().raise_if_failed()
        refresh.publish()
    return {"retail_care": fresh.copy(tmp_path_factory.mktemp("zh") / "home"), "b2b_service": other}


@pytest.fixture(scope="module")
def reviews(homes: dict[str, Settings]) -> dict[str, Judged]:
    return {
        name: judge(
            homes[name],
            load_program(name),
            QUARTER,
            parse_as_of(DAYS[-1], "UTC"),
            language=language,
            pdf=language == "en" or has_chinese_font(),
        )
        for name, language in PACKS.items()
    }


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[(p, w) for p in PACKS for w in WIDTHS], ids="-".join)
def seen(request: Any, chromium: Any, reviews: dict[str, Judged]) -> Iterator[Seen]:
    pack, width = request.param
    context = chromium.new_context(viewport={"width": WIDTHS[width], "height": 900})
    found = Seen(context.new_page())
    found.page.on("console", lambda m: found.said.append(m.text) if m.type == "error" else None)
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(reviews[pack].written.html.as_uri())
    found.page.wait_for_load_state("networkidle")
    # Charts are drawn as they come near.
    for _ in range(60):
        found.page.mouse.wheel(0, 900)
        found.page.wait_for_timeout(15)
    found.page.wait_for_timeout(300)
    yield found
    context.close()


def test_nothing_fails_and_nothing_is_asked_of_the_network(seen: Seen) -> None:
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len([url for url in seen.asked if url.startswith("file:")]) == 1, "only the page itself"


def test_the_page_is_never_wider_than_the_screen(seen: Seen) -> None:
    wide = seen.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1]
    seen.page.evaluate("window.scrollTo(10000, 0)")
    assert seen.page.evaluate("window.scrollX") == 0


def test_charts_are_drawn(seen: Seen, reviews: dict[str, Judged]) -> None:
    marks = "[...document.querySelectorAll('figure')].map(f => ["
    marks += "f.querySelectorAll('svg path, svg rect, svg text, canvas').length,"
    marks += "f.getBoundingClientRect().width, f.getBoundingClientRect().height])"
    figures = seen.page.evaluate(marks)
    assert len(figures) >= 5
    for parts, width, height in figures:
        assert parts > 3
        assert width > 100
        assert height > 50


def test_what_the_headline_says_is_on_the_first_screen_or_near(
    seen: Seen, reviews: dict[str, Judged]
) -> None:
    text = squeezed(seen.page.evaluate("document.body.innerText"))
    done = next(one for one in reviews.values() if squeezed(one.written.headline[0].text) in text)
    assert done.written.headline
    first = text.find(squeezed(done.written.headline[0].text))
    assert 0 <= first < 2500
    for sentence in done.written.headline:
        assert squeezed(sentence.text) in text
    unknown = seen.page.evaluate("document.body.innerText.match(/undefined|NaN|null|\\[object/g)")
    assert unknown is None


def squeezed(text: str) -> str:
    """Without spaces, which a page and a PDF set by position, and ligatures taken apart."""
    plain = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff")
    return re.sub(r"\s", "", plain.replace("ﬃ", "ffi").replace("ﬄ", "ffl"))


@pytest.mark.parametrize("pack", PACKS)
def test_the_pdf_says_what_the_page_says(reviews: dict[str, Judged], pack: str) -> None:
    done = reviews[pack]
    if done.pdf is None:
        pytest.skip("no font with Chinese signs is installed")
    pdf = Pdf(done.pdf)
    text = squeezed(pdf.text)
    assert pdf.pages >= 2
    for sentence in done.written.headline:
        assert squeezed(sentence.text) in text
    for section in done.written.sections:
        assert squeezed(section.title) in text
    assert "\ufffd" not in text, "a sign without a meaning"


def test_the_same_page_gives_the_same_pdf(
    homes: dict[str, Settings], reviews: dict[str, Judged], tmp_path: Path
) -> None:
    done = reviews["b2b_service"]
    assert done.pdf
    again = write_pdf(
        homes["b2b_service"], done.written.html, tmp_path / "again.pdf", done.marts.as_of
    )
    assert again.read_bytes() == done.pdf.read_bytes()
    assert b"D:20261031160000+00'00'" in again.read_bytes(), "dated as the marts are"
