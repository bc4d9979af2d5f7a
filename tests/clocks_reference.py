"""Service clocks by walking through time step by step: slow, and nothing shared with the SQL.

Times are UTC datetimes on whole steps. A clock is a plain dict as in a pack.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

UTC = dt.UTC
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ORDER = ("open", "pending", "on_hold", "solved", "closed")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
Row = dict[str, Any]


class Office:
    """Working time of a calendar as a pack states it; holidays and make-up days by hand."""

    def __init__(self, zone: str, calendar: Row, step: int, first: dt.date, days: int) -> None:
        self.zone, self.step = ZoneInfo(zone), step
        self.work_days: list[tuple[dt.date, dt.datetime]] = []
        self.worked: set[int] = set()
        for day in (first + dt.timedelta(n) for n in range(days)):
            pieces = list(self._pieces(calendar, day))
            if pieces:
                self.work_days.append((day, pieces[-1][1]))
            for opens, closes in pieces:
                self.worked.update(range(epoch(opens), epoch(closes), step))

    def _pieces(self, calendar: Row, day: dt.date) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        hours = calendar["hours"].get(WEEKDAYS[day.weekday()])
        if day in calendar["holidays"]:
            return
        if hours is None and day in calendar["make_up"]:
            hours = calendar["make_up_hours"]
        if hours is None:
            return
        opens, closes = minutes(hours)
        free = [minutes(pause) for pause in calendar["breaks"]]
        works = [not any(a <= m < b for a, b in free) for m in range(opens, closes)]
        start = None
        for m, at_work in enumerate([*works, False], opens):
            if at_work and start is None:
                start = m
            if not at_work and start is not None:
                yield self.wall(day, start), self.wall(day, m)
                start = None

    def wall(self, day: dt.date, minute: int) -> dt.datetime:
        """UTC of a local time; of a time that comes twice the second."""
        midnight = dt.datetime.combine(day, dt.time())
        local = midnight + dt.timedelta(minutes=minute)
        local = local.replace(tzinfo=self.zone)
        exists = local.astimezone(UTC).astimezone(self.zone).replace(fold=0) == local
        return local.replace(fold=1 if exists else 0).astimezone(UTC).replace(tzinfo=None)

    def local_day(self, moment: dt.datetime) -> dt.date:
        return moment.replace(tzinfo=UTC).astimezone(self.zone).date()


def minutes(span: str) -> tuple[int, int]:
    a, b = ((int(x[:2]) * 60 + int(x[3:])) for x in span.split("-"))
    return a, b


def epoch(moment: dt.datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def at(second: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def statuses(ticket: Row, events: list[Row], as_of: dt.datetime) -> list[tuple[dt.datetime, str]]:
    """Status changes in order of time, the one that counts of each moment."""
    opened = ticket["opened_at"]
    found = [(opened, "open")]
    found += [(max(e["at"], opened), e["status"]) for e in events if e["at"] <= as_of]
    for column, status in (("resolved_at", "solved"), ("closed_at", "closed")):
        moment = ticket[column]
        if moment and moment <= as_of and status not in {s for _, s in found}:
            found.append((max(moment, opened), status))
    best: dict[dt.datetime, str] = {}
    for moment, status in found:
        best[moment] = max(best.get(moment, "open"), status, key=ORDER.index)
    return sorted(best.items())


def first_of(changes: list[tuple[dt.datetime, str]], wanted: set[str]) -> dt.datetime | None:
    return next((moment for moment, status in changes if status in wanted), None)


def seen(moments: list[dt.datetime | None], as_of: dt.datetime) -> dt.datetime | None:
    return min((m for m in moments if m and m <= as_of), default=None)


def target_seconds(office: Office, clock: Row, start: dt.datetime) -> int:
    """Length of the target; of working days the working time to the end of the last of them."""
    amount, unit = int(clock["target"].rstrip("smhdw")), clock["target"].lstrip("0123456789")
    if unit != "wd":
        return amount * UNITS[unit]
    day = office.local_day(start)
    closes = [end for work_day, end in office.work_days if work_day > day][amount - 1]
    seconds = range(epoch(start), epoch(closes), office.step)
    return office.step * sum(second in office.worked for second in seconds)


def walk(office: Office, clock: Row, start: dt.datetime, modes: list[tuple[dt.datetime, str]],
         as_of: dt.datetime, ended: dt.datetime | None = None) -> Row:  # fmt: skip
    """One clock step by step. modes: run, pause or done from a moment on."""
    step, business = office.step, clock["clock"] == "business"
    limit = target_seconds(office, clock, start)
    warn = -(-round(clock["warn_at"] * 10000) * limit // 10000)
    turns = [(epoch(moment), mode) for moment, mode in modes]
    stop = None
    for moment, mode in turns:  # done that lasts to the end
        stop = (stop if stop is not None else max(moment, epoch(start))) if mode == "done" else None
    second, last = epoch(start), epoch(ended or as_of) if stop is None else stop
    used = stood = turn = 0
    mode, breached, due, warned = "run", None, None, None
    events: list[tuple[dt.datetime, str, int]] = [(start, "activate", 0)]
    words = {"run": "activate", "pause": "pause", "done": "fulfil"}
    while True:
        now = mode
        while turn < len(turns) and turns[turn][0] <= second:
            now, turn = turns[turn][1], turn + 1
        if now != mode and not (ended and second == last):
            events.append((at(second), words[now], used))
        mode = now
        due = second if due is None and used >= limit else due
        warned = second if warned is None and used >= warn else warned
        if second >= last:
            break
        if not business or second in office.worked:
            if mode == "run":
                if used == limit:
                    breached = second
                    events.append((at(second), "breach", used))
                used += step
            else:
                stood += step
        second += step
    elapsed = used
    paused = mode == "pause" and stop is None
    state = "breached" if used > limit else "met" if stop is not None else "running"
    state = "paused" if paused and state == "running" else state
    while due is None or warned is None:  # as if it ran on
        used += step if not business or second in office.worked else 0
        second += step
        due = second if due is None and used >= limit else due
        warned = second if warned is None and used >= warn else warned
    return {
        "target_seconds": limit, "started_at": start,
        "stopped_at": at(stop) if stop is not None else None,
        "elapsed_seconds": elapsed, "paused_seconds": stood,
        "warn_on_at": None if state == "paused" else at(warned),
        "due_at": None if state == "paused" else at(due),
        "breached_at": at(breached) if breached is not None else None,
        "late_seconds": max(elapsed - limit, 0), "state": state,
        "is_open": stop is None and ended is None, "events": events,
    }  # fmt: skip


def modes_of(clock: Row, changes: list[tuple[dt.datetime, str]], stop: dt.datetime | None,
             start: dt.datetime) -> list[tuple[dt.datetime, str]]:  # fmt: skip
    """When a clock runs, stands still or is done, from the ticket's statuses."""
    done = {"solved": {"solved", "closed"}, "closed": {"closed"}}.get(clock["stops"], set())
    word = lambda status: (  # noqa: E731
        "done" if status in done else "pause" if status in clock["pauses"] else "run"
    )
    modes = [(moment, word(status)) for moment, status in changes]
    if stop is not None:
        stop = max(stop, start)
        modes = [pair for pair in modes if pair[0] < stop] + [(stop, "done")]
    return modes


