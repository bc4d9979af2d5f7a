"""Telling the operators, through ``[channels.alerts]``, of what broke or was missed: once each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from careloop.channels.base import ChannelDown, DeliveryError, Rendered, UnknownOutcome
from careloop.channels.options import Options
from careloop.channels.registry import ALERTS, open_channels, options_of
from careloop.ledger import alerts
from careloop.ledger.alerts import Alert
from careloop.ledger.database import ALERTING, Ledger, hold_lock, open_ledger, utc
from careloop.ledger.worker import is_gone, name_worker
from careloop.settings import Settings

KPI, GATE = "kpi", "gate"
LEASE = timedelta(minutes=10)
LOST = "its process ended while it was handed over"


@dataclass(frozen=True)
class Notice:
    """One thing to tell, without personal data. about: with the kind, what makes it unlike
    others; text: a line."""

    kind: str
    about: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        """Its alert_id in the ledger."""
        return alerts.alert_id(self.kind, None, [f"{n}:{a}" for n, a in enumerate(self.about)])


@dataclass(frozen=True)
class Told:
    """How many notices were told now, had been told or decided about before, and could not be
    told; why not. configured: whether the settings name anybody."""

    configured: bool
    sent: int = 0
    known: int = 0
    failed: int = 0
    reason: str | None = None


def tell_operators(
    settings: Settings, title: str, notices: Sequence[Notice], locale: str, now: datetime
) -> Told:
    """Tell, in one message, what of the notices was not told before.

    The intent of each is committed to the ledger's alerts before the channel is asked; what
    failed is tried again when the same is told again, what may have gone out is not. Nothing is
    written where no alerts are configured. now: aware, or UTC. Raises SettingsError where the
    channel is set up wrong.
    """
    if not notices or ALERTS not in settings.channels:
        return Told(ALERTS in settings.channels)
    options = options_of(settings, ALERTS)
    channel = open_channels(settings, [ALERTS], lambda: now, "UTC")[ALERTS]
    moment = utc(now)
    with open_ledger(settings) as ledger, channel:
        due = _begin(ledger, notices, options, moment)
        known = len(notices) - len(due)
        if not due:
            return Told(True, known=known)
        lines = [notice.text for notice in notices if notice.name in due]
        message = _message(title, lines, next(iter(due)), locale)
        try:
            receipt = channel.send(message)
        except ChannelDown as error:
            _settle(ledger, due, "planned", moment, error.reason)
            return Told(True, known=known, failed=len(due), reason=error.reason)
        except DeliveryError as error:
            state = "unknown" if isinstance(error, UnknownOutcome) else "failed"
            _settle(ledger, due, state, moment, error.reason, counts=True)
            return Told(True, known=known, failed=len(due), reason=error.reason)
        _settle(ledger, due, "sent", moment, receipt.detail)
    return Told(True, sent=len(due), known=known)


def _begin(
    ledger: Ledger, notices: Sequence[Notice], options: Options, moment: datetime
) -> dict[str, Alert]:
    """Plan what is new and take what is to be told now; by alert_id."""
    names = {notice.name: notice.kind for notice in notices}
    worker = name_worker()
    due = {}
    with ledger.write() as con:
        hold_lock(con, ALERTING)
        for alert in alerts.under_way(con):
            over = alert.lease_until is None or alert.lease_until <= moment
            if alert.alert_id in names and (over or is_gone(alert.worker or "")):
                alerts.settle(con, alert, "unknown", moment, LOST)
        for name, kind in names.items():
            if not alerts.has_alert(con, name):
                alerts.insert_alert(con, name, kind, None, ALERTS, [], moment)
        for alert in alerts.to_send(con):
            if alert.alert_id not in names or alert.failures >= options.tries:
                continue
            if alerts.begin(con, alert, worker, moment, moment + LEASE):
                due[alert.alert_id] = replace(alert, worker=worker, state="sending")
    return due


def _settle(
    ledger: Ledger,
    due: dict[str, Alert],
    state: str,
    moment: datetime,
    reason: str | None,
    *,
    counts: bool = False,
) -> None:
    with ledger.write() as con:
        for alert in due.values():
            alerts.settle(con, alert, state, moment, reason, counts=counts)


def _message(title: str, lines: Sequence[str], name: str, locale: str) -> Rendered:
    return Rendered(
        message_id=name,
        decision_key=name,
        customer_id="",
        rule="alert",
        purpose="service",
        channel=ALERTS,
        locale=locale,
        address=None,
        subject=title,
        text="\n".join(lines),
        html=None,
    )
