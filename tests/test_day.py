"""Days of care on the sample CRM, with a real mail server, a real gateway and a real receiver.

On 1 November 2026 everything is planned and sent, providers fail in every way they know, and
answers come back. Then careloop is off until the 4th, catches up, and replays the 1st.
"""

import csv
import json
import logging
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from careloop.care import plan_published, send_due
from careloop.cli.run import Steps, catch_up_missed
from careloop.clock import parse_as_of
from careloop.contract import entities
from careloop.feedback.signature import signature
from careloop.home import hold
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.ledger.database import open_ledger
from careloop.plan import Planned
from careloop.program.load import load_program
from careloop.published import query, versions
from careloop.refresh import Refresh
from careloop.settings import Settings, load_settings
from careloop.transform.dbt import invoke
from conftest import Company
from day_world import PATIENCE, ZONE, Arrival, Clock, Gateway, PostOffice, at
from test_feedback import SECRET, start

pytestmark = pytest.mark.slow

PROGRAM = load_program("retail_care")
TICKS = ("00:05", "08:55", "09:00", "09:20", "09:40", "10:00", "10:20", "12:00", "14:30", "18:00",
         "18:20", "20:30", "21:05", "23:55")  # fmt: skip
TOGETHER = "18:00"
DECISIONS = "select t::varchar from fct_care_decisions as t order by decision_key"
ANSWERS = """\
name: answers
zone: UTC
entities:
  receipts:
    file: receipts*.csv
  orders:
    file: orders*.csv
"""


@dataclass
class Day:
    """Everything that was done and seen."""

    settings: Settings
    clock: Clock
    post: PostOffice
    gateway: Gateway
    answers: Path
    first: str = ""
    replayed: list[tuple] = field(default_factory=list)
    receiver_clock: list[datetime] = field(default_factory=list)
    caught_up: list[dict[str, Any]] = field(default_factory=list)
    again: list[Planned] = field(default_factory=list)
    together: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    output: list[str] = field(default_factory=list)

    @property
    def arrivals(self) -> list[Arrival]:
        return [*self.post.arrivals, *self.gateway.arrivals]

    def ledger(self, sql: str) -> list[tuple]:
        with open_ledger(self.settings) as ledger, ledger.read() as con:
            return [tuple(row) for row in con.exec_driver_sql(sql)]

    def marts(self, sql: str, version: str | None = None) -> list[tuple]:
        return query(self.settings, sql, version)[1]

    def version(self, day: int) -> str:
        """The first published version of a day of November 2026."""
        return next(v for v in versions(self.settings) if v.startswith(f"202611{day:02d}"))

    def lake(self, entity: str, columns: str) -> list[tuple]:
        relation = current(Lake(self.settings.lake), entities()[entity])
        with duckdb.connect() as con:
            return con.execute(f"select {columns} from ({relation})").fetchall()

    def send(self) -> None:
        send_due(self.settings, PROGRAM, self.clock)

    def send_together(self) -> None:
        """Two dispatchers, started at the same moment as processes of their own."""
        command = [sys.executable, "-m", "careloop", "dispatch", "--json"]
        command += ["--now", self.clock().isoformat(), "--home", str(self.settings.home)]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for process in running:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            self.together.append(json.loads(out))
            self.output += [out, err]


def channels(post: PostOffice) -> dict[str, dict[str, Any]]:
    """As careloop.toml would say it. The text message gateway can't recognise a repeated key."""
    webhook = {"type": "webhook", "timeout_seconds": PATIENCE}
    return {
        "email": {"type": "smtp", "host": "127.0.0.1", "port": post.port, "security": "none",
                  "from_address": "care@shop.example"},
        "sms": {**webhook, "shape": "sms_gateway"},
        "wecom": webhook,
        "push": webhook,
    }  # fmt: skip


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARELOOP_LINK_SECRET", "a secret that signs the links")
        patch.setenv("CARELOOP_RECEIPT_SECRET", SECRET)
        yield patch


