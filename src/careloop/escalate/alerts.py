"""Telling people and the team what is due and late: once each, grouped by owner."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from careloop.channels.base import (
    Channel,
    ChannelDown,
    DeliveryError,
    Rendered,
    UnknownOutcome,
)
from careloop.channels.options import SmtpOptions, is_mail_address
from careloop.channels.registry import open_channels, options_of
from careloop.errors import SettingsError
from careloop.escalate.due import plan_alerts
from careloop.escalate.lists import write_list
from careloop.escalate.staff import Person, read_staff
from careloop.ledger import alerts
from careloop.ledger.alerts import Alert
from careloop.ledger.database import ALERTING, Ledger, hold_lock, utc
from careloop.ledger.worker import is_gone, name_worker
from careloop.program.model import Program
from careloop.settings import Settings

LEASE = timedelta(minutes=10)
OVER = "all of it was over before it went out"
LOST = "its process ended while it was handed over"


@dataclass(frozen=True)
class Alerted:
    """What one round told. planned: new lists; sent, failed (tried again in the next round),
    unknown (may have gone out), cancelled (nothing left to say), given_up (failed for good).
    resting: channels that were down, and why. waiting: escalations held for working time."""

    planned: int
    sent: int
    failed: int
    unknown: int
    cancelled: int
    given_up: int
    waiting: int
    resting: Mapping[str, str]


def send_alerts(
    settings: Settings,
    program: Program,
    ledger: Ledger,
    now: datetime,
    *,
    channels: Mapping[str, Channel] | None = None,
) -> Alerted:
    """Plan the lists that are due and hand them over.

    Each escalation is told once to each audience the pack names for its level; a list's intent
    is committed before its channel is asked. What failed is tried again in the next round. What
    was being handed over when a process died becomes ``unknown`` and is tried again only where
    the channel recognises a message. Names and addresses are read now and never kept.

    now: aware, or UTC. channels: by name; those of the settings otherwise. Raises SettingsError
    where the settings name a channel that can't be used.
    """
    moment = utc(now)
    check_alerts(settings)
    staff = read_staff(settings)
    people, team = settings.alerts.people, settings.alerts.team
    opened: Mapping[str, Channel] = channels or open_channels(
        settings, [people, team], lambda: now, program.zone
    )
    reached = {p.staff_id for p in staff.values() if p.is_active and is_mail_address(p.email or "")}
    with ledger.write() as con:
        hold_lock(con, ALERTING)
        recovered = _recover(con, opened, moment)
        planned = plan_alerts(con, program, reached, people, team, moment)
    desk = _Desk(settings, program, ledger, staff, moment)
    desk.counts["unknown"] += recovered
    with ExitStack() as stack:
        ready = {name: stack.enter_context(channel) for name, channel in opened.items()}
        desk.send_all(ready)
    counts = desk.counts
    return Alerted(
        planned.lists,
        counts["sent"],
        counts["failed"],
        counts["unknown"],
        counts["cancelled"],
        counts["given_up"],
        planned.waiting,
        dict(sorted(desk.resting.items())),
    )


def check_alerts(settings: Settings) -> None:
    """Raises SettingsError where ``[alerts]`` names a channel that can't be used so."""
    people = options_of(settings, settings.alerts.people)
    if getattr(people, "type", "") == "apprise" or getattr(people, "shape", "generic") != "generic":
        raise SettingsError(
            f"alerts.people is {settings.alerts.people}, which has no addresses of people",
            "name a channel of type smtp, file, or webhook with shape generic",
        )
    team = options_of(settings, settings.alerts.team)
    if isinstance(team, SmtpOptions) and not settings.alerts.team_address:
        raise SettingsError(
            f"alerts.team is {settings.alerts.team}, which sends e-mail, and has no address",
            "set alerts.team_address",
        )
    if getattr(team, "type", "") == "task":
        raise SettingsError(
            f"alerts.team is {settings.alerts.team}, a list of tasks",
            "name a channel of type webhook, apprise, smtp or file",
        )


def _recover(con: Any, channels: Mapping[str, Channel], now: datetime) -> int:
    """Decide about what a dead process left behind; returns how many are unknown for good."""
    unknown = 0
    for alert in alerts.under_way(con):
        over = alert.lease_until is None or alert.lease_until <= now
        if not over and not is_gone(alert.worker or ""):
            continue
        channel = channels.get(alert.channel)
        again = channel is not None and channel.accepts_idempotency_key
        alerts.settle(con, alert, "planned" if again else "unknown", now, LOST)
        unknown += not again
    return unknown


@dataclass
class _Desk:
    """Hands over the lists of one round."""

    settings: Settings
    program: Program
    ledger: Ledger
    staff: Mapping[str, Person]
    now: datetime

    def __post_init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.resting: dict[str, str] = {}
        told = self.program.alerts.levels
        self.of_the_team = [item.level for item in told if "team" in item.tell]

    def send_all(self, channels: Mapping[str, Channel]) -> None:
        """Every list that is planned or failed, each channel until it is down."""
        with self.ledger.read() as con:
            waiting = alerts.to_send(con)
        for alert in waiting:
            channel = channels.get(alert.channel)
            tries = options_of(self.settings, alert.channel).tries
            if channel is None or alert.channel in self.resting or alert.failures >= tries:
                continue
            self._send(alert, channel, tries)

    def _send(self, alert: Alert, channel: Channel, tries: int) -> None:
        with self.ledger.read() as con:
            rows = alerts.items_of(con, alert, self.of_the_team)
        if not rows:
            with self.ledger.write() as con:
                alerts.cancel(con, alert, self.now, OVER)
            self.counts["cancelled"] += 1
            return
        message = self._written(alert, rows)
        begun = replace(alert, worker=name_worker(), state="sending")
        with self.ledger.write() as con:
            if not alerts.begin(con, alert, begun.worker or "", self.now, self.now + LEASE):
                return
        try:
            receipt = channel.send(message)
        except ChannelDown as error:
            self.resting[alert.channel] = error.reason
            self._settle(begun, "planned", error.reason)
        except UnknownOutcome as error:
            keyed = channel.accepts_idempotency_key
            self._settle(begun, "failed" if keyed else "unknown", error.reason, counts=keyed)
        except DeliveryError as error:
            last = alert.failures + 1 >= tries
            self._settle(begun, "failed", error.reason, counts=True, given_up=last)
        else:
            self._settle(begun, "sent", receipt.detail, receipt.provider_id)

    def _settle(
        self,
        alert: Alert,
        state: str,
        reason: str | None,
        provider_id: str | None = None,
        *,
        counts: bool = False,
        given_up: bool = False,
    ) -> None:
        with self.ledger.write() as con:
            alerts.settle(con, alert, state, self.now, reason, provider_id, counts=counts)
        if state != "planned":
            self.counts["given_up" if given_up else state] += 1

    def _written(self, alert: Alert, rows: list[Any]) -> Rendered:
        to = self.staff.get(alert.staff_id or "")
        address = to.email if to else self.settings.alerts.team_address
        text = write_list(self.program, alert, rows, self.staff, self.now)
        return Rendered(
            message_id=alert.alert_id,
            decision_key=alert.alert_id,
            customer_id="",
            rule="alert",
            purpose="service",
            channel=alert.channel,
            locale=self.program.locales[0],
            address=address,
            subject=text.subject,
            text=text.text,
            html=text.html,
            owner_id=alert.staff_id,
        )
