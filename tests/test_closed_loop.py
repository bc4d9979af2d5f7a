"""Cases, first contact and repeats: against a plain Python reference, in every pack."""

import datetime as dt
import random
from collections import Counter
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from careloop.program.base import duration_seconds
from careloop.program.closed_loop import STEPS, ClosedLoop
from careloop.program.load import load_program, program_names
from careloop.program.model import Program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT, load_settings
from careloop.transform.care_inputs import write_care_inputs
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import Row, rows_of
from conftest import Company, packs_of
from jinja_sql import Models
from memory import fill, open_raw, write_context

PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
AS_OF = dt.datetime(2026, 10, 31, 16)
# Nothing is known of the customers here; the models of these need them.
UPSTREAM = {
    "intermediate.int_case_clock_cases": "case_kind varchar, case_id varchar, "
    "customer_id varchar, owner_id varchar, department varchar, clock varchar, "
    "target_key varchar, cycle integer, started_at timestamp, stopped_at timestamp, "
    "ended_at timestamp",
    "intermediate.int_customer_segments": "customer_id varchar, segment varchar, stage varchar",
    "intermediate.int_customer_loyalty": "customer_id varchar, tier varchar",
    "marts.fct_customer_changes": CARRIED["customer_changes"][1],
    "marts.fct_customer_tier_changes": "customer_id varchar, change_no integer, "
    "from_tier varchar, tier varchar, changed_on date",
    "run.previous_sla_targets": CARRIED["sla_targets"][1],
    "run.previous_quality_samples": CARRIED["quality_samples"][1],
}
CLOCKS = (
    "int_sla_targets", "int_service_time", "int_service_hours", "int_worked_hours",
    "int_service_days", "int_ticket_statuses", "int_ticket_stops", "int_ticket_solutions",
    "int_ticket_customers", "int_ticket_clock_cases", "int_clock_cases", "int_clock_pauses",
    "int_clocks",
)  # fmt: skip
MODELS = (
    "stg_tickets", "stg_ticket_events", "stg_surveys", "stg_follow_ups", "stg_customers",
    *CLOCKS,
    "int_care_message_states", "int_ticket_outcomes", "int_ticket_answers", "int_low_scores",
    "int_cases", "int_case_classes", "fct_cases", "fct_tickets", "rpt_closed_loop", "rpt_service_quality",
    "rpt_knowledge", "fct_quality_samples",
)  # fmt: skip
SOLVED = ("solved", "closed")
Raw = dict[str, list[dict[str, Any]]]
hours = lambda n: dt.timedelta(hours=n)  # noqa: E731


class Desk:
    """A service desk in memory in which the models of the closed loop run."""

    def __init__(self, program: Program, raw: Raw, messages: list[Row] | None = None,
                 as_of: dt.datetime = AS_OF, drawn: list[Row] | None = None) -> None:  # fmt: skip
        self.con = open_raw(raw)
        for table, columns in UPSTREAM.items():
            self.con.execute(f"create table {table} ({columns})")
        fill(self.con, "run.previous_quality_samples", drawn or [])
        local = as_of.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(program.zone))
        write_context(self.con, as_of, local.date(), program.zone, program.currency)
        write_care_inputs(self.con, load_settings(home="/nonexistent"))
        sent = messages or []
        keys = ("message_id", "occasion", "as_of")
        fill(self.con, "ledger.messages", [{k: m[k] for k in keys} for m in sent])
        fill(
            self.con,
            "ledger.events",
            [
                {"seq": i, "message_id": m["message_id"], "state": "sent", "at_utc": m["sent_at"]}
                for i, m in enumerate(sent)
            ],
        )
        write_program_tables(self.con, program, dt.date(2025, 1, 1), dt.date(2027, 12, 31))
        Models(DBT_PROJECT, self.con).run(*MODELS)

    def rows(self, query: str) -> list[Row]:
        return rows_of(self.con, query)


# -- random tickets ----------------------------------------------------------------------------


