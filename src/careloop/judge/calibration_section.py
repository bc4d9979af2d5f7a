"""What a calibration says, as a section of the review."""

from typing import Any

from careloop.calibrate import Calibration, Finding, Proposal, Words
from careloop.calibrate.model import Column as Found
from careloop.calibrate.say import say, shown
from careloop.review.model import Column, Section, Sentence, Table

_TITLES = {
    "title": Words("Calibration: proposed changes of the program", "校准：方案调整建议"),
    "proposals": Words("Proposed changes", "调整建议"),
    "shares": Words("Shares now and with every proposal", "当前与全部采纳后的占比"),
    "moves": Words("Who would move with every proposal", "全部采纳后的人群变动"),
    "judged": Words("What became of the last proposals", "上期建议的落实"),
    "change": Words("Change", "调整"),
    "evidence": Words("Evidence", "依据"),
    "effect": Words("Predicted effect", "预计影响"),
    "confidence": Words("Confidence", "可信度"),
    "caveats": Words("Caveats", "注意事项"),
    "high": Words("high", "高"),
    "medium": Words("medium", "中"),
    "low": Words("low", "低"),
    "value": Words("Segment or stage", "分层或阶段"),
    "share": Words("Now", "当前"),
    "proposed_share": Words("Proposed", "调整后"),
    "expected_share": Words("Expected", "预期"),
    "state": Words("Taken", "采纳情况"),
    "kept": Words("What was promised, and what came of it", "承诺与结果"),
    "accepted": Words("taken", "已采纳"),
    "partly": Words("in part", "部分采纳"),
    "not_taken": Words("not taken", "未采纳"),
    "waiting": Words("taken, not yet in use", "已采纳，尚未生效"),
    "accept": Words(
        "Nothing has been changed. The proposed pack and changes.diff lie in the calibration "
        "folder beside this review; docs/calibration.md says how to take a change.",
        "未作任何改动。建议方案与 changes.diff 位于本报告旁的 calibration 文件夹；"
        "采纳方法见 docs/calibration.md。",
    ),
}  # fmt: skip
# What a sentence weighs in the headline.
_RANKS = {"summary": 45, "bad": 35, "good": 0, "info": 0, "not_kept": 40, "kept": 38}


def section(found: Calibration, language: str) -> Section:
    """The section, in zh or en."""
    words = {key: getattr(text, language) for key, text in _TITLES.items()}
    tone = "info"
    sentences = [Sentence(tone, getattr(found.summary, language), _RANKS["summary"])]
    for judged in found.judged:
        verdicts = {k.verdict for k in judged.kept}
        bad, good = "not_kept" in verdicts, verdicts == {"kept"}
        tone = "bad" if bad else "good" if good else "info"
        rank = _RANKS["not_kept"] if bad else _RANKS["kept"] if good else 0
        sentences.append(Sentence(tone, getattr(judged.text, language), rank))
    sentences += [
        Sentence(f.tone, getattr(f.text, language), _RANKS[f.tone]) for f in found.findings
    ]
    blocks = [_shares(found, words, language)]
    if found.proposals:
        blocks.insert(0, _proposals(found.proposals, words, language))
    if found.judged:
        blocks.append(_judged(found, words, language))
    blocks += [_table(finding, language) for finding in found.findings if finding.rows]
    return Section("calibration", words["title"], tuple(sentences), tuple(blocks))


def _proposals(proposals: tuple[Proposal, ...], words: dict[str, str], language: str) -> Table:
    keys = ("change", "evidence", "effect", "confidence", "caveats")
    gap = " " if language == "en" else ""
    rows = tuple(
        {
            "change": getattr(p.title, language),
            "evidence": getattr(p.evidence, language),
            "effect": getattr(p.effect, language),
            "confidence": words[p.confidence],
            "caveats": gap.join(getattr(c, language) for c in p.caveats) or None,
        }
        for p in proposals
    )
    columns = tuple(Column(key, words[key]) for key in keys)
    return Table("calibration_proposals", words["proposals"], columns, rows, words["accept"])


def _shares(found: Calibration, words: dict[str, str], language: str) -> Table:
    columns = (
        Column("value", words["value"]),
        *(Column(k, words[k], "share", 1) for k in ("share", "proposed_share", "expected_share")),
    )
    colon = "：" if language == "zh" else ": "
    rows = tuple(
        {
            "value": f"{shown(say('name_' + row['dimension']), language)}{colon}"
            f"{row['title'][language]}",
            **{key: row[key] for key in ("share", "proposed_share", "expected_share")},
        }
        for row in found.shares
    )
    return Table("calibration_shares", words["shares"], columns, rows)


def _judged(found: Calibration, words: dict[str, str], language: str) -> Table:
    columns = tuple(Column(key, words[key]) for key in ("change", "state", "kept"))
    rows = tuple(
        {
            "change": getattr(judged.title, language),
            "state": words[judged.state],
            "kept": getattr(judged.text, language) if judged.kept else None,
        }
        for judged in found.judged
    )
    title = f"{words['judged']} ({found.judged_period})"
    return Table("calibration_judged", title, columns, rows)


def _table(finding: Finding, language: str) -> Table:
    columns = tuple(_column(column, language) for column in finding.columns)
    rows = tuple(
        {key: _value(value, language) for key, value in row.items()} for row in finding.rows
    )
    title = getattr(finding.title, language) if finding.title else finding.id
    name = f"calibration_{finding.id.replace('.', '_')}"
    return Table(name, title, columns, rows, short=12)


def _column(column: Found, language: str) -> Column:
    kind = "share" if column.kind == "share" else "number" if column.kind == "number" else "text"
    return Column(column.key, getattr(column.title, language), kind, column.digits)


def _value(value: Any, language: str) -> Any:
    return getattr(value, language) if isinstance(value, Words) else value
