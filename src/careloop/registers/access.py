"""Which personal columns of the registers a member of staff may see, and the log of it."""

from dataclasses import dataclass

from careloop.access_log import checked_reason
from careloop.contract import entities
from careloop.errors import SettingsError
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.program.model import Program
from careloop.settings import Settings
from careloop.warehouse import connect

MASK = "•••"
# Personal columns: contact details, or what the customer needs and wrote.
CONTACT, NEED = "contact", "need"
PERSONAL: dict[str, dict[str, str]] = {
    "customers_and_tags": {
        "company": CONTACT,
        "contact": CONTACT,
        "position": CONTACT,
        "contact_details": CONTACT,
    },
    "follow_ups": {"customer": CONTACT, "content": NEED, "feedback": NEED, "item": NEED},
    "tickets": {"customer": CONTACT, "description": NEED, "result": NEED},
    "satisfaction": {"customer": CONTACT, "advice": NEED},
}


@dataclass(frozen=True)
class Sight:
    """What may be seen: kinds of personal columns, and names of staff. why: for the log."""

    kinds: frozenset[str] = frozenset()
    staff_names: bool = False
    why: str = ""

    def shows(self, register: str, column: str) -> bool:
        kind = PERSONAL[register].get(column)
        return kind is None or kind in self.kinds


NOTHING = Sight()


def sight_of(settings: Settings, program: Program, staff_id: str | None, why: str | None) -> Sight:
    """What a member of staff sees by ``confidentiality`` of the program.

    Raises SettingsError without a reason, for an unknown or inactive member, and for a role that
    may see nothing.
    """
    why = checked_reason(why)
    if not staff_id:
        raise SettingsError("whose role decides what is shown?", "add --as STAFF_ID")
    con = connect(settings)
    try:
        staff = current(Lake(settings.lake), entities()["staff"])
        found = con.execute(
            f"select role from ({staff}) where staff_id = $id and coalesce(is_active, true)",
            {"id": staff_id},
        ).fetchall()
    finally:
        con.close()
    if not found:
        raise SettingsError(f"there is no active staff {staff_id}", "--as: a staff id of the CRM")
    role, rules = found[0][0], program.confidentiality
    kinds = {CONTACT} if role in rules.contact_roles else set()
    kinds |= {NEED} if role in rules.need_roles else set()
    if not kinds:
        raise SettingsError(
            f"{staff_id} is {role}: the program {program.name} shows that role no personal data",
            "confidentiality.contact_roles and need_roles say who may",
        )
    return Sight(frozenset(kinds), True, f"{why} (registers, as {staff_id}, {role})")
