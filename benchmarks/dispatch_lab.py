"""A small laboratory for planning and dispatch: versions with decisions, channels that misbehave.

Used by the tests, by ``benchmarks.kill`` and by ``benchmarks.dispatch``.
"""

import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Self, get_args

import duckdb
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from careloop.channels.base import Receipt, Rendered
from careloop.dispatch import Summary, dispatch
from careloop.ledger.database import open_ledger
from careloop.ledger.messages import Message
from careloop.plan import Planned, plan
from careloop.program.base import Purpose
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.settings import Settings, load_settings

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
NOON = AS_OF + timedelta(hours=12)
PROGRAM = "retail_care"
# Channels by what they may be asked twice: the file channel recognises a message, sms doesn't.
CHANNELS = ("email", "sms")

DECISIONS = """
create table fct_care_decisions as
select
    md5('rule' || (i % 7) || '|C' || i || '|birthday:2026') as decision_key,
    'C' || i as customer_id, 'rule' || (i % 7) as rule, 'abcd1234' as rule_version,
    'birthday:2026' as occasion, date '2026-11-01' as came_up_on,
    null::timestamp as occurred_at, '{purpose}' as purpose,
    case when i % 20 = 7 then 'task' else 'send' end as kind,
    case when i % 10 = 3 then 'withheld' when i % 20 = 7 then 'task' else 'send' end as outcome,
    null::varchar as gate, null::varchar as gate_reason, null::date as eligible_on,
    case when i % 20 = 7 then 'call' when i % 2 = 0 then 'email' else 'sms' end as channel,
    'birthday' as template, 'en' as locale, null::varchar as offer, null::date as offer_until,
    null::varchar as owner_role, null::varchar as owner_id, null::timestamp as due_at,
    timestamp '{as_of}' + interval 8 hours as not_before,
    timestamp '{as_of}' + interval {hours} hours as expires_at,
    date '2026-11-01' as contact_on, 10 * (i % 3) as priority,
    row_number() over (order by 10 * (i % 3) desc, i) as order_no,
    case when i % 10 = 3 then 'holdout' else 'treated' end as arm,
    case when i % 10 = 3 then 'program' end as holdout_scope,
    0.1::double as holdout_share, true as reached_holdout,
    false as is_cap_exempt, null::varchar as cap_group,
    '{{}}' as about, '{{}}' as gates, 'core' as segment, 'active' as stage, 'low' as churn_level,
    timestamp '{as_of}' as as_of, date '2026-11-01' as as_of_on, 'f00f00f00f00' as pack_hash
from range({count}) as t(i)
"""


@dataclass
class Lab:
    """A home directory with a ledger and published versions."""

    settings: Settings
    program: Program

    @classmethod
    def at(cls, home: Path, ledger_url: str | None = None) -> "Lab":
        settings = load_settings(home=home, program=PROGRAM, ledger_url=ledger_url)
        return cls(settings, _program())

    def version(
        self, count: int, as_of: datetime = AS_OF, hours: int = 72, purpose: str = "care"
    ) -> Path:
        """A published version with ``count`` decisions: 19 of 20 messages, a tenth withheld."""
        folder = self.settings.published
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"marts-{as_of:%Y%m%dT%H%M}-{count:010x}.duckdb"
        path.unlink(missing_ok=True)
        text = f"{as_of:%Y-%m-%d %H:%M:%S}"
        with duckdb.connect(str(path)) as con:
            con.execute(DECISIONS.format(as_of=text, count=count, hours=hours, purpose=purpose))
        return path

    def plan(self, file: Path, now: datetime = AS_OF) -> Planned:
        with open_ledger(self.settings) as ledger:
            return plan(self.settings, self.program, file, now, ledger)

    def dispatch(self, channels: Mapping[str, object], now: datetime, **options: object) -> Summary:
        with open_ledger(self.settings) as ledger:
            return dispatch(
                self.settings,
                self.program,
                channels,
                options.pop("render", render),
                options.pop("clock", lambda: now),
                ledger,
                **options,
            )

    def open_at_once(self) -> list[BaseException]:
        """Opens the ledger in four threads; returns what failed."""
        errors: list[BaseException] = []

        def work() -> None:
            try:
                open_ledger(self.settings).close()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    def rows(self, sql: str) -> list[tuple]:
        """What the ledger answers."""
        with open_ledger(self.settings) as ledger, ledger.read() as con:
            return [tuple(row) for row in con.exec_driver_sql(sql)]

    def states(self) -> dict[str, int]:
        """How many messages are in each state."""
        return dict(self.rows("select state, count(*) from messages group by state"))


@cache
def _program() -> Program:
    """The pack without quiet hours: the lab's clock goes by UTC."""
    program = load_program(PROGRAM)
    quiet = program.quiet_hours.model_copy(update={"exempt_purposes": list(get_args(Purpose))})
    return program.model_copy(update={"quiet_hours": quiet})


def render(messages: Sequence[Message]) -> dict[str, Rendered]:
    """A text for everybody."""
    return {
        m.message_id: Rendered(
            message_id=m.message_id,
            decision_key=m.decision_key,
            customer_id=m.customer_id,
            rule=m.rule,
            purpose=m.purpose,
            channel=m.channel,
            locale=m.locale or "en",
            address=address_of(m),
            subject=None,
            text="hello",
        )
        for m in messages
    }


def address_of(message: Message) -> str:
    """A customer's address on the channel."""
    return f"{message.customer_id}@{message.channel}.example"


class FileChannel:
    """Appends a line per message, as a provider would keep it; one that ``recognises`` takes a
    message it has had before as the same."""

    def __init__(self, folder: Path, name: str, recognises: bool) -> None:
        self.name, self.accepts_idempotency_key = name, recognises
        self.path = folder / f"{name}.txt"
        self._file: int | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def send(self, message: Rendered) -> Receipt:
        os.write(self._file or 0, f"{message.message_id}\n".encode())
        return Receipt(provider_id=f"p-{message.message_id[:8]}")

    @property
    def received(self) -> list[str]:
        """What came, in order."""
        return self.path.read_text().split() if self.path.exists() else []


def new_database(url: str) -> str:
    """The URL of an empty database on the Postgres server at ``url``."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    name = f"ledger{secrets.randbelow(10**9)}"
    with engine.connect() as con:
        con.execute(text(f"create database {name}"))
    engine.dispose()
    return engine.url.set(database=name).render_as_string(hide_password=False)


def file_channels(home: Path) -> dict[str, FileChannel]:
    """E-mail and tasks that recognise a message, and text messages that don't."""
    return {
        "email": FileChannel(home / "received", "email", recognises=True),
        "sms": FileChannel(home / "received", "sms", recognises=False),
        "task": FileChannel(home / "received", "task", recognises=True),
    }
