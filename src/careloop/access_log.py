"""Who looked at whose personal data, when and why: ``access_log.jsonl``, only ever added to."""

import fcntl
import getpass
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from careloop.clock import now
from careloop.durable import sync
from careloop.errors import CareloopError, SettingsError
from careloop.settings import Settings

USER = "CARELOOP_USER"


@dataclass(frozen=True)
class Access:
    """One look at one customer's personal data. at: UTC, ISO. fields: what was shown."""

    at: str
    who: str
    customer_id: str
    why: str
    fields: tuple[str, ...]
    run_id: str


def log_file(settings: Settings) -> Path:
    """One JSON object per line, oldest first."""
    return settings.home / "access_log.jsonl"


def who_am_i() -> str:
    """CARELOOP_USER, else the user of the operating system; raises SettingsError without one."""
    named = os.environ.get(USER, "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise SettingsError("it is not known who is looking", f"set {USER}") from error


def checked_reason(why: str | None) -> str:
    """The reason, trimmed; raises SettingsError without one."""
    if not (why or "").strip():
        raise SettingsError(
            "personal data is shown only for a reason",
            'add --reason "…", e.g. --reason "calls back about ticket T1"',
        )
    return str(why).strip()


def record(
    settings: Settings, customer_id: str, why: str, fields: list[str], run_id: str
) -> Access:
    """Write one line and wait until it is on disk; show nothing before this has returned.

    Raises SettingsError without a reason and CareloopError when the line can't be written.
    """
    return record_all(settings, {customer_id: fields}, why, run_id)[0]


def record_all(
    settings: Settings, fields: dict[str, list[str]], why: str, run_id: str
) -> list[Access]:
    """As ``record``, for many customers at once: all lines are on disk, or nothing is shown."""
    why = checked_reason(why)
    at, who = now().isoformat(), who_am_i()
    found = [Access(at, who, one, why, tuple(names), run_id) for one, names in fields.items()]
    path = log_file(settings)
    lines = [json.dumps(asdict(access), ensure_ascii=False) + "\n" for access in found]
    try:
        _append(path, "".join(lines).encode())
    except OSError as error:
        raise CareloopError(
            f"the access can't be written to {path}: {error}", "nothing is shown without it"
        ) from error
    return found


def _append(path: Path, lines: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.write(handle, lines) != len(lines):
            raise OSError("the disk is full")
        os.fsync(handle)
    finally:
        os.close(handle)
    sync(path.parent)


def accesses(
    settings: Settings,
    *,
    customer_id: str | None = None,
    who: str | None = None,
    since: datetime | None = None,
) -> list[Access]:
    """The accesses that match, oldest first; ``since`` is an aware time."""
    path = log_file(settings)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            body = json.loads(line)
            access = Access(**{**body, "fields": tuple(body["fields"])})
        except (ValueError, TypeError, KeyError) as error:
            raise CareloopError(
                f"line {number} of {path} is damaged", "the log was changed by hand; look at it"
            ) from error
        if (
            customer_id in (None, access.customer_id)
            and who in (None, access.who)
            and (since is None or datetime.fromisoformat(access.at) >= since)
        ):
            found.append(access)
    return found
