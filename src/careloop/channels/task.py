"""A message for a person of the team: it stands on the follow-up list, nothing is sent."""

from types import TracebackType
from typing import Self

from careloop.channels.base import Receipt, Rendered


class TaskChannel:
    """Takes every message: the row in the ledger is the task (see ``careloop tasks``)."""

    accepts_idempotency_key = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def send(self, message: Rendered) -> Receipt:
        owner = message.owner_id or message.owner_role
        return Receipt(None, f"on the list of {owner}" if owner else "on the list")

    def check(self) -> str:
        """Where tasks are."""
        return "tasks for people: careloop tasks list"