@pytest.fixture(scope="module")
def world(
    fresh: Company, tmp_path_factory: pytest.TempPathFactory, environment: pytest.MonkeyPatch
) -> Iterator[Day]:
    root = tmp_path_factory.mktemp("day")
    clock = Clock()
    post, gateway = PostOffice(clock), Gateway(clock)
    answers = root / "answers"
    answers.mkdir()
    (answers / "source.yml").write_text(ANSWERS, "utf-8")
    base = fresh.copy(root / "home")
    base = base.model_copy(update={"sources": [*base.sources, answers]})
    moments = [clock()]
    receiver, url = start(base, moments)
    settings = load_settings(
        home=base.home, sources=base.sources, keep_days=400, channels=channels(post),
        public_url=url, sender_name="Shop", shop_url="https://shop.example",
        survey_url="https://survey.example/q",
    )  # fmt: skip
    for channel in ("sms", "wecom", "push"):
        name = f"CARELOOP_CHANNEL_{channel.upper()}_URL"
        environment.setenv(name, f"{gateway.url}/{channel}")
    for name in ("channels", "public_url", "sender_name", "shop_url", "survey_url"):
        value = getattr(settings, name)
        text = value if isinstance(value, str) else json.dumps(value)
        environment.setenv(f"CARELOOP_{name.upper()}", text)
    yield Day(settings, clock, post, gateway, answers, receiver_clock=moments)
    receiver.should_exit = True
    post.close()
    gateway.close()


class Listener(logging.Handler):
    """Keeps what this process logs, except what the mail server says for itself."""

    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.INFO)
        self.into = into

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("mail.", "asyncio")):
            self.into.append(record.getMessage())


@pytest.fixture(scope="module")
def day(world: Day) -> Day:
    listener = Listener(world.output)
    logging.getLogger().addHandler(listener)
    world.first = world.version(1)
    send_all_day(world)
    world.clock.moment = at("22:00")
    bring_answers(world)
    world.clock.moment = at("00:10", 4)
    steps = Steps(quiet=True)
    world.caught_up = catch_up_missed(world.settings, steps, world.clock())
    for moment in ("00:10", "09:30", "18:30", "20:30"):
        world.clock.moment = at(moment, 4)
        world.send()
    world.replayed = decide_again(world, "2026-11-01")
    logging.getLogger().removeHandler(listener)
    return world


def decide_again(day: Day, as_of: str) -> list[tuple]:
    """The decisions of a day as they would be worked out now; nothing is published."""
    refresh = Refresh(day.settings, PROGRAM, parse_as_of(as_of, PROGRAM.zone))
    with hold(day.settings):
        refresh.prepare()
        assert invoke(day.settings, ["run", "--select", "+fct_care_decisions"]).success
    with duckdb.connect(str(day.settings.marts), read_only=True) as con:
        return con.execute(DECISIONS).fetchall()


def send_all_day(day: Day) -> None:
    """The first of November, the mail server being down until ten."""
    day.clock.moment = at("00:01")
    plan_published(day.settings, PROGRAM, day.clock())
    for moment in TICKS:
        day.clock.moment = at(moment)
        if moment == "10:00":
            day.post.open()
        day.send_together() if moment == TOGETHER else day.send()
        day.again += plan_published(day.settings, PROGRAM, day.clock())


def bring_answers(day: Day) -> None:
    """Delivered, bounced, unsubscribed by the link in the mail, reported as spam, a task done, by
    HTTP; replies and orders by file, with the next load."""
    sent = day.ledger(
        "select message_id, customer_id, route, purpose, rule from messages "
        "where state = 'sent' order by order_no"
    )
    by_route = defaultdict(list)
    for row in sent:
        by_route[row[2]].append(row)
    receipts = [("delivered", row) for row in by_route["sms"] + by_route["wecom"]]
    receipts += [("hard_bounce", row) for row in by_route["sms"][::3]]
    receipts += [("complaint", row) for row in by_route["wecom"][::8]]
    receipts += [("done", row) for row in by_route["task"][:1]]
    stamp = str(int(day.clock().timestamp()))
    raw = json.dumps(
        [{"kind": k, "message_id": row[0], "at": day.clock().isoformat()} for k, row in receipts]
    ).encode()
    url = day.settings.public_url
    signed = {"X-Careloop-Timestamp": stamp, "X-Careloop-Signature": signature(SECRET, stamp, raw)}
    day.receiver_clock[0] = day.clock()
    assert httpx.post(f"{url}/receipts", content=raw, headers=signed).status_code == 200
    for kind, row in receipts:
        day.told[kind].add(row[0])
    for row in [row for row in by_route["email"] if row[3] != "service"][::3]:
        link = day.post.mails[row[0]]["List-Unsubscribe"].strip("<>")
        assert httpx.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        day.told["unsubscribed"].add(row[0])
    write_answers(day, by_route)


