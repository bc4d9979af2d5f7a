"""KPIs of service and of the state, in small worlds by hand and against the marts beside them."""

import datetime as dt
import random
from collections import defaultdict
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.settings import PROJECT_ROOT
from conftest import Company
from kpi_world import Raw, Row, World, utc
from test_closed_loop import random_raw

MAY, JUNE, JULY, AUGUST = (("month", dt.date(2026, n, 1)) for n in (5, 6, 7, 8))


def pack(name: str) -> Program:
    return load_program(name, PROJECT_ROOT / "programs")


def ticket(no: int, opened: str, events: list[tuple[str, str]] | None = None, **more: Any) -> Row:
    """A ticket with local times; its events go into the row `events`, for `desk` to take out."""
    times = {key: utc(value) for key, value in more.items() if key.endswith("_at")}
    events = [(utc(at), status) for at, status in events or []]
    for status, column in (("solved", "resolved_at"), ("closed", "closed_at")):
        times.setdefault(column, max((at for at, s in events if s == status), default=None))
    return {
        "ticket_id": f"t{no}", "customer_id": f"c{no}", "kind": "enquiry", "category": f"k{no}",
        "channel": "phone", "touchpoint": "use", "urgency": "general", "is_complex": False,
        "owner_id": "s1", "events": events, **more, **times, "opened_at": utc(opened),
    }  # fmt: skip


@cache
def two_clocks() -> Program:
    """b2b_service, where urgent tickets are also promised an end: within two days."""
    program = pack("b2b_service")
    closed = next(c for c in program.sla.clocks if c.id == "general_closed")
    more = {"id": "urgent_closed", "urgencies": ["urgent"], "target": "48h", "pauses": []}
    clocks = [*program.sla.clocks, closed.model_copy(update=more)]
    sla = program.sla.model_copy(update={"clocks": clocks})
    return program.model_copy(update={"sla": sla})


@cache
def office(program: str, as_of: str) -> World:
    """One world per pack, as making it takes longer than a test."""
    return World({}, as_of, two_clocks() if program == "two_clocks" else program)


def desk(tickets: list[Row], as_of: str = "2026-08-15 12:00", program: str = "retail_care",
         raw: Raw | None = None, found: dict[str, list[Row]] | None = None) -> World:  # fmt: skip
    """The KPIs of tickets, of answers to surveys, and of findings by table."""
    events = [
        {"ticket_id": t["ticket_id"], "at": at, "status": status, "actor_id": "s1"}
        for t in tickets
        for at, status in [(t["opened_at"], "open"), *t["events"]]
    ]
    plain = [{k: v for k, v in t.items() if k != "events"} for t in tickets]
    world = office(program, as_of)
    world.refill({**(raw or {}), "tickets": plain, "ticket_events": events})
    for table, rows in (found or {}).items():
        world.fill(table, rows)
    return world.build("int_kpi_service")


def minutes(*parts: float) -> tuple[Decimal, int]:
    return Decimal(str(sum(parts))), len(parts)


# -- solved, reopened, at the first contact ----------------------------------------------------


def test_reopened_tickets_are_solved_when_they_are_solved_again() -> None:
    found = desk([
        ticket(1, "2026-06-30 23:00", [("2026-06-30 23:59:59", "solved")]),
        ticket(2, "2026-06-30 22:00", [("2026-07-01 00:00", "solved")]),
        # Reopened, and not solved again yet.
        ticket(3, "2026-06-10", [("2026-06-11", "solved"), ("2026-06-12", "open")]),
        # Solved again: the time until then counts, in the month of then.
        ticket(4, "2026-06-10", [("2026-06-11", "solved"), ("2026-07-20", "open"),
                                 ("2026-07-21", "solved")]),
        # Closed without ever being solved.
        ticket(5, "2026-07-01", [("2026-07-03", "closed")], customer_id=None, owner_id=None),
        ticket(6, "2026-07-31 23:59:59"),
        ticket(7, "2026-08-15 12:00"),  # at as_of: not yet
        # Solved by now, if one looks later.
        ticket(8, "2026-08-15 11:00", [("2026-08-15 13:00", "solved")]),
    ]).sums("int_kpi_service")  # fmt: skip
    assert found["resolution_rate", *JUNE] == (3, 4)
    assert found["resolution_rate", *JULY] == (1, 2)
    assert found["resolution_rate", *AUGUST] == (0, 1)
    assert found["resolution_hours", *JUNE] == (Decimal("0.999722"), 1)
    assert found["resolution_hours", *JULY] == (2 + 41 * 24 + 48, 3)
    assert ("resolution_hours", *AUGUST) not in found
    # Known once the days in which it could come again are over; failed by the two reopened.
    assert found["first_contact_resolution", *JUNE] == (2, 4)
    # Whether somebody unknown came again is not known.
    assert ("first_contact_resolution", *JULY) not in found


