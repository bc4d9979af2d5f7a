"""KPIs of loyalty, in small worlds by hand and against plain Python."""

import datetime as dt
import random
from typing import Any

import pytest

from careloop.program.load import load_program
from careloop.settings import PROJECT_ROOT
from kpi_world import LOYALTY, Raw, Row, World, add, utc

JULY = ("month", dt.date(2026, 7, 1))
AUGUST = ("month", dt.date(2026, 8, 1))
NOON = "2026-08-15 12:00"
Made = tuple[Any, ...]


def orders(*made: Made, zone: str = "Asia/Shanghai") -> list[Row]:
    """Orders of (customer, local time, status, further columns); completed if it is not said."""
    rows = []
    for i, (customer, at, *rest) in enumerate(made):
        status = rest[0] if rest else "completed"
        ended = {"cancelled_at": utc(at, zone)} if status in ("cancelled", "returned") else {}
        rows.append({
            "order_id": f"o{i}", "customer_id": customer, "ordered_at": utc(at, zone),
            "status": status, "amount": 10, **ended, **(rest[1] if len(rest) > 1 else {}),
        })  # fmt: skip
    return rows


def interactions(*made: Made) -> list[Row]:
    """Interactions of (customer, local time, kind); visits if it is not said."""
    return [
        {"interaction_id": f"i{i}", "customer_id": customer, "occurred_at": utc(at),
         "kind": kind[0] if kind else "visit"}
        for i, (customer, at, *kind) in enumerate(made)
    ]  # fmt: skip


def customers(**registered: str | None) -> list[Row]:
    return [
        {"customer_id": name, "registered_at": utc(at) if at else None}
        for name, at in registered.items()
    ]


def loyalty(raw: Raw, as_of: str = NOON, pack: str = "retail_care", **more: Any) -> dict:
    return World(raw, as_of, pack, **more).run(*LOYALTY).sums("int_kpi_loyalty")


def test_a_company_without_data_has_no_facts() -> None:
    assert loyalty({}) == {}


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Europe/Berlin"])
def test_repurchase_at_the_edges_of_local_periods(zone: str) -> None:
    made = orders(
        ("c1", "2026-02-10"), ("c1", "2026-03-31 23:59:59"),
        ("c2", "2026-03-05 10:00"), ("c2", "2026-03-05 10:00"),  # both are the first
        ("c3", "2026-03-08 01:30"), ("c3", "2026-03-08 03:30"),  # an hour apart in New York
        ("c4", "2026-02-01", "cancelled"), ("c4", "2026-03-29 03:30"),
        ("c5", "2026-04-01"),  # at as_of: not yet
        ("c6", "2026-02-28", "returned"),
        ("c7", "2026-02-28 23:59:59"), ("c7", "2026-03-01 00:00"),
        zone=zone,
    )  # fmt: skip
    found = loyalty({"orders": made}, "2026-04-01", zone=zone)
    rate = lambda kind, *day: found["repurchase_rate", kind, dt.date(*day)]  # noqa: E731
    assert rate("month", 2026, 3, 1) == (3, 5)  # c1, c3 and c7 of those and c2, c4
    assert rate("month", 2026, 2, 1) == (0, 2)
    assert rate("quarter", 2026, 1, 1) == (3, 5)
    assert rate("year", 2025, 4, 2) == (3, 5)
    assert not any(key[2] >= dt.date(2026, 4, 1) for key in found)


def test_retention_is_judged_when_the_twelfth_month_is_over() -> None:
    made = orders(
        ("a", "2025-07-05"), ("a", "2025-07-20"),  # again in the same month only
        ("b", "2025-07-31 23:59:59"), ("b", "2026-07-31 23:59:59"),
        ("c", "2025-07-01"), ("c", "2026-08-01"),  # a month too late
        ("d", "2025-08-01"), ("d", "2025-09-01"),  # its twelfth month still runs
        ("e", "2025-07-10"), ("e", "2025-08-02", "returned"),
        ("f", "2025-07-09", "cancelled"), ("f", "2025-08-09"), ("f", "2025-10-01"),
    )  # fmt: skip
    found = loyalty({"orders": made})
    assert found["retention_12m", *JULY] == (1, 4)
    assert found["retention_12m", "quarter", dt.date(2026, 7, 1)] == (1, 4)
    assert ("retention_12m", *AUGUST) not in found
    # Seen from the first of September the cohort of August is judged, too.
    later = loyalty({"orders": made}, "2026-09-01")
    assert later["retention_12m", *AUGUST] == (2, 2)
    assert later["retention_12m", "quarter", dt.date(2026, 7, 1)] == (3, 6)
    # Not before its last day has ended.
    assert ("retention_12m", *AUGUST) not in loyalty({"orders": made}, "2026-08-31 23:59")


