"""KPIs of the voice of the customer, in small worlds by hand and against plain Python."""

import datetime as dt
import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from careloop.program.load import load_program, program_names
from careloop.settings import PROJECT_ROOT
from kpi_world import Raw, Row, World, utc

PACKS = program_names(PROJECT_ROOT / "programs")
JULY = ("month", dt.date(2026, 7, 1))


def answer(no: int, kind: str, score: float | None, low: float | None, high: float | None,
           at: str | None = "2026-07-10 12:00", **more: Any) -> Row:  # fmt: skip
    """An answer to a survey, July unless said otherwise."""
    return {
        "response_id": f"r{no}", "kind": kind, "score": score, "scale_min": low,
        "scale_max": high, "customer_id": f"c{no}", "aspect": "overall",
        "asked_at": utc("2026-05-01"), "answered_at": utc(at) if at else None, **more,
    }  # fmt: skip


def voice(raw: Raw, as_of: str = "2026-08-15 12:00", **more: Any) -> World:
    return World(raw, as_of, **more).build("int_kpi_voice")


def test_satisfaction_on_every_scale() -> None:
    surveys = [
        answer(1, "csat", 4, 1, 5),  # 75, satisfied
        answer(2, "csat", 3, 1, 5),  # 50
        answer(3, "csat", 8, 0, 10),  # 80: 4.2 of 5
        answer(4, "csat", 7, 0, 10),  # 70: 3.8 of 5
        answer(5, "csat", 5.5, 1, 7),  # 75: exactly 4 of 5
        answer(6, "csat", 5, 1, 7),  # 66.666667
        answer(7, "csat", 5, None, None),  # on no scale
        answer(8, "csat", 3, 3, 3),  # on a scale of one point
        answer(9, "csat", None, 1, 5, None),  # not answered
        answer(10, "csat", None, 1, 5),  # answered without a score
        answer(11, "ces", 7, 1, 7),
        answer(12, "nps", 10, 0, 10),
        answer(13, "csat", 5, 1, 5, "2026-08-15 12:00"),  # at as_of: not yet
        answer(14, "csat", 5, 1, 5, "2026-08-15 11:59:59"),
    ]
    found = voice({"surveys": surveys}).sums("int_kpi_voice")
    assert found["satisfaction", *JULY] == (Decimal("416.666667"), 6)
    assert found["satisfied_share", *JULY] == (3, 6)
    assert found["satisfaction", "month", dt.date(2026, 8, 1)] == (100, 1)
    assert found["satisfaction", "quarter", dt.date(2026, 7, 1)] == (Decimal("516.666667"), 7)


def test_promoters_less_detractors() -> None:
    scores = [(10, 0, 10), (9, 0, 10), (8, 0, 10), (7, None, None), (6, 0, 10), (0, 0, 10),
              (5, 1, 5), (4, 1, 5), (3, 1, 5), (6, 1, 7)]  # fmt: skip
    surveys = [answer(i, "nps", *score) for i, score in enumerate(scores)]
    # 10, 9 and 5 of 5 (10) promote; 6, 0 and 3 of 5 (5) do not; 6 of 7 is 8.3.
    found = voice({"surveys": surveys}).sums("int_kpi_voice")
    assert found["nps", *JULY] == (0, 10)
    surveys[8]["score"] = 4
    assert voice({"surveys": surveys}).sums("int_kpi_voice")["nps", *JULY] == (100, 10)