def test_tickets_without_customer_or_owner_count() -> None:
    world = desk([
        ticket(1, "2026-07-01", [("2026-07-02", "solved")], customer_id=None, owner_id=None,
               touchpoint=None),
        ticket(2, "2026-07-01", [("2026-07-02", "solved")]),
    ])  # fmt: skip
    assert world.sums("int_kpi_service", "customer_id")["resolution_rate", *JULY, None] == (1, 1)
    assert world.sums("int_kpi_service", "owner_id")["resolution_rate", *JULY, None] == (1, 1)
    assert world.sums("int_kpi_service", "touchpoint")["resolution_rate", *JULY, "use"] == (1, 1)


def test_after_sale_requests_until_their_end() -> None:
    found = desk([
        ticket(1, "2026-06-28", [("2026-07-02", "solved")], touchpoint="after_sale"),
        ticket(2, "2026-07-01", [("2026-07-02 12:00", "closed")], kind="return", touchpoint=None),
        ticket(3, "2026-07-01", [("2026-07-11", "solved")], kind="return", touchpoint="delivery"),
        ticket(4, "2026-07-01", [("2026-07-02", "solved")]),
        ticket(5, "2026-07-01", touchpoint="after_sale"),
        ticket(6, "2026-07-01", [("2026-07-02", "solved")], kind=None, touchpoint=None),
    ]).sums("int_kpi_service")  # fmt: skip
    assert found["after_sale_cycle_days", *JULY] == (Decimal("15.5"), 3)


# -- answers -----------------------------------------------------------------------------------


def test_answers_by_machine_and_by_person() -> None:
    found = desk([
        # Solved by the automatic answer.
        ticket(1, "2026-07-01 10:00", [("2026-07-01 10:30", "solved")], kind="suggestion",
               automatic_response_at="2026-07-01 10:00:30"),
        # Handed over and answered, by real time as suggestions have no clock.
        ticket(2, "2026-06-30 23:50", [("2026-07-02", "solved")], kind="suggestion",
               automatic_response_at="2026-06-30 23:52", handed_over_at="2026-07-01 00:00",
               first_response_at="2026-07-01 00:07"),
        # Handed over, and nobody answered.
        ticket(3, "2026-07-01", kind="suggestion", automatic_response_at="2026-07-01 00:01",
               handed_over_at="2026-07-01 00:03"),
        # A person answered before it was handed over.
        ticket(4, "2026-07-01", kind="suggestion", handed_over_at="2026-07-01 01:00",
               first_response_at="2026-07-01 00:30"),
        # A person answered what the machine had answered; not handed over, so no hand-over.
        ticket(5, "2026-07-01", [("2026-07-02", "solved")], kind="suggestion",
               automatic_response_at="2026-07-01 00:01", first_response_at="2026-07-01 05:00"),
        # Solved automatically, opened again.
        ticket(6, "2026-07-01", [("2026-07-02", "solved"), ("2026-07-03", "open")],
               kind="suggestion", automatic_response_at="2026-07-01 00:04"),
        # The answer is after as_of.
        ticket(7, "2026-08-15 11:00", kind="suggestion", handed_over_at="2026-08-15 11:10",
               automatic_response_at="2026-08-15 11:01", first_response_at="2026-08-15 12:30"),
    ]).sums("int_kpi_service")  # fmt: skip
    assert found["automatic_resolution_rate", *JULY] == (1, 4)
    assert found["automatic_resolution_rate", *JUNE] == (0, 1)
    assert found["automatic_response_minutes", *JULY] == minutes(0.5, 1, 1, 4)
    assert found["handover_success_rate", *JULY] == (1, 3)
    assert found["handover_success_rate", *AUGUST] == (0, 1)
    assert found["first_response_minutes", *JUNE] == minutes(7)
    assert found["first_response_minutes", *JULY] == minutes(30, 300)
    assert ("first_response_minutes", *AUGUST) not in found


