"""Decisions once more, in plain Python, one customer at a time: what the SQL is held against.

Written from the definitions, not from the models: sets of channel names instead of bits, wall
clocks of `zoneinfo` instead of offsets, a loop over days instead of a formula.
"""

import calendar
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from careloop.program.base import rough_days, split_duration
from careloop.program.calendar import calendar_days
from careloop.program.channels import ADDRESS, SPOKEN
from careloop.program.model import Program
from careloop.program.rules import Rule

FLAGS = {"phone": "has_phone", "email": "has_email", "wecom_id": "has_wecom",
         "push_token": "has_push"}  # fmt: skip
WITHDRAWN = ("cancelled", "expired", "suppressed")
Rows = dict[str, list[dict[str, Any]]]


@dataclass
class World:
    """Everything the decisions of one moment depend on. as_of: program's wall time."""

    program: Program
    as_of: datetime
    rows: Rows
    loaded: dict[str, datetime] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.program.zone)

    @property
    def as_of_utc(self) -> datetime:
        return self.utc(self.as_of)

    @property
    def today(self) -> date:
        return self.as_of.date()

    def utc(self, local: datetime) -> datetime:
        """A wall time that is skipped moves on; of one that comes twice the second counts."""
        both = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return max(both).replace(tzinfo=None)

    def local(self, utc: datetime) -> datetime:
        return utc.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)

    def by(self, table: str, key: str) -> dict[Any, list[dict[str, Any]]]:
        found: dict[Any, list[dict[str, Any]]] = {}
        for row in self.rows.get(table, []):
            found.setdefault(row[key], []).append(row)
        return found


def share(text: str) -> float:
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) / 2**32