def test_touchpoint_and_owner_come_from_the_ticket_before_the_aspect() -> None:
    tickets = [
        {"ticket_id": "t1", "touchpoint": "after_sale", "owner_id": "s1"},
        {"ticket_id": "t2", "touchpoint": None, "owner_id": None},
    ]
    tickets = [t | {"opened_at": utc("2026-06-01"), "customer_id": "c1"} for t in tickets]
    surveys = [
        answer(1, "csat", 5, 1, 5, ticket_id="t1", aspect="payment"),
        answer(2, "csat", 4, 1, 5, ticket_id="t2", aspect="payment"),
        answer(3, "csat", 3, 1, 5, aspect="consult"),
        answer(4, "csat", 2, 1, 5, aspect="attitude"),
        answer(5, "csat", 1, 1, 5, ticket_id="unknown", aspect=None),
        answer(6, "nps", 9, 0, 10, ticket_id="t1"),
    ]
    world = voice({"surveys": surveys, "tickets": tickets})
    found = world.sums("int_kpi_voice", "touchpoint")
    of = lambda kpi: {key[3]: sums for key, sums in found.items() if key[:3] == (kpi, *JULY)}  # noqa: E731
    assert of("touchpoint_satisfaction") == {
        "after_sale": (100, 1), "payment": (75, 1), "consult": (50, 1),
    }  # fmt: skip
    assert of("satisfaction")[None] == (25, 2)
    owners = world.sums("int_kpi_voice", "owner_id")
    assert owners["satisfaction", *JULY, "s1"] == (100, 1)
    assert owners["satisfaction", *JULY, None] == (150, 4)
    assert owners["nps", *JULY, None] == (100, 1)  # the account manager's, whoever had the ticket
    assert ("nps", *JULY, "s1") not in owners


def test_negative_feedback_is_complaints_and_low_answers() -> None:
    tickets = [
        {"ticket_id": f"t{i}", "kind": kind, "opened_at": utc("2026-07-31 23:59:59"),
         "customer_id": customer}
        for i, (kind, customer) in enumerate(
            [("complaint", "c1"), ("complaint", None), ("enquiry", "c1"), (None, "c2")]
        )
    ]  # fmt: skip
    surveys = [
        answer(1, "csat", 2, 1, 5),  # at the limit of a quarter of the scale
        answer(2, "csat", 3, 1, 5),
        answer(3, "csat", 2, 1, 5, ticket_id="t0"),  # answers about tickets are answers, too
        answer(4, "nps", 3, 0, 10),
        answer(5, "nps", 4, 0, 10),
        answer(6, "ces", 1, 1, 7),
    ]
    found = voice({"tickets": tickets, "surveys": surveys}).sums("int_kpi_voice")
    assert found["negative_feedback_rate", *JULY] == (5, 9)
    # This pack has no limit for nps: none of these answers is low.
    other = voice({"surveys": surveys[3:5]}, pack="online_crm").sums("int_kpi_voice")
    assert other["negative_feedback_rate", *JULY] == (0, 2)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Europe/Berlin"])
def test_customers_who_complain_of_those_active(zone: str) -> None:
    at = lambda local: utc(local, zone)  # noqa: E731
    raw = {
        "orders": [
            {"order_id": "o1", "customer_id": "c1", "ordered_at": at("2026-03-01 00:00"),
             "status": "completed", "delivered_at": at("2026-03-02")},
            {"order_id": "o2", "customer_id": "c2", "ordered_at": at("2026-03-31 23:59:59"),
             "status": "cancelled", "cancelled_at": at("2026-04-01")},
            {"order_id": "o3", "customer_id": "c3", "ordered_at": at("2026-02-28 23:59:59"),
             "status": "paid", "paid_at": at("2026-02-28 23:59:59")},
        ],
        "interactions": [
            {"interaction_id": f"i{i}", "customer_id": c, "kind": "login", "channel": "app",
             "occurred_at": at(when)}
            for i, (c, when) in enumerate([
                ("c4", "2026-03-31 23:59:59"), ("c4", "2026-03-08 03:30"), ("c5", "2026-04-01"),
                (None, "2026-03-10"), ("c1", "2026-03-29 04:00"), ("c6", "2026-04-01 00:00:01"),
            ])
        ],
        "tickets": [
            {"ticket_id": f"t{i}", "customer_id": c, "kind": kind, "opened_at": at(when)}
            for i, (c, kind, when) in enumerate([
                ("c1", "complaint", "2026-03-05"), ("c1", "complaint", "2026-03-06"),
                ("c7", "enquiry", "2026-03-31 12:00"), ("c7", "complaint", "2026-02-10"),
                (None, "complaint", "2026-03-05"), ("c8", None, "2026-03-05"),
            ])
        ],
    }  # fmt: skip
    found = voice(raw, "2026-04-01", zone=zone).sums("int_kpi_voice")
    rate = lambda kind, *day: found["complaint_rate", kind, dt.date(*day)]  # noqa: E731
    assert rate("month", 2026, 3, 1) == (1, 4)  # c1, c4, c7, c8
    assert rate("month", 2026, 2, 1) == (1, 2)  # c3, c7
    assert rate("quarter", 2026, 1, 1) == (2, 5)
    # 12 months that end with the day of as_of, seen until its beginning.
    assert rate("year", 2025, 4, 2) == (2, 5)
    assert ("complaint_rate", "month", dt.date(2026, 4, 1)) not in found