def test_first_answer_in_the_time_of_its_clock() -> None:
    found = desk([
        # Friday 17:30 to Monday 9:15, of which the office was open for 45 minutes.
        ticket(1, "2026-07-10 17:30", first_response_at="2026-07-13 09:15"),
        # Over lunch, which is no working time.
        ticket(2, "2026-07-14 11:50", first_response_at="2026-07-14 13:10"),
        # All of it in the night: no working time at all, and yet answered.
        ticket(3, "2026-07-14 20:00", first_response_at="2026-07-14 22:00"),
        # Waiting; nothing to count.
        ticket(4, "2026-07-14 20:00"),
    ], program="key_account").sums("int_kpi_service")  # fmt: skip
    assert found["first_response_minutes", *JULY] == minutes(45, 20, 0)


def test_the_clock_from_the_hand_over_goes_before() -> None:
    # Two clocks end with the first answer: 3 minutes of working time from the hand-over, and
    # 24 hours from the opening.
    found = desk([
        ticket(1, "2026-07-14 20:00", handed_over_at="2026-07-14 21:58",
               first_response_at="2026-07-15 09:01"),
        ticket(2, "2026-07-14 20:00", first_response_at="2026-07-14 20:30"),
    ], program="online_crm").sums("int_kpi_service")  # fmt: skip
    assert found["first_response_minutes", *JULY] == minutes(3, 30)


# -- clocks ------------------------------------------------------------------------------------


def test_a_complaint_with_two_clocks_is_on_time_by_the_later() -> None:
    complaint = {"kind": "complaint", "urgency": "urgent"}
    tickets = [
        # Solved late, closed in time.
        ticket(1, "2026-07-01", [("2026-07-02 12:00", "solved"), ("2026-07-02 13:00", "closed")],
               **complaint),
        # Solved in time, closed late.
        ticket(2, "2026-07-01", [("2026-07-01 12:00", "solved"), ("2026-07-09", "closed")],
               **complaint),
        # Solved in time, never closed: late when the time of the end was over, in July.
        ticket(3, "2026-06-29", [("2026-06-29 12:00", "solved")], **complaint),
        # Opened in July, due in August.
        ticket(4, "2026-07-30 12:00", [("2026-07-30 13:00", "solved"),
                                       ("2026-07-30 14:00", "closed")], **complaint),
        # Done, but not due before as_of.
        ticket(5, "2026-08-14", [("2026-08-14 13:00", "solved"), ("2026-08-14 14:00", "closed")],
               **complaint),
        # No complaint.
        ticket(6, "2026-07-01", urgency="urgent"),
        # Only recorded: no clock.
        ticket(7, "2026-07-01", kind="complaint", urgency="suggestion"),
    ]  # fmt: skip
    found = desk(tickets, program="two_clocks").sums("int_kpi_service")
    assert found["complaints_on_time", *JULY] == (1, 3)
    assert found["complaints_on_time", *AUGUST] == (1, 1)
    # By the solution alone, as the pack has it.
    alone = desk(tickets, program="b2b_service").sums("int_kpi_service")
    assert alone["complaints_on_time", *JUNE] == (1, 1)
    assert alone["complaints_on_time", *JULY] == (2, 3)
    assert alone["complaints_on_time", *AUGUST] == (1, 1)


def test_pauses_move_what_is_due() -> None:
    # 3 days to solve, but a day waiting for the customer does not count: due on the 1st.
    found = desk([
        ticket(1, "2026-07-28", [("2026-07-29", "pending"), ("2026-07-30", "open"),
                                 ("2026-07-31 12:00", "solved")], kind="complaint"),
        ticket(2, "2026-07-28", [("2026-07-29", "pending"), ("2026-07-30", "open"),
                                 ("2026-08-01 00:00:01", "solved")], kind="complaint"),
        # Paused for good: neither met nor breached.
        ticket(3, "2026-07-20", [("2026-07-21", "pending")], kind="complaint"),
    ]).sums("int_kpi_service")  # fmt: skip
    assert found["complaints_on_time", *AUGUST] == (1, 2)
    assert ("complaints_on_time", *JULY) not in found
    # Of all clocks: the two solutions; nobody answered within 24 hours but by solving.
    assert found["sla_on_time_rate", *JULY] == (1, 5)


