"""The rules of service: those that cannot wait for the next day."""

from careloop.program.model import Program
from careloop.program.rules import Rule

# What the watch finds during the day; rules that wait for one of these are decided by it, too.
SERVICE_EVENTS = frozenset(
    {
        "ticket_opened",
        "ticket_overdue",
        "ticket_solved",
        "delivery_late",
        "delivery_lost",
        "delivery_stalled",
        "incident",
        "low_score",
    }
)


def service_rules(program: Program) -> list[Rule]:
    """The active rules that wait for one of the events of service, in the pack's order."""
    return [
        rule
        for rule in program.rules
        if rule.active and rule.trigger.event and rule.trigger.event.name in SERVICE_EVENTS
    ]


def only_service(program: Program) -> Program:
    """The same program, hash included, with no other rules than those of service."""
    other = program.model_copy()
    other._rules = tuple(service_rules(program))
    return other
