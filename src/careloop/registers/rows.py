"""The rows of each register, as its sheet shows them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.program.dates import months_after, start_of
from careloop.program.model import Program
from careloop.registers.access import MASK, Sight
from careloop.registers.words import word, words
from careloop.settings import Settings
from careloop.warehouse import chunks, literal

FETCHED = 10_000
SCORED = "('attitude', 'speed', 'efficiency')"
Cells = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One row: cells by column id, and of a register that is read back the canonical values it
    stands for."""

    cells: Cells
    known: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Month:
    """A calendar month of the program's zone."""

    first: date
    zone: str

    @property
    def until(self) -> date:
        return months_after(self.first, 1)

    def utc(self, day: date) -> str:
        """The local midnight that begins a day, as SQL in UTC."""
        return f"timestamp {literal(start_of(day, self.zone))}"

    def holds(self, column: str) -> str:
        """SQL that is true for UTC times within the month."""
        return f"{column} >= {self.utc(self.first)} and {column} < {self.utc(self.until)}"


class Registers:
    """Reads the registers from the published marts and, as far as ``sight`` goes, from the lake."""

    def __init__(
        self,
        settings: Settings,
        program: Program,
        con: duckdb.DuckDBPyConnection,
        month: Month,
        lang: str,
        sight: Sight,
    ) -> None:
        self.con, self.month, self.lang, self.sight = con, month, lang, sight
        self.lake = Lake(settings.lake)
        self.zone, self.currency = program.zone, program.currency
        self.rules = {rule.id: getattr(rule.title, lang) for rule in program.rules}
        self.types = {t.id: getattr(t.title, lang) for t in program.registers.ticket_types}

    def customers(self, register: str) -> list[str]:
        """Whose data a register shows, sorted."""
        sql = f"select distinct customer_id from ({self._select(register)}) order by customer_id"
        return [row[0] for row in self.con.execute(sql).fetchall() if row[0] is not None]

    def lines(self, register: str) -> Iterator[Line]:
        """The rows in their order, fetched bit by bit."""
        make: Callable[[Cells], Line] = {
            "customers_and_tags": self._customer,
            "follow_ups": self._follow_up,
            "tickets": self._ticket,
            "satisfaction": self._survey,
        }[register]
        sql = self._select(register) + f" order by {_ORDER[register]}"
        for rows in chunks(self.con, sql, FETCHED):
            yield from map(make, rows)

    def _select(self, register: str) -> str:
        return {
            "customers_and_tags": self._customers_sql,
            "follow_ups": self._follow_ups_sql,
            "tickets": self._tickets_sql,
            "satisfaction": self._satisfaction_sql,
        }[register]()

    def _customers_sql(self) -> str:
        contact = {
            "company": "k.company_name",
            "contact": "coalesce(k.contact_person, k.name)",
            "position": "k.position",
            "phone": "k.phone",
            "email": "k.email",
            "wecom_id": "k.wecom_id",
        }
        kept = {
            name: self._seen("customers_and_tags", "contact_details" if name in words()["contact"]
                             else name, sql)
            for name, sql in contact.items()
        }  # fmt: skip
        shown = ", ".join(f"{sql} as {name}" for name, sql in kept.items())
        return (
            f"select m.*, {shown} from register_customers as m "
            f"left join ({self._of('contacts')}) as k on k.customer_id = m.customer_id"
        )

    def _follow_ups_sql(self) -> str:
        seen = {n: self._seen("follow_ups", n, f"w.{n}") for n in ("content", "feedback", "item")}
        shown = ", ".join(f"{sql} as {name}" for name, sql in seen.items())
        return (
            f"select m.*, {self._local('m.time')} as local_time, {shown}, {self._name()} as name, "
            f"{self._staff('d')} as done_by_name, {self._staff('o')} as owner_name "
            f"from register_follow_ups as m left join ({self._of('follow_ups')}) as w "
            f"on w.follow_up_id = m.task_id {self._joins('m.done_by', 'm.owner')} "
            f"where {self.month.holds('m.time')} and m.state <> 'called_off'"
        )

    def _tickets_sql(self) -> str:
        seen = {n: self._seen("tickets", n, f"w.{n}") for n in ("description", "result")}
        shown = ", ".join(f"{sql} as {name}" for name, sql in seen.items())
        times = ", ".join(
            f"{self._local(f'm.{n}')} as local_{n}" for n in ("submitted", "responded", "archived")
        )
        return (
            f"select m.*, {times}, {shown}, {self._name()} as name, "
            f"{self._staff('o')} as owner_name "
            f"from register_tickets as m left join ({self._of('tickets')}) as w "
            f"on w.ticket_id = m.ticket_id {self._joins(None, 'm.owner')} "
            f"where {self.month.holds('m.submitted')}"
        )

    def _satisfaction_sql(self) -> str:
        advice = self._seen("satisfaction", "advice", "w.comments")
        return (
            f"select m.*, {self._local('m.time')} as local_time, {advice} as advice, "
            f"{self._name()} as name from register_satisfaction as m left join ("
            "select min(response_id) as survey_id, "
            "string_agg(distinct comment, chr(10) order by comment) as comments "
            f"from ({self._of('surveys')}) where kind = 'csat' and answered_at is not null "
            f"and aspect in {SCORED} and scale_min < scale_max "
            "group by customer_id, ticket_id, order_id, asked_at, answered_at, method) as w "
            f"on w.survey_id = m.survey_id {self._joins(None, None)} "
            f"where {self.month.holds('m.time')}"
        )

    def _customer(self, row: Cells) -> Line:
        ways = [
            f"{words()['contact'][name][self.lang]}{row[name]}"
            for name in words()["contact"]
            if row[name] and row[name] != MASK
        ]
        hidden = any(row[name] == MASK for name in words()["contact"])
        return Line(
            {
                **row,
                "contact_details": MASK if hidden else "\n".join(ways) or None,
                "tags": row[f"tags_{self.lang}"],
                "history": self._history(row["history"], row["history_amount"]),
            }
        )

    def _history(self, history: str | None, amount: Decimal) -> str | None:
        """The amount, readable, and below it the products."""
        if history is None:
            return None
        _, _, products = history.partition("; ")
        return f"{self.currency} {amount:,.2f}" + (f"\n{products}" if products else "")

    def _follow_up(self, row: Cells) -> Line:
        ours = row["origin"] == "careloop"
        role = word("roles", row["owner_role"], self.lang)
        method = row["method"]
        shown = method if method in ("call", "visit", None) else "online"
        planned = self.rules.get(row["rule"], row["rule"]) if ours else None
        cells = {
            **row,
            "customer": row["name"] or row["customer_id"],
            "time": row["local_time"],
            "method": word("follow_up_methods", shown, self.lang),
            "by": row["done_by_name"] or row["done_by"] or role,
            "item": row["item"] or planned,
            "owner": row["owner_name"] or row["owner"] or role,
        }
        known = {
            "follow_up_id": row["task_id"],
            "customer_id": row["customer_id"],
            "method": method or "",
            "staff_id": row["done_by"] or "",
            "owner_id": row["owner"] or "",
            "done": row["done_at"] is not None,
        }
        return Line(cells, known)

    def _ticket(self, row: Cells) -> Line:
        cells = {
            **row,
            "customer": row["name"] or row["customer_id"],
            "type": self.types.get(row["type"], row["type"]),
            "submitted": row["local_submitted"],
            "responded": row["local_responded"],
            "archived": row["local_archived"],
            "owner": row["owner_name"] or row["owner"],
            "progress": word("progress", row["progress"], self.lang),
            "confirmation": word("confirmations", row["confirmation"], self.lang),
        }
        known = {
            "ticket_id": row["ticket_id"],
            "customer_id": row["customer_id"] or "",
            "owner_id": row["owner"] or "",
        }
        return Line(cells, known)

    def _survey(self, row: Cells) -> Line:
        cells = {
            **row,
            "customer": row["name"] or row["customer_id"],
            "time": row["local_time"],
            "method": word("survey_methods", row["method"], self.lang),
        }
        return Line(cells)

    def _of(self, entity: str) -> str:
        return current(self.lake, entities()[entity])

    def _seen(self, register: str, column: str, sql: str) -> str:
        """The value, or only that there is one."""
        if self.sight.shows(register, column):
            return sql
        return f"case when {sql} is not null then {literal(MASK)} end"

    def _local(self, column: str) -> str:
        """Wall time to the minute, which is what a sheet shows."""
        local = f"timezone({literal(self.zone)}, timezone('UTC', {column}))"
        return f"date_trunc('minute', {local})"

    def _name(self) -> str:
        shown = self.sight.shows("tickets", "customer")
        return "coalesce(k.company_name, k.name)" if shown else "null::varchar"

    def _staff(self, alias: str) -> str:
        return f"{alias}.name" if self.sight.staff_names else "null::varchar"

    def _joins(self, done_by: str | None, owner: str | None) -> str:
        """Contacts as k and staff as d and o, as far as they are shown."""
        joins = ""
        if self.sight.shows("tickets", "customer"):
            joins += f"left join ({self._of('contacts')}) as k on k.customer_id = m.customer_id "
        for alias, column in (("d", done_by), ("o", owner)):
            if column and self.sight.staff_names:
                joins += f"left join ({self._of('staff')}) as {alias} "
                joins += f"on {alias}.staff_id = {column} "
        return joins


_ORDER = {
    "customers_and_tags": "customer_id",
    "follow_ups": "local_time, task_id",
    "tickets": "submitted, ticket_id",
    "satisfaction": "local_time, survey_id",
}