NEWCOMERS = {
    "a": "2026-07-24 23:59:59", "b": "2026-07-25 00:00", "c": "2026-08-08 12:00",
    "d": "2026-08-08 11:59:59", "e": "2025-12-20", "f": "2025-12-30", "g": "2026-07-10 09:00",
    "h": "2026-07-10", "i": None, "j": "2026-09-01",
}  # fmt: skip


def test_activation_in_the_week_after_registration() -> None:
    raw = {
        "customers": customers(**NEWCOMERS),
        "interactions": interactions(
            ("i", "2026-01-01"),  # what is recorded begins here
            ("a", "2026-07-31 23:59:59", "open"),  # in the last second
            ("b", "2026-08-01 00:00:01"),  # a second too late
            ("f", "2026-01-02"),  # registered before anything was recorded
            ("g", "2026-07-10 09:00"),  # at the moment of registration
        ),
        "orders": orders(
            ("g", "2026-07-11", "cancelled"), ("h", "2026-07-01"), ("h", "2026-07-12"),
            ("j", "2026-07-13"),
        ),
    }  # fmt: skip
    found = loyalty(raw)
    assert found["activation_7d", *JULY] == (2, 3)  # a, h; not g
    assert found["new_customer_loss_7d", *JULY] == (1, 3)
    assert found["activation_7d", *AUGUST] == (0, 2)  # b, d; of c the time is not over
    assert found["new_customer_loss_7d", *AUGUST] == (2, 2)
    assert ("activation_7d", "month", dt.date(2026, 1, 1)) not in found
    assert ("activation_7d", "month", dt.date(2025, 12, 1)) not in found


def test_activation_without_interactions_is_known_from_the_first_order_on() -> None:
    raw = {
        "customers": customers(a="2026-07-04 10:00", b="2026-07-05", c="2026-07-06"),
        "orders": orders(("a", "2026-07-05 08:00"), ("c", "2026-07-07")),
    }
    assert loyalty(raw)["activation_7d", *JULY] == (1, 2)  # not a
    assert ("activation_7d", *JULY) not in loyalty({"customers": raw["customers"]})


@pytest.mark.parametrize(
    ("pack", "sums"),
    [
        ("retail_care", (1, 3)),  # 90 days without an order
        ("b2b_service", (1, 1)),  # 90 days without anything
        ("service_desk", (1, 3)),  # 60
        ("online_crm", (2, 4)),  # 30
        ("key_account", (2, 4)),
    ],
)
def test_dormant_by_orders_and_by_activity(pack: str, sums: tuple[int, int]) -> None:
    raw = {
        "orders": orders(
            ("a", "2026-04-01 23:59:59"), ("a", "2026-07-02"),  # 91 days before July
            ("b", "2026-04-02"),  # 90 days
            ("c", "2026-03-01"), ("d", "2026-03-01"), ("d", "2026-06-15", "cancelled"),
            ("f", "2026-07-05"), ("g", "2026-04-01", "returned"), ("g", "2026-07-05"),
        ),
        "interactions": interactions(
            ("c", "2026-06-01"), ("c", "2026-07-10"),  # 30 days before July
            ("d", "2026-05-31 23:59:59"), ("d", "2026-07-31 23:59:59"),  # 31 days
            ("e", "2026-05-01"),  # never bought; 61 days
        ),
    }  # fmt: skip
    zone = "Asia/Shanghai"
    assert loyalty(raw, pack=pack, zone=zone)["wake_up_rate", *JULY] == sums


