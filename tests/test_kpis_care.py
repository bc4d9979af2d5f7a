"""KPIs of care, in small worlds by hand."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from kpi_world import CARE, Raw, Row, World, utc
from test_kpis_loyalty import orders

JULY = ("month", dt.date(2026, 7, 1))
AUGUST = ("month", dt.date(2026, 8, 1))
QUARTER = ("quarter", dt.date(2026, 7, 1))
NOON = "2026-08-15 12:00"


class Care:
    """A world and what its ledger holds."""

    def __init__(self, raw: Raw | None = None, as_of: str = NOON, pack: str = "retail_care"):
        self.world = World(raw or {}, as_of, pack, "Asia/Shanghai")
        self.messages: list[Row] = []
        self.events: list[Row] = []
        self.feedback: list[Row] = []

    def plan(self, customer: str, on: str, *, state: str = "sent", at: str | None = None,
             kind: str = "send", channel: str = "email", back: dict[str, str] | None = None,
             **more: Any) -> None:  # fmt: skip
        """A message or task planned for a local day; back: what came back, and when."""
        name = f"m{len(self.messages)}"
        day = dt.date.fromisoformat(on)
        self.messages.append({
            "message_id": name, "decision_key": name, "customer_id": customer, "rule": "content",
            "occasion": "", "purpose": "care", "channel": channel, "kind": kind,
            "contact_on": day, "as_of": utc(f"{day - dt.timedelta(days=1)}"), **more,
        })  # fmt: skip
        if state != "planned":
            self.events.append({
                "seq": len(self.events) + 1, "message_id": name, "state": state,
                "at_utc": utc(at or f"{on} 10:00"),
            })  # fmt: skip
        for what, when in (back or {}).items():
            self.feedback.append({
                "feedback_id": f"f{len(self.feedback)}", "message_id": name, "kind": what,
                "at_utc": utc(when),
            })  # fmt: skip

    def sums(self) -> dict:
        for table in ("messages", "events", "feedback"):
            self.world.con.execute(
                f"create or replace table ledger.{table} as from ledger.{table} limit 0"
            )
            self.world.fill(f"ledger.{table}", getattr(self, table))
        return self.world.run(*CARE).sums("int_kpi_care")


def test_care_that_was_planned_and_that_reached_somebody() -> None:
    care = Care()
    care.plan("a", "2026-07-31")
    care.plan("b", "2026-07-31", back={"hard_bounce": "2026-07-31 10:01"})
    care.plan("c", "2026-07-05", state="failed")
    care.plan("c", "2026-07-06", purpose="marketing")  # one that arrives is enough
    care.plan("d", "2026-07-07", state="cancelled")
    care.plan("e", "2026-07-08", state="expired", purpose="marketing")
    care.plan("f", "2026-07-31", at="2026-08-01 09:00")  # of July, by its day
    care.plan("g", "2026-07-10", kind="task")  # on the list, but not done
    care.plan("h", "2026-07-10", kind="task", back={"done": "2026-08-02"})
    care.plan("i", "2026-07-10", kind="task", back={"done": NOON})  # at as_of: not yet
    care.plan("a", "2026-08-01", purpose="marketing", back={"soft_bounce": "2026-08-02"})
    care.plan("j", "2026-08-15", state="planned")
    care.plan("k", "2026-08-16", state="planned")  # a day to come
    found = care.sums()
    assert found["care_reach_rate", *JULY] == (4, 8)  # a, c, f, h; not b, e, g, i
    assert found["targeted_reach_rate", *JULY] == (1, 2)  # c; not e
    assert found["care_reach_rate", *AUGUST] == (0, 2)  # a, j
    assert found["targeted_reach_rate", *AUGUST] == (0, 1)
    assert found["care_reach_rate", *QUARTER] == (4, 9)
    assert found["targeted_reach_rate", *QUARTER] == (1, 3)


def test_the_day_of_contact_that_begins_at_as_of_is_not_seen() -> None:
    care = Care(as_of="2026-08-15")
    care.plan("a", "2026-08-14")
    care.plan("b", "2026-08-15", state="planned")
    assert care.sums()["care_reach_rate", *AUGUST] == (1, 1)


def test_satisfaction_of_those_cared_for() -> None:
    def answer(customer: str | None, at: str, score: float | None, high: float = 5) -> Row:
        return {
            "customer_id": customer, "kind": "csat", "scale_min": 1, "scale_max": high,
            "score": score, "answered_at": utc(at), "asked_at": utc("2026-05-01"),
        }  # fmt: skip

    answers = [
        answer("a", "2026-07-31 10:00:00", 4),  # exactly 30 days after
        answer("a", "2026-07-31 10:00:01", 1),  # a second too late
        answer("b", "2026-07-20", 7, 7),  # after a follow-up, on another scale: 5
        answer("b", "2026-07-19 23:59:59", 1),  # before it
        answer("c", "2026-07-20", 3),  # after a task that was done
        answer("d", "2026-07-20", 3),  # its task was not
        answer("e", "2026-07-20", 3),  # nothing was done
        answer(None, "2026-07-20", 3),
        answer("b", "2026-07-21", None),
        answer("b", "2026-07-21", 3, 1),  # a scale of one point
        answer("b", "2026-07-22", 6, 7) | {"kind": "nps"},
        answer("b", NOON, 6, 7),  # at as_of: not yet
    ]
    follow_ups = [
        {"follow_up_id": "u1", "customer_id": "b", "done_at": utc("2026-07-20")},
        {"follow_up_id": "u2", "customer_id": "e", "planned_at": utc("2026-07-01")},
    ]
    surveys = [row | {"response_id": f"r{i}"} for i, row in enumerate(answers)]
    care = Care({"surveys": surveys, "follow_ups": follow_ups})
    care.plan("a", "2026-07-01")
    care.plan("a", "2026-06-25")
    care.plan("c", "2026-07-01", kind="task", back={"done": "2026-07-19"})
    care.plan("d", "2026-07-01", kind="task")
    found = care.sums()
    assert found["care_satisfaction", *JULY] == (4 + 5 + 3, 3)
    surveys[0]["score"] = Decimal("4.333")
    again = Care({"surveys": surveys[:1]})
    again.plan("a", "2026-07-01")
    assert again.sums()["care_satisfaction", *JULY] == (Decimal("4.333"), 1)


def test_preferred_channels_that_are_known() -> None:
    care = Care()
    care.world.con.execute(
        "insert into intermediate.int_customer_preferences values "
        "('a', 'sms', 'observed'), ('b', 'email', 'stated'), ('c', 'email', 'fallback')"
    )
    for customer in "abcd":
        care.plan(customer, "2026-07-31", at="2026-07-31 23:59:59")
    care.plan("a", "2026-07-05", channel="sms")
    care.plan("a", "2026-07-05", channel="sms", state="failed")
    care.plan("a", "2026-07-05", channel="sms", kind="task", back={"done": "2026-07-06"})
    care.plan("b", "2026-07-31", at="2026-08-01")
    found = care.sums()
    assert found["channel_fit", *JULY] == (2, 3)
    assert found["channel_fit", *AUGUST] == (1, 1)  # by the moment it was sent


def test_openings_where_they_can_be_seen() -> None:
    care = Care()
    care.plan("a", "2026-07-01", back={"opened": "2026-08-02"})
    care.plan("a", "2026-07-02", back={"clicked": "2026-07-02 11:00", "opened": "2026-07-03"})
    care.plan("a", "2026-07-02")
    care.plan("b", "2026-07-02", back={"hard_bounce": "2026-07-02 11:00"})
    care.plan("b", "2026-07-02", channel="sms")  # nobody ever opened one
    care.plan("b", "2026-07-02", channel="call", kind="task", back={"done": "2026-07-02 12:00"})
    # A click alone does not show that the channel can tell who opens.
    care.plan("b", "2026-07-02", channel="push", back={"clicked": "2026-07-04"})
    found = care.sums()
    assert found["content_open_rate", *JULY] == (2, 3)


def test_conversions_count_when_their_window_is_over() -> None:
    made = orders(
        ("a", "2026-07-14 10:00"), ("b", "2026-07-31 10:00:01"), ("c", "2026-08-13"),
        ("d", "2026-07-20", "cancelled"), ("f", "2026-07-20"),
    )  # fmt: skip
    care = Care({"orders": made})
    rule = next(
        rule for rule in care.world.rows("from program.rules order by position")
        if rule["conversion_event"] == "order" and rule["conversion_within"] == "14d"
    )["rule"]  # fmt: skip
    care.plan("a", "2026-06-30", rule=rule)  # the last moment of 14 days
    care.plan("b", "2026-07-17", rule=rule)  # a second too late
    care.plan("c", "2026-08-02", rule=rule)  # converted, but others of August may still
    care.plan("d", "2026-07-15", rule=rule)
    care.plan("e", "2026-08-01", rule=rule, at="2026-08-01 12:00")  # over at as_of
    care.plan("f", "2026-07-15", rule="content")  # nothing is hoped for
    care.plan("g", "2026-07-15", rule=rule, kind="task")  # not done
    care.plan("f", "2026-07-15", rule=rule, kind="task", back={"done": "2026-07-16"})
    found = care.sums()
    assert found["conversion_rate", "month", dt.date(2026, 6, 1)] == (1, 1)
    assert found["conversion_rate", *JULY] == (1, 3)  # f; not b and d
    assert ("conversion_rate", *AUGUST) not in found


@pytest.mark.parametrize(
    ("kpi", "of"),
    [("birthday_conversion", "birthday"), ("membership_anniversary_conversion", "membership")],
)
def test_buyers_after_an_anniversary(kpi: str, of: str) -> None:
    made = orders(
        ("a", "2026-07-31 10:00"), ("b", "2026-07-31 10:00:01"), ("c", "2026-07-01 10:00"),
        ("d", "2026-08-15"), ("e", "2026-07-03"), ("e", "2026-07-04"), ("f", "2026-07-20"),
    )  # fmt: skip
    care = Care({"orders": made})
    for customer in "abc":  # 30 days by the rule; c bought at the moment of the greeting
        care.plan(customer, "2026-07-01", rule="birthday", occasion=f"{of}:2026")
    day = "2026-07-16"  # 30 days later is as_of: still open
    care.plan("d", day, at=f"{day} 12:00", rule="birthday", occasion=f"{of}:2026")
    care.plan("e", "2026-07-02", rule="gone", occasion=f"{of}:2026")  # 30 days by the program
    care.plan("f", "2026-07-02", rule="birthday", occasion="festival:2026-07-02")
    care.plan("f", "2026-07-01", kind="task", occasion=f"{of}:2026", back={"done": "2026-07-10"})
    care.plan("g", "2026-07-01", kind="task", occasion=f"{of}:2026")
    found = care.sums()
    assert found[kpi, *JULY] == (3, 5)  # a, e and f of a, b, c, e, f
    assert {key[0] for key in found if key[0].endswith("conversion")} == {kpi}


def test_buyers_at_business_occasions() -> None:
    """The pack has 618 and, in 2026, launches on 20 March and 10 September; 3 days around."""
    made = orders(
        ("a", "2026-06-14 23:59:59"), ("a", "2026-06-15"),  # known by a second
        ("b", "2026-06-15"), ("b", "2026-06-18"),  # new in these days
        ("c", "2025-01-01"), ("c", "2026-06-21 23:59:59"), ("c", "2026-03-20"),
        ("d", "2025-01-01"), ("d", "2026-06-22"), ("d", "2026-06-18", "returned"),
        ("e", "2026-06-01", "cancelled"),
    )  # fmt: skip
    found = Care({"orders": made}, pack="online_crm").sums()
    rate = lambda kind, *day: found["occasion_participation", kind, dt.date(*day)]  # noqa: E731
    assert rate("month", 2026, 6, 1) == (2, 3)  # a, c; not d
    assert rate("month", 2026, 3, 1) == (1, 2)  # c; not d
    assert rate("quarter", 2026, 4, 1) == (2, 3)
    assert rate("year", 2025, 7, 1) == (3, 2 + 3 + 2 * 2)  # 11 November, 12 December
    assert ("occasion_participation", "month", dt.date(2026, 9, 1)) not in found
    # While its last day runs it is not judged.
    early = Care({"orders": made}, "2026-06-21 23:59", "online_crm").sums()
    assert ("occasion_participation", "month", dt.date(2026, 6, 1)) not in early
    assert ("occasion_participation", *JULY) not in Care(
        {"orders": made}, pack="b2b_service"
    ).sums()


def test_one_row_per_customer_and_period() -> None:
    care = Care({"orders": orders(("a", "2026-07-03"))})
    for day in ("2026-07-01", "2026-07-02", "2026-07-20"):
        care.plan("a", day, rule="birthday", occasion="birthday:2026", back={"opened": day})
    care.sums()
    rows = care.world.rows(
        "select * from intermediate.int_kpi_care where kpi = 'content_open_rate' "
        "and period_type = 'month'"
    )
    assert [(row["customer_id"], row["numerator"], row["denominator"]) for row in rows] == [
        ("a", 3, 3)
    ]
