"""When care rules come up, against a plain reference written from the formulas alone."""

import calendar
import datetime as dt
import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from careloop.program.load import load_program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT, load_settings
from careloop.transform.care_inputs import write_care_inputs
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import rows_of
from jinja_sql import Models
from memory import open_raw

MODELS = (
    "int_care_days", "int_care_rule_days", "int_care_customers", "int_care_overdue",
    "int_care_events", "int_care_candidates",
)  # fmt: skip
STAGING = (
    "stg_customers", "stg_orders", "stg_interactions", "stg_tickets", "stg_surveys",
    "stg_follow_ups", "stg_referrals",
)  # fmt: skip
# What the care models read of the models before them; filled from the same raw rows.
UPSTREAM = {
    "int_customer_profile": "customer_id varchar, account_manager_id varchar, locale varchar, "
    "predicted_value double, registered_on date, first_order_on date, open_tickets integer, "
    "spend_rank double, churn_risk double",
    "int_customer_segments": "customer_id varchar, segment varchar, stage varchar",
    "int_customer_previous": "customer_id varchar, segment varchar, segment_since date, "
    "stage varchar, stage_since date, tier varchar, churn_level varchar",
    "int_customer_loyalty": "customer_id varchar, tier varchar, tier_since date",
    "int_customer_churn": "customer_id varchar, churn_level varchar, churn_level_since date",
    "int_customer_preferences": "customer_id varchar, preferred_channel varchar, "
    "preferred_time_from varchar, preferred_time_until varchar",
    "int_customer_tier_changes": "customer_id varchar, from_tier varchar, tier varchar, "
    "tier_since date",
    "int_customer_orders": "customer_id varchar, first_order_at timestamp, last_order_at timestamp",
    "int_customer_interactions": "customer_id varchar, last_interaction_at timestamp",
    "int_customer_points": "customer_id varchar, expiring bigint, next_expiry_on date",
    "int_products": "product_id varchar, name varchar, category varchar",
    "fct_replacements_due": "customer_id varchar, product_id varchar, due_on date",
    "fct_customer_next_products": "customer_id varchar, rank integer, product_id varchar",
    "int_clocks": "case_kind varchar, case_id varchar, clock varchar, cycle integer, "
    "target_key varchar, clock_type varchar, started_at timestamp, stopped_at timestamp, "
    "due_at timestamp, breached_at timestamp, is_open boolean",
    "int_ticket_statuses": "ticket_id varchar, status varchar, from_at timestamp, "
    "until_at timestamp",
    "int_sla_targets": "target_key varchar, position integer, starts varchar, stops varchar",
    "int_service_time": "opens_at timestamp, closes_at timestamp, worked_before bigint, "
    "worked_after bigint",
    "int_incident_tickets": "incident_id varchar, ticket_id varchar, began_at timestamp",
    "fct_customer_tags": "customer_id varchar, tag varchar, value varchar",
}
RULES = """
- [birthday, anniversary, {of: birthday}, 1d, null]
- [birthday_early, anniversary, {of: birthday, days_before: 7}, 3d, 24h]
- [registration, anniversary, {of: registration}, 24h, null]
- [first_purchase, anniversary, {of: first_purchase, days_before: 1}, 2wd, 1wd]
- [membership, anniversary, {of: membership}, 1w, 3d]
- [company, anniversary, {of: company}, 1mo, 3wd]
- [cooperation, anniversary, {of: cooperation, days_before: 30}, 36h, null]
- [spring, occasion, {name: spring_festival, days_before: 1}, 2d, null]
- [autumn, occasion, {name: mid_autumn}, 1d, null]
- [weekly, cadence, {every: 1w}, 1d, null]
- [ten_days, cadence, {every: 10d}, 30d, 5wd]
- [daily, cadence, {every: 1d}, 1d, null]
- [monthly, cadence, {every: 1mo}, 7d, null]
- [quarterly, cadence, {every: 1q}, 14d, 10wd]
- [half_yearly, cadence, {every: 6mo}, 1mo, null]
- [yearly, cadence, {every: 2y}, 60d, null]
- [registered, event, {name: registered, after: 3wd, until: 10d}, null, 1wd]
- [registered_soon, event, {name: registered, until: 3d}, null, 24h]
- [first_order, event, {name: first_order, until: 3d, unless: [returned]}, null, null]
- [last_order, event, {name: last_order, after: 3mo, until: 120d, unless: [ticket_open]}, null, 3wd]
- [last_interaction, event, {name: last_interaction, after: 1q, until: 4mo}, null, null]
- [paid, event, {name: order_paid, until: 36h, unless: [returned, delivered]}, null, null]
- [preparing, event, {name: order_preparing, until: 2d}, null, null]
- [shipped, event, {name: order_shipped, after: 30m, until: 5wd}, null, 1wd]
- [delivered, event, {name: order_delivered, after: 3d, until: 7d, unless: [returned, ticket_open, contacted, answered]}, null, null]
- [completed, event, {name: order_completed, after: 1mo, until: 1q}, null, 2d]
- [late, event, {name: delivery_late, until: 1d, unless: [returned, delivered]}, null, null]
- [lost, event, {name: delivery_lost, until: 2w, unless: [returned]}, null, 24h]
- [cart, event, {name: cart_abandoned, after: 2h, until: 2d, unless: [ordered]}, null, null]
- [solved, event, {name: ticket_solved, after: 1d, until: 3wd, unless: [answered]}, null, null]
- [points, event, {name: points_expiring, until: 30d}, null, null]
- [replacement, event, {name: replacement_due, until: 14d, unless: [ordered]}, null, null]
- [referral, event, {name: referral_converted, until: 1mo}, null, null]
- [opened, event, {name: ticket_opened, until: 36h, kinds: [complaint, fault], unless: [ticket_answered]}, null, 1wd]
- [opened_here, event, {name: ticket_opened, until: 3d, touchpoints: [consult, use], urgencies: [urgent]}, null, null]
- [overdue, event, {name: ticket_overdue, until: 5d}, null, null]
- [overdue_complaint, event, {name: ticket_overdue, after: 1h, until: 4wd, kinds: [complaint]}, null, 24h]
- [stalled, event, {name: delivery_stalled, until: 5d, unless: [returned, delivered]}, null, null]
- [low, event, {name: low_score, kinds: [csat], until: 10d, unless: [contacted]}, null, 24h]
- [low_any, event, {name: low_score, after: 1d, until: 9wd}, null, null]
- [incident, event, {name: incident, until: 30h}, null, null]
"""
# as_of in local time and the zone: around leap days, month ends, clock changes, make-up days.
MOMENTS = [
    ("2024-02-28 00:00", "Asia/Shanghai"), ("2024-02-29 00:00", "Asia/Shanghai"),
    ("2024-03-01 09:30", "Asia/Shanghai"), ("2025-02-28 00:00", "Asia/Shanghai"),
    ("2025-03-01 00:00", "Asia/Shanghai"), ("2026-02-16 00:00", "Asia/Shanghai"),
    ("2026-02-18 23:59", "Asia/Shanghai"), ("2026-09-25 00:00", "Asia/Shanghai"),
    ("2026-10-09 18:00", "Asia/Shanghai"), ("2027-02-06 12:00", "Asia/Shanghai"),
    ("2026-05-31 00:00", "Asia/Shanghai"), ("2025-12-31 23:59", "Asia/Shanghai"),
    ("2026-03-30 00:00", "Europe/Berlin"), ("2026-03-29 12:00", "Europe/Berlin"),
    ("2026-10-26 00:00", "Europe/Berlin"), ("2028-02-29 00:00", "Europe/Berlin"),
]  # fmt: skip
# Targets of clocks: key, position, what starts and stops it.
TARGETS = [("k1", 1, "ticket_opened", "first_response"), ("k2", 2, "handed_over", "solved"),
           ("k3", 3, "ticket_opened", "automatic_answer"),
           ("k4", 4, "ticket_solved", "survey_asked")]  # fmt: skip
