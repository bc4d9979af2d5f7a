"""Decisions: gates and arbitration against a plain reference, and every property on its own."""

import json
import random
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from hashlib import md5
from math import sqrt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from careloop.program.channels import SPOKEN
from careloop.program.load import InvalidProgram, load_program
from careloop.program.tables import program_tables
from careloop.publish import archive_decisions
from careloop.published import decisions_file
from careloop.run_info import RunInfo
from careloop.settings import PROJECT_ROOT, Settings
from decisions_reference import Reference, World, moved, share
from decisions_world import decide, made_program, random_rules, random_world

Decided = tuple[World, list[dict[str, Any]], dict[str, dict[str, Any]]]
CAPS = {
    "exempt_purposes": ["service"],
    "limits": [
        {"id": "two_a_day", "most": 2, "per": "1d"},
        {"id": "marketing_week", "most": 2, "per": "1w", "purposes": ["marketing"]},
        {"id": "sms_month", "most": 2, "per": "1mo", "channels": ["sms", "call"]},
        {"id": "red", "most": 1, "per": "10d", "groups": ["red"], "purposes": ["care", "survey"]},
    ],
}


def shanghai() -> tuple[Any, datetime]:
    """A Sunday morning at home, caps of every kind."""
    program = made_program(
        rules=random_rules(random.Random(1)), caps=CAPS,
        quiet_hours={"working_days_only": ["call", "email"]},
    )  # fmt: skip
    return program, datetime(2026, 11, 1)


def berlin() -> tuple[Any, datetime]:
    """The evening before the clocks go back; quiet until an hour that comes twice."""
    program = made_program(
        rules=random_rules(random.Random(2)), zone="Europe/Berlin",
        caps={"exempt_purposes": ["service", "survey"],
              "limits": [{"id": "day", "most": 1, "per": "1d"},
                         {"id": "quarter", "most": 3, "per": "1q"}]},
        quiet_hours={"starts": "22:00", "ends": "02:30", "channels": ["sms", "push", "wecom"],
                     "exempt_purposes": ["service"], "working_days_only": ["visit", "wecom"]},
        holdout={"share": 0.2, "exempt_purposes": []},
    )  # fmt: skip
    return program, datetime(2026, 10, 24, 22, 10)


def new_york() -> tuple[Any, datetime]:
    """The night the clocks go forward; quiet until an hour that does not come."""
    program = made_program(
        "online_crm", rules=random_rules(random.Random(3)), zone="America/New_York",
        caps={"limits": []}, quiet_hours={"starts": "00:30", "ends": "02:30"},
    )  # fmt: skip
    return program, datetime(2026, 3, 8, 1, 10)


def national_day() -> tuple[Any, datetime]:
    """A week of holidays; quiet in the middle of the day, and dropped."""
    program = made_program(
        rules=random_rules(random.Random(4)),
        caps={"limits": [{"id": "one", "most": 1, "per": "1d"},
                         {"id": "email", "most": 1, "per": "1w", "channels": ["email"]}]},
        quiet_hours={"starts": "12:00", "ends": "14:00", "action": "drop",
                     "channels": ["sms", "email", "app", "push"],
                     "working_days_only": ["call", "wecom"]},
    )  # fmt: skip
    return program, datetime(2026, 9, 30, 12, 0)