# -- problems and findings ---------------------------------------------------------------------


def test_problems_that_a_rule_classes() -> None:
    low = {"kind": "csat", "scale_min": 1, "scale_max": 5, "score": 1, "customer_id": "c9",
           "answered_at": utc("2026-07-05"), "asked_at": utc("2026-07-04")}  # fmt: skip
    world = desk(
        [
            ticket(1, "2026-07-01", kind="complaint", category="payment"),  # a core pain point
            ticket(2, "2026-07-01", kind="complaint", category="fault"),  # another
            ticket(3, "2026-07-01", kind="complaint", category="whatever", owner_id="s2"),
            ticket(4, "2026-07-01", category="payment"),  # no problem, by kind
        ],
        raw={"surveys": [low | {"response_id": "r1"}]},
    )
    assert world.sums("int_kpi_service")["problem_identification_rate", *JULY] == (2, 4)
    core = world.sums("int_kpi_service", "is_core")
    # What no rule matches counts as if it were core.
    assert core["problem_identification_rate", *JULY, True] == (1, 3)
    assert core["problem_identification_rate", *JULY, False] == (1, 1)


def finding(found: str, due: str, left: str | None, is_core: bool | None = True) -> Row:
    day = dt.date.fromisoformat
    row = {"found_on": day(found), "due_on": day(due), "left_on": day(left) if left else None}
    return row if is_core is None else row | {"touchpoint": "consult", "is_core": is_core}


def test_pain_points_solved_and_what_was_put_right_in_time() -> None:
    world = desk([], found={
        "marts.fct_pain_point_findings": [
            finding("2026-05-10", "2026-06-10", "2026-06-10"),  # on its due day: in time
            finding("2026-05-10", "2026-06-10", "2026-07-01"),  # late
            finding("2026-06-30", "2026-08-01", "2026-06-30"),  # at once
            finding("2026-07-31", "2026-08-14", None, is_core=False),  # overdue since today
            finding("2026-08-01", "2026-08-15", None),  # due today: nobody knows yet
            finding("2026-05-01", "2026-05-31", "2026-08-01"),
        ],
        # Figures that were short, as the run before knew them.
        "run.previous_kpi_findings": [
            finding("2026-04-01", "2026-05-01", "2026-04-30", None),
            finding("2026-04-01", "2026-08-01", None, None),
        ],
    })  # fmt: skip
    found = world.sums("int_kpi_service")
    assert found["pain_points_solved_rate", *MAY] == (0, 3)
    assert found["pain_points_solved_rate", *JUNE] == (2, 4)
    assert found["pain_points_solved_rate", *JULY] == (1, 3)
    assert found["pain_points_solved_rate", *AUGUST] == (1, 3)
    assert found["rectification_rate", "month", dt.date(2026, 4, 1)] == (1, 1)
    assert found["rectification_rate", *MAY] == (0, 1)
    assert found["rectification_rate", *JUNE] == (2, 3)
    assert found["rectification_rate", *AUGUST] == (0, 2)
    assert ("rectification_rate", *JULY) not in found
    core = world.sums("int_kpi_service", "is_core")
    assert core["pain_points_solved_rate", *AUGUST, True] == (1, 2)
    assert core["rectification_rate", *AUGUST, None] == (0, 1)


# -- the same figures elsewhere ----------------------------------------------------------------


@pytest.fixture(scope="module")
def busy() -> World:
    """Random tickets with every marts beside the KPIs; as_of is a local midnight."""
    raw = random_raw(5, 500)
    rnd = random.Random(6)
    for row in raw["tickets"]:
        row["automatic_response_at"] = row["opened_at"] + dt.timedelta(seconds=rnd.randint(1, 90))
        row["owner_id"] = rnd.choice(["s1", "s2", "s3", None])
        row["touchpoint"] = rnd.choice(["consult", "after_sale", None])
        row["kind"] = row["kind"] and rnd.choice(["complaint", "enquiry", "return"])
        if rnd.random() < 0.5:
            row["handed_over_at"] = row["opened_at"] + dt.timedelta(hours=rnd.choice([0, 2, 30]))
    for row in raw["customers"]:
        row["account_manager_id"] = rnd.choice(["m1", "m2", None])
    return World(raw, "2026-11-01").build(
        "int_kpi_service", "int_kpi_voice", "rpt_service_quality", "rpt_response_times",
        "rpt_staff", "rpt_problem_identification",
    )  # fmt: skip


