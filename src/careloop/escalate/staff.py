"""Who works here, and who is told when a clock runs out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.settings import Settings
from careloop.warehouse import connect

OWNER, SUPERVISOR = "owner", "supervisor"


@dataclass(frozen=True)
class Person:
    """One person of the CRM's staff. name and email are personal: never kept in the ledger."""

    staff_id: str
    role: str | None = None
    department: str | None = None
    supervisor_id: str | None = None
    is_active: bool = True
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)


def read_staff(settings: Settings) -> dict[str, Person]:
    """The staff the lake has now, by id; nobody where the CRM has none."""
    columns = "staff_id, role, department, supervisor_id, coalesce(is_active, true), name, email"
    con = connect(settings)
    try:
        rows = con.execute(
            f"select {columns} from ({current(Lake(settings.lake), entities()['staff'])}) "
            "order by staff_id"
        ).fetchall()
    finally:
        con.close()
    return {row[0]: Person(*row) for row in rows}


class Staff:
    """Finds whom to tell. The same case gives the same person; of several who would do, the one
    with the lowest id."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._people = {p.staff_id: p for p in sorted(people, key=lambda p: p.staff_id)}

    def told(self, role: str, owner_id: str | None, department: str | None) -> str | None:
        """The staff id for a role in a case of this owner and department; None is the team.

        owner: the owner. supervisor: the owner's, else the department's, else any. Any other
        role: the owner if it is theirs, else whoever has it in the department, else whoever has
        it for all departments. Who has left is passed over to their supervisor.
        """
        if role == OWNER:
            return self._stands_in(owner_id) or self._supervisor(None, department)
        if role == SUPERVISOR:
            return self._supervisor(owner_id, department)
        owner = self._people.get(owner_id or "")
        if owner and owner.role == role and owner.is_active:
            return owner.staff_id
        having = [p for p in self._people.values() if p.role == role]
        near = [p for p in having if department is not None and p.department == department]
        return self._first(near) or self._first([p for p in having if p.department is None])

    def _supervisor(self, owner_id: str | None, department: str | None) -> str | None:
        owner = self._people.get(owner_id or "")
        if owner and (above := self._stands_in(owner.supervisor_id)):
            return above
        all_of_them = [p for p in self._people.values() if p.role == SUPERVISOR and p != owner]
        near = [p for p in all_of_them if department is not None and p.department == department]
        return self._first(near) or self._first(all_of_them)

    def _first(self, people: list[Person]) -> str | None:
        """The first who is here, else the first who stands in for one that has left."""
        here = next((p.staff_id for p in people if p.is_active), None)
        stand_ins = (self._stands_in(p.staff_id) for p in people)
        return here or next((found for found in stand_ins if found), None)

    def _stands_in(self, staff_id: str | None) -> str | None:
        """The person, or the first above them who has not left."""
        seen: set[str] = set()
        while staff_id and staff_id not in seen:
            person = self._people.get(staff_id)
            if person is None:
                return None
            if person.is_active:
                return staff_id
            seen.add(staff_id)
            staff_id = person.supervisor_id
        return None