Raw = dict[str, list[dict[str, Any]]]
Found = tuple[str, str, str, dt.date, dt.datetime, dt.datetime]


# -- a pack copy with rules of its own ---------------------------------------------------------


def pack(folder: Path, zone: str, rules: list[dict[str, Any]] | None = None) -> Any:
    """retail_care in another zone, with rules that try every duration."""
    shutil.copytree(PROJECT_ROOT / "programs/retail_care", folder)
    file = folder / "program.yml"
    text = re.sub(r"(?m)^zone: .*$", f"zone: {zone}", file.read_text("utf-8"))
    file.write_text(text, "utf-8")
    written = rules or [rule(*parts) for parts in yaml.safe_load(RULES)]
    (folder / "rules.yml").write_text(yaml.safe_dump({"rules": written}), "utf-8")
    return load_program(folder)


def rule(name: str, kind: str, trigger: dict, expires: str | None = None,
         act: str | None = None, **more: Any) -> dict[str, Any]:  # fmt: skip
    return {
        "id": name, "title": {"en": name, "zh": name}, "phase": "long_term",
        "trigger": {kind: trigger}, "purpose": "care", "channels": ["wecom"],
        "template": "birthday", **({"expires_after": expires} if expires else {}),
        **({"act_within": act} if act else {}), **more,
    }  # fmt: skip


class Town:
    """A warehouse in memory in which the care models run."""

    def __init__(self, program: Any, local: dt.datetime, raw: Raw) -> None:
        self.program, self.local = program, local
        self.zone = ZoneInfo(program.zone)
        self.as_of = utc(local, self.zone)
        self.con = open_raw(raw)
        self.con.execute(
            "create table run.context as select ?::timestamp as as_of_utc, "
            "?::date as as_of_date, ? as zone, ? as currency",
            [self.as_of, local.date(), program.zone, program.currency],
        )
        for name, (_, columns) in CARRIED.items():
            self.con.execute(f"create table run.previous_{name} ({columns})")
        write_care_inputs(self.con, load_settings(home="/nonexistent"))
        write_program_tables(self.con, program, dt.date(2021, 1, 1), dt.date(2030, 12, 31))
        self.models = Models(DBT_PROJECT, self.con)
        self.models.run(*STAGING)
        for name, columns in UPSTREAM.items():
            self.con.execute(f"create table {self.models.place(name)} ({columns})")
        self._upstream()

    def _upstream(self) -> None:
        day = lambda at: f"cast(timezone('{self.program.zone}', timezone('UTC', {at})) as date)"  # noqa: E731
        counted = "status is null or status not in ('cancelled', 'returned')"
        self.con.execute(f"""
            insert into intermediate.int_customer_orders
            select customer_id, min(ordered_at) filter ({counted}),
                max(ordered_at) filter ({counted})
            from staging.stg_orders group by 1;
            insert into intermediate.int_customer_interactions
            select customer_id, max(occurred_at) from staging.stg_interactions group by 1;
            insert into intermediate.int_customer_profile
            select c.customer_id, null, 'zh-CN', 1, {day("registered_at")},
                {day("first_order_at")},
                (select count(*) from staging.stg_tickets as t
                 where t.customer_id = c.customer_id and t.is_open), 0.5, 0.5
            from staging.stg_customers as c
            left join intermediate.int_customer_orders as o on c.customer_id = o.customer_id;
            insert into intermediate.int_customer_segments
            select customer_id, 'core', 'active' from staging.stg_customers;
            insert into intermediate.int_customer_loyalty
            select customer_id, null, null from staging.stg_customers;
            insert into intermediate.int_customer_churn
            select customer_id, null, null from staging.stg_customers;
            insert into intermediate.int_customer_preferences (customer_id, preferred_channel)
            select customer_id, 'wecom' from staging.stg_customers;
        """)

    def fill(self, raw: Raw) -> None:
        """Clocks, statuses and incidents, as the models of the service give them."""
        for name in ("int_clocks", "int_ticket_statuses", "int_incident_tickets"):
            for row in raw.get(name, []):
                marks = ", ".join("?" * len(row))
                self.con.execute(
                    f"insert into intermediate.{name} ({', '.join(row)}) values ({marks})",
                    list(row.values()),
                )
        for key, position, starts, stops in TARGETS:
            self.con.execute(
                "insert into intermediate.int_sla_targets values (?, ?, ?, ?)",
                [key, position, starts, stops],
            )
        worked = 0
        for opens, closes in self.hours():
            length = int((closes - opens).total_seconds())
            self.con.execute(
                "insert into intermediate.int_service_time values (?, ?, ?, ?)",
                [opens, closes, worked, worked + length],
            )
            worked += length

    def hours(self) -> list[tuple[dt.datetime, dt.datetime]]:
        """Working hours around the day in UTC."""
        rows = self.con.execute(
            "select opens_at, closes_at from program.work_intervals where date between "
            "?::date - 200 and ?::date + 60 order by 1", [self.local, self.local]
        ).fetchall()  # fmt: skip
        return [(utc(a, self.zone), utc(b, self.zone)) for a, b in rows]

    def candidates(self) -> list[dict[str, Any]]:
        self.models.run(*MODELS)
        return rows_of(self.con, "from intermediate.int_care_candidates order by all")

    def occasions(self) -> set[tuple[str, str, str]]:
        return {(r["customer_id"], r["rule"], r["occasion"]) for r in self.candidates()}


def utc(local: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return local.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None)


# -- the reference ------------------------------------------------------------------------------