def fits(clock: Row, ticket: Row, customer: Row) -> bool:
    traits = {
        "kinds": ticket["kind"], "urgencies": ticket["urgency"], "channels": ticket["channel"],
        "touchpoints": ticket["touchpoint"], "segments": customer["segment"],
        "stages": customer["stage"], "tiers": customer["tier"],
    }  # fmt: skip
    if any(clock[name] and value not in clock[name] for name, value in traits.items()):
        return False
    return clock["complex"] is None or clock["complex"] == bool(ticket["is_complex"])


def ticket_clocks(office: Office, clocks: list[Row], ticket: Row, customer: Row, world: Row,
                  as_of: dt.datetime) -> Iterator[tuple[str, int, Row]]:  # fmt: skip
    """Every clock of a ticket that counts: its name, cycle and what became of it."""
    own = lambda rows: [r for r in rows if r["ticket_id"] == ticket["ticket_id"]]  # noqa: E731
    changes = statuses(ticket, own(world["events"]), as_of)
    taken = set()
    for clock in clocks:
        pair = clock["starts"], clock["stops"]
        holds = clock["valid_from"] <= ticket["opened_at"] < clock["valid_until"]
        if pair in taken or not holds or not fits(clock, ticket, customer):
            continue
        taken.add(pair)
        if clock["starts"] == "ticket_solved":
            found = _cycles(office, clock, ticket, changes, world, as_of)
            yield from ((clock["id"], cycle, row) for cycle, row in found)
            continue
        start = ticket["opened_at" if clock["starts"] == "ticket_opened" else "handed_over_at"]
        if start is None or start > as_of:
            continue
        stop = _answer(clock["stops"], ticket, changes, own(world["receipts"]), as_of)
        yield (
            clock["id"],
            1,
            walk(office, clock, start, modes_of(clock, changes, stop, start), as_of),
        )


