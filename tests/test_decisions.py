"""Decisions: gates and arbitration against a plain reference, and every property on its own."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from careloop.settings import Settings
from decisions_reference import Reference, World
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
                     "working_days_only": ["visit", "wecom"]},
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


@pytest.fixture(scope="module", params=SCENES, ids=lambda scene: scene.__name__)
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
