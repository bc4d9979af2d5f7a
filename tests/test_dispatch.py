"""Dispatch: each message once, whatever providers, people and power cuts do."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from benchmarks.dispatch_lab import AS_OF, NOON, Lab, file_channels, render
from benchmarks.kill import check_events, check_sent, torment
from benchmarks.nursery import Nursery

from careloop.channels.base import (
    ChannelDown,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.dispatch import Limits, limits_of
from careloop.dispatch.limits import Pace, backoff_seconds
from careloop.errors import SettingsError
from careloop.lake.batches import Batch, Lake
from careloop.ledger import controls
from careloop.ledger.database import open_ledger, utc
from careloop.ledger.suppressions import address_hash, suppress_customer
from careloop.ledger.worker import is_gone, name_worker
from careloop.settings import load_settings

HOUR = timedelta(hours=1)


class Provider:
    """Keeps what it took; ``answer`` may raise first."""

    def __init__(
        self,
        answer: Callable[[Rendered], None] = lambda _: None,
        recognises: bool = False,
        name: str = "email",
    ) -> None:
        self.name, self.accepts_idempotency_key = name, recognises
        self.answer = answer
        self.took: list[Rendered] = []
        self.opened = 0

    def __enter__(self) -> "Provider":
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, message: Rendered) -> Receipt:
        self.answer(message)
        self.took.append(message)
        return Receipt(f"p{len(self.took)}", "250 ok")

    @property
    def ids(self) -> list[str]:
        return [message.message_id for message in self.took]


def planned(lab: Lab, count: int = 20, **options: Any) -> Lab:
    lab.plan(lab.version(count, **options))
    return lab


def states(lab: Lab, route: str = "email") -> dict[str, int]:
    return dict(
        lab.rows(f"select state, count(*) from messages where route = '{route}' group by state")
    )


def details(lab: Lab, state: str) -> set[str]:
    return {why for (why,) in lab.rows(f"select detail from messages where state = '{state}'")}


def order(lab: Lab, what: Callable[[Any], None]) -> None:
    with open_ledger(lab.settings) as ledger, ledger.write() as con:
        what(con)


def consents(lab: Lab, *rows: tuple[str, str, str, str, bool]) -> None:
    """A batch of consents in the lake: customer, purpose, channel, changed_at, granted."""
    lake = Lake(lab.settings.lake)
    batch = Batch(lake.next_seq(), "c" * 16, "consents", "crm", "c.csv", "", "", "2026-11-01")
    batch.rows_loaded = len(rows)
    listed = ", ".join(
        str((*row[:4], str(row[4]).lower(), "crm", "crm", batch.seq)) for row in rows
    )
    with lake.scratch() as folder:
        duckdb.sql(
            "copy (select a as customer_id, b as purpose, c as channel, d::timestamp as changed_at,"
            " e::boolean as granted, f as source, g as _source, h as _batch"
            f" from (values {listed}) as t(a, b, c, d, e, f, g, h))"
            f" to '{folder / 'rows.parquet'}'"
        )
        lake.commit(batch, folder)


# --- what every dispatch does


def test_every_message_that_is_due_goes_once_in_its_order(lab: Lab) -> None:
    planned(lab, 60)
    channels = {"email": Provider(), "sms": Provider(name="sms"), "task": Provider(name="task")}
    early = lab.dispatch(channels, AS_OF + 7 * HOUR)
    assert early.counts == {}, "not before their time"
    summary = lab.dispatch(channels, NOON)
    assert {route: dict(c) for route, c in summary.counts.items()} == {
        "email": {"sent": 30},
        "sms": {"sent": 21},
        "task": {"sent": 3},
    }
    wanted = "select message_id from messages where route = 'email' order by order_no"
    assert channels["email"].ids == [key for (key,) in lab.rows(wanted)]
    assert channels["email"].opened == 1, "one connection for many messages"
    again = lab.dispatch(channels, NOON + HOUR)
    assert again.counts == {}
    assert lab.states() == {"sent": 54}
    check_events(lab)
    row = lab.rows("select provider_id, detail, attempts, worker from messages where route='task'")
    assert row[0][1:] == ("250 ok", 1, None)


def test_intent_is_committed_before_the_channel_is_asked(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path))
    seen: list[tuple] = []

    def look(message: Rendered) -> None:
        with sqlite3.connect(tmp_path / "ledger.db") as con:
            sql = "select state, attempts from messages where message_id = ?"
            seen.append(con.execute(sql, [message.message_id]).fetchone())

    lab.dispatch({"email": Provider(look)}, NOON)
    assert seen == [("sending", 1)] * 10


def test_two_dispatchers_share_the_work(lab: Lab, nursery: Nursery) -> None:
    planned(lab, 300)
    assert nursery.run(lab, "dispatch", NOON, [None, None]) == [0, 0]
    assert lab.states() == {"sent": 270}
    for channel in file_channels(lab.settings.home).values():
        assert max(Counter(channel.received).values()) == 1, "nothing went twice"
    check_events(lab)


def test_killed_dispatch_sends_everything_once_or_says_unknown(lab: Lab, nursery: Nursery) -> None:
    planned(lab, 400)
    kills, _ = torment(nursery, "dispatch", lab, NOON, 6, random.Random(1))
    assert kills >= 6
    unknown, _ = check_sent(lab)
    assert unknown <= kills, "at most the one in flight"


def test_a_killed_message_is_asked_for_again_only_where_it_is_recognised(
    lab: Lab, nursery: Nursery
) -> None:
    planned(lab, 20)
    for route in ("email", "sms"):
        assert nursery.run(lab, f"die-{route}", NOON, [None]) == [-signal.SIGKILL]
    assert states(lab, "sms")["sending"] == states(lab)["sending"] == 1
    channels = file_channels(lab.settings.home)
    lab.dispatch(channels, NOON)
    assert states(lab) == {"sent": 10}
    assert states(lab, "sms") == {"sent": 6, "unknown": 1}
    assert details(lab, "unknown") == {"the process ended between handing over and the answer"}
    assert max(Counter(channels["sms"].received).values()) == 1
    assert Counter(Counter(channels["email"].received).values()) == {1: 9, 2: 1}
    check_events(lab)


# --- providers


def test_a_rejected_recipient_does_not_hold_up_the_others(lab: Lab) -> None:
    planned(lab)

    def reject(message: Rendered) -> None:
        if message.customer_id == "C4":
            raise PermanentError("550 no such user", bad_address=True)
        if message.customer_id == "C6":
            raise PermanentError("554 content")

    provider = Provider(reject)
    lab.dispatch({"email": provider}, NOON)
    assert states(lab) == {"sent": 8, "failed": 2}
    assert details(lab, "failed") == {"550 no such user", "554 content"}
    with open_ledger(lab.settings) as ledger:
        wrong = address_hash(ledger.fact("salt"), "C4@email.example")
    found = lab.rows("select scope, key, channel, reason from suppressions")
    assert found == [("address", wrong, "email", "bad address: 550 no such user")]
    lab.dispatch({"email": provider}, NOON + HOUR)
    assert len(provider.took) == 8, "no second try"


def test_a_message_to_a_wrong_address_is_not_tried_for_another_customer(lab: Lab) -> None:
    planned(lab)

    def same_address(messages: Any) -> dict[str, Rendered]:
        from dataclasses import replace

        return {key: replace(r, address="shared@x.cn") for key, r in render(messages).items()}

    def reject(_: Rendered) -> None:
        raise PermanentError("550 no such user", bad_address=True)

    provider = Provider(reject)
    lab.dispatch({"email": provider}, NOON, render=same_address)
    assert states(lab) == {"failed": 1, "suppressed": 9}


def test_temporary_failures_come_again_later_and_end(lab: Lab) -> None:
    planned(lab, hours=400)

    def busy(message: Rendered) -> None:
        if message.customer_id == "C4":
            raise TemporaryError("451 try later")
        if message.customer_id == "C6":
            raise TemporaryError("429", retry_after=1234)

    provider = Provider(busy)
    limits = {"email": Limits(tries=3)}
    lab.dispatch({"email": provider}, NOON, limits=limits)
    assert states(lab) == {"sent": 8, "planned": 2}
    again = dict(
        lab.rows(
            "select customer_id, next_attempt_at from messages where attempts = 1 and state = 'planned'"
        )
    )
    assert str(again["C6"])[:19] == str(utc(NOON) + timedelta(seconds=1234))
    wait = datetime.fromisoformat(str(again["C4"])) - utc(NOON)
    assert timedelta(seconds=30) <= wait <= timedelta(seconds=90)
    assert lab.dispatch({"email": provider}, NOON).counts == {}, "not before"
    for hours in (1, 2, 3):
        lab.dispatch({"email": provider}, NOON + hours * HOUR, limits=limits)
    assert states(lab) == {"sent": 8, "failed": 2}
    assert details(lab, "failed") == {
        "given up after 3 tries: 451 try later",
        "given up after 3 tries: 429",
    }
    check_events(lab)


def test_a_time_out_after_handing_over_is_unknown(lab: Lab) -> None:
    planned(lab)

    def hang(message: Rendered) -> None:
        if message.customer_id == "C4":
            raise UnknownOutcome("no answer in 30 s")

    lab.dispatch({"email": Provider(hang)}, NOON)
    assert states(lab) == {"sent": 9, "unknown": 1}
    assert details(lab, "unknown") == {"no answer in 30 s"}
    lab.dispatch({"email": Provider()}, NOON + HOUR)
    assert states(lab) == {"sent": 9, "unknown": 1}, "it may have gone out"


def test_where_the_provider_recognises_messages_unknown_ones_are_asked_for_again(lab: Lab) -> None:
    planned(lab)
    hung: list[str] = []

    def hang(message: Rendered) -> None:
        if message.customer_id == "C4" and not hung:
            hung.append(message.message_id)
            raise UnknownOutcome("no answer in 30 s")

    provider = Provider(hang, recognises=True)
    lab.dispatch({"email": provider}, NOON)
    assert states(lab) == {"sent": 9, "planned": 1}
    lab.dispatch({"email": provider}, NOON + HOUR)
    assert states(lab) == {"sent": 10}
    assert provider.ids[-1] == hung[0], "with the same key"
    story = f"select state, reason from events where message_id = '{hung[0]}' order by seq"
    assert lab.rows(story) == [
        ("planned", None),
        ("sending", None),
        ("unknown", "no answer in 30 s"),
        ("planned", "asked again with the same idempotency key"),
        ("sending", None),
        ("sent", "250 ok"),
    ]


def test_an_error_nobody_foresaw_is_unknown_and_says_nothing_of_the_customer(lab: Lab) -> None:
    planned(lab)

    def burst(message: Rendered) -> None:
        if message.customer_id == "C4":
            raise ValueError(f"cannot encode {message.address}")

    lab.dispatch({"email": Provider(burst)}, NOON)
    assert states(lab) == {"sent": 9, "unknown": 1}
    assert details(lab, "unknown") == {"the channel broke off with ValueError"}


def test_a_channel_that_is_down_rests_and_the_others_go_on(lab: Lab) -> None:
    planned(lab)
    asked: list[str] = []

    def down(message: Rendered) -> None:
        asked.append(message.message_id)
        raise ChannelDown("connection refused", retry_after=3600)

    channels = {"email": Provider(down), "sms": Provider(name="sms")}
    summary = lab.dispatch(channels, NOON)
    assert len(asked) == 1
    assert states(lab) == {"planned": 10}
    assert states(lab, "sms") == {"sent": 7}
    assert list(summary.resting) == ["email"]
    for minutes in (5, 30, 59):
        lab.dispatch(channels, NOON + timedelta(minutes=minutes))
    assert len(asked) == 1, "left alone as long as it asked for, by every dispatch"
    channels["email"].answer = lambda _: None
    lab.dispatch(channels, NOON + HOUR)
    assert states(lab) == {"sent": 10}
    assert lab.rows("select count(*) from controls") == [(0,)]
    failures = lab.rows("select max(failures), max(attempts) from messages where route = 'email'")
    assert failures == [(0, 2)], "an hour without the channel brings no message nearer its end"


def test_a_channel_that_cannot_be_opened_rests(lab: Lab) -> None:
    planned(lab)

    class Closed(Provider):
        def __enter__(self) -> "Provider":
            raise ChannelDown("no route to host")

    lab.dispatch({"email": Closed()}, NOON)
    assert states(lab) == {"planned": 10}
    events = "select count(*) from events where state = 'sending'"
    assert lab.rows(events) == [(0,)], "nothing was begun"
    lab.dispatch({"email": Provider()}, NOON + HOUR)
    assert states(lab) == {"sent": 10}


def test_trouble_with_every_message_rests_the_channel(lab: Lab) -> None:
    planned(lab, 60)

    def throttle(_: Rendered) -> None:
        raise TemporaryError("429 too many requests", retry_after=600)

    provider = Provider(throttle)
    lab.dispatch({"email": provider}, NOON)
    tried = lab.rows("select count(*) from events where state = 'sending'")
    assert tried == [(10,)], "not the whole queue"
    provider.answer = lambda _: None
    lab.dispatch({"email": provider}, NOON + timedelta(seconds=599))
    assert provider.took == []
    lab.dispatch({"email": provider}, NOON + timedelta(seconds=600))
    assert states(lab) == {"sent": 30}


# --- what may have changed since planning


def test_consent_withdrawn_after_planning_is_heeded(lab: Lab) -> None:
    planned(lab)
    consents(
        lab,
        ("C4", "care", "email", "2026-10-01", True),
        ("C4", "care", "email", "2026-11-01 09:00:00", False),
        ("C6", "care", "sms", "2026-10-01", False),
        ("C8", "marketing", "email", "2026-10-01", False),
        ("C10", "care", "email", "2026-10-01", False),
        ("C10", "care", "email", "2026-10-02", True),
        ("C12", "care", "email", "2026-11-03", False),
    )
    provider = Provider()
    lab.dispatch({"email": provider}, NOON)
    assert states(lab) == {"sent": 8, "suppressed": 2}
    assert {"C4", "C12"}.isdisjoint(m.customer_id for m in provider.took)
    assert details(lab, "suppressed") == {"consent for care on email was withdrawn"}


def test_marketing_needs_a_yes(lab: Lab) -> None:
    planned(lab, purpose="marketing")
    consents(
        lab,
        ("C4", "marketing", "email", "2026-10-01", True),
        ("C6", "care", "email", "2026-10-01", True),
    )
    provider = Provider()
    lab.dispatch({"email": provider}, NOON)
    assert [m.customer_id for m in provider.took] == ["C4"]
    assert details(lab, "suppressed") == {"no consent for marketing on email"}


def test_suppression_added_while_sending_is_heeded(lab: Lab) -> None:
    planned(lab)
    last = lab.rows("select customer_id from messages where route = 'email' order by order_no")[-1][
        0
    ]

    def complain(_: Rendered) -> None:
        order(lab, lambda con: suppress_customer(con, last, "complained", utc(NOON)))

    with open_ledger(lab.settings) as ledger:
        order(
            lab,
            lambda con: suppress_customer(
                con, "C4", "asked for calls only", utc(NOON), channel="email", purpose="care"
            ),
        )
        order(lab, lambda con: suppress_customer(con, "C6", "x", utc(NOON), channel="sms"))
        order(lab, lambda con: suppress_customer(con, "C8", "x", utc(NOON), purpose="survey"))
        assert ledger.name
    provider = Provider(complain)
    lab.dispatch({"email": provider}, NOON)
    assert states(lab) == {"sent": 8, "suppressed": 2}
    assert details(lab, "suppressed") == {
        "suppressed: complained",
        "suppressed: asked for calls only",
    }
    check_events(lab)


def test_what_cannot_be_written_fails_alone(lab: Lab) -> None:
    planned(lab)

    @dataclass
    class Problem:
        reason: str

    def some(messages: Any) -> dict[str, Any]:
        made: dict[str, Any] = dict(render(messages))
        for message in messages:
            if message.customer_id == "C4":
                made[message.message_id] = Problem("no e-mail address")
            if message.customer_id == "C6":
                del made[message.message_id]
        return made

    lab.dispatch({"email": Provider()}, NOON, render=some)
    assert states(lab) == {"sent": 8, "failed": 2}
    assert details(lab, "failed") == {
        "not written: no e-mail address",
        "not written: nothing was rendered",
    }


# --- late, paused, stopped


def test_nothing_that_is_past_due_goes_out(lab: Lab) -> None:
    planned(lab, hours=24)
    provider = Provider()
    lab.dispatch({"email": provider}, AS_OF + 24 * HOUR)
    assert provider.took == []
    assert states(lab) == {"expired": 10}
    at = {str(at)[:19] for (at,) in lab.rows("select at_utc from events where state = 'expired'")}
    assert at == {"2026-11-02 00:00:00"}, "when its time was over"


def test_a_message_whose_time_ends_while_others_are_sent_expires(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path), hours=24)
    clock = [AS_OF + 23 * HOUR]

    def slow(_: Rendered) -> None:
        clock[0] += timedelta(minutes=20)

    provider = Provider(slow)
    lab.dispatch({"email": provider}, NOON, clock=lambda: clock[0])
    assert len(provider.took) == 3
    assert states(lab) == {"sent": 3, "expired": 7}
    check_events(lab)


def test_a_restored_copy_sends_nothing_past_due(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path / "a"), hours=24)
    kept = tmp_path / "b"
    kept.mkdir()
    with (
        sqlite3.connect(tmp_path / "a" / "ledger.db") as source,
        sqlite3.connect(kept / "ledger.db") as target,
    ):
        source.backup(target)
    lab.dispatch({"email": Provider()}, NOON)
    restored, provider = Lab.at(kept), Provider()
    restored.dispatch({"email": provider}, NOON + 48 * HOUR)
    assert provider.took == []
    assert states(restored) == {"expired": 10}


def test_pause_and_resume_do_not_start_from_the_top(lab: Lab) -> None:
    planned(lab, 40)

    def pausing(_: Rendered) -> None:
        if len(provider.took) == 4:
            order(lab, lambda con: controls.pause(con, utc(NOON)))

    provider = Provider(pausing)
    summary = lab.dispatch({"email": provider}, NOON)
    assert summary.halted == "paused"
    assert len(provider.took) == 5, "the message in flight ends"
    assert states(lab) == {"sent": 5, "planned": 15}
    assert lab.rows("select count(*) from messages where worker is not null") == [(0,)]
    provider.answer = lambda _: None
    assert lab.dispatch({"email": provider}, NOON).halted == "paused"
    assert len(provider.took) == 5
    order(lab, controls.resume)
    lab.dispatch({"email": provider}, NOON)
    assert len(provider.took) == len(set(provider.ids)) == 20


def test_stop_ends_those_that_run_and_later_ones_start(lab: Lab) -> None:
    planned(lab, 40)

    def stopping(_: Rendered) -> None:
        if len(provider.took) == 4:
            order(lab, lambda con: controls.stop(con, utc(NOON)))

    provider = Provider(stopping)
    assert lab.dispatch({"email": provider}, NOON, watch=True).halted == "stopped"
    assert len(provider.took) == 5
    provider.answer = lambda _: None
    assert lab.dispatch({"email": provider}, NOON).halted is None
    assert len(set(provider.ids)) == 20


def test_watching_goes_on_after_a_pause_and_ends_when_told(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path))
    order(lab, lambda con: controls.pause(con, utc(NOON)))
    quit, provider = threading.Event(), Provider()
    thread = threading.Thread(
        target=lambda: lab.dispatch({"email": provider}, NOON, watch=True, quit=quit)
    )
    thread.start()
    time.sleep(0.3)
    assert provider.took == []
    order(lab, controls.resume)
    deadline = time.monotonic() + 20
    while len(provider.took) < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    quit.set()
    thread.join(20)
    assert not thread.is_alive()
    assert states(lab) == {"sent": 10}


def test_a_signal_ends_after_the_message_in_flight(tmp_path: Path) -> None:
    from careloop.cli.dispatch import ending_on_signals

    lab = planned(Lab.at(tmp_path), 40)
    provider = Provider(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with ending_on_signals() as quit:
        provider.answer = lambda _: (os.kill(os.getpid(), signal.SIGTERM), quit.wait(5))
        summary = lab.dispatch({"email": provider}, NOON, quit=quit)
    assert summary.halted == "interrupted"
    assert len(provider.took) == 1
    assert states(lab) == {"sent": 1, "planned": 19}
    assert lab.rows("select count(*) from messages where worker is not null") == [(0,)]


def test_a_limit_and_progress(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path))
    told: list[tuple[int, int, dict]] = []
    lab.dispatch(
        {"email": Provider(), "sms": Provider(name="sms")},
        NOON,
        most=7,
        progress=lambda done, total, by_route: told.append((done, total, dict(by_route))),
    )
    assert lab.states() == {"sent": 7, "planned": 11}
    assert [(done, total) for done, total, _ in told] == [(n, 17) for n in range(1, 8)]
    assert sum(told[-1][2].values()) == 7


def test_an_error_of_ours_ends_the_dispatch_and_is_told(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path))

    def broken(_: Any) -> dict[str, Rendered]:
        raise RuntimeError("templates are gone")

    with pytest.raises(RuntimeError, match="templates are gone"):
        lab.dispatch({"email": Provider()}, NOON, render=broken)
    assert states(lab) == {"planned": 10}
    assert lab.rows("select count(*) from messages where worker is not null") == [(0,)]


# --- limits and workers


def test_rates_are_kept() -> None:
    clock = [0.0]
    pace = Pace(10, lambda: clock[0])
    sent = 0
    while clock[0] < 10:
        if (wait := pace.seconds_to_wait()) > 0:
            clock[0] += wait
            continue
        pace.spend()
        sent += 1
        clock[0] += 0.013
    assert 98 <= sent <= 102


def test_a_rate_slows_one_channel_only(tmp_path: Path) -> None:
    lab = planned(Lab.at(tmp_path))
    times: dict[str, float] = {}
    start = time.monotonic()

    def stamp(message: Rendered) -> None:
        times[message.channel] = time.monotonic() - start

    channels = {"email": Provider(stamp), "sms": Provider(stamp, name="sms")}
    lab.dispatch(channels, NOON, limits={"email": Limits(rate=10), "sms": Limits()})
    assert lab.states() == {"sent": 17, "planned": 1}
    assert times["email"] > 0.8
    assert times["sms"] < times["email"]


def test_limits_come_from_the_settings() -> None:
    def limits(**options: Any) -> Limits:
        return limits_of(load_settings(channels={"email": options}), "email")

    assert limits() == Limits()
    assert limits(rate="600/m").rate == 10
    assert limits(rate="10/s", tries=2) == Limits(rate=10, tries=2)
    assert limits(rate="1/m").batch_size == 1
    assert limits(rate="100/s").batch_size == 500
    for wrong in ({"rate": "fast"}, {"rate": "0/s"}, {"tries": 0}, {"tries": "5"}):
        with pytest.raises(SettingsError, match=r"channels\.email"):
            limits(**wrong)


def test_back_off_doubles_is_spread_and_the_same_again() -> None:
    limits = Limits(backoff=60, longest_backoff=3600)
    first = [backoff_seconds(limits, f"m{n}", 1) for n in range(200)]
    assert min(first) >= 30
    assert max(first) <= 90
    assert max(first) - min(first) > 50, "spread"
    assert backoff_seconds(limits, "m1", 3) == backoff_seconds(limits, "m1", 3)
    assert 120 <= backoff_seconds(limits, "m1", 3) <= 360
    assert backoff_seconds(limits, "m1", 30) == 3600


def test_a_worker_is_gone_when_its_process_is() -> None:
    assert not is_gone(name_worker())
    code = "from careloop.ledger.worker import name_worker; print(name_worker())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_gone(dead.stdout.strip())
    assert not is_gone("elsewhere.4026531836/1/99/1"), "of other machines nothing is known"


def test_a_lease_of_another_machine_runs_out(lab: Lab) -> None:
    planned(lab)

    def hold(con: Any) -> None:
        con.exec_driver_sql(
            "update messages set worker = 'elsewhere.1/7/9/1', lease_until = '2026-11-01 12:10:00',"
            " state = case when customer_id = 'C4' then 'sending' else 'planned' end"
        )
        con.exec_driver_sql(
            "insert into events (message_id, at_utc, state, attempt) select message_id,"
            " '2026-11-01 12:00:00', 'sending', 1 from messages where customer_id = 'C4'"
        )

    order(lab, hold)
    provider = Provider()
    lab.dispatch({"email": provider}, NOON)
    assert provider.took == [], "somebody has them"
    lab.dispatch({"email": provider}, NOON + timedelta(minutes=10))
    assert states(lab) == {"sent": 9, "unknown": 1}
    check_events(lab)