def slices(world: World, kpi: str, kind: str, column: str) -> dict:
    model = "int_kpi_voice" if kpi == "nps" else "int_kpi_service"
    return {
        (key[2], key[3]): float(part / whole)
        for key, (part, whole) in world.sums(model, column).items()
        if key[:2] == (kpi, kind)
    }


def test_same_as_the_service_quality_report(busy: World) -> None:
    expected = defaultdict(lambda: [0, 0, 0, 0])
    for row in busy.rows("from marts.rpt_service_quality where month < date '2026-11-01'"):
        values = ("first_contact_resolved", "first_contact_judged", "solved", "tickets")
        total = expected[row["month"]]
        total[:] = [a + row[name] for a, name in zip(total, values, strict=True)]
    found = busy.sums("int_kpi_service")
    assert len(expected) >= 3
    for month, (solved_at_once, judged, solved, tickets) in expected.items():
        if judged:
            key = ("first_contact_resolution", "month", month)
            assert found[key] == (solved_at_once, judged)
        assert found["resolution_rate", "month", month] == (solved, tickets)


def test_same_as_the_response_times_and_the_staff_view(busy: World) -> None:
    found = busy.sums("int_kpi_service")
    clocks = busy.rows(
        "select period_start, sum(on_time) as met, sum(on_time + late) as judged "
        "from marts.rpt_response_times where slice = 'all' "
        "and period_start < date '2026-11-01' group by all"
    )
    assert len(clocks) >= 3
    for row in clocks:
        key = ("sla_on_time_rate", "month", row["period_start"])
        assert found[key] == (row["met"], row["judged"])
    staff = busy.rows(
        "from marts.rpt_staff where group_kind = 'owner' and group_id <> '(none)' "
        "and period_start < date '2026-11-01' and measure in ('on_time_rate', 'nps')"
    )
    manager = {
        row["customer_id"]: row["account_manager_id"]
        for row in busy.rows("from staging.stg_customers")
    }
    nps: dict = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for key, sums in busy.sums("int_kpi_voice", "customer_id").items():
        if key[0] == "nps":
            total = nps[(*key[1:3], manager.get(key[3]))]
            total[:] = [a + b for a, b in zip(total, sums, strict=True)]
    owners = busy.sums("int_kpi_service", "owner_id")
    assert {row["measure"] for row in staff} == {"on_time_rate", "nps"}
    for row in staff:
        key = (row["period_type"], row["period_start"], row["group_id"])
        part, whole = nps[key] if row["measure"] == "nps" else owners["sla_on_time_rate", *key]
        assert (round(float(part / whole), 4), whole) == (row["value"], row["sample"]), row


def test_same_as_the_identification_of_problems(busy: World) -> None:
    core = busy.sums("int_kpi_service", "is_core")
    reports = busy.rows(
        "from marts.rpt_problem_identification where period_type = 'quarter' "
        "and scope = 'problems' and is_over and cases > 0"
    )
    assert len(reports) >= 2
    for row in reports:
        key = ("problem_identification_rate", "quarter", row["period_start"])
        kinds = [True] if row["core_only"] else [True, False]
        sums = [core.get((*key, kind), (0, 0)) for kind in kinds]
        identified, cases = (sum(values) for values in zip(*sums, strict=True))
        assert (identified, cases) == (row["by_category"] + row["by_keyword"], row["cases"])