def moved(day: date, duration: str, sign: int = 1) -> date:
    """A day moved by a duration of whole days; months end at the last day of the month."""
    amount, unit = split_duration(duration)
    if unit in ("d", "w"):
        return day + timedelta(days=sign * amount * (7 if unit == "w" else 1))
    months = day.year * 12 + day.month - 1 + sign * amount * {"mo": 1, "q": 3, "y": 12}[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


class Reference:
    """The decisions of a world, by decision key."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.program = world.program
        days = calendar_days(self.program.calendar, world.today, world.today + timedelta(days=60))
        self.workdays = {d.date for d in days if d.is_workday}
        self.rules = {rule.id: rule for rule in self.program.rules}
        self.customers = {c["customer_id"]: c for c in world.rows["customers"]}
        self.consents = world.by("consents", "customer_id")
        self.suppressions = world.by("suppressions", "customer_id")
        self.tickets = world.by("tickets", "customer_id")
        self.feedback = world.by("feedback", "customer_id")
        self.purpose_of = {m["message_id"]: m["purpose"] for m in world.rows["messages"]}
        self.states: dict[str, set[str]] = {}
        for event in world.rows["events"]:
            if event["at_utc"] <= world.as_of_utc:
                self.states.setdefault(event["message_id"], set()).add(event["state"])
        self.messages = [
            {**m, "contact_on": self._contact_day(m)}
            for m in world.rows["messages"]
            if m["as_of"] < world.as_of_utc
        ]
        self.contacts: dict[str, list[dict[str, Any]]] = {}
        for message in self.messages:
            if not self._states(message) & {*WITHDRAWN, "failed"}:
                self.contacts.setdefault(message["customer_id"], []).append(message)
        self.decided = {
            m["decision_key"] for m in self.messages if not self._states(m) & set(WITHDRAWN)
        } | {
            e["decision_key"]
            for e in world.rows["exposures"]
            if e["as_of"] < world.as_of_utc and e["arm"] == "holdout"
        }

    def _contact_day(self, message: dict[str, Any]) -> date:
        """The day it went out; of what waits, not before today."""
        known = [
            event
            for event in self.world.rows["events"]
            if event["message_id"] == message["message_id"]
            and event["at_utc"] <= self.world.as_of_utc
        ]
        sent = [event["at_utc"] for event in known if event["state"] in ("sent", "unknown")]
        if sent:
            return self.world.local(min(sent)).date()
        if {event["state"] for event in known} & {*WITHDRAWN, "failed"}:
            return message["contact_on"]
        return max(message["contact_on"], self.world.today)

    def _states(self, message: dict[str, Any]) -> set[str]:
        return self.states.get(message["message_id"], set())

    def decisions(self) -> dict[str, dict[str, Any]]:
        found = []
        for customer_id, candidates in self.world.by("candidates", "customer_id").items():
            mine = [self._decide(self.customers.get(customer_id), c) for c in candidates]
            self._cool_repeats(mine)
            for row in mine:
                self._after_cooldown(row)
            self._arbitrate(customer_id, mine)
            found += mine
        for row in found:
            row["outcome"] = row["outcome"] or row["kind"]
        outbox = [row for row in found if row["outcome"] in ("send", "task")]
        outbox.sort(key=lambda row: (
            -row["priority"], row["value"] is None, -(row["value"] or 0), row["came_up_on"],
            row["decision_key"],
        ))  # fmt: skip
        for number, row in enumerate(outbox, 1):
            row["order_no"] = number
        return {row["decision_key"]: row for row in found}

    def allowed(self, customer_id: str, purpose: str) -> set[str]:
        """Channels the customer's latest word allows for a purpose."""
        words: dict[str, tuple[datetime, bool]] = {}
        said = [
            (c["channel"], c["changed_at"], not c["granted"])
            for c in self.consents.get(customer_id, [])
            if c["purpose"] == purpose and c["changed_at"] <= self.world.as_of_utc
        ]
        for back in self.feedback.get(customer_id, []):
            heard = max(back["at_utc"], back["received_at"])
            about = self.purpose_of.get(back["message_id"])
            hits = about == purpose or (about is None and purpose != "service")
            if back["kind"] == "unsubscribe" and heard <= self.world.as_of_utc and hits:
                said.append((back["channel"], back["at_utc"], True))
        for channel, at, refused in said:
            if channel not in words or (at, refused) > words[channel]:
                words[channel] = (at, refused)
        if getattr(self.program.consent, purpose) == "opt_in":
            return {channel for channel, (_, refused) in words.items() if not refused}
        return {c for c in ADDRESS if not words.get(c, (None, False))[1]}

    def suppressed(self, customer_id: str, purpose: str) -> set[str]:
        now = self.world.as_of_utc
        if purpose in self.program.consent.complaint_mutes and any(
            t["kind"] == "complaint"
            and t["opened_at"] <= now
            and not any(t[end] and t[end] <= now for end in ("resolved_at", "closed_at"))
            for t in self.tickets.get(customer_id, [])
        ):
            return set(ADDRESS)
        return {
            channel
            for s in self.suppressions.get(customer_id, [])
            for channel in ADDRESS
            if s["at_utc"] <= now and not (s["lifted_at"] and s["lifted_at"] <= now)
            if s["purpose"] in (None, purpose) and s["channel"] in (None, channel)
        }

    def is_fresh(self, purpose: str) -> bool:
        loaded, now = self.world.loaded, self.world.as_of_utc
        return all(
            now - loaded[limit.entity] <= timedelta(days=rough_days(limit.max_age))
            for limit in self.program.data.freshness
            if purpose in limit.blocks and limit.entity in loaded
        )

    def is_quiet(self, moment: time, channel: str, purpose: str) -> bool:
        quiet = self.program.quiet_hours
        if purpose in quiet.exempt_purposes or (quiet.channels and channel not in quiet.channels):
            return False
        starts, ends = time.fromisoformat(quiet.starts), time.fromisoformat(quiet.ends)
        if starts < ends:
            return starts <= moment < ends
        return moment >= starts or moment < ends

    def slot(self, channel: str, purpose: str) -> tuple[datetime, date, bool]:
        """First moment (UTC) and day a message may go on a channel, and whether it is dropped."""
        quiet, local, day = self.program.quiet_hours, self.world.as_of, self.world.today
        at, dropped = self.world.as_of_utc, False
        if self.is_quiet(local.time(), channel, purpose):
            dropped = quiet.action == "drop"
            ends = time.fromisoformat(quiet.ends)
            day += timedelta(days=0 if local.time() < ends else 1)
            at = self.world.utc(datetime.combine(day, ends))
        exempt = purpose in quiet.exempt_purposes and channel not in SPOKEN
        if channel in quiet.working_days_only and not exempt and day not in self.workdays:
            day = min(d for d in self.workdays if d > day)
            minute = next(
                datetime.combine(day, time()) + timedelta(minutes=m)
                for m in range(1440)
                if not self.is_quiet(
                    (datetime.combine(day, time()) + timedelta(minutes=m)).time(), channel, purpose
                )
            )
            at = self.world.utc(minute)
        return at, day, dropped

    def _decide(self, customer: dict[str, Any] | None, c: dict[str, Any]) -> dict[str, Any]:
        rule = self.rules[c["rule"]]
        key = hashlib.md5(f"{rule.id}|{c['customer_id']}|{c['occasion']}".encode()).hexdigest()
        row: dict[str, Any] = {
            "decision_key": key, "customer_id": c["customer_id"], "rule": rule,
            "outcome": None, "gate": None, "eligible_on": None, "channel": None,
            "not_before": None, "contact_on": None, "arm": None, "holdout_scope": None,
            "order_no": None, "came_up_on": c["came_up_on"], "priority": rule.priority,
            "value": customer and customer["predicted_value"], "timing": None, "candidate": c,
        }  # fmt: skip
        reached = {
            ch for ch in rule.channels
            if customer and (ADDRESS[ch] is None or customer[FLAGS[ADDRESS[ch]]])
        }  # fmt: skip
        agreed = reached & self.allowed(c["customer_id"], rule.purpose)
        left = agreed - self.suppressed(c["customer_id"], rule.purpose)
        last = max(
            (m["contact_on"] for m in self.contacts.get(c["customer_id"], [])
             if m["rule"] == rule.id), default=None)  # fmt: skip
        cool = moved(last, rule.cooldown) if last and rule.cooldown else None
        self._place(row, rule, customer, left)
        spoken = row["channel"] in SPOKEN
        row["kind"] = "task" if rule.who != "automatic" or spoken else "send"
        if not reached:
            row["gate"] = "reachable"
        elif not self.is_fresh(rule.purpose):
            row["gate"] = "fresh"
        elif not agreed:
            row["gate"] = "consent"
        elif not left:
            row["gate"] = "suppression"
        elif key in self.decided:
            row["gate"] = "reentry"
        elif cool and cool > self.world.today:
            row["gate"], row["eligible_on"] = "cooldown", cool
        if row["gate"]:
            row["outcome"] = "blocked"
        return row

    def _place(
        self, row: dict[str, Any], rule: Rule, customer: dict[str, Any] | None, left: set[str]
    ) -> None:
        """Channel and time: the earliest day, then the customer's channel, then the rule's."""
        expires = row["candidate"]["expires_at"] or datetime.max
        order = [ch for ch in rule.channels if ch in left]
        if not order:
            return
        slots = {ch: self.slot(ch, rule.purpose) for ch in order}
        preferred = customer and customer["preferred_channel"]
        ranked = sorted(
            order,
            key=lambda ch: (
                slots[ch][1], ch != preferred, rule.channels.index(ch),
            ),
        )  # fmt: skip
        kept = [ch for ch in ranked if not slots[ch][2]]
        usable = [ch for ch in kept if slots[ch][0] < expires]
        row["channel"] = channel = (usable or kept or ranked)[0]
        if not kept:
            row["timing"] = "dropped"
            return
        at, day, _ = slots[channel]
        row["timing"] = "expired" if not usable else "today" if day == self.world.today else "later"
        row["slot_on"] = day
        row["not_before"] = self._own_time(row, rule, customer, channel, at, day)
        row["contact_on"] = self.world.local(row["not_before"]).date()

    def _own_time(
        self, row: dict[str, Any], rule: Rule, customer: dict[str, Any] | None, channel: str,
        at: datetime, day: date,
    ) -> datetime:  # fmt: skip
        wish = customer and customer["preferred_time_from"]
        if not wish or rule.purpose in self.program.quiet_hours.exempt_purposes:
            return at
        own = self.world.utc(datetime.combine(day, time.fromisoformat(wish)))
        c = row["candidate"]
        latest = min(c["expires_at"] or datetime.max, c["due_at"] or datetime.max)
        quiet = self.is_quiet(time.fromisoformat(wish), channel, rule.purpose)
        return own if at < own < latest and not quiet else at

    def _cool_repeats(self, rows: list[dict[str, Any]]) -> None:
        """Of two occasions of a rule with a cooldown one goes, the one that can go first."""
        free = [r for r in rows if not r["gate"] and r["rule"].cooldown]
        free.sort(key=lambda r: (
            {"today": 1, "later": 2}.get(r["timing"], 3), r["came_up_on"], r["decision_key"],
        ))  # fmt: skip
        seen = set()
        for row in free:
            if row["rule"].id in seen:
                row["gate"], row["outcome"] = "cooldown", "blocked"
                row["eligible_on"] = self.world.today + timedelta(days=1)
            seen.add(row["rule"].id)

    def _after_cooldown(self, row: dict[str, Any]) -> None:
        if row["gate"]:
            return
        rule, holdout = row["rule"], self.program.holdout
        if rule.purpose not in holdout.exempt_purposes and (holdout.share or rule.holdout):
            row["arm"] = "treated"
            if share(f"{holdout.salt}|{row['customer_id']}") < holdout.share:
                row["holdout_scope"] = "program"
            elif share(f"{holdout.salt}|{rule.id}|{row['customer_id']}") < rule.holdout:
                row["holdout_scope"] = "rule"
            if row["holdout_scope"]:
                row["arm"] = "holdout"
                row["gate"], row["outcome"] = "holdout", "withheld"
                return
        if row["timing"] != "today":
            row["gate"] = "quiet_hours"
            row["outcome"] = {"later": "deferred", "expired": "expired"}.get(
                row["timing"], "blocked"
            )
            if row["timing"] == "later":
                row["eligible_on"] = row["slot_on"]

    def _arbitrate(self, customer_id: str, rows: list[dict[str, Any]]) -> None:
        caps = self.program.caps
        used = [
            (m["contact_on"], m["purpose"], m["channel"], m["cap_group"])
            for m in self.contacts.get(customer_id, [])
            if not m["is_cap_exempt"]
        ]

        def full(contact: tuple, day: date, contacts: list[tuple]) -> bool:
            return any(
                self._counts(cap, contact)
                and sum(
                    self._counts(cap, c) and c[0] > moved(day, cap.per, -1) for c in contacts
                ) >= cap.most
                for cap in caps.limits
            )  # fmt: skip

        going = [r for r in rows if not r["gate"]]
        going.sort(key=lambda r: (-r["priority"], r["came_up_on"], r["decision_key"]))
        refused = []
        for row in going:
            rule = row["rule"]
            if rule.purpose in caps.exempt_purposes:
                continue
            contact = (self.world.today, rule.purpose, row["channel"], rule.cap_group)
            if full(contact, self.world.today, used):
                refused.append((row, contact))
            else:
                used.append(contact)
        for row, contact in refused:
            row["gate"], row["outcome"] = "caps", "blocked"
            day = self.world.today + timedelta(days=1)
            while full(contact, day, used):
                day += timedelta(days=1)
            row["eligible_on"] = day

    @staticmethod
    def _counts(cap: Any, contact: tuple) -> bool:
        _, purpose, channel, group = contact
        return (
            (not cap.purposes or purpose in cap.purposes)
            and (not cap.channels or channel in cap.channels)
            and (not cap.groups or group in cap.groups)
        )