def write_answers(day: Day, by_route: dict[str, list[tuple]]) -> None:
    """Files of the answers source: replies, and orders of customers who were written to."""
    replies = by_route["wecom"][1:9:2]
    hopes = {
        rule.id for rule in PROGRAM.rules if rule.conversion and rule.conversion.event == "order"
    }
    buyers = sorted({row[1]: row for row in by_route["email"] if row[4] in hopes}.values())[:4]
    with (day.answers / "receipts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["receipt_id", "message_id", "kind", "at"])
        for row in replies:
            writer.writerow([f"reply {row[0]}", row[0], "replied", "2026-11-01 15:00:00"])
            day.told["replied"].add(row[0])
    with (day.answers / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "customer_id", "ordered_at", "status", "amount", "currency"])
        for row in buyers:
            writer.writerow([f"X{row[1]}", row[1], "2026-11-02 04:00:00", "paid", "123.45", "CNY"])
            day.told["bought"].add(row[0])


# -- every message once, to those who may be written to, when they may -----------------------------


def test_every_decision_is_one_message_and_arrives_once(day: Day) -> None:
    """Counted from the published decisions, the ledger, and what providers took over."""
    decided = day.marts(
        "select decision_key, channel, kind from fct_care_decisions "
        "where outcome in ('send', 'task')",
        day.first,
    )
    planned = day.ledger(
        "select decision_key, channel, kind, message_id, route, state from messages "
        "where as_of = '2026-10-31 16:00:00.000000'"
    )
    assert len(decided) > 100
    assert sorted(decided) == sorted(row[:3] for row in planned)
    arrived = Counter(arrival.message_id for arrival in day.arrivals)
    assert set(arrived.values()) == {1}
    explained = {key for (key,) in day.ledger(
        "select message_id from messages where state in ('failed', 'expired', 'suppressed')")}  # fmt: skip
    for _, _, kind, key, route, state in planned:
        assert state != "planned", key
        if kind == "task":
            assert (route, state) == ("task", "sent")
            assert key not in arrived
        else:
            assert (key in arrived) == (key not in explained), (key, route, state)
    everything = {key for (key,) in day.ledger("select message_id from messages")}
    assert set(arrived) <= everything


def test_arrivals_have_the_right_address_and_channel(day: Day) -> None:
    contacts = {
        customer: {"email": mail, "sms": phone, "wecom": wecom, "push": push}
        for customer, mail, phone, wecom, push in day.lake(
            "contacts", "customer_id, email, phone, wecom_id, push_token"
        )
    }
    planned = {
        key: (customer, channel)
        for key, customer, channel in day.ledger(
            "select message_id, customer_id, channel from messages"
        )
    }
    for arrival in day.arrivals:
        customer, channel = planned[arrival.message_id]
        assert (channel, contacts[customer][channel]) == (arrival.channel, arrival.address)


def test_nobody_without_an_allowed_consent_got_anything(day: Day) -> None:
    """Worked out again from the consents as they were loaded."""
    latest: dict[tuple, tuple] = {}
    for customer, purpose, channel, changed, granted in day.lake(
        "consents", "customer_id, purpose, channel, changed_at, granted"
    ):
        assert changed.replace(tzinfo=UTC) < at("00:00"), "the sample ends before the day"
        key = (customer, purpose, channel)
        latest[key] = max(latest.get(key, (datetime.min, True)), (changed, granted))
    messages = {row[0]: row[1:] for row in day.ledger(
        "select message_id, customer_id, purpose, channel from messages")}  # fmt: skip
    opt_in = {p for p in ("service", "care", "marketing", "survey")
              if getattr(PROGRAM.consent, p) == "opt_in"}  # fmt: skip
    asked = 0
    for arrival in day.arrivals:
        customer, purpose, channel = messages[arrival.message_id]
        _, granted = latest.get((customer, purpose, channel), (None, purpose not in opt_in))
        assert granted, (customer, purpose, channel)
        asked += purpose in opt_in
    assert asked > 3


