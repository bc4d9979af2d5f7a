"""The list as people read it: local times, titles for ids, contact details for a reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from careloop.access_log import checked_reason, record_all
from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.program.model import Program
from careloop.published import current_version, version_of
from careloop.settings import Settings
from careloop.task_list.tasks import Task
from careloop.task_list.words import word, words
from careloop.warehouse import connect, names_of

PERSONAL = ("owner_name", "name", "company_name", "phone", "say")
CONTACT = ("name", "company_name", "phone")
# What to say, for each task (as the ledger has it) by message_id; holds personal data.
Say = Callable[[list[dict[str, Any]]], dict[str, str]]
Row = dict[str, Any]


def rows(tasks: list[Task], program: Program, lang: str) -> list[Row]:
    """The tasks with titles, in their order, by heading; nothing personal."""
    rules = {rule.id: _in(rule.title, lang) for rule in program.rules}
    offers = {offer.id: _in(offer.title, lang) for offer in program.offers}
    return [_row(task, rules, offers, ZoneInfo(program.zone), lang) for task in tasks]


def revealed(
    settings: Settings, tasks: list[Task], found: list[Row], why: str | None, say: Say | None
) -> list[Row]:
    """The rows with contact details and what to say, after each customer's access was written
    down. Raises SettingsError without a reason, before anything is read."""
    why = checked_reason(why)
    contacts = _lookup(settings, "contacts", CONTACT, [task.customer_id for task in tasks])
    staff = _lookup(settings, "staff", ("name",), [task.owner_id for task in tasks])
    texts = say([task.row for task in tasks]) if say else {}
    full = []
    for task, row in zip(tasks, found, strict=True):
        owner = staff.get(task.owner_id or "", {}).get("name")
        mine = {"owner_name": owner, **dict.fromkeys(CONTACT)}
        mine |= contacts.get(task.customer_id, {})
        full.append(row | mine | ({"say": texts.get(task.task)} if say else {}))
    shown: dict[str, list[str]] = {}
    for row in full:
        seen = shown.setdefault(row["customer_id"], [])
        seen += [name for name in (*CONTACT, "say") if row.get(name) and name not in seen]
    version = current_version(settings)
    record_all(settings, shown, why, version_of(version) if version else "")
    return full


def headings(found: list[Row], lang: str) -> dict[str, str]:
    """The columns the rows have, in the list's order, and what they are called."""
    have = set().union(*found) if found else set(words()["headings"]) - set(PERSONAL)
    return {key: text[lang] for key, text in words()["headings"].items() if key in have}


def knows_staff(settings: Settings, staff_id: str) -> bool:
    """Whether a staff id is one of the CRM's; any is where the CRM has no staff."""
    lake = Lake(settings.lake)
    if not any(batch.rows_loaded for batch in lake.active("staff")):
        return True
    return bool(_lookup(settings, "staff", ("role",), [staff_id]))


def _row(
    task: Task, rules: dict[str, str], offers: dict[str, str], zone: ZoneInfo, lang: str
) -> Row:
    return {
        "task": task.task[:12],
        "owner_role": word("roles", task.owner_role, lang),
        "owner_id": task.owner_id,
        "due": _local(task.due_at, zone),
        "state": word("states", task.state, lang),
        "customer_id": task.customer_id,
        "rule": rules.get(task.rule, task.rule),
        "channel": word("channels", task.channel, lang),
        "about": ", ".join(f"{key} {value}" for key, value in sorted(task.about.items())) or None,
        "offer": offers.get(task.offer or "", task.offer),
        "result": word("results", task.result, lang),
    }


def _local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if moment else None


def _in(text: Any, lang: str) -> str:
    return getattr(text, lang)


def _lookup(
    settings: Settings, entity: str, fields: tuple[str, ...], keys: list[str | None]
) -> dict[str, Row]:
    """Fields of an entity by its only key."""
    found = entities()[entity]
    key = found.key[0]
    con = connect(settings)
    try:
        result = con.execute(
            f"select {names_of((key, *fields))} from ({current(Lake(settings.lake), found)}) "
            f"where {names_of([key])} in (select unnest($keys::varchar[]))",
            {"keys": sorted({value for value in keys if value})},
        ).fetchall()
    finally:
        con.close()
    return {row[0]: dict(zip(fields, row[1:], strict=True)) for row in result}
