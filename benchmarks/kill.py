"""`python -m benchmarks.kill --times 200`: kill -9 planning and dispatch at random moments.

After the kills both are run to their end. Then every decision is in the ledger once; every
message went out exactly once, or is unknown with a reason on a channel that can't recognise a
message it has had before; and a channel that can saw some twice at most after a kill.
"""

import argparse
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.dispatch_lab import AS_OF, NOON, Lab, file_channels
from benchmarks.nursery import Nursery

LONGEST_SECONDS = 1.5


@dataclass(frozen=True)
class Result:
    """What came of it. kills: processes that died; unknown: messages left unknown; repeated:
    messages that a recognising channel got again."""

    kills: int
    messages: int
    unknown: int
    repeated: int
    starts: int


def torment(
    nursery: Nursery, job: str, lab: Lab, now: datetime, times: int, chance: random.Random
) -> tuple[int, int]:
    """Start the job again and again, two at once half the time, and kill them until ``times`` have
    died; then let it end. Returns kills and starts. Processes that end before they are to be
    killed shorten the time to the next kills."""
    kills = starts = 0
    longest = LONGEST_SECONDS
    while kills < times:
        codes = nursery.run(
            lab, job, now, [chance.uniform(0.01, longest) for _ in range(chance.choice((1, 2)))]
        )
        assert set(codes) <= {0, -9}, codes
        starts += len(codes)
        kills += codes.count(-9)
        longest = max(0.3, longest * 0.7) if 0 in codes else longest
    assert nursery.run(lab, job, now, [None]) == [0]
    return kills, starts + 1


def kill(lab: Lab, count: int, times: int, seed: int) -> Result:
    """Torment planning with half of the kills and dispatch with the others; check what is left."""
    chance = random.Random(seed)
    lab.version(count)
    with Nursery() as nursery:
        planned = torment(nursery, "plan", lab, AS_OF, times // 2, chance)
        check_plan(lab, count)
        sent = torment(nursery, "dispatch", lab, NOON, times - times // 2, chance)
    unknown, repeated = check_sent(lab)
    total = len(lab.rows("select 1 from messages"))
    return Result(planned[0] + sent[0], total, unknown, repeated, planned[1] + sent[1])


def check_plan(lab: Lab, count: int) -> None:
    """Every decision once, with one event; an exposure each."""
    withheld = sum(1 for i in range(count) if i % 10 == 3)
    assert lab.states() == {"planned": count - withheld}, lab.states()
    assert lab.rows("select count(*) from exposures") == [(count,)]
    assert lab.rows("select count(*), count(distinct message_id) from events") == [
        (count - withheld, count - withheld)
    ]


def check_sent(lab: Lab) -> tuple[int, int]:
    """Nothing left out, nothing twice, everything explained; how many unknown and repeated."""
    unknown = repeated = 0
    for route, channel in file_channels(lab.settings.home).items():
        states = dict(lab.rows(f"select message_id, state from messages where route = '{route}'"))
        assert set(states.values()) <= {"sent", "unknown"}, Counter(states.values())
        received = Counter(channel.received)
        open_ = {key for key, state in states.items() if state == "unknown"}
        assert {key for key, state in states.items() if state == "sent"} <= set(received)
        assert set(received) <= set(states)
        again = {key for key, times in received.items() if times > 1}
        if channel.accepts_idempotency_key:
            assert not open_, "asked again until it was known"
            assert again <= _asked_again(lab), "only what was unknown is asked for again"
        else:
            assert not again, f"{len(again)} messages went out twice"
            check_explained(lab, open_)
        unknown += len(open_)
        repeated += len(again)
    check_events(lab)
    return unknown, repeated


def fates(lab: Lab) -> list[tuple[str, str, int, int]]:
    """What became of every message: channel, state in the ledger, times its provider got it, and
    of how many that is true."""
    counted: Counter[tuple[str, str, int]] = Counter()
    for route, channel in file_channels(lab.settings.home).items():
        received = Counter(channel.received)
        sql = f"select message_id, state from messages where route = '{route}'"
        for key, state in lab.rows(sql):
            counted[route, state, received[key]] += 1
    return [(*what, count) for what, count in sorted(counted.items())]


def _asked_again(lab: Lab) -> set[str]:
    sql = "select message_id from events where state = 'unknown'"
    return {key for (key,) in lab.rows(sql)}


def check_explained(lab: Lab, keys: set[str]) -> None:
    """Every unknown message says why."""
    reasons = dict(lab.rows("select message_id, detail from messages where state = 'unknown'"))
    assert all("process ended" in reasons[key] for key in keys), reasons


def check_events(lab: Lab) -> None:
    """The last event of every message is its state, and states follow one another properly."""
    follows = {
        None: {"planned", "expired"},
        "planned": {"sending", "expired", "suppressed", "failed"},
        "sending": {"sent", "failed", "unknown", "planned"},
        "unknown": {"planned", "sent"},
    }
    states = dict(lab.rows("select message_id, state from messages"))
    last: dict[str, str | None] = dict.fromkeys(states)
    for key, state in lab.rows("select message_id, state from events order by seq"):
        assert state in follows.get(last[key], set()), (key, last[key], state)
        last[key] = state
    assert last == states


def main() -> None:
    """Torment SQLite, or the ledger at --ledger-url, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger-url", help="an empty ledger to torment instead of SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        lab = Lab.at(Path(home), options.ledger_url)
        print(kill(lab, options.messages, options.times, options.seed))
        for route, state, times, count in fates(lab):
            print(f"{route:6} {state:8} received {times} times: {count:,}")


if __name__ == "__main__":
    main()