def test_random_tickets_are_what_plain_python_says(busy: World) -> None:
    """From the tickets, their outcomes and clocks, ticket by ticket."""
    outcomes = {row["ticket_id"]: row for row in busy.rows("from intermediate.int_ticket_outcomes")}
    clocks = defaultdict(list)
    for row in busy.rows(
        "select c.*, t.starts, t.stops from marts.fct_ticket_clocks as c "
        "join intermediate.int_sla_targets as t using (target_key)"
    ):
        clocks[row["ticket_id"]].append(row)
    expected: dict = defaultdict(lambda: [0.0, 0])

    def count(kpi: str, moment: dt.datetime | None, part: float, row: Row) -> None:
        for period in busy.within(moment):
            total = expected[(kpi, *period, row["owner_id"])]
            total[0] += part
            total[1] += 1

    for row in busy.rows("from staging.stg_tickets"):
        end, own = outcomes[row["ticket_id"]], clocks[row["ticket_id"]]
        opened, solved = row["opened_at"], end["solved_at"]
        answered, handed = row["first_response_at"], row["handed_over_at"]
        count("resolution_rate", opened, solved is not None, row)
        if end["is_first_contact_resolved"] is not None:
            count("first_contact_resolution", opened, end["is_first_contact_resolved"], row)
        for clock in own:
            if clock["state"] in ("met", "breached"):
                count("sla_on_time_rate", opened, clock["state"] == "met", row)
        if row["automatic_response_at"]:
            seconds = (row["automatic_response_at"] - opened).total_seconds()
            count("automatic_response_minutes", opened, seconds / 60, row)
            alone = solved is not None and not answered and not handed
            count("automatic_resolution_rate", opened, alone, row)
        count("handover_success_rate", handed, bool(answered and answered >= (handed or answered)),
              row)  # fmt: skip
        if answered:
            taken = [c for c in own if c["stops"] == "first_response" and not c["is_open"]]
            begins = handed if handed and handed <= answered else opened
            seconds = (answered - begins).total_seconds()
            count("first_response_minutes", opened,
                  (taken[0]["elapsed_seconds"] if taken else seconds) / 60, row)  # fmt: skip
        if solved:
            seconds = (solved - opened).total_seconds()
            count("resolution_hours", solved, seconds / 3600, row)
            if row["kind"] == "return" or row["touchpoint"] == "after_sale":
                count("after_sale_cycle_days", solved, seconds / 86400, row)
        last = [c for c in own if c["stops"] == "solved" and c["state"] in ("met", "breached")]
        if row["kind"] == "complaint" and last:
            count("complaints_on_time", last[0]["due_at"], last[0]["state"] == "met", row)
    found = {
        key: sums
        for key, sums in busy.sums("int_kpi_service", "owner_id").items()
        if key[0] != "problem_identification_rate"
    }
    assert found.keys() == expected.keys()
    assert len({key[0] for key in found}) == 10
    for key, (part, whole) in expected.items():
        assert found[key][1] == whole, key
        assert float(found[key][0]) == pytest.approx(part, abs=1e-5), key


# -- what holds on the day ---------------------------------------------------------------------


def state(pack_name: str | Program = "retail_care") -> dict:
    """KPIs of the state of four customers: a month, quarter and two years, all the same."""
    world = World(
        {
            "customers": [
                {"customer_id": "c1", "customer_type": "person", "registered_at": utc("2026-01-01"),
                 "birthday": dt.date(1990, 1, 1), "sex": "female", "region": "浙江",
                 "preferred_channel": "sms", "source_channel": "web", "interests": "tea"},
                {"customer_id": "c2", "customer_type": "person", "sex": "male",
                 # Registered after as_of: not known yet.
                 "registered_at": utc("2026-08-15 12:00:01")},
                {"customer_id": "c3"},
                {"customer_id": "c4", "customer_type": "company"},
            ]
        },
        "2026-08-15 12:00",
        pack_name,
    )  # fmt: skip
    world.fill("intermediate.int_customer_segments", [
        {"customer_id": "c1", "segment": "core"}, {"customer_id": "c2", "segment": "potential"},
        {"customer_id": "c3", "segment": None}, {"customer_id": "c4", "segment": "core"},
    ])  # fmt: skip
    profile = "customer_id varchar, spend_total decimal(18, 4), predicted_value decimal(18, 2)"
    summary = "customer_id varchar, filled_tags integer, applicable_tags integer"
    world.con.execute(f"create table intermediate.int_customer_profile ({profile})")
    world.con.execute(f"create table intermediate.int_customer_tag_summary ({summary})")
    world.fill("intermediate.int_customer_profile", [
        {"customer_id": "c1", "spend_total": Decimal("100.5"), "predicted_value": Decimal("50.25")},
        {"customer_id": "c2", "spend_total": Decimal("10"), "predicted_value": None},
        {"customer_id": "c3", "spend_total": None, "predicted_value": Decimal("1")},
        {"customer_id": "c4", "spend_total": None, "predicted_value": None},
    ])  # fmt: skip
    world.fill("intermediate.int_customer_tag_summary", [
        {"customer_id": "c1", "filled_tags": 7, "applicable_tags": 8},
        {"customer_id": "c2", "filled_tags": 0, "applicable_tags": 9},
        {"customer_id": "c3", "filled_tags": 0, "applicable_tags": 0},
        {"customer_id": "c4", "filled_tags": 3, "applicable_tags": 3},
    ])  # fmt: skip
    world.built |= {"intermediate.int_customer_profile", "intermediate.int_customer_tag_summary"}
    found = world.build("int_kpi_state").sums("int_kpi_state")
    periods = {key[1:] for key in found}
    assert periods == {
        ("week", dt.date(2026, 8, 10)), ("month", dt.date(2026, 8, 1)),
        ("quarter", dt.date(2026, 7, 1)), ("year", dt.date(2025, 10, 1)),
        ("year", dt.date(2025, 8, 16)),
    }  # fmt: skip
    kpis = {key[0]: sums for key, sums in found.items() if key[1:] == AUGUST}
    for period in periods:
        assert {key[0]: sums for key, sums in found.items() if key[1:] == period} == kpis
    return kpis


