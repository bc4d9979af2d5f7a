"""Quiet hours at the moment before sending."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmarks.dispatch_lab import NOON, Lab, file_channels

from careloop.dispatch.quiet import QuietHours
from careloop.program.load import load_program
from careloop.program.model import Program

PROGRAM = load_program("retail_care")


def with_hours(starts: str, ends: str, **other: object) -> Program:
    quiet = PROGRAM.quiet_hours.model_copy(update={"starts": starts, "ends": ends, **other})
    return PROGRAM.model_copy(update={"quiet_hours": quiet})


def message(**other: object) -> SimpleNamespace:
    return SimpleNamespace(**{"kind": "send", "purpose": "care", "channel": "sms", **other})


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (("21:00", "09:00"), "2026-11-01T20:59", None),
        (("21:00", "09:00"), "2026-11-01T21:00", "2026-11-02T09:00"),
        (("21:00", "09:00"), "2026-11-02T00:10", "2026-11-02T09:00"),
        (("21:00", "09:00"), "2026-11-02T08:59", "2026-11-02T09:00"),
        (("21:00", "09:00"), "2026-11-02T09:00", None),
        (("12:00", "14:00"), "2026-11-01T11:59", None),
        (("12:00", "14:00"), "2026-11-01T13:59", "2026-11-01T14:00"),
        (("12:00", "14:00"), "2026-11-01T14:00", None),
        (("22:00", "00:00"), "2026-11-01T23:30", "2026-11-02T00:00"),
        (("22:00", "00:00"), "2026-11-02T00:00", None),
        (("00:00", "08:00"), "2026-11-01T00:00", "2026-11-01T08:00"),
    ],
)
def test_the_hours_in_the_programs_zone(hours: tuple[str, str], now: str, until: str) -> None:
    def utc(local: str) -> datetime:
        return datetime.fromisoformat(local) - timedelta(hours=8)

    found = QuietHours(with_hours(*hours)).over(message(), utc(now))
    assert found == (utc(until) if until else None)


def test_to_whom_they_do_not_apply() -> None:
    night = datetime(2026, 11, 1, 15)
    exempt = QuietHours(with_hours("21:00", "09:00", exempt_purposes=["service"]))
    assert exempt.over(message(), night)
    assert exempt.over(message(purpose="service"), night) is None
    assert exempt.over(message(kind="task"), night) is None
    only_sms = QuietHours(with_hours("21:00", "09:00", channels=["sms"]))
    assert only_sms.over(message(), night)
    assert only_sms.over(message(channel="email"), night) is None


def test_what_is_late_waits_for_the_morning(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    lab.program = with_hours("19:00", "09:00")
    lab.plan(lab.version(100))
    channels = file_channels(tmp_path)
    before = lab.dispatch(channels, NOON)
    assert before.of("sent") == 5, "tasks only"
    assert sum(before.left.values()) == 0
    morning = NOON + timedelta(hours=13)
    assert lab.dispatch(channels, morning - timedelta(minutes=1)).of("sent") == 0
    assert lab.dispatch(channels, morning).of("sent") == 85
    assert lab.states() == {"sent": 90}