@pytest.mark.parametrize(("pack", "sums"), [("retail_care", (0, 2)), ("b2b_service", (1, 2))])
def test_who_asks_is_not_dormant(pack: str, sums: tuple[int, int]) -> None:
    """As in the profile, whose last activity is an order, an interaction or a ticket."""
    raw = {
        "orders": orders(("a", "2026-01-01"), ("b", "2026-01-01")),
        "tickets": [
            {"ticket_id": f"t{name}{at}", "customer_id": name, "kind": "enquiry", "opened_at": utc(at)}
            for name, at in [
                ("a", "2026-06-20"), ("a", "2026-07-05"),  # asked lately
                ("b", "2026-07-05"), ("c", "2026-01-05"),
            ]
        ],
    }  # fmt: skip
    assert loyalty(raw, pack=pack)["wake_up_rate", *JULY] == sums


def test_lost_customers_won_back() -> None:
    made = orders(
        ("a", "2025-06-30 23:59:59"), ("a", "2026-07-31 23:59:59"),  # 366 days before July
        ("b", "2025-07-01"),  # 365 days
        ("c", "2024-01-01"), ("c", "2026-07-05", "cancelled"),
        ("d", "2020-01-01"), ("d", "2026-01-05", "returned"),
        ("e", "2026-07-05"),
    )  # fmt: skip
    found = loyalty({"orders": made})
    assert found["win_back_rate", *JULY] == (1, 3)
    assert found["win_back_rate", *AUGUST] == (0, 3)  # b, c, d
    # Of the month that begins at as_of nothing is seen, so nobody can have come back.
    first = loyalty({"orders": made}, "2026-08-01")
    assert ("win_back_rate", *AUGUST) not in first
    assert first["win_back_rate", *JULY] == (1, 3)


def test_community_of_the_kinds_and_days_of_the_pack() -> None:
    raw = {
        "interactions": interactions(
            ("a", "2026-01-02", "post"),  # 180 days before July
            ("b", "2026-01-01 23:59:59", "post"), ("c", "2026-07-31 23:59:59", "live_view"),
            ("d", "2026-07-05"), ("e", NOON, "post"), ("f", "2026-06-30", "post"),
            ("f", "2026-07-01", "post"),
        )
    }  # fmt: skip
    found = loyalty(raw, pack="online_crm")
    assert found["community_activity", *JULY] == (2, 3)
    assert found["community_activity", *AUGUST] == (0, 2)  # c, f: a was there too long ago


def test_disputed_and_late_orders() -> None:
    kept = {"promised_at": utc("2026-07-10"), "delivered_at": utc("2026-07-10")}
    made = orders(
        ("c1", "2026-07-01", "completed", kept),
        ("c1", "2026-07-31 23:59:59", "completed",
         {"promised_at": utc("2026-07-31 23:59:59"), "delivered_at": utc("2026-08-01")}),
        ("c2", "2026-07-02", "cancelled", {"promised_at": utc("2026-07-13")}),
        ("c2", "2026-07-03", "shipped", {"promised_at": utc("2026-07-12")}),
        ("c2", "2026-08-01", "completed",
         {"promised_at": utc("2026-08-20"), "delivered_at": utc("2026-08-03")}),
        ("c3", "2026-06-30", "completed", kept),
        ("c3", NOON),
    )  # fmt: skip
    tickets = [
        {"ticket_id": f"t{i}", "order_id": order, "kind": kind, "customer_id": "c9",
         "opened_at": utc(at)}
        for i, (order, kind, at) in enumerate([
            ("o0", "complaint", "2026-08-10"), ("o1", "return", "2026-08-10"),
            ("o1", "complaint", "2026-08-11"), ("o2", "enquiry", "2026-07-10"),
            ("o3", "complaint", NOON), (None, "complaint", "2026-07-10"),
        ])
    ]  # fmt: skip
    world = World({"orders": made, "tickets": tickets}, NOON).run(*LOYALTY)
    found = world.sums("int_kpi_loyalty")
    assert found["dispute_rate", *JULY] == (2, 4)
    assert found["dispute_rate", *AUGUST] == (0, 1)
    # On time o0 and o5; late o1 and, never delivered, o3; of o2 it is not known.
    assert found["delivery_on_time_rate", *JULY] == (2, 4)
    assert ("delivery_on_time_rate", *AUGUST) not in found  # promised for a day to come
    assert found["dispute_rate", "quarter", dt.date(2026, 7, 1)] == (2, 5)
    doubled = world.rows(
        "select kpi from intermediate.int_kpi_loyalty "
        "group by kpi, period_type, period_start, customer_id having count(*) > 1"
    )
    assert doubled == []