SCENES = [shanghai, berlin, new_york, national_day]
OFTEN = (shanghai, new_york)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(s, id=s.__name__, marks=[] if s in OFTEN else pytest.mark.slow) for s in SCENES
    ],
)
def decided(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Decided:
    scene: Callable = request.param
    program, as_of = scene()
    world = random_world(program, as_of, 600, SCENES.index(scene))
    ages = {"orders": 0.5, "consents": 4 if scene is berlin else 1}
    world.loaded = {e: world.as_of_utc - timedelta(days=age) for e, age in ages.items()}
    settings = Settings(home=tmp_path_factory.mktemp(scene.__name__), threads=2,
                        memory_limit="1GB")  # fmt: skip
    return world, decide(settings, world), Reference(world).decisions()


COMPARED = ("outcome", "gate", "eligible_on", "channel", "kind", "not_before", "contact_on", "arm",
            "holdout_scope", "order_no")  # fmt: skip


def test_every_decision_is_that_of_the_reference(decided: Decided) -> None:
    world, rows, wanted = decided
    assert len(rows) == len(wanted) == len(world.rows["candidates"]) > 1500
    wrong = [
        {"key": r["decision_key"], "rule": r["rule"], "is": {c: r[c] for c in COMPARED},
         "wanted": {c: wanted[r["decision_key"]][c] for c in COMPARED}, "gates": r["gates"]}
        for r in rows
        if any(r[c] != wanted[r["decision_key"]][c] for c in COMPARED)
    ]  # fmt: skip
    assert not wrong, (len(wrong), wrong[:2])


def going(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["outcome"] in ("send", "task")]


def test_nothing_goes_without_an_allowed_consent(decided: Decided) -> None:
    world, rows, _ = decided
    reference = Reference(world)
    assert len(going(rows)) > 200
    for row in going(rows):
        assert row["channel"] in reference.allowed(row["customer_id"], row["purpose"]), row
        assert row["channel"] not in reference.suppressed(row["customer_id"], row["purpose"]), row


def test_nothing_goes_in_quiet_hours_or_after_it_expired(decided: Decided) -> None:
    world, rows, _ = decided
    reference = Reference(world)
    quiet = world.program.quiet_hours
    for row in going(rows):
        local = world.local(row["not_before"])
        assert not reference.is_quiet(local.time(), row["channel"], row["purpose"]), row
        assert row["not_before"] >= world.as_of_utc
        assert row["expires_at"] is None or row["not_before"] < row["expires_at"]
        assert local.date() == row["contact_on"] == world.today
        if row["channel"] in quiet.working_days_only and row["channel"] in SPOKEN:
            assert world.today in reference.workdays


def test_caps_hold_together_and_count_the_ledger(decided: Decided) -> None:
    """Campaigns bypass the cap elsewhere (mautic#6729); here every contact of a purpose that is
    not exempt counts, whatever rule it is of."""
    world, rows, _ = decided
    reference = Reference(world)
    groups = {rule.id: rule.cap_group for rule in world.program.rules}
    sent: dict[str, list[tuple]] = {}
    for row in going(rows):
        if not row["is_cap_exempt"]:
            contact = (world.today, row["purpose"], row["channel"], groups[row["rule"]])
            sent.setdefault(row["customer_id"], []).append(contact)
    for customer_id, contacts in sent.items():
        before = [
            (m["contact_on"], m["purpose"], m["channel"], m["cap_group"])
            for m in reference.contacts.get(customer_id, [])
            if not m["is_cap_exempt"]
        ]
        for cap in world.program.caps.limits:
            start = moved(world.today, cap.per, -1)
            counts = lambda c, cap=cap, start=start: (  # noqa: E731
                reference._counts(cap, c) and c[0] > start
            )
            new = sum(counts(c) for c in contacts)
            assert not new or new + sum(counts(c) for c in before) <= cap.most


def test_a_cap_never_delays_longer_than_its_window(decided: Decided) -> None:
    """A weekly cap delayed three weeks elsewhere (mautic PR#4761)."""
    world, rows, _ = decided
    longest = {cap.id: moved(world.today, cap.per) for cap in world.program.caps.limits}
    for row in rows:
        if row["gate"] == "caps":
            full = [part.partition(":")[0] for part in row["gate_reason"].split("; ")]
            assert world.today < row["eligible_on"] <= max(longest.values()) + timedelta(days=1)
            assert set(full) <= set(longest)


def test_gates_tell_the_same_as_the_outcome(decided: Decided) -> None:
    """`gates` is JSON with every gate in order; the first that is not ok is `gate`."""
    _, rows, _ = decided
    order = ["reachable", "fresh", "consent", "suppression", "reentry", "cooldown", "holdout",
             "quiet_hours", "caps"]  # fmt: skip
    for row in rows:
        gates = json.loads(row["gates"])
        assert list(gates) == order
        stopped = [name for name in order if gates[name] and not gates[name]["ok"]]
        assert (stopped[0] if stopped else None) == row["gate"], row
        assert (row["gate_reason"] is None) == (row["gate"] is None), row
        assert None not in gates["reachable"]["reached"] + gates["consent"]["refused"]
        assert (row["gate"] is None) == (row["outcome"] in ("send", "task"))


def test_order_is_dense_and_the_report_adds_up(decided: Decided) -> None:
    _, rows, _ = decided
    numbers = sorted(row["order_no"] for row in going(rows))
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(row["order_no"] is None for row in rows if row["outcome"] not in ("send", "task"))


# -- the same again ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list, list, Settings]:
    """A world of ties, decided as given and with every table in another order."""
    rules = [
        {"id": f"r{i}", "purpose": "care", "channels": ["wecom", "sms"], "priority": 50,
         "holdout": 0.3 if i == 0 else 0.0}
        for i in range(5)
    ]  # fmt: skip
    program = made_program(rules=rules, caps={"limits": [{"id": "one", "most": 1, "per": "1d"}]})
    world = random_world(program, datetime(2026, 11, 2), 300, 77)
    settings = Settings(home=tmp_path_factory.mktemp("twice"), threads=2, memory_limit="1GB")
    first = decide(settings, world)
    for rows in world.rows.values():
        random.Random(1).shuffle(rows)
    return world, first, decide(settings, world), settings


def test_ties_do_not_depend_on_the_order_of_rows(twice: tuple) -> None:
    _, first, second, _ = twice
    assert first == second
    assert sum(row["gate"] == "caps" for row in first) > 100


def test_decision_keys_name_rule_customer_and_occasion(twice: tuple) -> None:
    for row in twice[1]:
        text = f"{row['rule']}|{row['customer_id']}|{row['occasion']}"
        assert row["decision_key"] == md5(text.encode()).hexdigest()


def test_decisions_are_archived_once_per_as_of(twice: tuple) -> None:
    world, rows, _, settings = twice
    as_of = world.as_of.replace(tzinfo=ZoneInfo(world.program.zone))
    run = RunInfo("0123456789", as_of, world.program)
    file = archive_decisions(settings, run)
    assert file == decisions_file(settings, world.as_of)
    assert file.name == "as_of=20261102T0000.parquet"
    before = file.read_bytes()
    again = archive_decisions(settings, RunInfo("9876543210", as_of, world.program))
    assert again == file
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    kept = duckdb.sql(f"select decision_key, outcome, gates from '{file}'").fetchall()
    assert kept == [(r["decision_key"], r["outcome"], r["gates"]) for r in rows]


# -- cases by hand -------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1)  # a Sunday; Shanghai is eight hours ahead
RULES = [
    {"id": "letter", "purpose": "marketing", "channels": ["email"], "priority": 40},
    {"id": "other_letter", "purpose": "marketing", "channels": ["email"], "priority": 60},
    {"id": "greeting", "channels": ["wecom", "sms"], "priority": 80, "cooldown": "1mo"},
    {"id": "call", "channels": ["call"], "offer": "exclusive"},
    {"id": "call_or_write", "channels": ["call", "sms"], "who": "account_manager"},
    {"id": "order", "purpose": "service", "channels": ["sms"], "priority": 90},
    {"id": "news", "channels": ["sms"], "priority": 10},
]
YES = {"channel": "email", "purpose": "marketing", "changed_at": datetime(2026, 1, 1),
       "granted": True}  # fmt: skip
PAST = {"rule": "news", "purpose": "care", "channel": "sms", "is_cap_exempt": False}
TODAY_9, TOMORROW_9 = datetime(2026, 3, 1, 1), datetime(2026, 3, 2, 1)

# customer, what there is besides candidates, candidates, what is decided of each.
CASES: list[tuple[str, dict[str, Any], dict[str, dict], dict[str, tuple]]] = [
    ("plain", {}, {"news": {}}, {"news": ("send", None, None, "sms", TODAY_9)}),
    ("own_time", {"customers": {"preferred_time_from": "18:00"}}, {"news": {}, "order": {}},
     {"news": ("send", None, None, "sms", datetime(2026, 3, 1, 10)),
      "order": ("send", None, None, "sms", datetime(2026, 2, 28, 16))}),
    ("own_time_quiet", {"customers": {"preferred_time_from": "22:00"}}, {"news": {}},
     {"news": ("send", None, None, "sms", TODAY_9)}),
    ("own_channel", {"customers": {"preferred_channel": "sms"}}, {"greeting": {}},
     {"greeting": ("send", None, None, "sms", TODAY_9)}),
    ("free_day", {}, {"call": {"expires_at": datetime(2026, 3, 3, 16)}},
     {"call": ("deferred", "quiet_hours", date(2026, 3, 2), "call", TOMORROW_9)}),
    ("free_day_too_late", {}, {"call": {"expires_at": datetime(2026, 3, 1, 16)}},
     {"call": ("expired", "quiet_hours", None, "call", TOMORROW_9)}),
    ("today_rather_than_preferred", {}, {"call_or_write": {}},
     {"call_or_write": ("task", None, None, "sms", TODAY_9)}),
    ("no_yes", {}, {"letter": {}}, {"letter": ("blocked", "consent", None, None, None)}),
    ("yes", {"consents": [YES]}, {"letter": {}},
     {"letter": ("send", None, None, "email", TODAY_9)}),
    ("took_it_back", {"consents": [YES, YES | {"changed_at": datetime(2026, 2, 1),
                                               "granted": False}]},
     {"letter": {}}, {"letter": ("blocked", "consent", None, None, None)}),
    ("both_at_once", {"consents": [YES, YES | {"granted": False}]},
     {"letter": {}}, {"letter": ("blocked", "consent", None, None, None)}),
    ("takes_it_back_tomorrow", {"consents": [YES, YES | {"changed_at": datetime(2026, 2, 28, 17),
                                                         "granted": False}]},
     {"letter": {}}, {"letter": ("send", None, None, "email", TODAY_9)}),
    # Unsubscribed people are still mailed elsewhere (listmonk#1931).
    ("unsubscribed", {"consents": [YES], "feedback": [
        {"message_id": "m-unsubscribed", "channel": "email", "kind": "unsubscribe",
         "at_utc": datetime(2026, 2, 28, 15), "received_at": datetime(2026, 2, 28, 15)}],
        "messages": [PAST | {"message_id": "m-unsubscribed", "rule": "letter", "channel": "email",
                             "purpose": "marketing", "contact_on": date(2026, 2, 1)}]},
     {"letter": {}, "news": {}},
     {"letter": ("blocked", "consent", None, None, None),
      "news": ("send", None, None, "sms", TODAY_9)}),
    # … and so are those whose address is dead (listmonk#2193).
    ("bounced", {"suppressions": [{"channel": "sms", "purpose": None, "reason": "hard_bounce",
                                   "at_utc": datetime(2026, 2, 1)}]},
     {"news": {}, "order": {}, "greeting": {}},
     {"news": ("blocked", "suppression", None, None, None),
      "order": ("blocked", "suppression", None, None, None),
      "greeting": ("send", None, None, "wecom", TODAY_9)}),
    ("address_corrected", {"suppressions": [{"channel": "sms", "purpose": None,
                                             "reason": "hard_bounce",
                                             "at_utc": datetime(2026, 2, 1),
                                             "lifted_at": datetime(2026, 2, 9)}]},
     {"news": {}}, {"news": ("send", None, None, "sms", TODAY_9)}),
    ("complains", {"consents": [YES], "tickets": [
        {"ticket_id": "t1", "kind": "complaint", "opened_at": datetime(2026, 2, 27)}]},
     {"letter": {}, "news": {}},
     {"letter": ("blocked", "suppression", None, None, None),
      "news": ("send", None, None, "sms", TODAY_9)}),
    ("complained", {"consents": [YES], "tickets": [
        {"ticket_id": "t2", "kind": "complaint", "opened_at": datetime(2026, 2, 27),
         "resolved_at": datetime(2026, 2, 28)}]},
     {"letter": {}}, {"letter": ("send", None, None, "email", TODAY_9)}),
    ("sent_before", {"messages": [PAST | {"message_id": "m1", "contact_on": date(2026, 1, 1),
                                          "occasion": "o"}]},
     {"news": {}}, {"news": ("blocked", "reentry", None, "sms", TODAY_9)}),
    ("cancelled_before", {"messages": [PAST | {"message_id": "m2", "occasion": "o",
                                               "contact_on": date(2026, 2, 28)}],
                          "events": [{"message_id": "m2", "state": "cancelled",
                                      "at_utc": datetime(2026, 2, 28)}]},
     {"news": {}}, {"news": ("send", None, None, "sms", TODAY_9)}),
    # The day before a month ago is 31 January: the last of February does not end that month.
    ("cooling", {"messages": [PAST | {"message_id": "m3", "rule": "greeting",
                                      "contact_on": date(2026, 2, 2)}]},
     {"greeting": {}}, {"greeting": ("blocked", "cooldown", date(2026, 3, 2), "wecom", TODAY_9)}),
    # One letter a week: the one of Monday leaves the window on the next Monday.
    ("weekly", {"consents": [YES], "messages": [
        PAST | {"message_id": f"m4{i}", "rule": "letter", "purpose": "marketing",
                "channel": "email", "contact_on": day}
        for i, day in enumerate((date(2026, 2, 23), date(2026, 2, 10)))]},
     {"letter": {}}, {"letter": ("blocked", "caps", date(2026, 3, 2), "email", TODAY_9)}),
    ("eight_days_ago", {"consents": [YES], "messages": [
        PAST | {"message_id": "m5", "rule": "letter", "purpose": "marketing", "channel": "email",
                "contact_on": date(2026, 2, 22)}]},
     {"letter": {}}, {"letter": ("send", None, None, "email", TODAY_9)}),
    # Both of a day; the refused one leaves its room to the next; service is not counted.
    ("crowd", {"consents": [YES]},
     {"order": {}, "greeting": {}, "other_letter": {}, "letter": {}, "news": {}},
     {"order": ("send", None, None, "sms", datetime(2026, 2, 28, 16)),
      "greeting": ("send", None, None, "wecom", TODAY_9),
      "other_letter": ("send", None, None, "email", TODAY_9),
      "letter": ("blocked", "caps", date(2026, 3, 8), "email", TODAY_9),
      "news": ("blocked", "caps", date(2026, 3, 2), "sms", TODAY_9)}),
    ("refused_uses_nothing", {"consents": [YES], "messages": [
        PAST | {"message_id": "m6", "rule": "letter", "purpose": "marketing", "channel": "email",
                "contact_on": date(2026, 2, 24)}]},
     {"greeting": {}, "letter": {}, "news": {}},
     {"greeting": ("send", None, None, "wecom", TODAY_9),
      "letter": ("blocked", "caps", date(2026, 3, 3), "email", TODAY_9),
      "news": ("send", None, None, "sms", TODAY_9)}),
    # Four text messages a month; the first of them went on 30 January.
    ("month_end", {"messages": [
        PAST | {"message_id": f"m7{i}", "contact_on": day}
        for i, day in enumerate((date(2026, 2, 1), date(2026, 2, 2), date(2026, 2, 3),
                                 date(2026, 2, 4)))]},
     {"news": {}}, {"news": ("send", None, None, "sms", TODAY_9)}),
    ("month_full", {"messages": [
        PAST | {"message_id": f"m8{i}", "contact_on": day}
        for i, day in enumerate((date(2026, 2, 2), date(2026, 2, 2), date(2026, 2, 3),
                                 date(2026, 2, 4)))]},
     {"news": {}}, {"news": ("blocked", "caps", date(2026, 3, 2), "sms", TODAY_9)}),
    ("nobody", {"customers": None}, {"news": {}},
     {"news": ("blocked", "reachable", None, None, None)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    program = made_program(
        rules=RULES, holdout={"share": 0.0}, quiet_hours={"exempt_purposes": ["service"]},
        caps={"limits": [
            {"id": "day", "most": 2, "per": "1d"},
            {"id": "letter_week", "most": 1, "per": "1w", "purposes": ["marketing"]},
            {"id": "sms_month", "most": 4, "per": "1mo", "channels": ["sms"]}]},
    )  # fmt: skip
    rows: dict[str, list] = {name: [] for name in (
        "customers", "candidates", "consents", "tickets", "messages", "events", "exposures",
        "feedback", "suppressions")}  # fmt: skip
    for customer_id, given, candidates, _ in CASES:
        owner = {"customer_id": customer_id}
        if given.get("customers", {}) is not None:
            rows["customers"].append({
                **owner, "preferred_channel": None, "preferred_time_from": None, "locale": None,
                "account_manager_id": "manager", "predicted_value": 1.0, "has_phone": True,
                "has_email": True, "has_wecom": True, "has_push": False,
                **given.get("customers", {}),
            })  # fmt: skip
        for table in ("consents", "tickets", "messages", "events", "feedback", "suppressions"):
            for row in given.get(table, []):
                row = {**({} if table == "events" else owner), **row}
                if table == "messages":
                    text = f"{row['rule']}|{customer_id}|{row.pop('occasion', 'past')}"
                    row["decision_key"] = md5(text.encode()).hexdigest()
                    row["as_of"] = datetime.combine(row["contact_on"], time())
                    row.setdefault("message_id", f"{customer_id}-{len(rows['messages'])}")
                    if not given.get("events"):
                        sent_at = datetime.combine(row["contact_on"], time(4))
                        rows["events"].append({
                            "message_id": row["message_id"], "state": "sent", "at_utc": sent_at,
                        })  # fmt: skip
                rows[table].append(row)
        for rule, more in candidates.items():
            rows["candidates"].append({
                **owner, "rule": rule, "occasion": "o", "came_up_on": NOW.date(),
                "expires_at": datetime(2026, 3, 3, 16), "due_at": datetime(2026, 3, 3, 10),
                "about": "{}", **more,
            })  # fmt: skip
    settings = Settings(home=tmp_path_factory.mktemp("by_hand"), threads=2, memory_limit="1GB")
    decided = decide(settings, World(program, NOW, rows))
    return {(row["customer_id"], row["rule"]): row for row in decided}


@pytest.mark.parametrize(
    ("customer_id", "rule", "wanted"),
    [
        pytest.param(name, rule, wanted, id=f"{name}-{rule}")
        for name, _, _, decisions in CASES
        for rule, wanted in decisions.items()
    ],
)
def test_cases_by_hand(by_hand: dict, customer_id: str, rule: str, wanted: tuple) -> None:
    row = by_hand[customer_id, rule]
    columns = ("outcome", "gate", "eligible_on", "channel", "not_before")
    assert tuple(row[c] for c in columns) == wanted, (row["gate_reason"], row["gates"])


def test_tasks_have_an_owner_and_offers_an_end(by_hand: dict) -> None:
    task = by_hand["today_rather_than_preferred", "call_or_write"]
    assert (task["kind"], task["owner_role"], task["owner_id"]) == (
        "task", "account_manager", "manager")  # fmt: skip
    assert task["due_at"] == datetime(2026, 3, 3, 10)
    call = by_hand["free_day", "call"]
    assert (call["kind"], call["owner_role"], call["owner_id"]) == ("task", "service", None)
    assert (call["offer"], call["offer_until"]) == ("exclusive", date(2026, 3, 16))
    message = by_hand["plain", "news"]
    assert (message["kind"], message["owner_role"], message["due_at"]) == ("send", None, None)
    assert message["reached_holdout"]
    assert message["arm"] is None, "nobody is left alone here"
    assert message["locale"] == "zh-CN"


# -- the holdout ---------------------------------------------------------------------------------


def test_the_holdout_has_the_right_share_and_hangs_on_the_salt() -> None:
    people = [f"c{i}" for i in range(40_000)]
    for wanted in (0.01, 0.05, 0.2):
        drawn = {c for c in people if share(f"salt_1|{c}") < wanted}
        error = sqrt(wanted * (1 - wanted) / len(people))
        assert abs(len(drawn) / len(people) - wanted) < 4 * error
        other = {c for c in people if share(f"salt_2|{c}") < wanted}
        both = len(drawn & other) / len(people)
        assert abs(both - wanted**2) < 4 * sqrt(wanted**2 / len(people)), "salts are independent"


# -- rules of packs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("most: 1, per: 1d", "most: 0, per: 1d", "caps.limits[0].most"),
        ("most: 1, per: 1d", "most: 1, per: 24h", "caps.limits[0].per"),
        ("most: 1, per: 1d", "most: 1, per: 1wd", "caps.limits[0].per"),
    ],
)
def test_a_cap_of_nothing_or_of_hours_is_refused(
    tmp_path: Path, old: str, new: str, path: str
) -> None:
    """ "0" blocked everything elsewhere (mautic#10416)."""
    text = (PROJECT_ROOT / "programs/retail_care/program.yml").read_text("utf-8")
    (tmp_path / "pack").mkdir()
    assert old in text
    text = text.replace(old, new).replace("name: retail_care", "name: pack", 1)
    (tmp_path / "pack" / "program.yml").write_text(text, "utf-8")
    with pytest.raises(InvalidProgram) as caught:
        load_program(tmp_path / "pack")
    assert path in [problem.path for problem in caught.value.problems]


def test_channels_have_bits_of_their_own() -> None:
    program = load_program("retail_care", PROJECT_ROOT / "programs")
    table = program_tables(program, date(2026, 1, 1), date(2026, 1, 2))["channels"]
    bits = [row[list(table.columns).index("bit")] for row in table.rows]
    assert sum(bits) == 2 ** len(bits) - 1
    spoken = {row[1] for row in table.rows if row[3]}
    assert spoken == set(SPOKEN)
