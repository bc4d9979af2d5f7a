"""Renders ledger messages: the only place where they meet personal data."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import duckdb

from careloop.channels.base import Rendered
from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.messages.files import locate, read_source
from careloop.messages.links import secrets
from careloop.messages.polite import clean
from careloop.messages.rendering import Compiled, Content, RenderError, compile_source, fill
from careloop.messages.values import Person, about_of, values
from careloop.program.channels import ADDRESS
from careloop.program.model import Program
from careloop.settings import Settings
from careloop.warehouse import connect

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_FEWEST_DIGITS = 7
# Others read along: nobody is called by name there.
PUBLIC = ("community", "live", "article")
CONTACT = (
    "name",
    "company_name",
    "contact_person",
    "position",
    "phone",
    "email",
    "wecom_id",
    "push_token",
)


@dataclass(frozen=True)
class RenderProblem:
    """A message that can't be made. reason: a short sentence without personal data."""

    message_id: str
    reason: str


def render_batch(
    settings: Settings,
    program: Program,
    messages: Iterable[Mapping[str, Any]],
    now: datetime | None = None,
) -> dict[str, Rendered | RenderProblem]:
    """Each ledger message ready to go, or why not, by message_id. now: when it is read (UTC)."""
    with Renderer(settings, program) as renderer:
        return renderer.render(messages, now)


class Renderer:
    """Renders batch after batch over one connection; a template is read once.

    Personal data is read anew for each batch, in one query, for its customers only. Raises
    SettingsError where links can't be signed.
    """

    def __init__(self, settings: Settings, program: Program) -> None:
        if settings.public_url:
            secrets()
        self.settings = settings
        self.program = program
        self._con: duckdb.DuckDBPyConnection | None = None
        self._compiled: dict[tuple[str, str, str | None], tuple[Compiled, str] | RenderError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back."""
        if self._con is not None:
            self._con.close()
            self._con = None

    def render(
        self, messages: Iterable[Mapping[str, Any]], now: datetime | None = None
    ) -> dict[str, Rendered | RenderProblem]:
        """As ``render_batch``."""
        batch = list(messages)
        people = self.people({(m["customer_id"], m.get("owner_id")) for m in batch})
        return {str(m["message_id"]): self._one(m, people, now) for m in batch}

    def people(
        self, wanted: Iterable[tuple[str, str | None]]
    ) -> dict[tuple[str, str | None], Person]:
        """What the lake knows of these customers, each with the name of an owner."""
        pairs = sorted(set(wanted), key=lambda pair: (pair[0], pair[1] or ""))
        if not pairs:
            return {}
        if self._con is None:
            self._con = connect(self.settings)
        rows = self._con.execute(
            _people_sql(Lake(self.settings.lake)),
            {"customers": [p[0] for p in pairs], "owners": [p[1] for p in pairs]},
        ).fetchall()
        return {(row[0], row[1]): Person(*row[2:]) for row in rows}

    def content(
        self,
        message: Mapping[str, Any],
        person: Person,
        locale: str | None = None,
        now: datetime | None = None,
    ) -> tuple[Content, str, dict[str, Any]]:
        """What a message says, its locale and the values used; raises RenderError. A task is told
        to an employee, in the program's first locale, unless one is given."""
        theirs = message.get("locale")
        task = message.get("kind") == "task"
        wanted = locale or (self.program.locales[0] if task else theirs)
        compiled, used = self._template(str(message["template"]), str(message["channel"]), wanted)
        known = values(self.settings, self.program, message, person, used, theirs, now)
        channel, purpose = str(message["channel"]), str(message["purpose"])
        content = fill(compiled, channel, used, known, purpose, task=task)
        return content, used, known

    def _one(
        self,
        message: Mapping[str, Any],
        people: dict[tuple[str, str | None], Person],
        now: datetime | None,
    ) -> Rendered | RenderProblem:
        message_id, channel = str(message["message_id"]), str(message["channel"])
        person = people.get((message["customer_id"], message.get("owner_id")))
        if person is None:
            return RenderProblem(message_id, "the customer is no longer known")
        address = address_on(channel, person)
        if ADDRESS.get(channel) and address is None:
            return RenderProblem(message_id, f"no address on {channel}")
        if channel in PUBLIC:
            person = Person()
        try:
            content, locale, known = self.content(message, person, now=now)
        except RenderError as error:
            return RenderProblem(message_id, error.what)
        return Rendered(
            message_id=message_id,
            decision_key=str(message["decision_key"]),
            customer_id=str(message["customer_id"]),
            rule=str(message["rule"]),
            purpose=str(message["purpose"]),
            channel=channel,
            locale=locale,
            address=address,
            subject=content.subject,
            text=content.text,
            html=content.html,
            unsubscribe_url=None if message.get("kind") == "task" else known["unsubscribe_url"],
            offer=message.get("offer"),
            owner_role=message.get("owner_role"),
            owner_id=message.get("owner_id"),
            due_at=_utc_text(message.get("due_at")),
            about=about_of(message),
        )

    def _template(self, template: str, channel: str, locale: str | None) -> tuple[Compiled, str]:
        key = (template, channel, locale)
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
        found = self._compiled[key]
        if isinstance(found, RenderError):
            raise found
        return found

    def _compile(
        self, template: str, channel: str, locale: str | None
    ) -> tuple[Compiled, str] | RenderError:
        found = locate(self.program, template, channel, locale)
        if found is None:
            wanted = self.program.folders[0] / f"{template}.{channel}"
            return RenderError(wanted, None, "there is no such message")
        try:
            return compile_source(read_source(found[0])), found[1]
        except RenderError as error:
            return error


def address_on(channel: str, person: Person) -> str | None:
    """Where a message on the channel goes; None if it is unknown or can't be right."""
    column = ADDRESS.get(channel)
    address = clean(getattr(person, column)) if column else None
    if address is None:
        return None
    if column == "email" and not _EMAIL.fullmatch(address):
        return None
    if column == "phone" and sum(c.isdigit() for c in address) < _FEWEST_DIGITS:
        return None
    return address


def masked(person: Person) -> Person:
    """The same person with every personal value hidden; what is unknown stays unknown."""
    hidden = {key: value and "•••" for key, value in asdict(person).items() if key != "sex"}
    return Person(**hidden)


def _people_sql(lake: Lake) -> str:
    """One row per wanted customer and owner that the lake knows."""
    known = entities()
    contact = ", ".join(f"contacts.{column}" for column in CONTACT)
    return f"""
with wanted as (
    select unnest($customers::varchar[]) as customer_id, unnest($owners::varchar[]) as owner_id
),
customers as (
    select * from ({current(lake, known["customers"])})
    where customer_id in (select customer_id from wanted)
),
contacts as (
    select * from ({current(lake, known["contacts"])})
    where customer_id in (select customer_id from wanted)
),
staff as (
    select * from ({current(lake, known["staff"])})
    where staff_id in (select owner_id from wanted)
)
select wanted.customer_id, wanted.owner_id, {contact}, customers.sex, staff.name
from wanted
inner join customers on customers.customer_id = wanted.customer_id
left join contacts on contacts.customer_id = wanted.customer_id
left join staff on staff.staff_id = wanted.owner_id
"""


def _utc_text(value: object) -> str | None:
    """A time as the ledger has it, or as ISO text."""
    if value is None:
        return None
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