@pytest.mark.parametrize("seed", range(4))
def test_random_companies_against_plain_python(seed: int) -> None:
    rng = random.Random(seed)
    pack = ("retail_care", "online_crm")[seed % 2]
    program = load_program(pack, PROJECT_ROOT / "programs")
    zone = ("Europe/Berlin", "America/New_York")[seed // 2]
    names = [f"c{i}" for i in range(40)]
    moment = lambda: (  # noqa: E731
        dt.datetime(2023, 6, 1) + dt.timedelta(seconds=rng.randrange(1170 * 86400))
    ).isoformat(" ")
    bought = orders(
        *((rng.choice(names), moment(), rng.choice(["paid", "completed", "cancelled"]))
          for _ in range(150)),
        zone=zone,
    )  # fmt: skip
    done = interactions(*(
        (rng.choice(names), moment(), rng.choice(["visit", "post", "live_view"]))
        for _ in range(250)
    ))  # fmt: skip
    world = World({"orders": bought, "interactions": done}, NOON, program, zone)
    found = world.run(*LOYALTY).sums("int_kpi_loyalty")
    expected = _by_hand(world, bought, done, program)
    kpis = {key[0] for key in expected}
    assert len(kpis) == 6
    assert {key: sums for key, sums in found.items() if key[0] in kpis} == expected


def _by_hand(world: World, bought: list[Row], done: list[Row], program: Any) -> dict:
    limits, operation = program.activity, program.operation
    seen = lambda at: at < world.as_of  # noqa: E731
    counted, active, social, placed = ({f"c{i}": [] for i in range(40)} for _ in range(4))
    for row in bought:
        name, at = row["customer_id"], row["ordered_at"]
        if seen(at):
            placed[name].append(at)
        if seen(at) and row["status"] != "cancelled":
            counted[name].append(at)
            active[name].append(at)
    for row in done:
        name, at = row["customer_id"], row["occurred_at"]
        if seen(at) and limits.dormant_measure != "days_since_last_order":
            active[name].append(at)
        if seen(at) and row["kind"] in operation.community_kinds:
            social[name].append(at)
    sums: dict = {}

    def count(kpi: str, period: Row, numerator: int, denominator: int = 1) -> None:
        key = (kpi, period["period_type"], period["period_start"])
        old = sums.get(key, (0, 0))
        sums[key] = (old[0] + numerator, old[1] + denominator)

    for period in world.periods:
        start, end = period["starts_at"], period["seen_until"]
        inside = lambda times: [at for at in times if start <= at < end]  # noqa: E731, B023
        back = lambda days: period["period_start"] - dt.timedelta(days)  # noqa: E731, B023
        for name in active:
            now = inside(counted[name])
            if now:
                count("repurchase_rate", period, any(at > min(counted[name]) for at in now))
            for kpi, times, days in [
                ("wake_up_rate", active[name], limits.dormant_days),
                ("win_back_rate", counted[name], limits.lost_days),
            ]:
                before = [world.day(at) for at in times if at < start]
                if before and max(before) < back(days):
                    count(kpi, period, bool(inside(times)))
            recent = [
                at for at in social[name]
                if at < end and world.day(at) >= back(operation.community_days)
            ]  # fmt: skip
            if recent:
                count("community_activity", period, bool(inside(social[name])))
            if inside(placed[name]):
                count("dispute_rate", period, 0, len(inside(placed[name])))
            if counted[name]:
                first = world.day(min(counted[name])).replace(day=1)
                due = add(first, 13) - dt.timedelta(1)
                later = [d for d in map(world.day, counted[name]) if d >= add(first, 1)]
                if period["period_start"] <= due < min(period["period_end"], world.today):
                    count("retention_12m", period, any(d < add(first, 13) for d in later))
    return sums