def test_quiet_hours_are_kept(day: Day) -> None:
    """Of the day, and of what was due long ago when careloop came back in the night."""
    about = {row[0]: row[1:] for row in day.ledger(
        "select message_id, purpose, not_before from messages")}  # fmt: skip
    late = 0
    for arrival in day.arrivals:
        purpose, not_before = about[arrival.message_id]
        due = datetime.fromisoformat(not_before).replace(tzinfo=UTC)
        assert due <= arrival.at
        is_day = 9 <= arrival.at.astimezone(ZONE).hour < 21
        assert is_day or purpose in PROGRAM.quiet_hours.exempt_purposes
        late += due < at("00:10", 4) < arrival.at
    assert late > 10


def test_no_cap_was_exceeded(day: Day) -> None:
    """Counted from the ledger over all days, without careloop's SQL."""
    sent = day.ledger(
        "select customer_id, purpose, channel, cap_group, contact_on from messages "
        "where not is_cap_exempt and state in ('sent', 'unknown', 'planned')"
    )
    counted = defaultdict(list)
    for customer, purpose, channel, group, on in sent:
        for cap in PROGRAM.caps.limits:
            chosen = ((cap.purposes, purpose), (cap.channels, channel), (cap.groups, group))
            if all(not wanted or given in wanted for wanted, given in chosen):
                counted[cap.id, customer].append(date.fromisoformat(on))
    days = {"1d": 1, "1w": 7, "2w": 14, "1mo": 28}
    tight = 0
    for cap in PROGRAM.caps.limits:
        for (name, _), found in counted.items():
            if name == cap.id:
                inside = [sum(0 <= (d - e).days < days[cap.per] for e in found) for d in found]
                assert max(inside) <= cap.most, (cap.id, found)
                tight += max(inside) == cap.most
    assert tight > 50


# -- providers that misbehave ----------------------------------------------------------------------


def states(day: Day, key: str) -> list[str]:
    return [s for (s,) in day.ledger(
        f"select state from events where message_id = '{key}' order by seq")]  # fmt: skip


def test_silence_after_taking_is_unknown_and_repeated_only_where_it_is_recognised(day: Day) -> None:
    text, robot = day.gateway.silent["sms"], day.gateway.silent["wecom"]
    asked = Counter((channel, key) for channel, key, _ in day.gateway.requests)
    assert states(day, text) == ["planned", "sending", "unknown"]
    assert asked["sms", text] == 1
    assert states(day, robot)[:5] == ["planned", "sending", "unknown", "planned", "sending"]
    assert states(day, robot)[-1] == "sent"
    assert asked["wecom", robot] > 1
    twice = {key for key, times in asked.items() if times > 1}
    assert twice <= {("wecom", robot), ("wecom", day.gateway.throttled)}
    ((reason,),) = day.ledger(f"select detail from messages where message_id = '{text}'")
    assert reason.startswith("no answer after the message was handed over")


def test_a_rejected_recipient_holds_nobody_up(day: Day) -> None:
    failed = day.ledger("select message_id, detail from messages where state = 'failed'")
    assert [reason for _, reason in failed if "550" not in reason] == []
    assert (len(failed), day.post.refusals) == (1, 1)
    mails = [a for a in day.post.arrivals if a.at == at("10:00")]
    assert len(mails) > 3
    after = day.ledger(
        "select count(*) from messages m join messages f on f.state = 'failed' "
        "and m.customer_id = f.customer_id and m.route = 'email' and m.as_of > f.as_of"
    )
    assert after == [(0,)], "its address is not written to again"


def test_a_channel_that_is_told_to_wait_waits(day: Day) -> None:
    told = next(when for _, key, when in day.gateway.requests if key == day.gateway.throttled)
    early = [
        key
        for channel, key, when in day.gateway.requests
        if channel == "wecom" and told < when < told + timedelta(minutes=30)
    ]
    assert early == []
    assert states(day, day.gateway.throttled)[-1] == "sent"


def test_a_server_that_is_down_for_an_hour_loses_nothing(day: Day) -> None:
    kept = day.ledger(
        "select count(*) from messages where route = 'email' and not_before < '2026-11-01 01:30' "
        "and as_of = '2026-10-31 16:00:00.000000'"
    )
    assert kept[0][0] > 3
    assert min(a.at for a in day.post.arrivals) == at("10:00")
    tried = day.ledger("select max(failures) from messages where route = 'email'")
    assert tried == [(0,)], "a channel that is down counts against no message"