class Reference:
    """Occasions by the text of the formulas: local days with datetime and zoneinfo."""

    def __init__(self, town: Town, raw: Raw, working: set[dt.date]) -> None:
        self.zone, self.as_of, self.raw, self.working = town.zone, town.as_of, raw, working
        self.today = town.local.date()
        self.festivals = {
            "spring_festival": ["2024-02-10", "2025-01-29", "2026-02-17", "2027-02-06"],
            "mid_autumn": ["2024-09-17", "2025-10-06", "2026-09-25", "2027-09-15"],
        }

    def day(self, at: dt.datetime) -> dt.date:
        return at.replace(tzinfo=dt.UTC).astimezone(self.zone).date()

    def midnight(self, day: dt.date) -> dt.datetime:
        return utc(dt.datetime.combine(day, dt.time()), self.zone)

    def shift(self, day: dt.date, duration: str) -> dt.date:
        """The day so many days, weeks, months or working days later."""
        amount, unit = int(re.match(r"\d+", duration)[0]), re.sub(r"\d", "", duration)
        if unit in ("d", "w"):
            return day + dt.timedelta(days=amount * (7 if unit == "w" else 1))
        if unit == "wd":
            while amount:
                day += dt.timedelta(days=1)
                amount -= day in self.working
            return day
        months = day.year * 12 + day.month - 1 + amount * {"mo": 1, "q": 3, "y": 12}[unit]
        year, month = divmod(months, 12)
        return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))

    def end(self, at: dt.datetime, day: dt.date, duration: str) -> dt.datetime:
        """Exact for hours and minutes, else the end of the last day."""
        exact = re.fullmatch(r"(\d+)([hm])", duration)
        if exact:
            return at + dt.timedelta(**{{"h": "hours", "m": "minutes"}[exact[2]]: int(exact[1])})
        last = self.shift(day, duration)
        if duration.endswith("wd"):
            return utc(dt.datetime.combine(last, dt.time(18)), self.zone)
        return self.midnight(last + dt.timedelta(days=1))

    def occasions(self) -> Iterator[Found]:
        customers = self.raw["customers"]
        for name, kind, trigger, expires, act in yaml.safe_load(RULES):
            if kind == "event":
                yield from self.of_events(name, trigger, act)
                continue
            for customer in customers:
                for occasion, came_up in self.days(name, kind, trigger, customer):
                    start = self.midnight(came_up)
                    ends = self.end(start, came_up, expires)
                    if expires[-1] not in "hm" and not expires.endswith("wd"):
                        ends = self.midnight(self.shift(came_up, expires))
                    if came_up <= self.today and ends > self.as_of:
                        due = self.end(start, came_up, act) if act else ends
                        yield customer["customer_id"], name, occasion, came_up, ends, due

    def days(self, name: str, kind: str, trigger: dict, customer: dict) -> Iterator[tuple]:
        before = dt.timedelta(days=trigger.get("days_before", 0))
        if kind == "occasion":
            for text in self.festivals[trigger["name"]]:
                yield f"{trigger['name']}:{text}", dt.date.fromisoformat(text) - before
        elif kind == "cadence":
            turn = self.turn(name, customer["customer_id"], trigger["every"])
            yield f"turn:{turn}", turn
        elif began := self.anniversary_of(trigger["of"], customer):
            for year in range(self.today.year - 1, self.today.year + 2):
                if trigger["of"] != "birthday" and year <= began.year:
                    continue
                leap = calendar.isleap(year)
                short = (began.month, began.day) == (2, 29) and not leap
                kept = dt.date(year, 2, 28) if short else began.replace(year=year)
                yield f"{trigger['of']}:{year}", kept - before

    def anniversary_of(self, of: str, customer: dict) -> dt.date | None:
        local = {"registration": "registered_at", "membership": "member_since"}
        if of in local:
            at = customer.get(local[of])
            return self.day(at) if at and at <= self.as_of else None
        if of == "first_purchase":
            orders = [o["ordered_at"] for o in self.orders(customer["customer_id"])]
            return self.day(min(orders)) if orders else None
        if of == "cooperation":
            day = customer.get("cooperation_start_on")
            return day if day and day <= self.today else None
        return customer.get({"birthday": "birthday", "company": "company_founded_on"}[of])

    def orders(self, customer: str) -> list[dict]:
        """Counted ones."""
        return [
            o for o in self.raw["orders"]
            if o["customer_id"] == customer and o["ordered_at"] <= self.as_of
            and self.status(o) not in ("cancelled", "returned")
        ]  # fmt: skip

    def seen(self, row: dict, column: str) -> dt.datetime | None:
        at = row.get(column)
        return at if at and at <= self.as_of else None

    def status(self, order: dict) -> str:
        """The state reached by as_of; the rows' times are those of their states."""
        for column, state in [("cancelled_at", "cancelled"), ("delivered_at", "delivered"),
                              ("shipped_at", "shipped"), ("paid_at", "paid")]:  # fmt: skip
            if self.seen(order, column):
                same = order["status"] in {
                    "cancelled": ("cancelled", "returned"), "paid": ("paid", "preparing"),
                    "delivered": ("delivered", "completed"), "shipped": ("shipped",),
                }[state]  # fmt: skip
                return order["status"] if same else state
        return "pending"

    def turn(self, name: str, customer: str, every: str) -> dt.date:
        number = int(hashlib.md5(f"turn|{name}|{customer}".encode()).hexdigest()[:8], 16)
        amount, unit = int(re.match(r"\d+", every)[0]), re.sub(r"\d", "", every)
        if unit in ("d", "w"):
            length = amount * (7 if unit == "w" else 1)
            start = self.today
            while (start - dt.date(1970, 1, 1)).days % length != number % length:
                start -= dt.timedelta(days=1)
            return start
        months = amount * {"mo": 1, "q": 3, "y": 12}[unit]
        period = (self.today.year * 12 + self.today.month - 1) // months * months
        while True:
            first = dt.date(period // 12, period % 12 + 1, 1)
            start = first + dt.timedelta(days=number % (28 * months))
            if start <= self.today:
                return start
            period -= months

    def of_events(self, name: str, trigger: dict, act: str | None) -> Iterator[Found]:
        best: dict[str, tuple[dt.datetime, Found]] = {}
        for customer, occasion, at, order in self.events(trigger["name"]):
            if at > self.as_of:
                continue
            day, after = self.day(at), trigger.get("after")
            came_up_at, came_up = at, day
            if after and re.fullmatch(r"\d+[hm]", after):
                came_up_at = self.end(at, day, after)
                came_up = self.day(came_up_at)
            elif after:
                came_up = self.shift(day, after)
                came_up_at = self.midnight(came_up)
            ends = self.end(at, day, trigger["until"])
            if not came_up_at <= self.as_of < ends:
                continue
            if not self.narrowed(trigger, order or {}):
                continue
            if any(self.off(why, customer, at, order) for why in trigger.get("unless", [])):
                continue
            due = self.end(came_up_at, came_up, act) if act else ends
            found = (customer, name, occasion, came_up, ends, due)
            if trigger["name"] != "cart_abandoned":
                yield found
            elif customer not in best or best[customer][0] < at:
                best[customer] = (at, found)
        yield from (found for _, found in best.values())

    def narrowed(self, trigger: dict, row: dict) -> bool:
        columns = {"kinds": "kind", "urgencies": "urgency", "touchpoints": "touchpoint"}
        return all(row.get(column) in trigger[name] for name, column in columns.items()
                   if name in trigger)  # fmt: skip

    def off(self, why: str, customer: str, at: dt.datetime, order: dict | None) -> bool:
        mine = lambda entity: [r for r in self.raw[entity] if r["customer_id"] == customer]  # noqa: E731
        if why in ("returned", "delivered"):
            states = {"returned": ("cancelled", "returned"),
                      "delivered": ("delivered", "completed")}[why]  # fmt: skip
            column = {"returned": "cancelled_at", "delivered": "delivered_at"}[why]
            return self.status(order) in states or self.seen(order, column) is not None
        if why == "ticket_answered":
            return any(self.seen(order, c) for c in ("acknowledged_at", "first_response_at",
                                                     "resolved_at", "closed_at"))  # fmt: skip
        if why == "ticket_open":
            return any(
                t["opened_at"] <= self.as_of and not self.seen(t, "resolved_at")
                for t in mine("tickets")
            )
        if why == "ordered":
            return any(o["ordered_at"] > at for o in self.orders(customer))
        entity, column = {"contacted": ("follow_ups", "done_at"),
                          "answered": ("surveys", "answered_at")}[why]  # fmt: skip
        return any((done := self.seen(r, column)) and done > at for r in mine(entity))

    def events(self, name: str) -> Iterator[tuple[str, str, dt.datetime, dict | None]]:
        raw, seen = self.raw, self.seen
        if name == "registered":
            for c in raw["customers"]:
                if at := seen(c, "registered_at"):
                    yield c["customer_id"], name, at, None
        elif name in ("first_order", "last_order"):
            yield from self.first_and_last(name)
        elif name.startswith(("order_", "delivery_")):
            for order in raw["orders"]:
                if order["ordered_at"] <= self.as_of and (at := self.order_time(name, order)):
                    yield order["customer_id"], f"{name}:{order['order_id']}", at, order
        elif name == "last_interaction":
            for c in raw["customers"]:
                times = [i["occurred_at"] for i in raw["interactions"]
                         if i["customer_id"] == c["customer_id"]
                         and i["occurred_at"] <= self.as_of]  # fmt: skip
                if times:
                    yield c["customer_id"], f"{name}:{self.day(max(times))}", max(times), None
        elif name == "cart_abandoned":
            for i in raw["interactions"]:
                if i["kind"] == "cart_abandon":
                    key = f"{name}:{i['interaction_id']}"
                    yield i["customer_id"], key, i["occurred_at"], None
        elif name == "ticket_solved":
            for t in raw["tickets"]:
                if (at := seen(t, "resolved_at")) and t["opened_at"] <= self.as_of:
                    yield t["customer_id"], f"{name}:{t['ticket_id']}:{self.day(at)}", at, None
        elif name in ("ticket_opened", "ticket_overdue", "low_score", "incident"):
            yield from getattr(self, name)()
        elif name == "referral_converted":
            for r in raw["referrals"]:
                if (at := seen(r, "converted_at")) and r["at"] <= self.as_of:
                    yield r["referrer_id"], f"{name}:{r['referral_id']}", at, None

    def ticket_opened(self) -> Iterator[tuple[str, str, dt.datetime, dict]]:
        for t in self.raw["tickets"]:
            if t["opened_at"] <= self.as_of:
                yield t["customer_id"], f"ticket_opened:{t['ticket_id']}", t["opened_at"], t

    def ticket_overdue(self) -> Iterator[tuple[str, str, dt.datetime, dict]]:
        """Ticket by ticket, from the first clock that ran out to the last."""
        for t in self.raw["tickets"]:
            waits: list[dict] = []
            for at, _, clock, turn, row in sorted(self.turns(t["ticket_id"])):
                if at > self.as_of:
                    continue
                covered = any(w["stopped_at"] is None or w["stopped_at"] > at for w in waits)
                waits.append(row)
                if row["is_open"] and not covered and t["opened_at"] <= self.as_of:
                    again = f":{turn}" if turn > 1 else ""
                    key = f"ticket_overdue:{t['ticket_id']}:{clock}:department{again}"
                    yield t["customer_id"], key, at, t

    def turns(self, ticket_id: str) -> Iterator[tuple]:
        told = {key: position for key, position, starts, stops in TARGETS
                if starts != "ticket_solved" and stops != "automatic_answer"}  # fmt: skip
        states = [s for s in self.raw["int_ticket_statuses"] if s["ticket_id"] == ticket_id]
        states.sort(key=lambda s: s["from_at"])
        settled = ("solved", "closed")
        again = [b["from_at"] for a, b in pairwise(states)
                 if a["status"] in settled and b["status"] not in settled]  # fmt: skip
        for row in self.raw["int_clocks"]:
            if row["case_id"] == ticket_id and row["target_key"] in told and row["breached_at"]:
                later = [at for at in again if at > row["breached_at"]]
                at = max([*later, row["breached_at"]]) + dt.timedelta(hours=24)
                yield at, told[row["target_key"]], row["clock"], row["cycle"] + len(later), row

    def low_score(self) -> Iterator[tuple[str, str, dt.datetime, dict]]:
        limits = {"csat": 0.25, "nps": 0.3}
        surveys: dict[tuple, list[dict]] = {}
        for s in self.raw["surveys"]:
            if s["asked_at"] <= self.as_of:
                surveys.setdefault((s["customer_id"], s["asked_at"]), []).append(s)
        for (customer, _), asked in surveys.items():
            low = []
            for s in asked:
                share = (s["score"] - s["scale_min"]) / (s["scale_max"] - s["scale_min"])
                if share <= limits.get(s["kind"], -1) and (at := self.seen(s, "answered_at")):
                    low.append((at, share, s["response_id"], s))
            if low:
                at, _, _, worst = min(low, key=lambda found: found[:3])
                key = f"low_score:{min(s['response_id'] for s in asked)}"
                yield customer, key, at, worst

    def incident(self) -> Iterator[tuple[str, str, dt.datetime, dict | None]]:
        found: dict[tuple[str, str], dt.datetime] = {}
        for t in self.raw["tickets"]:
            for i in self.raw["int_incident_tickets"]:
                if i["ticket_id"] == t["ticket_id"] and t["opened_at"] <= self.as_of:
                    key = (t["customer_id"], i["incident_id"])
                    at = max(i["began_at"], t["opened_at"])
                    found[key] = min(at, found.get(key, at))
        for (customer, incident), at in found.items():
            yield customer, f"incident:{incident}", at, None

    def first_and_last(self, name: str) -> Iterator[tuple[str, str, dt.datetime, dict | None]]:
        for customer in {o["customer_id"] for o in self.raw["orders"]}:
            if name == "last_order":
                orders = self.orders(customer)
            else:
                orders = [
                    o for o in self.raw["orders"]
                    if o["customer_id"] == customer and o["ordered_at"] <= self.as_of
                    and self.status(o) != "cancelled"
                ]  # fmt: skip
            if orders:
                pick = min if name == "first_order" else max
                order = pick(orders, key=lambda o: (o["ordered_at"], o["order_id"]))
                yield customer, f"{name}:{order['order_id']}", order["ordered_at"], order

    def order_time(self, name: str, order: dict) -> dt.datetime | None:
        state, seen = self.status(order), self.seen
        if name == "order_preparing":
            changed = seen(order, "updated_at") or seen(order, "paid_at")
            return changed if state == "preparing" else None
        if name == "order_completed":
            changed = seen(order, "delivered_at") or seen(order, "updated_at")
            return changed if state == "completed" else None
        if name.startswith("order_"):
            return seen(order, name.removeprefix("order_") + "_at")
        if name == "delivery_stalled":
            return self.stalled_at(order)
        promised = self.promised_at(order)
        if not promised or state == "pending":
            return None
        late = promised + dt.timedelta(days=10 if name == "delivery_lost" else 0)
        done = seen(order, "delivered_at") or seen(order, "cancelled_at")
        return None if done and done <= late else late

    def stalled_at(self, order: dict) -> dt.datetime | None:
        promised = self.promised_at(order)
        times = ("paid_at", "shipped_at", "updated_at")
        moves = [at for name in times if (at := self.seen(order, name))]
        if self.status(order) not in ("paid", "preparing", "shipped") or not moves:
            return None
        if promised and promised <= self.as_of:
            return None
        return max(moves) + dt.timedelta(hours=72)

    def promised_at(self, order: dict) -> dt.datetime | None:
        seen = self.seen
        promised = order.get("promised_at")
        if not promised and (shipped := seen(order, "shipped_at")):
            promised = self.midnight(self.day(shipped) + dt.timedelta(days=5 + 1))
        return promised


# -- random companies --------------------------------------------------------------------------


def random_raw(rng: random.Random, town_day: dt.date, zone: ZoneInfo) -> Raw:
    """Rows whose times crowd around local midnights and the limits of the rules."""
    limits = (0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 14, 30, 31, 60, 89, 90, 91, 92, 93, 119, 120, 121)

    def at(most: int = 130) -> dt.datetime:
        back = rng.choice([n for n in limits if n <= most])
        local = dt.datetime.combine(town_day - dt.timedelta(days=back), dt.time())
        hours = rng.choice((0, 0, 0, 2, 9, 18, 23)) + rng.choice((0, 0, 0.5))
        return utc(local, zone) + dt.timedelta(hours=hours, seconds=rng.choice((-1, 0, 1)))

    def date_near(years: int) -> dt.date:
        near = town_day + dt.timedelta(days=rng.choice((0, 1, -1, 2, -3, 7, 30, -30, 29, 6)))
        if rng.random() < 0.25:
            return dt.date(2000, 2, rng.choice((28, 29)))
        year = near.year - rng.randint(0, years)
        return dt.date(year, near.month, min(near.day, calendar.monthrange(year, near.month)[1]))

    names = [f"c{i}" for i in range(12)]
    maybe = lambda value, share=0.7: value if rng.random() < share else None  # noqa: E731
    anniversary = lambda: utc(dt.datetime.combine(date_near(3), dt.time()), zone)  # noqa: E731
    raw: Raw = {"customers": [
        {"customer_id": n, "registered_at": rng.choice((at, anniversary))(),
         "birthday": maybe(date_near(60)), "member_since": maybe(anniversary()),
         "company_founded_on": maybe(date_near(30)),
         "cooperation_start_on": maybe(date_near(5))}
        for n in names
    ]}  # fmt: skip
    raw["orders"] = [random_order(rng, i, rng.choice(names), at, anniversary) for i in range(40)]
    raw["interactions"] = [
        {"interaction_id": f"i{i}", "customer_id": rng.choice(names), "occurred_at": at(),
         "kind": rng.choice(("cart_abandon", "view"))} for i in range(20)
    ]  # fmt: skip
    raw["tickets"] = [
        {"ticket_id": f"t{i}", "customer_id": rng.choice(names), "opened_at": at(),
         "resolved_at": maybe(at(8), 0.8), "kind": rng.choice(("complaint", "fault", "other")),
         "urgency": rng.choice(("urgent", "general", None)),
         "touchpoint": rng.choice(("consult", "use", "delivery")),
         "first_response_at": maybe(at(8), 0.4), "is_complex": rng.random() < 0.3,
         "owner_id": rng.choice(("m1", "m2", None))} for i in range(24)
    ]  # fmt: skip
    raw["surveys"] = [
        {"response_id": f"s{i}", "customer_id": rng.choice(names), "asked_at": at(),
         "answered_at": maybe(at(14)), "kind": (kind := rng.choice(("csat", "csat", "nps", "ces"))),
         "scale_min": 0 if kind == "nps" else 1, "scale_max": 10 if kind == "nps" else 5,
         "score": rng.randint(0, 10) if kind == "nps" else rng.randint(1, 5)}
        for i in range(16)
    ]  # fmt: skip
    for survey in raw["surveys"]:
        survey["asked_at"] = min(survey["asked_at"], survey["answered_at"] or survey["asked_at"])
        if rng.random() < 0.3:
            survey["customer_id"], survey["asked_at"] = (
                "c1",
                utc(dt.datetime.combine(town_day - dt.timedelta(days=20), dt.time()), zone),
            )
    random_service(rng, raw, at)
    raw["follow_ups"] = [
        {"follow_up_id": f"f{i}", "customer_id": rng.choice(names), "planned_at": at(),
         "done_at": maybe(at(10))} for i in range(4)
    ]  # fmt: skip
    raw["referrals"] = [
        {"referral_id": f"r{i}", "referrer_id": rng.choice(names), "referred_id": "x",
         "at": at(), "converted_at": maybe(at(60))} for i in range(8)
    ]  # fmt: skip
    return raw


def random_service(rng: random.Random, raw: Raw, at: Any) -> None:
    """Clocks that ran out, tickets that were taken up again, incidents."""
    raw["int_clocks"], raw["int_ticket_statuses"], raw["int_incident_tickets"] = [], [], []
    now = max(t["opened_at"] for t in raw["tickets"])
    for ticket in raw["tickets"]:
        for target, *_ in TARGETS:
            breached = rng.choice((None, at(8), at(8), at(5)))
            stopped = rng.choice((None, None, at(3)))
            stopped = max(stopped, breached) if stopped and breached else stopped
            if rng.random() < 0.7 and (breached is None or breached <= now):
                raw["int_clocks"].append({
                    "case_kind": "ticket", "case_id": ticket["ticket_id"], "cycle": 1,
                    "clock": f"clock_{target}",
                    "target_key": target, "clock_type": rng.choice(("calendar", "business")),
                    "started_at": ticket["opened_at"], "stopped_at": stopped,
                    "breached_at": breached, "is_open": stopped is None,
                })  # fmt: skip
        for from_at in sorted({at(7) for _ in range(rng.choice((0, 2, 4)))}):
            raw["int_ticket_statuses"].append({
                "ticket_id": ticket["ticket_id"], "from_at": from_at,
                "status": rng.choice(("open", "pending", "solved", "solved", "closed")),
            })  # fmt: skip
        if rng.random() < 0.3:
            raw["int_incident_tickets"].append({
                "incident_id": "x", "ticket_id": ticket["ticket_id"],
                "began_at": raw["tickets"][0]["opened_at"],
            })  # fmt: skip


def random_order(rng: random.Random, i: int, customer: str, at: Any, anniversary: Any) -> dict:
    """An order whose times are in order and fit its state."""
    states = ("pending", "paid", "preparing", "shipped", "delivered", "completed",
              "cancelled", "returned")  # fmt: skip
    state = rng.choice(states)
    ordered, *times = sorted((at(), at(), at(12), at(9)))
    if rng.random() < 0.2:
        ordered = min(ordered, anniversary())
    reached = {"pending": 0, "paid": 1, "preparing": 1, "shipped": 2, "cancelled": 1}.get(state, 3)
    row = {"order_id": f"o{i:02}", "customer_id": customer, "ordered_at": ordered,
           "status": state, "amount": 10, "updated_at": None}  # fmt: skip
    for column, time in zip(
        ("paid_at", "shipped_at", "delivered_at")[:reached], times, strict=False
    ):
        row[column] = time
    if state in ("cancelled", "returned"):
        row["cancelled_at"] = max(times)
    if state == "preparing":
        row["updated_at"] = max(times) if rng.random() < 0.5 else None
    if rng.random() < 0.6:
        row["promised_at"] = max(ordered, at(16))
    return row


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("packs")
    zones = {zone for _, zone in MOMENTS}
    return {zone: pack(root / zone.replace("/", "_").lower(), zone) for zone in sorted(zones)}


@pytest.mark.parametrize(("moment", "zone"), MOMENTS)
def test_occasions_are_those_of_the_reference(
    programs: dict[str, Any], moment: str, zone: str
) -> None:
    rng = random.Random(f"{moment} {zone}")
    local = dt.datetime.fromisoformat(moment)
    raw = random_raw(rng, local.date(), ZoneInfo(zone))
    town = Town(programs[zone], local, raw)
    for name in ("int_clocks", "int_ticket_statuses"):
        when = {"int_clocks": "breached_at", "int_ticket_statuses": "from_at"}[name]
        raw[name] = [r for r in raw[name] if not r[when] or r[when] <= town.as_of]
    for row in raw["int_clocks"]:
        if row["stopped_at"] and row["stopped_at"] > town.as_of:
            row["stopped_at"], row["is_open"] = None, True
    town.fill(raw)
    working = {d for (d,) in town.con.execute(
        "select date from program.calendar_days where is_workday").fetchall()}  # fmt: skip
    wanted = set(Reference(town, raw, working).occasions())
    keys = ("customer_id", "rule", "occasion", "came_up_on", "expires_at", "due_at")
    rows = town.candidates()
    found = [tuple(row[key] for key in keys) for row in rows]
    assert len(found) == len(set(found)), "a candidate is there twice"
    assert sorted(set(found) - wanted) == [], "not in the reference"
    assert sorted(wanted - set(found)) == [], "only in the reference"
    assert len({row["rule"] for row in rows}) > 12
    for row in rows:
        about = json.loads(row["about"])
        if "new_due_at" in about:
            assert dt.datetime.fromisoformat(about["new_due_at"]) == new_due(town, raw, row, about)
        assert list(about) == sorted(about)
        assert None not in about.values()


def new_due(town: Town, raw: Raw, row: dict, about: dict) -> dt.datetime:
    """24 hours later by the clock, from when the customer can be told: never from 21:00 to 09:00."""
    at = row["occurred_at"]
    local = at.replace(tzinfo=dt.UTC).astimezone(town.zone).replace(tzinfo=None)
    if local.hour >= 21:
        at = utc(dt.datetime.combine(local.date() + dt.timedelta(days=1), dt.time(9)), town.zone)
    elif local.hour < 9:
        at = utc(dt.datetime.combine(local.date(), dt.time(9)), town.zone)
    (clock,) = [c for c in raw["int_clocks"]
                if (c["case_id"], c["clock"]) == (about["ticket_id"], about["clock"])]  # fmt: skip
    left = dt.timedelta(hours=24)
    if clock["clock_type"] == "calendar":
        return at + left
    for opens, closes in town.hours():
        worked = closes - max(opens, at)
        if worked >= left:
            return max(opens, at) + left
        left -= max(worked, dt.timedelta())
    raise AssertionError("the calendar is too short")


# -- one by one --------------------------------------------------------------------------------


def town_of(
    tmp_path: Path, moment: str, raw: Raw, *rules: dict[str, Any], zone: str = "Asia/Shanghai"
) -> Town:
    return Town(pack(tmp_path / "town", zone, list(rules)), dt.datetime.fromisoformat(moment), raw)


@pytest.mark.parametrize(
    ("moment", "zone", "comes_up"),
    [
        ("2026-06-14 23:59", "Asia/Shanghai", False), ("2026-06-15 00:00", "Asia/Shanghai", True),
        ("2026-06-15 00:00", "America/Los_Angeles", True),
        ("2026-06-14 17:00", "America/Los_Angeles", False),
        ("2026-06-15 23:59", "Pacific/Auckland", True),
    ],
)  # fmt: skip
def test_a_birthday_is_not_off_by_one(
    tmp_path: Path, moment: str, zone: str, comes_up: bool
) -> None:
    """Dates in UTC would move it for a part of each day."""
    raw: Raw = {"customers": [{"customer_id": "c", "birthday": dt.date(1990, 6, 15)}]}
    town = town_of(
        tmp_path, moment, raw, rule("birthday", "anniversary", {"of": "birthday"}), zone=zone
    )
    assert town.occasions() == ({("c", "birthday", "birthday:2026")} if comes_up else set())


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2025-02-27 12:00", set()), ("2025-02-28 12:00", {"leap", "day_before"}),
        ("2025-03-01 12:00", {"day_after"}), ("2024-02-28 12:00", {"day_before"}),
        ("2024-02-29 12:00", {"leap"}), ("2024-03-01 12:00", {"day_after"}),
    ],
)  # fmt: skip
def test_the_29th_of_february(tmp_path: Path, moment: str, who: set[str]) -> None:
    days = {"leap": (2, 29), "day_before": (2, 28), "day_after": (3, 1)}
    raw: Raw = {"customers": [
        {"customer_id": name, "birthday": dt.date(2000, *day)} for name, day in days.items()
    ]}  # fmt: skip
    greet = rule("birthday", "anniversary", {"of": "birthday"}, "24h")
    assert {c for c, _, _ in town_of(tmp_path, moment, raw, greet).occasions()} == who