# -- at random ---------------------------------------------------------------------------------


def random_raw(seed: int, world_end: dt.datetime) -> Raw:
    """Things that happen at and around local midnights, to few customers."""
    rnd = random.Random(seed)

    def moment() -> dt.datetime:
        when = world_end - dt.timedelta(days=rnd.randint(-2, 500))
        return when + rnd.choice([
            dt.timedelta(0), dt.timedelta(microseconds=-1), dt.timedelta(microseconds=1),
            dt.timedelta(seconds=rnd.randint(0, 86400)),
        ])  # fmt: skip

    who = lambda: rnd.choice([None, *(f"c{i}" for i in range(40))])  # noqa: E731
    scales = [(1, 5), (0, 10), (1, 7), (None, None)]
    raw: Raw = {"surveys": [], "tickets": [], "orders": [], "interactions": []}
    for i in range(300):
        raw["tickets"].append({
            "ticket_id": f"t{i}", "customer_id": who(), "opened_at": moment(),
            "kind": rnd.choice(["complaint", "enquiry", None]),
            "touchpoint": rnd.choice(["consult", "use", None]),
            "owner_id": rnd.choice(["s1", "s2", None]),
        })  # fmt: skip
        low, high = rnd.choice(scales)
        answered = rnd.choice([moment(), None])
        raw["surveys"] += [
            {
                "response_id": f"r{i}{aspect}", "customer_id": who(), "aspect": aspect,
                "kind": rnd.choice(["csat", "nps", "ces"]), "scale_min": low, "scale_max": high,
                "score": answered and float(rnd.randint(low or 0, high or 10)),
                "asked_at": utc("2024-01-01"), "answered_at": answered,
                "ticket_id": rnd.choice([f"t{i}", None]),
            }
            for aspect in ("attitude", "consult")
        ]  # fmt: skip
        raw["orders"].append({
            "order_id": f"o{i}", "customer_id": who(), "ordered_at": moment(),
            "status": rnd.choice(["pending", "cancelled"]), "cancelled_at": utc("2024-01-01"),
        })  # fmt: skip
        raw["interactions"].append(
            {"interaction_id": f"i{i}", "customer_id": who(), "occurred_at": moment(),
             "kind": "visit"}
        )  # fmt: skip
    return raw


