"""The ``source.yml`` beside the workbooks, by which what people edited in them is loaded."""

from pathlib import Path
from typing import Any

import yaml

from careloop.errors import SettingsError
from careloop.program.model import Program
from careloop.program.registers import Register, TicketType
from careloop.registers.access import MASK
from careloop.registers.words import words
from careloop.registers.workbook import HIDDEN, READ_BACK
from careloop.warehouse import literal, quote

NAME = "registers"
FILE = "source.yml"
ABOUT = "Registers written by careloop; what people edited in them is loaded."
SAVED = "_careloop_saved_at"
# How people write days and times; the program's zone is the source's.
_FORMATS = [
    f"{day}{time}"
    for day in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
    for time in ("", " %H:%M", " %H:%M:%S")
]


def source_text(program: Program, file: str, lang: str, earlier: str | None) -> str | None:
    """``source.yml`` with the mappings of ``file`` added to those of ``earlier``; None when the
    program keeps no register that is read back.

    Raises SettingsError when ``earlier`` is somebody else's.
    """
    body = _checked(earlier) if earlier else _empty(program)
    made = False
    for register in program.registers.lists:
        if register.id not in READ_BACK:
            continue
        made = True
        for entity, mapping in _mappings(register, program.registers.ticket_types, lang).items():
            mapping = {"file": file, "sheet": getattr(register.title, lang), **mapping}
            others = [m for m in body["entities"].get(entity, []) if m["file"] != file]
            body["entities"][entity] = sorted([*others, mapping], key=lambda m: m["file"])
    return yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=100) if made else None


def _empty(program: Program) -> dict[str, Any]:
    return {"name": NAME, "about": ABOUT, "zone": program.zone, "entities": {}}


def _checked(earlier: str) -> dict[str, Any]:
    body = yaml.load(earlier, Loader=yaml.BaseLoader)
    if not isinstance(body, dict) or body.get("about") != ABOUT:
        raise SettingsError(
            f"the folder has a {FILE} of another source", "write the workbook into its own folder"
        )
    return body


def place_of(path: Path) -> Path:
    """Where the source of a workbook is described."""
    return path.parent / FILE


def _mappings(register: Register, types: list[TicketType], lang: str) -> dict[str, dict[str, Any]]:
    """Mappings of a register by entity, with the columns the register has."""
    cells = {c.id: f"nullif(trim({quote(getattr(c.title, lang))}), '')" for c in register.columns}
    cell = lambda column: cells.get(column, "null::varchar")  # noqa: E731
    if register.id == "follow_ups":
        return {"follow_ups": _follow_ups(cell)}
    return {"tickets": _tickets(cell, types), "ticket_events": _ticket_events(cell)}


def _follow_ups(cell: Any) -> dict[str, Any]:
    time = _time(cell("time"))
    was_done = f"coalesce({quote(HIDDEN)} like '%\"done\":true%', false)"
    done = f"({_unmasked(cell('feedback'))} is not null or {was_done})"
    columns = {
        "follow_up_id": _new_key(cell("customer"), cell("time")),
        "customer_id": cell("customer"),
        "planned_at": f"case when not {done} then {time} end",
        "done_at": f"case when {done} then {time} end",
        "method": _code("follow_up_methods", cell("method")),
        "staff_id": cell("by"),
        "content": _unmasked(cell("content")),
        "feedback": _unmasked(cell("feedback")),
        "item": _unmasked(cell("item")),
        "owner_id": cell("owner"),
        "due_on": _time(cell("due")),
        "updated_at": SAVED,
    }
    edits = {
        "column": HIDDEN,
        "names": {"customer_id": "customers", "staff_id": "staff", "owner_id": "staff"},
        "keep_if_blank": ["planned_at", "done_at"],
    }
    return {"edits": edits, "columns": columns}


def _tickets(cell: Any, types: list[TicketType]) -> dict[str, Any]:
    progress = _code("progress", cell("progress"))
    columns = {
        "ticket_id": f"coalesce({cell('ticket_id')}, "
        f"{_new_key(cell('customer'), cell('submitted'))})",
        "customer_id": cell("customer"),
        "opened_at": _time(cell("submitted")),
        "category": _case(cell("type"), {n: t.id for t in types for n in _names(t)}),
        "owner_id": cell("owner"),
        "first_response_at": _time(cell("responded")),
        "resolved_at": _reached(progress, ("solved", "closed")),
        "closed_at": _reached(progress, ("closed",)),
        "description": _unmasked(cell("description")),
        "result": _unmasked(cell("result")),
        "confirmation": _code("confirmations", cell("confirmation")),
        "archived_at": _time(cell("archived")),
        "updated_at": SAVED,
    }
    edits = {
        "column": HIDDEN,
        "names": {"customer_id": "customers", "owner_id": "staff"},
        "keep_first": ["resolved_at", "closed_at"],
    }
    return {"edits": edits, "columns": columns}


def _ticket_events(cell: Any) -> dict[str, Any]:
    columns = {
        "ticket_id": f"coalesce({cell('ticket_id')}, "
        f"{_new_key(cell('customer'), cell('submitted'))})",
        "at": SAVED,
        "status": _code("progress", cell("progress")),
    }
    return {
        "where": f"{cell('progress')} is not null",
        "edits": {"column": HIDDEN, "skip_repeated": "status"},
        "columns": columns,
    }


def _new_key(customer: str, time: str) -> str:
    """The key of a row somebody added: the same as long as its customer and time are."""
    text = f"concat_ws('|', {customer}, {time})"
    return f"'R' || upper(left(md5({text}), 15))"


def _unmasked(cell: str) -> str:
    return f"nullif({cell}, {literal(MASK)})"


def _time(cell: str) -> str:
    formats = ", ".join(literal(form) for form in _FORMATS)
    return f"coalesce(try_strptime({cell}, [{formats}])::varchar, {cell})"


def _code(kind: str, cell: str) -> str:
    said = {text: code for code, texts in words()[kind].items() for text in texts.values()}
    return _case(cell, said)


def _case(cell: str, codes: dict[str, str]) -> str:
    """The code of a word; what is no such word stays, for the contract to judge."""
    whens = " ".join(f"when {literal(said)} then {literal(code)}" for said, code in codes.items())
    return f"case {cell} {whens} else {cell} end" if whens else cell


def _names(kind: TicketType) -> list[str]:
    return list(dict.fromkeys([kind.title.en, kind.title.zh]))


def _reached(progress: str, states: tuple[str, ...]) -> str:
    """When the workbook was saved with one of the states; a word that is no state is refused."""
    reached = ", ".join(map(literal, states))
    known = ", ".join(map(literal, words()["progress"]))
    return (
        f"case when {progress} in ({reached}) then {SAVED}::varchar "
        f"when {progress} not in ({known}) then {progress} end"
    )