def test_years_are_known_or_left_out(tmp_path: Path) -> None:
    born = {"old": 1900, "now": 2026, "later": 2030, "adult": 1986}
    raw: Raw = {"customers": [
        {"customer_id": n, "birthday": dt.date(y, 6, 15), "company_founded_on": dt.date(y, 6, 15)}
        for n, y in born.items()
    ]}  # fmt: skip
    town = town_of(
        tmp_path, "2026-06-15 00:00", raw, rule("birthday", "anniversary", {"of": "birthday"}),
        rule("company", "anniversary", {"of": "company"}),
    )  # fmt: skip
    about = {(r["rule"], r["customer_id"]): json.loads(r["about"]).get("years")
             for r in town.candidates()}  # fmt: skip
    assert about == {
        ("birthday", "old"): None, ("birthday", "now"): None, ("birthday", "later"): None,
        ("birthday", "adult"): 40, ("company", "old"): 126, ("company", "adult"): 40,
    }  # fmt: skip


def test_three_working_days_pass_over_the_make_up_days(tmp_path: Path) -> None:
    """In 2026 the festival is free from 15 to 23 February; the Saturdays 14 and 28 are worked."""
    raw: Raw = {"customers": [{"customer_id": "c", "registered_at": dt.datetime(2026, 2, 13, 2)}]}
    call = rule("call", "event", {"name": "registered", "until": "30d"}, act="3wd")
    (row,) = town_of(tmp_path, "2026-02-14 00:00", raw, call).candidates()
    assert row["due_at"] == dt.datetime(2026, 2, 25, 10)


