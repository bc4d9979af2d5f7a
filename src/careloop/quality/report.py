"""The data quality page: one self-contained HTML file per run, readable on a phone and printed.

It says what Great Expectations' Data Docs say. Those are blank without a network (styles,
scripts and fonts come from elsewhere) and show values of failing rows; this page shows keys.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, StrictUndefined

from careloop.contract import entities
from careloop.quality.results import GateResult, Result
from careloop.settings import Settings

FILE = "data-quality.html"

_WORDS = {
    "en": {
        "lang": "en",
        "title": "Data quality",
        "as_of": "as of",
        "run": "run",
        "program": "program",
        "raw": "Raw gate",
        "raw_about": "what came from the sources, before any model runs",
        "marts": "Marts gate",
        "marts_about": "what is about to be published",
        "stopped": "The run was stopped: {n} critical expectations failed",
        "stopped_1": "The run was stopped: a critical expectation failed",
        "warned": "Good to publish, with {n} warnings",
        "warned_1": "Good to publish, with one warning",
        "good": "Everything holds",
        "critical": "critical",
        "warning": "warning",
        "holds_n": "passed",
        "critical_n": "critical",
        "warning_n": "warnings",
        "failed": "What failed",
        "expectation": "Expectation",
        "rows": "Rows",
        "failing": "Failing",
        "severity": "Severity",
        "result": "Result",
        "why": "Why it matters",
        "keys": "Keys of failing rows",
        "found": "found",
        "of": "of",
        "none": "No gate has run.",
        "keys_note": "Only keys are shown, never personal data; ten at most.",
    },
    "zh": {
        "lang": "zh-CN",
        "title": "数据质量",
        "as_of": "截至",
        "run": "运行",
        "program": "方案",
        "raw": "原始数据关",
        "raw_about": "来自各数据源、尚未建模的数据",
        "marts": "数据集市关",
        "marts_about": "即将发布的数据",
        "stopped": "运行已中止：{n} 项关键校验未通过",
        "stopped_1": "运行已中止：1 项关键校验未通过",
        "warned": "可以发布，有 {n} 项警告",
        "warned_1": "可以发布，有 1 项警告",
        "good": "全部通过",
        "critical": "关键",
        "warning": "警告",
        "holds_n": "通过",
        "critical_n": "关键",
        "warning_n": "警告",
        "failed": "未通过的校验",
        "expectation": "校验",
        "rows": "行数",
        "failing": "不符",
        "severity": "级别",
        "result": "结果",
        "why": "为何重要",
        "keys": "不符行的主键",
        "found": "实际",
        "of": "/",
        "none": "尚未运行任何校验。",
        "keys_note": "仅列出主键（最多十个），不含个人信息。",
    },
}


class RunInfo(Protocol):
    """What the page says of the run."""

    @property
    def version(self) -> str: ...

    @property
    def program(self) -> Any: ...


def write_report(settings: Settings, run: RunInfo, gates: Iterable[GateResult]) -> Path:
    """Write the page of ``run`` under its folder of reports; its path."""
    path = settings.reports / run.version / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render(list(gates), run.program.locales[0], run.program.name)
    path.write_text(text, encoding="utf-8")
    return path


def render(gates: list[GateResult], locale: str, program: str = "") -> str:
    """The page as HTML, in Chinese for a ``zh…`` locale and English for any other."""
    language = "zh" if locale.lower().startswith("zh") else "en"
    words = _WORDS[language]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("careloop.quality").joinpath("report.html.j2").read_text("utf-8")
    )
    results = [result for gate in gates for result in gate.results]
    return template.render(
        w=words,
        language=language,
        gates=[{"name": gate.gate, "tables": _tables(gate, language)} for gate in gates],
        failed=sorted(
            (r for r in results if not r.success), key=lambda r: r.severity != "critical"
        ),
        verdict=_verdict(results, words),
        counts=_counts(results),
        run=gates[0] if gates else None,
        program=program,
        title_of=lambda table: _title(table, language),
    )


def _verdict(results: list[Result], words: dict[str, str]) -> tuple[str, str]:
    """Kind (critical, warning, holds, none) and headline."""
    if not results:
        return "none", words["none"]
    for kind, word in (("critical", "stopped"), ("warning", "warned")):
        number = sum(1 for r in results if not r.success and r.severity == kind)
        if number:
            return kind, words[word if number > 1 else f"{word}_1"].format(n=number)
    return "holds", words["good"]


def _counts(results: list[Result]) -> dict[str, int]:
    failed = [r for r in results if not r.success]
    return {
        "holds": len(results) - len(failed),
        "warning": sum(1 for r in failed if r.severity == "warning"),
        "critical": sum(1 for r in failed if r.severity == "critical"),
    }


def _tables(gate: GateResult, language: str) -> list[dict[str, Any]]:
    tables: dict[str, list[Result]] = {}
    for result in gate.results:
        tables.setdefault(result.table, []).append(result)
    return [
        {
            "name": name,
            "title": _title(name, language),
            "results": results,
            "rows": next((r.rows_checked for r in results if r.rows_checked is not None), None),
            "counts": _counts(results),
        }
        for name, results in tables.items()
    ]


def _title(table: str, language: str) -> str:
    entity = entities().get(table.removeprefix("raw."))
    return entity.title[language] if table.startswith("raw.") and entity else ""
