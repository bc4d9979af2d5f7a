"""Dispatch: carry out what the ledger has planned, each message once."""

from careloop.dispatch.limits import Limits, limits_of
from careloop.dispatch.run import Summary, dispatch

__all__ = ["Limits", "Summary", "dispatch", "limits_of"]