@pytest.mark.parametrize(
    ("unless", "entity", "row", "called_off"),
    [
        ("returned", "orders", {"status": "returned", "cancelled_at": "05-10 08:00"}, True),
        ("returned", "orders", {"status": "cancelled", "cancelled_at": "05-10 08:00"}, True),
        ("returned", "orders", {"status": "returned", "cancelled_at": "05-14 00:00"}, False),
        ("returned", "orders", {}, False),
        ("delivered", "orders", {}, True),
        ("ticket_open", "tickets", {"opened_at": "05-01 00:00"}, True),
        ("ticket_open", "tickets", {"opened_at": "05-13 15:59"}, True),
        ("ticket_open", "tickets", {"opened_at": "05-13 16:01"}, False),
        ("ticket_open", "tickets", {"opened_at": "05-01", "resolved_at": "05-13 15:59"}, False),
        ("ordered", "orders", {"order_id": "o2", "ordered_at": "05-10 02:01"}, True),
        ("ordered", "orders", {"order_id": "o2", "ordered_at": "05-10 02:00"}, False),
        ("ordered", "orders",
         {"order_id": "o2", "ordered_at": "05-11 00:00", "status": "cancelled",
          "cancelled_at": "05-12 00:00"}, False),
        ("contacted", "follow_ups", {"planned_at": "05-01", "done_at": "05-10 02:01"}, True),
        ("contacted", "follow_ups", {"planned_at": "05-01", "done_at": "05-10 02:00"}, False),
        ("contacted", "follow_ups", {"planned_at": "05-12"}, False),
        ("answered", "surveys", {"asked_at": "05-01", "answered_at": "05-10 02:01"}, True),
        ("answered", "surveys", {"asked_at": "05-12"}, False),
    ],
)  # fmt: skip
def test_what_calls_an_event_off(
    tmp_path: Path, unless: str, entity: str, row: dict, called_off: bool
) -> None:
    """Delivered at 10:00 local on 10 May; decided on 14 May."""
    order = {"order_id": "o1", "customer_id": "c", "ordered_at": "05-08 00:00",
             "status": "completed", "paid_at": "05-08 00:00", "delivered_at": "05-10 02:00"}  # fmt: skip
    keys = {"tickets": "ticket_id", "follow_ups": "follow_up_id", "surveys": "response_id"}
    raw: Raw = {"customers": [{"customer_id": "c"}], "orders": [order]}
    if entity == "orders" and "order_id" not in row:
        order |= row
    elif entity == "orders":
        raw["orders"].append({"customer_id": "c", "status": "paid", **row})
    else:
        raw[entity] = [{keys[entity]: "x", "customer_id": "c", **row}]
    for part in (r for rows in raw.values() for r in rows):
        part |= {k: f"2026-{v}" for k, v in part.items() if k.endswith("_at")}
    trigger = {"name": "order_delivered", "after": "3d", "until": "7d", "unless": [unless]}
    town = town_of(tmp_path, "2026-05-14 00:00", raw, rule("ask", "event", trigger))
    assert (town.occasions() == set()) is called_off