def _answer(stops: str, ticket: Row, changes: list[tuple[dt.datetime, str]],
            receipts: list[Row], as_of: dt.datetime) -> dt.datetime | None:  # fmt: skip
    if stops in ("solved", "closed"):
        return None
    moments = [ticket["first_response_at"], first_of(changes, {"solved", "closed"})]
    if stops != "first_response":
        moments += [ticket["acknowledged_at"], *(r["at"] for r in receipts)]
    if stops == "automatic_answer":
        moments.append(ticket["automatic_response_at"])
    return seen(moments, as_of)


def _cycles(office: Office, clock: Row, ticket: Row, changes: list[tuple[dt.datetime, str]],
            world: Row, as_of: dt.datetime) -> Iterator[tuple[int, Row]]:  # fmt: skip
    """Each solution begins a clock, which a contact stops, and which ends when the ticket is
    reopened or archived, or after some days without a contact."""
    turns: list[tuple[dt.datetime, bool]] = []
    for moment, status in changes:
        done = status in ("solved", "closed")
        if done != (turns[-1][1] if turns else False):
            turns.append((moment, done))
    for i in range(0, len(turns), 2):
        solved = turns[i][0]
        reopened = turns[i + 1][0] if i + 1 < len(turns) else None
        ends = [solved + world["lapse"]]
        ends += [reopened] if reopened else []
        ends += [max(ticket["archived_at"], solved)] if ticket["archived_at"] else []
        over = seen(ends, as_of)
        stop = _contact(clock["stops"], ticket, solved, world, as_of)
        if stop is not None and (over is None or stop <= over):
            row = walk(office, clock, solved, [(stop, "done")], as_of)
        else:
            row = walk(office, clock, solved, [], as_of, over)
        if row["stopped_at"] or row["is_open"] or row["state"] == "breached":
            yield i // 2 + 1, row


def _contact(stops: str, ticket: Row, solved: dt.datetime, world: Row,
             as_of: dt.datetime) -> dt.datetime | None:  # fmt: skip
    about = [row for row in world["contacts"] if row["at"] and solved <= row["at"] <= as_of]
    kinds = {"call"} if stops == "customer_called_back" else {"survey", "message"}
    named = [
        r["at"] for r in about
        if r["ticket_id"] == ticket["ticket_id"] and r["kind"] in kinds
        and (stops != "survey_asked" or r["kind"] == "survey" or r["purpose"] == "survey"
             or r["rule"] in world["asking"])
    ]  # fmt: skip
    if named or stops != "customer_called_back":
        return min(named, default=None)
    same = [
        r for r in about if r["ticket_id"] is None and r["customer_id"] == ticket["customer_id"]
    ]
    return min(
        (r["at"] for r in same if r["kind"] == "call" and r["method"] == "call"), default=None
    )
