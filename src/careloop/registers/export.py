"""Writing the workbook of a month and the source that reads it back."""

import os
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb

from careloop.access_log import record_all
from careloop.durable import move, put
from careloop.errors import CareloopError, SettingsError
from careloop.program.base import language
from careloop.program.model import Program
from careloop.published import open_published, run_of
from careloop.registers.access import PERSONAL, Sight
from careloop.registers.rows import Month, Registers
from careloop.registers.source import place_of, source_text
from careloop.registers.workbook import Workbook
from careloop.settings import Settings


@dataclass
class Exported:
    """What was written. source: None where no register is read back. hidden: personal columns
    that show only that there is a value, by register."""

    file: Path
    source: Path | None
    month: str
    language: str
    rows: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, list[str]] = field(default_factory=dict)


def export(
    settings: Settings,
    program: Program,
    month: date,
    sight: Sight,
    *,
    lang: str | None = None,
    path: Path | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the program's registers of a month as of the published version.

    month: its first day. lang: ``zh`` or ``en``, by the program if None. path: by the month,
    under home, if None. Raises SettingsError for a program without registers, a version of
    another program, and a file that is there with other content.
    """
    if not program.registers.lists:
        raise SettingsError(
            f"the program {program.name} keeps no registers",
            "registers.lists in its program.yml says which, with their columns",
        )
    con = open_published(settings)
    try:
        run = run_of(con, program.name)
        lang = lang or _language(program, run["locale"])
        name = f"{month:%Y-%m}"
        path = (path or settings.home / "registers" / f"registers-{name}.xlsx").resolve()
        done = Exported(path, None, name, lang)
        registers = Registers(settings, program, con, Month(month, program.zone), lang, sight)
        _log(settings, program, registers, sight, run["run_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        description = place_of(path)
        earlier = description.read_text("utf-8") if description.exists() else None
        text = source_text(program, path.name, lang, earlier)
        half = path.with_name(f".{path.stem}.{os.getpid()}.xlsx")
        try:
            _write(half, registers, program, done, run["as_of_utc"])
            _put(half, path, overwrite)
        finally:
            half.unlink(missing_ok=True)
        if text is not None:
            put(description, text.encode())
            done.source = path.parent
    except duckdb.Error as error:
        raise CareloopError(
            f"the registers can't be read: {str(error).splitlines()[0]}",
            "run `careloop run` with this version of careloop first",
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}", "--out") from error
    finally:
        con.close()
    return done


def _language(program: Program, locale: str) -> str:
    chosen = program.registers.language
    return language(locale) if chosen == "locale" else chosen


def _log(
    settings: Settings, program: Program, registers: Registers, sight: Sight, version: str
) -> None:
    """Write down whose data is going to be shown, before any of it is read."""
    shown: dict[str, list[str]] = {}
    for register in program.registers.lists:
        fields = [
            f"{register.id}.{column.id}"
            for column in register.columns
            if column.id in PERSONAL[register.id] and sight.shows(register.id, column.id)
        ]
        for customer in registers.customers(register.id) if fields else []:
            shown.setdefault(customer, []).extend(fields)
    if shown:
        record_all(settings, dict(sorted(shown.items())), sight.why, version)


def _write(
    path: Path, registers: Registers, program: Program, done: Exported, made_at: datetime
) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    subject = getattr(program.title, done.language)
    types = [getattr(t.title, done.language) for t in program.registers.ticket_types]
    book = Workbook(path, done.language, f"{subject} {done.month}", made_at, types)
    for register in program.registers.lists:
        done.rows[register.id] = book.add(register, registers.lines(register.id))
        done.hidden[register.id] = [
            column.id
            for column in register.columns
            if not registers.sight.shows(register.id, column.id)
        ]
    book.close()


def _put(half: Path, path: Path, overwrite: bool) -> None:
    """Put the new file in place, but never over edits nobody meant to lose."""
    if path.exists() and not overwrite and path.read_bytes() != half.read_bytes():
        raise SettingsError(
            f"{path} exists and is another one: it may hold edits",
            "load it first, then add --overwrite, or name another file with --out",
        )
    move(half, path)
