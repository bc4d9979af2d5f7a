"""Plan: copy the decisions of one published version into the ledger, each once."""

from careloop.plan.planning import Planned, plan

__all__ = ["Planned", "plan"]
