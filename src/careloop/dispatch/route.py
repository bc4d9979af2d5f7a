"""One channel's part of a dispatch: claim, check, hand over, record; one commit per message."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta

from sqlalchemy import Connection

from careloop.channels.base import (
    Channel,
    ChannelDown,
    DeliveryError,
    PermanentError,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.dispatch.consent import refusals
from careloop.dispatch.desk import Desk
from careloop.dispatch.limits import Limits, Pace, backoff_seconds
from careloop.dispatch.quiet import QuietHours
from careloop.ledger import controls
from careloop.ledger import messages as ledger
from careloop.ledger.messages import Message, Outcome
from careloop.ledger.suppressions import address_hash, suppress_address, suppressed_by
from careloop.ledger.worker import is_gone, name_worker

DIED = "the process ended between handing over and the answer"
RESENT = "asked again with the same idempotency key"
# Failures in a row after which a channel is taken to be down, whatever it says.
TROUBLE = 10
REST_SECONDS, LONGEST_REST_SECONDS = 60.0, 900.0
# Consents and claims older than this are read again.
STALE_SECONDS = 120.0
POLL_SECONDS = 1.0
# Why a channel must rest, and how many seconds it asked for.
Trouble = tuple[str, float | None]


class Route:
    """Carries out the messages of one route until none is due, or until told to end."""

    def __init__(self, desk: Desk, name: str, channel: Channel, limits: Limits) -> None:
        self.desk, self.name, self.channel, self.limits = desk, name, channel, limits
        self.worker = name_worker()
        self.pace = Pace(limits.rate)
        self.quiet = QuietHours(desk.program)
        self._open: ExitStack | None = None
        self._pending: Outcome | None = None
        self._trouble = 0
        self._was_down = False
        self._con: Connection | None = None

    def run(self) -> None:
        """Send what is due; when watching, go on until stopped."""
        with self.desk.ledger.engine.connect() as con:
            self._con = con
            try:
                while not self._must_end():
                    batch = self._claim()
                    if batch:
                        self._carry_out(batch)
                    elif not self._wait():
                        break
            finally:
                self._close()
                with self.desk.ledger.write(con) as write:
                    ledger.release(write, [self.worker])
                self._con = None

    def _must_end(self) -> bool:
        halted = self.desk.halted
        return self.desk.quit.is_set() or self.desk.is_full or halted not in (None, "paused")

    def _wait(self) -> bool:
        """Rest until something may be due; False when this dispatch doesn't wait."""
        self._close()
        return self.desk.watch and not self.desk.quit.wait(POLL_SECONDS)

    def _claim(self) -> list[Message]:
        """What is due now, after what is late has expired and what others left is settled."""
        desk, now = self.desk, self.desk.now()
        lease = now + timedelta(seconds=self.limits.lease)
        with desk.ledger.write(self._con) as con:
            late = ledger.expire(con, now)
            gone = [worker for worker in ledger.holders(con) if is_gone(worker)]
            ledger.release(con, gone, self.name)
            for message in ledger.abandoned(con, self.name, now, gone):
                ledger.take_over(con, message, self.worker)
                outcome = self._unknown(message, DIED, now, message.attempts)
                ledger.mark(con, outcome, self.worker)
                desk.count(self.name, "resent" if outcome.then else "unknown", is_done=False)
            desk.halted = self._orders(con)
            until, times = controls.resting(con, self.name)
            self._was_down = times > 0
            batch: list[Message] = []
            if desk.halted is None and not (until and until > now):
                batch = ledger.claim(
                    con, self.name, self.worker, now, lease, self.limits.batch_size
                )
        for route in late:
            desk.count(route, "expired")
        if until and until > now:
            desk.rests[self.name] = until.isoformat()
        return batch

    def _orders(self, con: Connection) -> str | None:
        if controls.stops(con) > self.desk.stops:
            return "stopped"
        return "paused" if controls.is_paused(con) else None

    def _carry_out(self, batch: Sequence[Message]) -> None:
        started = time.monotonic()
        prepared = self._prepare(self._without_quiet(batch))
        for message in batch:
            if self._must_end() or time.monotonic() - started > STALE_SECONDS:
                break
            ready = prepared.get(message.message_id)
            if isinstance(ready, Rendered) and not self._hand_over(message, ready):
                break
        self._flush()
        with self.desk.ledger.write(self._con) as con:
            ledger.release(con, [self.worker])

    def _without_quiet(self, batch: Sequence[Message]) -> list[Message]:
        """The messages that may go at this time of day; the others wait for theirs."""
        now = self.desk.now()
        ends = [(message, self.quiet.over(message, now)) for message in batch]
        later = [(message, end) for message, end in ends if end is not None]
        if later:
            with self.desk.ledger.write(self._con) as con:
                ledger.postpone(con, later, self.worker)
        return [message for message, end in ends if end is None]

    def _prepare(self, batch: Sequence[Message]) -> dict[str, Rendered]:
        """The messages that may go, written out; the others are settled."""
        now = self.desk.now()
        with self.desk.reading:
            refused = refusals(self.desk.settings, self.desk.program, batch, now)
            allowed = [message for message in batch if message.message_id not in refused]
            written = dict(self.desk.render(allowed)) if allowed else {}
        ready: dict[str, Rendered] = {}
        settled: list[Outcome] = []
        for message in batch:
            result = written.get(message.message_id)
            if isinstance(result, Rendered):
                ready[message.message_id] = result
                continue
            reason = refused.get(message.message_id)
            if reason:
                state = "suppressed"
            else:
                state = "failed"
                reason = "not written: " + (result.reason if result else "nothing was rendered")
            settled.append(Outcome(message, state, now, reason, message.attempts))
        if settled:
            self._settle(settled)
        return ready

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of messages that are not handed over."""
        with self.desk.ledger.write(self._con) as con:
            held = [o for o in outcomes if ledger.mark(con, o, self.worker, was="planned")]
        for outcome in held:
            self.desk.count(self.name, outcome.state)

    def _hand_over(self, message: Message, rendered: Rendered) -> bool:
        """Begin one message, ask the channel, keep what it said. False: go no further now."""
        if not self._in_time(message) or not self._without_quiet([message]):
            return True
        if not self._channel_is_open() or not self._await_turn() or not self.desk.may_begin():
            return False
        address = address_hash(self.desk.salt, rendered.address) if rendered.address else None
        begun = self._begin(message, address)
        if not begun:
            self.desk.give_back()
            return self._explain(message, address)
        self.pace.spend()
        self._pending, trouble = self._ask(message, rendered, address)
        if trouble is None:
            return True
        self._flush()
        self._rest(*trouble)
        return False

    def _in_time(self, message: Message) -> bool:
        now = self.desk.now()
        if message.expires_at is None or message.expires_at > now:
            return True
        late = Outcome(message, "expired", message.expires_at, "not sent in time", message.attempts)
        self._settle([late])
        return False

    def _await_turn(self) -> bool:
        """Keep the channel's pace; what is known is committed before waiting."""
        while (wait := self.pace.seconds_to_wait()) > 0:
            self._flush()
            if self.desk.quit.wait(min(wait, POLL_SECONDS)):
                return False
        return True

    def _begin(self, message: Message, address: str | None) -> bool:
        """Commit the intent, and with it what became of the message before."""
        now = self.desk.now()
        lease = now + timedelta(seconds=self.limits.lease)
        pending, self._pending = self._pending, None
        with self.desk.ledger.write(self._con) as con:
            if pending:
                self._record(con, pending)
            begun = ledger.mark_sending(
                con, message, self.worker, now, lease, address, self.desk.stops
            )
        if pending:
            self._count(pending)
        return begun

    def _explain(self, message: Message, address: str | None) -> bool:
        """Why a message could not begin: suppressed since it was planned, taken over by another
        dispatcher, or an order to all. Only the last ends the batch."""
        with self.desk.ledger.write(self._con) as con:
            self.desk.halted = self._orders(con)
            if self.desk.halted:
                return False
            reason = suppressed_by(con, message, address)
            if reason is None:
                return True
            outcome = Outcome(
                message, "suppressed", self.desk.now(), f"suppressed: {reason}", message.attempts
            )
            held = ledger.mark(con, outcome, self.worker, was="planned")
        if held:
            self.desk.count(self.name, "suppressed")
        return True

    def _ask(
        self, message: Message, rendered: Rendered, address: str | None
    ) -> tuple[Outcome, Trouble | None]:
        """Hand it over; what became of it, and why the channel must rest, if it must."""
        attempt = message.attempts + 1
        try:
            receipt = self.channel.send(rendered)
        except ChannelDown as error:
            reason = f"channel down: {error.reason}"
            outcome = Outcome(message, "planned", self.desk.now(), reason, attempt)
            return outcome, (error.reason, error.retry_after)
        except TemporaryError as error:
            outcome = self._again(message, error, attempt)
            return outcome, self._too_much(error.reason, error.retry_after)
        except PermanentError as error:
            wrong = address if error.bad_address else None
            now = self.desk.now()
            return Outcome(message, "failed", now, error.reason, attempt, wrong_address=wrong), None
        except UnknownOutcome as error:
            outcome = self._unknown(message, error.reason, self.desk.now(), attempt)
            return outcome, self._too_much(error.reason, None)
        except Exception as error:
            # It may have been handed over. What the error says could name the customer.
            reason = f"the channel broke off with {type(error).__name__}"
            outcome = self._unknown(message, reason, self.desk.now(), attempt)
            return outcome, self._too_much(reason, None)
        self._trouble = 0
        detail, name = receipt.detail or None, receipt.provider_id
        return Outcome(message, "sent", self.desk.now(), detail, attempt, name), None

    def _again(self, message: Message, error: TemporaryError, attempt: int) -> Outcome:
        now = self.desk.now()
        if message.failures + 1 >= self.limits.tries:
            reason = f"given up after {message.failures + 1} tries: {error.reason}"
            return Outcome(message, "failed", now, reason, attempt, counts=True)
        wait = error.retry_after
        if wait is None:
            wait = backoff_seconds(self.limits, message.message_id, message.failures + 1)
        again = now + timedelta(seconds=wait)
        return Outcome(
            message, "planned", now, error.reason, attempt, next_attempt_at=again, counts=True
        )

    def _unknown(self, message: Message, reason: str, now: datetime, attempt: int) -> Outcome:
        """Unknown; asked again where the provider recognises what it has had before."""
        may = self.channel.accepts_idempotency_key and message.failures + 1 < self.limits.tries
        if not may:
            return Outcome(message, "unknown", now, reason, attempt, counts=True)
        wait = backoff_seconds(self.limits, message.message_id, message.failures + 1)
        again = now if reason == DIED else now + timedelta(seconds=wait)
        return Outcome(
            message,
            "unknown",
            now,
            reason,
            attempt,
            next_attempt_at=again,
            counts=True,
            then=RESENT,
        )

    def _too_much(self, reason: str, retry_after: float | None) -> Trouble | None:
        """Trouble with many messages in a row is a channel that is down."""
        self._trouble += 1
        if self._trouble < TROUBLE:
            return None
        return f"{self._trouble} failures in a row, the last: {reason}", retry_after

    def _rest(self, reason: str, retry_after: float | None) -> None:
        """Leave the channel alone for a while; every dispatcher heeds it."""
        now = self.desk.now()
        with self.desk.ledger.write(self._con) as con:
            _, times = controls.resting(con, self.name)
            wait = min(LONGEST_REST_SECONDS, REST_SECONDS * 2 ** min(times, 10))
            until = now + timedelta(seconds=wait if retry_after is None else retry_after)
            controls.rest(con, self.name, now, until, reason)
        self._was_down, self._trouble = True, 0
        self.desk.rests[self.name] = until.isoformat()
        self._close()

    def _channel_is_open(self) -> bool:
        if self._open is not None:
            return True
        stack = ExitStack()
        try:
            stack.enter_context(self.channel)
        except DeliveryError as error:
            self._rest(error.reason, getattr(error, "retry_after", None))
            return False
        self._open = stack
        return True

    def _close(self) -> None:
        if self._open is not None:
            stack, self._open = self._open, None
            self._flush()
            stack.close()

    def _flush(self) -> None:
        """Commit what became of the last message."""
        pending, self._pending = self._pending, None
        if pending:
            with self.desk.ledger.write(self._con) as con:
                self._record(con, pending)
            self._count(pending)

    def _record(self, con: Connection, outcome: Outcome) -> None:
        ledger.mark(con, outcome, self.worker)
        if outcome.wrong_address:
            reason = f"bad address: {outcome.reason}"
            channel = outcome.message.channel
            suppress_address(con, outcome.wrong_address, reason, outcome.at, channel=channel)
        if outcome.state == "sent" and self._was_down:
            controls.wake(con, self.name)
            self._was_down = False
            self.desk.rests.pop(self.name, None)

    def _count(self, outcome: Outcome) -> None:
        again = outcome.state == "planned" or outcome.then is not None
        what = "again" if again else outcome.state
        self.desk.count(self.name, what, is_done=not again)
