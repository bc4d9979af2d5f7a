"""A list of due cases as a message: subject, text for 80 columns, and a table in HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from careloop.escalate.rows import Due, by_owner, due_rows
from careloop.escalate.staff import Person
from careloop.escalate.words import say, words
from careloop.ledger.alerts import Alert
from careloop.program.base import language
from careloop.program.model import Program

COLUMNS = 80
# Columns of the table and their widths in percent, the same in every group.
HEADINGS = {"case": 17, "what": 10, "urgency": 10, "clock": 29, "when": 21, "level": 13}


@dataclass(frozen=True)
class Written:
    """One message; holds names of staff, nothing of customers."""

    subject: str
    text: str
    html: str


def write_list(
    program: Program,
    alert: Alert,
    rows: Sequence[Any],
    staff: Mapping[str, Person],
    now: datetime,
) -> Written:
    """The list ``alert`` with the escalations ``rows``, grouped by owner, in the pack's first
    language. The team's, which robots put into a chat, has one line per case. The backlog has one
    line per owner. now: UTC."""
    lang = language(program.locales[0])
    everything = due_rows(rows, program)
    backlog = [row for row in everything if row.is_backlog]
    over = [row for row in everything if row.done_at]
    found = [row for row in everything if not row.is_backlog and not row.done_at]
    late = sum(row.is_late for row in found)
    subject = words()["subject"][alert.kind][lang].format(late=late, soon=len(found) - late)
    subject += "".join(
        say(name, lang, count=len(part))
        for name, part in (("backlog_count", backlog), ("over_count", over))
        if part
    )
    local = now.replace(tzinfo=UTC).astimezone(ZoneInfo(program.zone))
    head = say("as_of", lang, at=f"{local:%Y-%m-%d %H:%M}", zone=program.zone)
    most = program.alerts.most_rows
    groups = [(_owner(owner, staff, lang), mine) for owner, mine in by_owner(found[:most])]
    groups += [(say("done_late", lang), over[:most])] if over else []
    left_out = len(found) + len(over) - sum(len(mine) for _, mine in groups)
    more = say("more", lang, count=left_out) if left_out else ""
    old = _backlog(backlog, staff, lang)
    footer = words()["footer"][lang]
    write = _brief if alert.staff_id is None else _full
    lines = [head]
    for name, mine in groups:
        lines += ["", f"{name} · {say('cases', lang, count=len(mine))}"]
        for row in mine:
            lines += write(row, lang, local.year)
    lines += ["", more] if more else []
    lines += ["", *old] if old else []
    if alert.staff_id is not None:
        lines += ["", footer]
    html = _template().render(
        lang=program.locales[0],
        subject=subject,
        head=head,
        groups=groups,
        headings=[(words()["columns"][key][lang], share) for key, share in HEADINGS.items()],
        cells=lambda row: [
            row.case,
            row.what,
            row.urgency,
            f"{row.clock} ({row.target})",
            row.when(lang, local.year),
            row.level,
        ],
        more=more,
        backlog=old,
        footer=footer,
    )
    return Written(subject, "\n".join(lines) + "\n", html)


def _backlog(rows: Sequence[Due], staff: Mapping[str, Person], lang: str) -> list[str]:
    """A heading, one line per owner with how many and since when, and where all of it is."""
    if not rows:
        return []
    lines = [
        say(
            "backlog_line",
            lang,
            owner=_owner(owner, staff, lang),
            count=len(mine),
            at=f"{min(row.since for row in mine if row.since):%Y-%m-%d}",
        )
        for owner, mine in by_owner(rows)
    ]
    return [say("backlog", lang), *lines, say("backlog_more", lang)]


def _owner(owner: str | None, staff: Mapping[str, Person], lang: str) -> str:
    if owner is None:
        return say("nobody", lang)
    name = staff[owner].name if owner in staff else None
    return f"{owner} {name}" if name else owner


def _full(row: Due, lang: str, year: int) -> list[str]:
    first = [row.case, _joined([row.what, row.urgency], lang), f"{row.clock} ({row.target})"]
    return _wrapped("  - ", "    ", [*first, row.when(lang, year), row.level])


def _brief(row: Due, lang: str, year: int) -> list[str]:
    what = f"{row.urgency} {row.what}" if row.is_urgent else row.what
    return [f"- {row.case} {what} · {row.clock} · {row.when(lang, year)}"]


def _joined(texts: list[str], lang: str) -> str:
    return ("，" if lang == "zh" else ", ").join(dict.fromkeys(text for text in texts if text))


def _wrapped(first: str, later: str, parts: list[str]) -> list[str]:
    """The parts on as few lines as take 80 columns, broken between parts only."""
    lines = [first + parts[0]]
    for part in parts[1:]:
        if width(lines[-1]) + width(part) + 3 > COLUMNS:
            lines.append(later + part)
        else:
            lines[-1] += f" · {part}"
    return lines


def width(text: str) -> int:
    """Columns on a terminal: Chinese letters take two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("careloop.escalate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("list.html.j2")