def test_two_dispatchers_shared_the_work(day: Day) -> None:
    sent = [sum(c.get("sent", 0) for c in one["counts"].values()) for one in day.together]
    came = [a for a in day.arrivals if a.at == at(TOGETHER)]
    tasks = day.ledger(
        f"select count(*) from messages where route = 'task' and state_at = '{_utc(TOGETHER)}'"
    )
    assert sum(sent) == len(came) + tasks[0][0] > 20


def _utc(time_of_day: str) -> str:
    return f"{at(time_of_day).astimezone(UTC):%Y-%m-%d %H:%M:%S}.000000"


def test_planning_again_added_nothing(day: Day) -> None:
    assert day.again == []
    plans = day.ledger("select version, messages from plans order by version")
    assert [version for version, _ in plans] == [day.version(1), day.version(2), day.version(3)]
    in_all = day.ledger("select count(*) from messages")[0][0]
    assert sum(messages for _, messages in plans) == in_all


# -- the days after --------------------------------------------------------------------------------


def test_missed_days_were_decided_and_only_what_is_still_good_went_out(day: Day) -> None:
    assert [one["as_of"][:10] for one in day.caught_up] == ["2026-11-02", "2026-11-03"]
    late = day.ledger(
        "select state, expires_at, state_at, as_of, attempts from messages "
        "where as_of > '2026-10-31 16:00:00.000000' and expires_at <= '2026-11-03 16:10:00.000000'"
    )
    assert len(late) > 20
    assert {(state, attempts) for state, _, _, _, attempts in late} == {("expired", 0)}
    assert all(state_at == as_of for _, _, state_at, as_of, _ in late), "they use up no cap"
    expires = dict(day.ledger("select message_id, expires_at from messages"))
    after = [a for a in day.arrivals if a.at > at("00:00", 4)]
    assert len(after) > 20
    for arrival in after:
        assert datetime.fromisoformat(expires[arrival.message_id]).replace(tzinfo=UTC) > arrival.at


def test_what_went_out_does_not_come_again(day: Day) -> None:
    """Re-entry and cooldown see the first day's messages; what expired unsent may come."""
    for number in (2, 3):
        again = day.marts(
            "select decision_key, gate, gate_reason from fct_care_decisions "
            "where outcome in ('send', 'task')",
            day.version(number),
        )
        keys = {key for key, _, _ in again}
        earlier = {key for (key,) in day.ledger(
            "select decision_key from messages where state in ('sent', 'unknown') "
            f"and as_of < '2026-11-{number - 1:02d} 16:00:00.000000'")}  # fmt: skip
        assert earlier
        assert not keys & {key for key in earlier if key not in _of_day(day, number)}
    stopped = dict(day.marts(
        "select gate, count(*) from fct_care_decisions where outcome = 'blocked' group by gate",
        day.version(2)))  # fmt: skip
    assert stopped["cooldown"] + stopped.get("reentry", 0) > 10
    assert stopped["caps"] > 10


def _of_day(day: Day, number: int) -> set[str]:
    as_of = f"2026-11-{number - 1:02d} 16:00:00.000000"
    return {k for (k,) in day.ledger(f"select decision_key from messages where as_of = '{as_of}'")}


def test_bounces_unsubscriptions_and_complaints_stop_the_next_decisions(day: Day) -> None:
    about = {row[0]: row[1:] for row in day.ledger(
        "select message_id, customer_id, channel, purpose from messages")}  # fmt: skip
    stops: set[tuple[str, str, str]] = set()
    for key in day.told["hard_bounce"]:
        stops |= {
            (about[key][0], about[key][1], p) for p in ("service", "care", "marketing", "survey")
        }
    for key in day.told["complaint"]:
        stops |= {(about[key][0], c, p) for c in ("sms", "email", "wecom", "push", "call")
                  for p in PROGRAM.feedback.complaint_stops}  # fmt: skip
    stops |= {about[key] for key in day.told["unsubscribed"]}
    assert min(map(len, (day.told[k] for k in ("hard_bounce", "complaint", "unsubscribed")))) > 2
    stopped = 0
    for number in (2, 3):
        rows = day.marts(
            "select customer_id, channel, purpose, outcome, gate from fct_care_decisions",
            day.version(number),
        )
        chosen = {row[:3] for row in rows if row[3] in ("send", "task", "deferred", "withheld")}
        assert not chosen & stops
        customers = {customer for customer, _, _ in stops}
        stopped += sum(row[4] == "suppression" and row[0] in customers for row in rows)
    assert stopped > 3