def random_raw(seed: int, tickets: int = 1200) -> Raw:
    """Tickets of few customers and causes, so that they meet; times at and around the limits."""
    rnd = random.Random(seed)
    raw: Raw = {name: [] for name in ("tickets", "ticket_events", "surveys", "follow_ups")}
    raw["customers"] = [{"customer_id": f"c{i}", "registered_at": AS_OF - hours(24 * 900)}
                        for i in range(tickets // 8)]  # fmt: skip
    for no in range(tickets):
        random_ticket(rnd, f"t{no:05}", tickets, raw)
    for no in range(tickets // 4):
        random_survey(rnd, no, raw)
    return raw


def random_ticket(rnd: random.Random, name: str, tickets: int, raw: Raw) -> None:
    maybe = lambda share, value: value if rnd.random() < share else None  # noqa: E731
    opened = AS_OF - hours(rnd.choice([1, 24, 24 * 7, 24 * 14]) * rnd.randint(0, 12))
    opened -= rnd.choice([dt.timedelta(0), dt.timedelta(seconds=rnd.randint(0, 10**6))])
    customer = maybe(0.97, f"c{rnd.randrange(tickets // 8)}")
    row: Row = {
        "ticket_id": name, "opened_at": opened, "customer_id": customer,
        "category": maybe(0.95, rnd.choice(["delivery", "payment", "fault"])),
        "kind": maybe(0.95, rnd.choice(["complaint", "enquiry", "suggestion"])),
        "urgency": maybe(0.95, rnd.choice(["urgent", "general", "suggestion"])),
        "touchpoint": rnd.choice(["consult", "after_sale"]), "department": "service",
        "is_complex": rnd.choice([True, False, None]), "owner_id": maybe(0.9, "s1"),
        "reopened_count": maybe(0.7, rnd.choice([0, 0, 0, 1])),
        "confirmation": maybe(
            0.6, rnd.choice(["satisfied", "satisfied", "fairly_satisfied", "dissatisfied"])
        ),
        "resolution": maybe(0.8, rnd.choice(["refund", "apology"])),
        "acknowledged_at": maybe(0.5, opened + hours(rnd.choice([0, 1, 2]))),
        "first_response_at": maybe(0.8, opened + hours(rnd.choice([1, 8, 24, 25]))),
    }  # fmt: skip
    now, events = opened, [(opened, "open")]
    for status in rnd.choice([
        [], ["pending"], ["solved"], ["solved", "closed"], ["pending", "open", "solved"],
        ["solved", "open"], ["solved", "open", "solved", "closed"], ["closed", "pending"],
        ["solved", "pending", "open", "closed"], ["on_hold", "solved", "open", "solved", "open"],
    ]):  # fmt: skip
        now += hours(rnd.choice([1, 6, 24, 72, 24 * 7])) + dt.timedelta(seconds=rnd.randint(0, 1))
        events.append((now, status))
    for status, column in (("solved", "resolved_at"), ("closed", "closed_at")):
        row[column] = max((at for at, s in events if s == status), default=None)
    if rnd.random() < 0.8:
        people = rnd.choice([["s1"], ["s1"], ["s1", "s2"], [None]])
        raw["ticket_events"] += [
            {"ticket_id": name, "at": at, "status": s, "actor_id": rnd.choice(people)}
            for at, s in events
        ]
    row["archived_at"] = maybe(0.5, now + hours(rnd.choice([24, 24 * 7])))
    raw["tickets"].append(row)
    for _ in range(rnd.choice([0, 0, 1, 2])):
        done = now + hours(rnd.choice([-30, -1, 0, 1, 24, 48]))
        raw["follow_ups"].append({
            "follow_up_id": f"f{len(raw['follow_ups'])}", "ticket_id": maybe(0.6, name),
            "customer_id": customer or "c0", "done_at": maybe(0.9, done),
            "method": rnd.choice(["call", "online"]), "owner_id": "s2",
        })  # fmt: skip


def random_survey(rnd: random.Random, no: int, raw: Raw) -> None:
    ticket = rnd.choice(raw["tickets"])
    asked = (ticket["resolved_at"] or ticket["opened_at"]) + hours(rnd.choice([-1, 0, 1, 24]))
    kind, low, high = rnd.choice([("csat", 1, 5), ("nps", None, None), ("ces", 1, 7)])
    about = rnd.random() < 0.6
    for aspect in range(rnd.choice([1, 1, 3])):
        answered = asked + hours(rnd.choice([1, 24])) if rnd.random() < 0.8 else None
        raw["surveys"].append({
            "response_id": f"r{no:05}{aspect}", "kind": kind, "scale_min": low,
            "scale_max": high, "aspect": ["attitude", "speed", "consult"][aspect],
            "score": rnd.randint(low or 0, high or 10) if answered else None,
            "asked_at": asked, "answered_at": answered,
            "customer_id": ticket["customer_id"],
            "ticket_id": ticket["ticket_id"] if about else None,
            "outcome": "called" if rnd.random() < 0.1 else None,
        })  # fmt: skip


# -- the reference -----------------------------------------------------------------------------


class Reference:
    """The same by walking each ticket's statuses and looking at each pair of tickets."""

    def __init__(self, program: Program, raw: Raw) -> None:
        self.program, self.loop = program, program.closed_loop
        self.raw = {name: [dict(row) for row in rows] for name, rows in raw.items()}
        self.window = dt.timedelta(days=self.loop.repeat_days)
        self.limits = {low.kind: low.at_most for low in self.loop.low_scores}
        self.tickets = [t for t in self.raw["tickets"] if t["opened_at"] <= AS_OF]
        for ticket in self.tickets:
            self.walk(ticket)
        for ticket in self.tickets:
            self.meet(ticket)
            ticket["fcr"] = self.first_contact(ticket)

    def walk(self, ticket: Row) -> None:
        known = [e for e in self.raw["ticket_events"] if e["ticket_id"] == ticket["ticket_id"]]
        known = [e for e in known if e["at"] <= AS_OF]
        steps = [(e["at"], STEPS_OF.index(e["status"]), e["status"]) for e in known]
        for column, status in (("resolved_at", "solved"), ("closed_at", "closed")):
            at = ticket[column]
            if at and at <= AS_OF and status not in [s for _, _, s in steps]:
                steps.append((at, STEPS_OF.index(status), status))
        solved, first, reopened = None, None, []
        for at, _, status in sorted(steps):
            if status in SOLVED:
                solved = solved or at
                first = first or at
            elif solved:
                solved = None
                reopened.append(at)
        ticket |= {"solved_at": solved, "first_solved_at": first, "reopened": reopened}
        ticket["has_events"] = bool(known)
        ticket["pending"] = any(e["status"] == "pending" for e in known) if known else None
        people = {e["actor_id"] for e in known if e["status"] != "closed"} - {None}
        ticket["several"] = len(people) > 1 if known else None
        if known:
            ticket["is_reopened"] = bool(reopened)
        else:
            count = ticket["reopened_count"]
            ticket["is_reopened"] = None if count is None else count > 0

    def meet(self, ticket: Row) -> None:
        """Neighbours of the same customer and cause."""
        cause = lambda t: (t["customer_id"], *(t[c] for c in self.loop.same_cause))  # noqa: E731
        ticket |= {"is_repeat": None, "is_repeated": None, "previous": None, "days": None}
        if None in cause(ticket):
            return
        same = sorted(
            (t for t in self.tickets if cause(t) == cause(ticket)),
            key=lambda t: (t["opened_at"], t["ticket_id"]),
        )
        place = same.index(ticket)
        ticket["is_repeat"] = ticket["is_repeated"] = False
        if place:
            before = same[place - 1]
            gap = ticket["opened_at"] - before["solved_at"] if before["solved_at"] else None
            ticket["is_repeat"] = gap is None or gap <= self.window
            ticket["previous"] = before["ticket_id"]
            ticket["days"] = max(gap.total_seconds() / 86400, 0) if gap else 0
        if place + 1 < len(same):
            after, solved = same[place + 1]["opened_at"], ticket["solved_at"]
            ticket["is_repeated"] = solved is None or after - solved <= self.window

    def first_contact(self, ticket: Row) -> bool | None:
        first = ticket["first_solved_at"]
        if first is None or first + self.window > AS_OF:
            return None
        early = [
            f for f in self.raw["follow_ups"]
            if f["ticket_id"] == ticket["ticket_id"] and f["done_at"]
            and f["done_at"] <= AS_OF and f["done_at"] < first
        ]  # fmt: skip
        tests = {
            "reopened": ticket["is_reopened"], "repeated": ticket["is_repeated"],
            "asked_back": ticket["pending"], "several_people": ticket["several"],
            "followed_up": bool(early),
        }  # fmt: skip
        failed = [tests[name] for name in self.loop.first_contact.fails]
        return False if True in failed else None if None in failed else True

    def low_cases(self) -> set[str]:
        """Case ids of low scores that have no ticket."""
        found = set()
        surveys = [s for s in self.raw["surveys"] if s["ticket_id"] is None]
        surveys = [s for s in surveys if s["asked_at"] <= AS_OF]
        for survey in surveys:
            group = [
                s for s in surveys
                if s is survey or (survey["customer_id"] is not None and all(
                    s[key] == survey[key] for key in ("customer_id", "asked_at")
                ))
            ]  # fmt: skip
            if any(self.is_low(s) for s in group):
                found.add("survey:" + min(s["response_id"] for s in group))
        return found

    def is_low(self, survey: Row) -> bool:
        if survey["score"] is None or survey["answered_at"] > AS_OF:
            return False
        if survey["kind"] not in self.limits:
            return False
        low, high = survey["scale_min"] or 0, survey["scale_max"] or 10
        return survey["score"] - low <= self.limits[survey["kind"]] * (high - low) + 1e-9


STEPS_OF = ["open", "pending", "on_hold", "solved", "closed"]


@cache
def compared(pack: str) -> tuple[Desk, Reference]:
    program, raw = load_program(pack, PROGRAMS), random_raw(PACKS.index(pack) + 1)
    return Desk(program, raw), Reference(program, raw)


@pytest.mark.parametrize("pack", packs_of())
def test_first_contact_and_repeats_are_those_of_a_plain_reference(pack: str) -> None:
    desk, reference = compared(pack)
    found = {r["ticket_id"]: r for r in desk.rows("from intermediate.int_ticket_outcomes")}
    assert len(found) == len(reference.tickets) > 1000
    verdicts = Counter()
    for ticket in reference.tickets:
        row = found[ticket["ticket_id"]]
        assert row["solved_at"] == ticket["solved_at"], ticket
        assert row["first_solved_at"] == ticket["first_solved_at"], ticket
        if ticket["has_events"]:
            assert row["reopenings"] == len(ticket["reopened"]), ticket
            assert row["first_reopened_at"] == min(ticket["reopened"], default=None), ticket
            assert row["last_reopened_at"] == max(ticket["reopened"], default=None), ticket
        assert row["is_reopened"] == ticket["is_reopened"], ticket
        assert row["is_repeat"] == ticket["is_repeat"], ticket
        assert row["repeats_ticket_id"] == (ticket["previous"] if ticket["is_repeat"] else None)
        days = row["days_since_previous"]
        assert (days is None) == (ticket["days"] is None), ticket
        assert days is None or abs(float(days) - ticket["days"]) <= 0.00501, ticket
        assert row["is_repeated"] == ticket["is_repeated"], ticket
        assert row["is_first_contact_resolved"] == ticket["fcr"], ticket
        verdicts[ticket["fcr"]] += 1
    assert min(verdicts[v] for v in (True, False, None)) > 20, verdicts


@pytest.mark.parametrize("pack", PACKS)
def test_low_scores_open_cases_once_for_all_aspects(pack: str) -> None:
    desk, reference = compared(pack)
    rows = desk.rows("select case_id from intermediate.int_cases where case_kind = 'low_score'")
    assert {r["case_id"] for r in rows} == reference.low_cases() != set()
    assert len(rows) == len(reference.low_cases())


@pytest.mark.parametrize("pack", PACKS)
def test_every_case_is_in_exactly_one_step_and_the_steps_add_up(pack: str) -> None:
    desk, _ = compared(pack)
    program = load_program(pack, PROGRAMS)
    steps = {step.id: step for step in program.closed_loop.steps}
    cases = desk.rows("from marts.fct_cases")
    assert len(cases) == len({c["case_id"] for c in cases})
    known = desk.rows("select count(*) as n from intermediate.int_cases")[0]["n"]
    assert len(cases) == known
    summed = Counter()
    for row in desk.rows("from marts.rpt_closed_loop"):
        summed[row["step"]] += row["cases"]
        assert row["stuck"] <= row["cases"]
        assert row["on_time"] <= row["judged"]
    assert summed == Counter(c["current_step"] for c in cases)
    assert set(summed) <= {*steps, "closed", "lapsed"}
    assert len(summed) > 5
    for case in cases:
        step, since = case["current_step"], case["step_since"]
        assert since is None or since <= AS_OF
        if step in ("closed", "lapsed"):
            assert not case["is_stuck"]
            continue
        within = steps[step].within
        due = since + dt.timedelta(seconds=duration_seconds(within)) if within else case["due_at"]
        assert case["step_due_at"] == due
        assert case["is_stuck"] == (due is not None and due < AS_OF)
        if STEPS.index(step) > STEPS.index("solved"):
            assert case["solved_at"]
            assert not case["archived_at"]
        if step == "solved":
            assert not case["is_resolved"]


@pytest.mark.parametrize("pack", PACKS)
def test_calls_confirmations_and_archive_close_a_ticket(pack: str) -> None:
    """What closes a case, and what a step that was left out is called, ticket by ticket."""
    desk, reference = compared(pack)
    steps = [step.id for step in load_program(pack, PROGRAMS).closed_loop.steps]
    raw = reference.raw
    cases = {c["case_id"]: c for c in desk.rows("from marts.fct_cases")}
    for ticket in reference.tickets:
        case, solved = cases[ticket["ticket_id"]], ticket["solved_at"]
        done = [f for f in raw["follow_ups"] if f["done_at"] and f["done_at"] <= AS_OF]
        after = [f for f in done if solved and f["done_at"] >= solved]
        own = [f["done_at"] for f in after if f["ticket_id"] == ticket["ticket_id"]]
        calls = [
            f["done_at"] for f in after
            if f["ticket_id"] is None and f["method"] == "call"
            and f["customer_id"] == ticket["customer_id"]
        ]  # fmt: skip
        assert case["called_back_at"] == min(own, default=min(calls, default=None)), ticket
        asked = [
            s["asked_at"] for s in raw["surveys"]
            if s["ticket_id"] == ticket["ticket_id"] and solved and solved <= s["asked_at"] <= AS_OF
        ]  # fmt: skip
        assert case["result_told_at"] == min(asked, default=None), ticket
        archived = ticket["archived_at"]
        if solved and archived and archived <= AS_OF:
            assert case["current_step"] == "closed"
            skipped = (case["skipped_steps"] or "").split(", ")
            assert ("called_back" in skipped) == (
                "called_back" in steps and case["called_back_at"] is None
            )
            assert ("confirmed" in skipped) == ("confirmed" in steps and not case["is_confirmed"])


# Clocks of one pack each: kind, urgency, touchpoint, complex, and the target in hours.
DUE = {
    "b2b_service": {"urgency": "urgent", "hours": 24},
    "key_account": {"urgency": "general", "hours": 72},
    "online_crm": {"touchpoint": "after_sale", "hours": 72},
    "retail_care": {"is_complex": True, "hours": 168},
    "service_desk": {"kind": "complaint", "hours": 24},
}


@pytest.mark.parametrize("pack", PACKS)
def test_tickets_are_due_when_their_clocks_are(pack: str) -> None:
    """At the target, after a pause, in a pause, and where no clock waits for the solution."""
    program = load_program(pack, PROGRAMS)
    traits = {"kind": "complaint", "urgency": "general", "touchpoint": "after_sale",
              "owner_id": "s", "customer_id": "c", **DUE[pack]}  # fmt: skip
    target = hours(traits.pop("hours"))
    start = AS_OF - target
    names = {
        "met": start - hours(1), "breached": start - hours(1), "at_limit": start,
        "past_limit": start - dt.timedelta(seconds=1), "paused": start - hours(1),
        "went_on": start - hours(1), "too_late": start - hours(5), "reopened": start - hours(3),
    }  # fmt: skip
    tickets = [
        traits | {"ticket_id": name, "opened_at": at, "first_response_at": at}
        for name, at in names.items()
    ]
    tickets[0]["resolved_at"] = start - hours(1) + target
    tickets[1]["resolved_at"] = start - hours(1) + target + dt.timedelta(seconds=1)
    events = [
        ("paused", 0.5, "pending"), ("went_on", 1, "pending"), ("went_on", 5, "open"),
        ("too_late", 1, "pending"), ("too_late", 2, "open"), ("reopened", 1, "solved"),
        ("reopened", 4, "open"),
    ]  # fmt: skip
    desk = Desk(program, {
        "tickets": tickets, "customers": [{"customer_id": "c"}],
        "ticket_events": [{"ticket_id": t, "at": names[t] + hours(n), "status": s}
                          for t, n, s in events],
    })  # fmt: skip
    found = {c["case_id"]: c for c in desk.rows("from marts.fct_cases")}
    due = {name: at + target for name, at in names.items()}
    due |= {"paused": None, "went_on": due["went_on"] + hours(4),
            "too_late": due["too_late"] + hours(1), "reopened": due["reopened"] + hours(3)}  # fmt: skip
    assert {name: case["due_at"] for name, case in found.items()} == due
    stuck = {"past_limit", "too_late"}
    assert {name for name, case in found.items() if case["is_stuck"]} & set(names) - {
        "met", "breached",
    } == stuck  # fmt: skip
    assert {name: case["solved_on_time"] for name, case in found.items()} == {
        "met": True, "breached": False, "at_limit": None, "past_limit": False, "paused": None,
        "went_on": None, "too_late": False, "reopened": None,
    }  # fmt: skip
    waiting = [found[name]["current_step"] for name in names if name not in ("met", "breached")]
    assert waiting == ["solved"] * len(waiting)
    without = program.model_copy(
        update={"sla": program.sla.model_copy(
            update={"clocks": [], "recorded_only": ["suggestion"]}
        )}
    )  # fmt: skip
    tickets = [tickets[2] | {"ticket_id": name, "urgency": name}
               for name in ("general", "suggestion")]  # fmt: skip
    found = {
        c["case_id"]: c for c in Desk(without, {"tickets": tickets}).rows("from marts.fct_cases")
    }
    default = dt.timedelta(seconds=duration_seconds(program.closed_loop.due_default))
    assert found["general"]["due_at"] == start + default
    assert found["suggestion"]["due_at"] is None
    assert not found["suggestion"]["is_stuck"]


def test_a_ticket_that_waits_for_its_end_was_solved_in_time() -> None:
    """Its clock stands still once it is solved, or goes on until it is closed."""
    program = load_program("b2b_service", PROGRAMS)
    opened = AS_OF - hours(72)
    ticket = {"opened_at": opened, "urgency": "general", "kind": "complaint", "owner_id": "s",
              "customer_id": "c", "resolved_at": opened + hours(5)}  # fmt: skip
    raw = {"tickets": [
        ticket | {"ticket_id": "solved"},
        ticket | {"ticket_id": "closed", "closed_at": opened + hours(70)},
        ticket | {"ticket_id": "late", "resolved_at": opened + hours(49)},
    ]}  # fmt: skip
    going_on = [
        clock.model_copy(update={"pauses": []}) if clock.stops == "closed" else clock
        for clock in program.sla.clocks
    ]
    without = program.model_copy(
        update={"sla": program.sla.model_copy(update={"clocks": going_on})}
    )
    for pack, due in ((program, {"solved": None, "closed": opened + hours(48 + 65)}),
                      (without, dict.fromkeys(("solved", "closed"), opened + hours(48)))):  # fmt: skip
        found = {c["case_id"]: c for c in Desk(pack, raw).rows("from marts.fct_cases")}
        assert {name: found[name]["due_at"] for name in due} == due
        assert {name: case["solved_on_time"] for name, case in found.items()} == {
            "solved": True, "closed": True, "late": False,
        }  # fmt: skip


def test_a_case_is_due_in_working_time() -> None:
    """Eight hours from Friday evening end on the Saturday that is worked; solved at night is in time."""
    program = load_program("key_account", PROGRAMS)
    clocks = [
        clock.model_copy(update={"target": "8h", "clock": "business"})
        if clock.id == "solved" else clock
        for clock in program.sla.clocks
    ]  # fmt: skip
    program = program.model_copy(update={"sla": program.sla.model_copy(update={"clocks": clocks})})
    ticket = {"opened_at": dt.datetime(2026, 10, 9, 10), "owner_id": "s", "customer_id": "c",
              "kind": "complaint", "urgency": "general"}  # fmt: skip
    solved = {"in_time": dt.datetime(2026, 10, 10, 23), "late": dt.datetime(2026, 10, 12, 1, 0, 1)}
    tickets = [ticket | {"ticket_id": n, "resolved_at": at} for n, at in solved.items()]
    found = {
        c["case_id"]: c for c in Desk(program, {"tickets": tickets}).rows("from marts.fct_cases")
    }
    assert {c["due_at"] for c in found.values()} == {dt.datetime(2026, 10, 10, 10)}
    assert found["in_time"]["solved_on_time"]
    assert not found["late"]["solved_on_time"]


def test_own_messages_acknowledge_and_tell_the_result() -> None:
    opened = AS_OF - hours(50)
    ticket = {"ticket_id": "a:b", "opened_at": opened, "customer_id": "c", "kind": "complaint",
              "urgency": "general", "owner_id": "s", "resolved_at": opened + hours(5),
              "archived_at": None}  # fmt: skip
    other = ticket | {"ticket_id": "x", "resolved_at": None}
    messages = [
        {"message_id": "1", "occasion": "ticket_opened:a:b", "sent_at": opened + hours(1)},
        {"message_id": "2", "occasion": "ticket_solved:a:b:2026-10-29", "sent_at": opened},
        {"message_id": "3", "occasion": "ticket_solved:a:b:2026-10-29",
         "sent_at": opened + hours(6)},
    ]  # fmt: skip
    desk = Desk(
        load_program("service_desk", PROGRAMS),
        {"tickets": [ticket, other], "customers": [{"customer_id": "c"}]},
        [m | {"as_of": opened} for m in messages],
    )
    by_id = {c["case_id"]: c for c in desk.rows("from marts.fct_cases")}
    assert by_id["a:b"]["acknowledged_at"] == opened + hours(1)
    assert by_id["a:b"]["result_told_at"] == opened + hours(6)
    # No confirmation and no archive is recorded anywhere: these steps are not asked for.
    assert by_id["a:b"]["current_step"] == "closed"
    assert by_id["x"]["acknowledged_at"] is None


def test_knowledge_is_empty_without_a_knowledge_base_and_picks_only_from_enough() -> None:
    desk, _ = compared("retail_care")
    rows = desk.rows("from marts.rpt_knowledge")
    assert any(r["is_best"] for r in rows)
    for row in rows:
        assert row["is_enough"] == (row["confirmed"] >= 10)
        if row["is_best"]:
            rivals = [r for r in rows if r["problem"] == row["problem"] and r["is_enough"]
                      and r["resolution"] != "(none)"]  # fmt: skip
            assert row["satisfied_share"] == max(r["satisfied_share"] for r in rivals)
    assert Counter(r["problem"] for r in rows if r["is_best"]).most_common(1)[0][1] == 1
    program = load_program("retail_care", PROGRAMS)
    without = program.model_copy(
        update={"sla": program.sla.model_copy(update={"knowledge_base": False})}
    )
    assert Desk(without, random_raw(1, 200)).rows("from marts.rpt_knowledge") == []


def test_a_problem_is_the_pain_point_where_there_is_one() -> None:
    program = load_program("b2b_service", PROGRAMS)
    ticket = {"opened_at": AS_OF - hours(50), "resolved_at": AS_OF - hours(40), "urgency": "general",
              "customer_id": "c", "resolution": "apology"}  # fmt: skip
    what = [("delivery", None), ("late_delivery", None), ("late_delivery", None),
            (None, "客服态度很差"), ("invoice", None), (None, "Thanks"),
            ("invoice", "The agent was rude")]  # fmt: skip
    desk = Desk(program, {"tickets": [
        ticket | {"ticket_id": f"t{n}", "category": category, "description": text}
        for n, (category, text) in enumerate(what)
    ]})  # fmt: skip
    found = desk.rows("select problem, problem_en, problem_zh, category, cases "
                      "from marts.rpt_knowledge order by problem")  # fmt: skip
    assert [tuple(row.values()) for row in found] == [
        ("(none)", "(none)", "(none)", "(none)", 1),
        ("delivery", "Delivery", "交付", "late_delivery", 3),
        ("invoice", "invoice", "invoice", "invoice", 1),
        ("service_attitude", "Service attitude", "服务态度", "(none)", 2),
    ]


def test_samples_reach_everybody_first_and_stay_as_they_were_drawn() -> None:
    program = load_program("service_desk", PROGRAMS)
    program = program.model_copy(
        update={"operation": program.operation.model_copy(update={"quality_sample_size": 5})}
    )
    rnd = random.Random(7)
    answered = [AS_OF - dt.timedelta(minutes=rnd.randint(0, 60 * 24 * 20)) for _ in range(900)]
    tickets = [
        {"ticket_id": f"t{i}", "opened_at": at, "first_response_at": at,
         "owner_id": rnd.choice(["a"] * 20 + ["b"] * 5 + ["c", None])}
        for i, at in enumerate(answered)
    ]  # fmt: skip
    zone = ZoneInfo(program.zone)
    local = lambda at: at.replace(tzinfo=dt.UTC).astimezone(zone).date()  # noqa: E731
    today = local(AS_OF)
    query = "from marts.fct_quality_samples order by period_start, sample_no"
    first = Desk(program, {"tickets": tickets}, as_of=AS_OF - hours(24 * 5)).rows(query)
    assert Desk(program, {"tickets": tickets}, as_of=AS_OF - hours(24 * 5)).rows(query) == first
    # Owners change and a ticket comes in late: what was drawn stays, new days are added.
    late = [t | {"owner_id": "z"} for t in tickets]
    late.append(tickets[0] | {"ticket_id": "late", "first_response_at": AS_OF - hours(24 * 9)})
    rows = Desk(program, {"tickets": late}, drawn=first).rows(query)
    assert rows[: len(first)] == first
    assert {r["agent_id"] for r in rows[len(first) :]} == {"z"}
    assert max(r["period_start"] for r in rows) == today - dt.timedelta(days=1)
    by_day: dict[dt.date, list[Row]] = {}
    for row in first:
        by_day.setdefault(row["period_start"], []).append(row)
    assert len(by_day) > 10
    for day, sample in by_day.items():
        pool = [t for t in tickets if local(t["first_response_at"]) == day]
        counts = Counter(t["owner_id"] or "(none)" for t in pool)
        found = Counter(r["agent_id"] for r in sample)
        assert len(sample) == min(5, len(pool))
        assert set(found) == set(counts)
        assert all(r["agent_answered"] == counts[r["agent_id"]] for r in sample)
        # Nobody has two more than another who had one left to check.
        assert all(
            found[name] >= max(found.values()) - 1 or found[name] == counts[name] for name in counts
        )
        assert [r["sample_no"] for r in sample] == list(range(1, len(sample) + 1))
        assert {r["ticket_id"] for r in sample} <= {t["ticket_id"] for t in pool}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"steps": [{"id": "archived", "within": "1d"}, {"id": "solved"}]}, "steps"),
        ({"steps": [{"id": "called_back", "within": "24h"}]}, "steps"),
        ({"steps": [{"id": "solved"}, {"id": "archived"}]}, "steps.1.within"),
        ({"steps": [{"id": "solved", "within": "1mo"}]}, "steps.0.within"),
        ({"same_cause": ["category", "category"]}, "same_cause"),
        ({"due_default": "1y"}, "due_default"),
        ({"low_scores": [{"kind": "csat"}, {"kind": "csat"}]}, "low_scores.1.kind"),
    ],
)
def test_a_pack_is_told_where_its_loop_is_wrong(change: dict, path: str) -> None:
    good = load_program("retail_care", PROGRAMS).closed_loop.model_dump()
    title = {"en": "x", "zh": "x"}
    low = {"at_most": 0.1, "urgency": "general", "who": "service", "solve_within": "1d"}
    for item in change.get("steps", []):
        item.setdefault("title", title)
    change = change | (
        {"low_scores": [low | item for item in change["low_scores"]]}
        if "low_scores" in change else {}
    )  # fmt: skip
    with pytest.raises(ValidationError) as error:
        ClosedLoop.model_validate(good | change)
    assert [".".join(map(str, e["loc"])) for e in error.value.errors()] == [path]


def test_the_marts_of_the_company_add_up(company: Company) -> None:
    cases = company.one("select count(*) from fct_cases")
    assert company.one("select sum(cases) from rpt_closed_loop") == cases
    assert company.one("select count(*) from fct_cases where case_kind = 'ticket'") == company.one(
        "select count(*) from fct_tickets"
    )
    assert company.one("select sum(tickets) from rpt_service_quality") == company.one(
        "select count(*) from fct_tickets"
    )
    judged = company.rows(
        "select sum(first_contact_judged), sum(first_contact_resolved) from rpt_service_quality"
    )
    assert judged == company.rows(
        "select count(is_first_contact_resolved), "
        "count(*) filter (where is_first_contact_resolved) from fct_tickets"
    )
    assert judged[0][0] > 0
    solved = company.one(
        "select count(*) from fct_cases where case_kind = 'ticket' and is_resolved"
    )
    assert company.one("select sum(cases) from rpt_knowledge") == solved