def test_audiences_and_what_they_are_told(tmp_path: Path) -> None:
    names = ("all", "segment", "tag", "tag_value", "channel", "level", "condition", "product")
    often = {"every": "1d"}
    audiences: dict[str, dict] = {
        "all": {}, "segment": {"segments": ["dormant"]}, "tag": {"tags": ["interests"]},
        "tag_value": {"tags": ["interests=tea"]}, "channel": {"channels": ["sms"]},
        "level": {"alert_levels": ["high"]},
        "condition": {"when": {"measure": "spend_rank", "at_least": 0.9}},
    }  # fmt: skip
    rules = [rule(n, "cadence", often, audience=audiences.get(n, {})) for n in names]
    rules[-1]["about"] = "next_product"
    raw: Raw = {"customers": [{"customer_id": c} for c in "abc"]}
    town = town_of(tmp_path, "2026-06-15 00:00", raw, *rules)
    town.con.execute("""
        insert into marts.fct_customer_tags values ('a', 'interests', 'tea'),
            ('b', 'interests', 'golf'), ('c', 'other', 'tea');
        update intermediate.int_customer_segments set segment = 'dormant' where customer_id = 'a';
        update intermediate.int_customer_preferences set preferred_channel = 'sms'
            where customer_id = 'b';
        update intermediate.int_customer_churn set churn_level = 'high' where customer_id = 'c';
        update intermediate.int_customer_profile set spend_rank = 0.9 where customer_id = 'a';
        insert into marts.fct_customer_next_products values ('b', 1, 'p'), ('b', 2, 'q');
        insert into intermediate.int_products values ('p', 'Tea', null), ('q', 'Cup', 'home');
    """)
    rows = town.candidates()
    found: dict[str, str] = {}
    for row in rows:
        found[row["rule"]] = found.get(row["rule"], "") + row["customer_id"]
    assert found == {"all": "abc", "segment": "a", "tag": "ab", "tag_value": "a", "channel": "b",
                     "level": "c", "condition": "a", "product": "b"}  # fmt: skip
    told = {json.dumps(json.loads(r["about"])) for r in rows if r["rule"] == "product"}
    assert told == {'{"product_id": "p", "product_name": "Tea"}'}