def test_what_holds_on_the_day() -> None:
    assert state() == {
        "core_segment_share": (2, 4),
        "segment_coverage": (3, 4),
        "ltv": (Decimal("151.75"), 2),
        # Of eight fields each: all; type and sex; none; type.
        "profile_completeness": (11, 32),
        "tag_completeness": (10, 20),
    }


def test_the_best_segment_is_that_of_the_target_else_the_first() -> None:
    first = pack("key_account").segments[0].id
    assert first not in ("core", "potential")
    assert state("key_account")["core_segment_share"] == (0, 4)
    program = pack("retail_care")
    targets = [
        t.model_copy(update={"segment": "potential"}) if t.kpi == "core_segment_share" else t
        for t in program.goals.targets
    ]
    goals = program.goals.model_copy(update={"targets": targets})
    other = program.model_copy(update={"goals": goals})
    assert state(other)["core_segment_share"] == (1, 4)


def test_published_kpis_are_what_the_marts_beside_them_say(company: Company) -> None:
    """The last run of a company, the figures of the running month or of whole months."""
    found = {
        (kpi, month): (part, whole)
        for kpi, month, part, whole in company.rows(
            "select kpi, period_start, sum(numerator), sum(denominator) from fct_kpis "
            "where period_type = 'month' group by all"
        )
    }
    today = company.one("select as_of_on from rpt_run")
    month = today.replace(day=1)
    tags = company.rows("select filled, customers from rpt_tag_completeness where tag = 'overall'")
    assert found["tag_completeness", month] == tags[0]
    customers = company.rows(
        "select count(*) filter (where segment = 'core'), count(segment), count(*), "
        "sum(spend_total + predicted_value), count(predicted_value) from dim_customers"
    )[0]
    core, placed, everyone, value, valued = customers
    assert found["core_segment_share", month] == (core, everyone)
    assert found["segment_coverage", month] == (placed, everyone)
    assert found["ltv", month] == (value, valued)
    assert found["profile_completeness", month][1] == 8 * everyone
    for row in company.rows(
        "select month, sum(first_contact_resolved), sum(first_contact_judged), sum(solved), "
        "sum(tickets) from rpt_service_quality where month >= date '2026-01-01' group by month"
    ):
        if row[0] < month:
            assert found["first_contact_resolution", row[0]] == row[1:3]
            assert found["resolution_rate", row[0]] == row[3:5]
    for begin, met, judged in company.rows(
        "select period_start, sum(on_time), sum(on_time + late) from rpt_response_times "
        "where slice = 'all' and period_start between date '2026-01-01' and date '2026-09-30' "
        "group by period_start"
    ):
        assert found["sla_on_time_rate", begin] == (met, judged)
    assert len([key for key in found if key[0] == "nps"]) > 3
