"""Escalation: whom to tell of a clock that runs out, and telling them once."""

from careloop.escalate.alerts import Alerted, send_alerts
from careloop.escalate.escalate import Escalated, escalate

__all__ = ["Alerted", "Escalated", "escalate", "send_alerts"]
