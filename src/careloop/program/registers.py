"""The part of a pack about registers: the lists that leave as one workbook."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Id,
    Mistake,
    Text,
    refuse,
)

# The registers careloop keeps, and the columns each can have.
REGISTER_COLUMNS = {
    "customers_and_tags": (
        "customer_id",
        "company",
        "industry",
        "contact",
        "position",
        "contact_details",
        "cooperation_start",
        "tags",
        "history",
        "last_interaction",
    ),
    "follow_ups": (
        "customer",
        "time",
        "method",
        "by",
        "content",
        "feedback",
        "item",
        "owner",
        "due",
    ),
    "tickets": (
        "ticket_id",
        "customer",
        "description",
        "type",
        "submitted",
        "responded",
        "owner",
        "progress",
        "result",
        "confirmation",
        "archived",
    ),
    "satisfaction": (
        "customer",
        "time",
        "method",
        "attitude",
        "speed",
        "efficiency",
        "advice",
        "done",
    ),
}


class RegisterColumn(Closed):
    """A column of a register."""

    id: Id = Field(description="Name of the figure.")
    title: Text = Field(description="Heading.")


class Register(Closed):
    """A register that is exported with exactly these columns."""

    id: Id = Field(description=f"Name of the register: {', '.join(REGISTER_COLUMNS)}.")
    title: Text = Field(description="Title of the sheet, at most 31 characters.")
    columns: Annotated[list[RegisterColumn], Field(min_length=1)] = Field(
        description="Columns in order."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        allowed = REGISTER_COLUMNS.get(self.id)
        if allowed is None:
            known = tuple(REGISTER_COLUMNS)
            refuse([Mistake(("id",), self.id, "is no register careloop keeps", known)])
        mistakes = [
            Mistake(("columns", i, "id"), column.id, "is no column of this register", allowed or ())
            for i, column in enumerate(self.columns)
            if column.id not in (allowed or ())
        ]
        for what, name in (("id", lambda c: c.id), ("en", _en), ("zh", _zh)):
            names = [name(column) for column in self.columns]
            mistakes += [
                Mistake(("columns", i, what if what == "id" else "title"), n, "stands there twice")
                for i, n in enumerate(names)
                if n in names[:i]
            ]
        mistakes += [
            Mistake(("title", lang), title, "has a sign no sheet's name may have, or is too long")
            for lang, title in (("en", self.title.en), ("zh", self.title.zh))
            if len(title) > SHEET_NAME or set(title) & set("[]:*?/\\'")
        ]
        refuse(mistakes)
        return self


SHEET_NAME = 31  # what Excel allows


def _en(column: RegisterColumn) -> str:
    return column.title.en


def _zh(column: RegisterColumn) -> str:
    return column.title.zh


class TicketType(Closed):
    """A type of problem in the register of tickets."""

    id: Id = Field(description="Name; also a category a ticket can have.")
    title: Text = Field(description="How the register calls it.")
    categories: list[Id] = Field(description="Ticket categories that are of this type.")


class Registers(Closed):
    """Exports for the office."""

    language: Literal["en", "zh", "locale"] = Field(
        description="Language of the headings; locale takes the run's."
    )
    lists: list[Register] = Field(description="The registers.")
    ticket_types: list[TicketType] = Field(
        default_factory=list,
        description="Types of problem; a ticket of another category has none.",
    )

    @model_validator(mode="after")
    def _one_type_each(self) -> Self:
        seen: set[str] = set()
        mistakes = []
        for i, kind in enumerate(self.ticket_types):
            names = {kind.id, *kind.categories}
            mistakes += [
                Mistake(("ticket_types", i, "categories"), name, "is of another type already")
                for name in sorted(names & seen)
            ]
            seen |= names
        refuse(mistakes)
        return self
