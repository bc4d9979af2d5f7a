"""Opening the ledger: SQLite in the home directory, or Postgres by URL."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from careloop.errors import SettingsError
from careloop.ledger.tables import NEW_COLUMNS, NEW_TABLES, SCHEMA_VERSION, meta, metadata
from careloop.settings import Settings

FILE = "ledger.db"
POSTGRES = "postgresql+psycopg"
BUSY_SECONDS = 60
# Numbers of Postgres advisory locks: whoever creates the tables, plans, escalates, plans alerts.
CREATING, PLANNING, ESCALATING, ALERTING = 7_310_001, 7_310_002, 7_310_003, 7_310_004


def utc(moment: datetime) -> datetime:
    """``moment`` in UTC without zone; without zone it is UTC already."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


class Ledger:
    """A ledger that is open. Use ``write`` for transactions that change it, ``read`` for others."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time; threads queue here, which is faster than its polling.
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self, held: Connection | None = None) -> Iterator[Connection]:
        """One transaction, on the connection ``held`` if there is one. On SQLite it begins
        immediate: nobody else writes until it is over."""
        with self._turn if self.is_sqlite else _nothing():
            if held is not None:
                with held.begin():
                    yield held
            else:
                with self.engine.begin() as con:
                    yield con

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that sees the ledger as it is now and changes nothing."""
        with self.engine.connect().execution_options(reads=True) as con, con.begin():
            yield con

    def fact(self, name: str) -> str:
        """A value of ``ledger_meta``: ``salt``, ``ledger_id`` or ``schema_version``."""
        with self.read() as con:
            return con.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one()

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def ledger_file(settings: Settings) -> Path:
    """Where the ledger is unless settings name a URL."""
    return settings.home / FILE


def has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger, or one is named."""
    return settings.ledger_url is not None or ledger_file(settings).exists()


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of ``settings``, created where there is none and given the tables it lacks where
    an earlier release made it; raises SettingsError when its URL is wrong, nobody answers there,
    or it was written by a later release."""
    return open_url(settings.ledger_url or f"sqlite:///{ledger_file(settings)}")


def open_url(url: str) -> Ledger:
    """The ledger at ``url``; raises SettingsError as ``open_ledger`` does."""
    ledger = Ledger(_engine(_checked(url)))
    try:
        _create_or_check(ledger)
    except OperationalError as error:
        ledger.close()
        reason = str(error.orig).strip().splitlines()[0]
        raise SettingsError(
            f"the ledger {ledger.name} can't be opened: {reason}",
            "check ledger_url, and that the database is running and may be written",
        ) from error
    except BaseException:
        ledger.close()
        raise
    return ledger


def _checked(url: str) -> URL:
    allowed = "sqlite:////path/ledger.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("ledger_url is no database URL", f"write {allowed}") from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername=POSTGRES)
    if parsed.drivername not in ("sqlite", POSTGRES):
        raise SettingsError(
            f"a ledger can't be kept in {parsed.drivername}", f"ledger_url: {allowed}"
        )
    if parsed.drivername == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise SettingsError("a ledger in memory would be lost", f"ledger_url: {allowed}")
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    return parsed


def _engine(url: URL) -> Engine:
    try:
        if url.drivername == POSTGRES:
            return create_engine(url, pool_size=20, pool_pre_ping=True)
        engine = create_engine(
            url, pool_size=20, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            f"the driver of {url.drivername} is not installed", "pip install 'psycopg[binary]'"
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode = wal",
        "synchronous = full",
        "cache_size = -32000",
        "wal_autocheckpoint = 8000",
    ):
        connection.execute(f"pragma {pragma}")


def _begin_sqlite(con: Connection) -> None:
    reads = con.get_execution_options().get("reads")
    con.exec_driver_sql("begin" if reads else "begin immediate")


def hold_lock(con: Connection, number: int) -> None:
    """Queue behind other transactions that ask for this number. On SQLite writers queue anyway."""
    if con.dialect.name != "sqlite":
        con.execute(text("select pg_advisory_xact_lock(:number)"), {"number": number})


def _create_or_check(ledger: Ledger) -> None:
    with ledger.write() as con:
        hold_lock(con, CREATING)
        there = set(inspect(con).get_table_names())
        if meta.name not in there:
            _refuse_taken(ledger, there & set(metadata.tables))
            metadata.create_all(con)
            facts = {
                "schema_version": str(SCHEMA_VERSION),
                "ledger_id": secrets.token_hex(8),
                "salt": secrets.token_hex(16),
            }
            con.execute(insert(meta), [{"name": n, "value": v} for n, v in facts.items()])
            return
        found = con.execute(
            select(func.max(meta.c.value)).where(meta.c.name == "schema_version")
        ).scalar()
        version = int(found) if (found or "").isdigit() else 0
        if 0 < version < SCHEMA_VERSION:
            _upgrade(ledger, con, version, there)
            return
    if version != SCHEMA_VERSION:
        raise SettingsError(
            f"{ledger.name} has schema version {found}, this careloop works with {SCHEMA_VERSION}",
            "install the careloop that wrote it, or a newer one"
            if version > SCHEMA_VERSION
            else "it was written by an earlier release that can't be carried over",
        )


def _upgrade(ledger: Ledger, con: Connection, version: int, there: set[str]) -> None:
    """Add the tables and columns that came after ``version``; what is there stays as it is."""
    new = [table for since, tables in NEW_TABLES.items() if since > version for table in tables]
    _refuse_taken(ledger, there & {table.name for table in new})
    metadata.create_all(con, tables=new)
    columns = [c for since, added in NEW_COLUMNS.items() if since > version for c in added]
    for column in columns:
        if column.table not in new:
            kind = column.type.compile(con.dialect)
            con.execute(text(f"alter table {column.table.name} add column {column.name} {kind}"))
    con.execute(
        update(meta).where(meta.c.name == "schema_version").values(value=str(SCHEMA_VERSION))
    )


def _refuse_taken(ledger: Ledger, taken: set[str]) -> None:
    if taken:
        raise SettingsError(
            f"{ledger.name} has tables that are not careloop's: {', '.join(sorted(taken))}",
            "give the ledger a database, or a schema, of its own",
        )