def entering(tmp_path: Path, history: str) -> set[tuple[str, str]]:
    lists = {"segments": ["core"], "tiers": ["silver", "gold"], "alert_levels": ["low", "high"]}
    rules = [rule(k, "entered", {k: v}, "3d") for k, v in lists.items()]
    raw: Raw = {"customers": [{"customer_id": c} for c in "abcd"]}
    town = town_of(tmp_path, "2026-06-15 00:00", raw, *rules)
    town.con.execute(history)
    return {(c, occasion) for c, _, occasion in town.occasions()}


def test_nobody_enters_on_the_first_run(tmp_path: Path) -> None:
    everyone = """
        update intermediate.int_customer_loyalty set tier = 'gold', tier_since = '2026-06-15';
        update intermediate.int_customer_churn set churn_level = 'high',
            churn_level_since = '2026-06-15';
    """
    assert entering(tmp_path, everyone) == set()


def test_who_enters_and_who_falls(tmp_path: Path) -> None:
    """a changed today, b three days ago, c two days ago, d has been there since the first run;
    a's tier and level rose, c's fell."""
    found = entering(tmp_path, """
        insert into run.previous_customer_changes (customer_id, dimension, from_value, to_value,
            changed_on, as_of)
        values ('d', 'segment', null, 'core', '2026-06-01', '2026-05-31 16:00:00'),
            ('c', 'churn_level', 'high', 'low', '2026-06-12', '2026-06-11 16:00:00');
        insert into run.previous_customer_tier_changes (customer_id, changed_on, as_of)
        values ('d', '2026-06-01', '2026-05-31 16:00:00');
        insert into intermediate.int_customer_previous (customer_id, segment, segment_since,
            stage, stage_since)
        values ('a', 'potential', '2026-06-01', 'active', '2026-06-01'),
            ('b', 'core', '2026-06-12', 'active', '2026-06-01'),
            ('c', 'core', '2026-06-13', 'active', '2026-06-01'),
            ('d', 'core', '2026-06-01', 'active', '2026-06-01');
        update intermediate.int_customer_loyalty set tier = 'silver',
            tier_since = case customer_id when 'd' then date '2026-06-01' else '2026-06-13' end;
        insert into intermediate.int_customer_tier_changes
        values ('a', 'regular', 'silver', '2026-06-13'), ('c', 'gold', 'silver', '2026-06-13');
        update intermediate.int_customer_churn set churn_level = 'low',
            churn_level_since = case customer_id when 'a' then date '2026-06-15'
                when 'c' then '2026-06-12' end;
    """)  # fmt: skip
    assert found == {
        ("a", "segment:core:2026-06-15"), ("c", "segment:core:2026-06-13"),
        ("a", "tier:silver:2026-06-13"), ("b", "tier:silver:2026-06-13"),
        ("a", "alert_level:low:2026-06-15"),
    }  # fmt: skip