def reference(world: World, raw: Raw, pack: str) -> dict:
    """The same sums, row by row."""
    program = load_program(pack, PROJECT_ROOT / "programs")
    limits = {low.kind: low.at_most for low in program.closed_loop.low_scores}
    known = {touchpoint.id for touchpoint in program.touchpoints}
    tickets = {t["ticket_id"]: t for t in raw["tickets"] if t["opened_at"] <= world.as_of}
    sums: dict = defaultdict(lambda: [Decimal(0), Decimal(0)])
    active: dict = defaultdict(set)
    complained: dict = defaultdict(set)

    def count(kpi: str, moment: dt.datetime, part: float, owner: Any, touchpoint: Any) -> None:
        for period in world.within(moment):
            total = sums[(kpi, *period, owner, touchpoint)]
            total[0] += Decimal(str(round(part, 6)))
            total[1] += 1

    for row in raw["surveys"]:
        low, high = row["scale_min"], row["scale_max"]
        if row["kind"] == "nps":
            low, high = (0 if low is None else low), (10 if high is None else high)
        if row["score"] is None or low is None or row["kind"] == "ces":
            continue
        share = (row["score"] - low) / (high - low)
        ticket = tickets.get(row["ticket_id"], {})
        at, owner = row["answered_at"], ticket.get("owner_id")
        touchpoint = ticket.get("touchpoint") or (row["aspect"] if row["aspect"] in known else None)
        if row["kind"] == "csat":
            count("satisfaction", at, 100 * share, owner, touchpoint)
            satisfied = 1 + 4 * share > program.operation.satisfied_from - 1e-9
            count("satisfied_share", at, satisfied, owner, touchpoint)
            if touchpoint:
                count("touchpoint_satisfaction", at, 100 * share, owner, touchpoint)
        else:
            of_ten = round(10 * share, 6)
            count("nps", at, 100 * (of_ten >= 9) - 100 * (of_ten <= 6), None, touchpoint)
        is_low = share <= limits.get(row["kind"], -1) + 1e-9
        count("negative_feedback_rate", at, is_low, owner, touchpoint)
    for row in raw["tickets"]:
        is_complaint = row["kind"] == "complaint"
        count("negative_feedback_rate", row["opened_at"], is_complaint, row["owner_id"],
              row["touchpoint"])  # fmt: skip
        for period in world.within(row["opened_at"]):
            active[period].add(row["customer_id"])
            if is_complaint:
                complained[period].add(row["customer_id"])
    for row in raw["orders"]:
        for period in world.within(row["ordered_at"]) if row["status"] != "cancelled" else ():
            active[period].add(row["customer_id"])
    for row in raw["interactions"]:
        for period in world.within(row["occurred_at"]):
            active[period].add(row["customer_id"])
    for period, customers in active.items():
        sums["complaint_rate", *period, None, None] = [
            Decimal(len(complained[period] - {None})), Decimal(len(customers - {None})),
        ]  # fmt: skip
    return {key: tuple(value) for key, value in sums.items() if value[1]}


@pytest.mark.parametrize(("seed", "pack"), list(enumerate(PACKS)))
def test_random_voices_are_what_plain_python_says(seed: int, pack: str) -> None:
    as_of = ("2026-08-15 13:14:15", "2026-10-01", "2026-11-02 00:00:01")[seed % 3]
    zone = ("Asia/Shanghai", "America/New_York")[seed % 2]
    raw = random_raw(seed, utc("2026-08-15", zone))
    world = voice(raw, as_of, pack=pack, zone=zone)
    found: dict = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in world.rows("from intermediate.int_kpi_voice"):
        key = (row["kpi"], row["period_type"], row["period_start"], row["owner_id"],
               row["touchpoint"])  # fmt: skip
        found[key][0] += row["numerator"]
        found[key][1] += row["denominator"]
    assert {key: tuple(value) for key, value in found.items()} == reference(world, raw, pack)
    assert {key[0] for key in found} == {
        "satisfaction", "satisfied_share", "touchpoint_satisfaction", "nps",
        "negative_feedback_rate", "complaint_rate",
    }  # fmt: skip


def test_one_row_per_part() -> None:
    """Nothing is counted twice: the same rows, told apart by customers."""
    raw = random_raw(3, utc("2026-08-15"))
    world = voice(raw)
    doubles = world.rows(
        "select kpi, period_type, period_start, customer_id, count(*) as n "
        "from intermediate.int_kpi_voice where kpi = 'complaint_rate' group by all having n > 1"
    )
    assert doubles == []
    nobody = world.rows(
        "from intermediate.int_kpi_voice where kpi = 'complaint_rate' and customer_id is null"
    )
    assert nobody == []