def test_what_came_back_lands_on_its_decision(day: Day) -> None:
    rows = day.marts(
        "select message_id, decision_key, customer_id, state, is_delivered, is_bounced, "
        "is_complained, is_unsubscribed, is_replied from fct_care_deliveries "
        "where planned_as_of = timestamp '2026-10-31 16:00:00'"
    )
    planned = day.ledger(
        "select message_id, decision_key, customer_id from messages "
        "where as_of = '2026-10-31 16:00:00.000000'"
    )
    assert sorted(row[:3] for row in rows) == sorted(planned)
    kinds = ("delivered", "hard_bounce", "complaint", "unsubscribed", "replied")
    for number, kind in enumerate(kinds, 4):
        assert {row[0] for row in rows if row[number]} == day.told[kind], kind


def test_orders_after_a_message_are_conversions(day: Day) -> None:
    found = day.marts(
        "select message_id, conversion, conversion_value from fct_care_deliveries "
        "where conversion = 'converted'"
    )
    assert len(day.told["bought"]) >= 3
    assert day.told["bought"] <= {key for key, _, _ in found}
    assert {f"{value:.2f}" for key, _, value in found if key in day.told["bought"]} == {"123.45"}


def test_tasks_are_on_the_register(day: Day) -> None:
    tasks = day.ledger(
        "select message_id, decision_key, rule from messages where route = 'task' "
        "and as_of < '2026-11-02 16:00:00.000000'"
    )
    register = day.marts(
        "select task_id, decision_key, rule, done_at is not null from register_follow_ups "
        "where origin = 'careloop'"
    )
    assert len(tasks) > 3
    assert sorted(row[1:3] for row in register) == sorted(row[1:] for row in tasks)
    done = {key for key, decision, _ in tasks if (decision, True) in {r[1::2] for r in register}}
    assert done == day.told["done"]


def test_uplift_is_there(day: Day) -> None:
    exposed = day.ledger(
        "select count(*) from exposures where as_of < '2026-11-02 16:00:00.000000'"
    )
    rows = day.marts("select sum(treated_customers + holdout_customers), count(*), "
                     "count(verdict_en) from rpt_care_uplift where experiment_kind = 'rule'")  # fmt: skip
    assert 0 < rows[0][0] <= 2 * exposed[0][0]
    assert rows[0][1] == rows[0][2]


def test_replaying_the_first_day_decides_the_same(day: Day) -> None:
    """Two days later, knowing what was sent, what came back, and later orders."""
    assert len(day.replayed) > 200
    assert day.replayed == day.marts(DECISIONS, day.first)
    assert day.ledger("select count(*) from plans") == [(3,)]


# -- what is kept ----------------------------------------------------------------------------------


def test_nothing_personal_is_kept_or_logged(day: Day) -> None:
    """Names, numbers and addresses are in the lake and in the mails, and nowhere else."""
    rows = day.lake("contacts", "name, company_name, contact_person, phone, email, address")
    values = {v for row in rows for v in row if v and len(v) > 3}
    assert len(values) > 800
    texts = [("logs", "\n".join(day.output))]
    for file in day.settings.home.glob("ledger.db*"):
        texts.append((file.name, file.read_bytes().decode("utf-8", "replace")))
    for file in day.settings.home.glob("reports/**/*.html"):
        texts.append((file.name, file.read_text("utf-8")))
    for file in [*day.settings.home.glob("ledger_mirror/*/*.parquet"), *day.settings.decisions.glob("*.parquet")]:  # fmt: skip
        with duckdb.connect() as con:
            texts.append((file.name, _text(con, f"read_parquet('{file}')")))
    with duckdb.connect(str(day.settings.published / "marts.duckdb"), read_only=True) as con:
        listed = "select schema_name || '.' || table_name from duckdb_tables()"
        for (table,) in con.execute(listed).fetchall():
            texts.append((table, _text(con, table)))
    assert len(texts) > 40
    for name, text in texts:
        words = set(re.findall(r"[^\s,'\"{}\[\]|<>()]+", text))
        assert not words & values, (name, sorted(words & values)[:3])


def _text(con: duckdb.DuckDBPyConnection, relation: str) -> str:
    return "\n".join(
        t for (t,) in con.execute(f"select t::varchar from {relation} as t").fetchall()
    )