def test_conditions_come_up_once_or_once_a_turn(tmp_path: Path) -> None:
    when = {"measure": "churn_risk", "at_least": 0.5}
    again = rule("again", "condition", {"when": when, "again_after": "6mo"}, "7d")
    once = rule("once", "condition", {"when": when})
    raw: Raw = {"customers": [{"customer_id": c} for c in "ab"]}
    town = town_of(tmp_path, "2026-06-15 00:00", raw, again, once)
    town.con.execute(
        "update intermediate.int_customer_profile set churn_risk = 0.49 where customer_id = 'b'"
    )
    turn = Reference(town, raw, set()).turn("again", "a", "6mo")
    assert town.occasions() == {("a", "again", f"turn:{turn}"), ("a", "once", "once")}
    assert {row["came_up_on"] for row in town.candidates()} == {dt.date(2026, 6, 15)}


def test_points_and_replacements_come_up_when_they_are_first_in_sight(tmp_path: Path) -> None:
    """Points: 60 days before they are gone, until 30 days later; replacements: 14 days before."""
    rules = [rule("points", "event", {"name": "points_expiring", "until": "30d"}),
             rule("due", "event", {"name": "replacement_due", "until": "14d"})]  # fmt: skip
    raw: Raw = {"customers": [{"customer_id": c} for c in "abcd"]}
    town = town_of(tmp_path, "2026-06-15 00:00", raw, *rules)
    last = {"a": "2026-07-14", "b": "2026-07-13", "c": "2026-08-13", "d": "2026-08-14"}
    due = {"a": "2026-06-15", "b": "2026-06-14", "c": "2026-06-29", "d": "2026-06-30"}
    for customer in "abcd":
        town.con.execute("insert into intermediate.int_customer_points values (?, 5, ?)",
                         [customer, last[customer]])  # fmt: skip
        town.con.execute("insert into marts.fct_replacements_due values (?, 'p', ?)",
                         [customer, due[customer]])  # fmt: skip
    assert town.occasions() == {
        ("a", "points", "points_expiring:2026-07-14"),
        ("c", "points", "points_expiring:2026-08-13"),
        ("a", "due", "replacement_due:p:2026-06-15"), ("c", "due", "replacement_due:p:2026-06-29"),
    }  # fmt: skip


def test_rules_rest_outside_their_time_and_packs_may_have_none(tmp_path: Path) -> None:
    often = {"every": "1d"}
    rules = [
        rule("over", "cadence", often, ends_on=dt.date(2026, 6, 14)),
        rule("last_day", "cadence", often, ends_on=dt.date(2026, 6, 15)),
        rule("first_day", "cadence", often, starts_on=dt.date(2026, 6, 15)),
        rule("later", "cadence", often, starts_on=dt.date(2026, 6, 16)),
        rule("resting", "cadence", often, active=False),
    ]
    town = town_of(tmp_path, "2026-06-15 00:00", {"customers": [{"customer_id": "c"}]}, *rules)
    assert {r for _, r, _ in town.occasions()} == {"last_day", "first_day"}
    town.con.execute("delete from program.rules")
    assert town.candidates() == []
