"""`careloop escalations`: whom the clocks made us tell of what, and saying that it is settled;
`due`: what is late or will be soon."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.clock import now
from careloop.errors import SettingsError
from careloop.escalate.clocks import as_of_of, newest_clocks, open_clocks
from careloop.escalate.rows import Due, by_owner, due_rows, level_title
from careloop.escalate.words import say, word, words
from careloop.ledger.alerts import course
from careloop.ledger.database import Ledger, has_ledger, open_ledger
from careloop.ledger.escalations import BACKLOG, STATES, count, listed, withdraw
from careloop.program.base import language
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.sla import WARNING
from careloop.settings import Settings, load_settings

EVERY = "all"
ASKED = (*STATES, BACKLOG, EVERY)
LONGEST_REASON = 200
LISTED = ("id", "owner", "case", "clock", "level", "told", "when", "raised", "state")
COURSE = ("at", "clock", "level", "what_happened", "whom", "detail")
DUE = ("owner", "case", "what", "urgency", "clock", "target", "when")

escalations_app = typer.Typer(invoke_without_command=True)

Owner = Annotated[
    str | None, typer.Option("--owner", help="Staff id of whose cases.", show_default=False)
]


def register(app: typer.Typer) -> None:
    app.add_typer(escalations_app, name="escalations")


@escalations_app.callback()
def escalations(
    context: typer.Context,
    state: Annotated[str, typer.Option("--state", help=f"One of: {', '.join(ASKED)}.")] = "open",
    owner: Owner = None,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Show who was told of which case, by owner, without personal data.

    Example: careloop escalations --state open --owner S1001
    """
    if context.invoked_subcommand:
        return
    if state not in ASKED:
        raise SettingsError(f"there is no state {state}", f"--state: {', '.join(ASKED)}")
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    with _ledger(settings) as ledger, ledger.read() as con:
        rows = listed(con, None if state == EVERY else state, owner)
        old = count(con, BACKLOG, owner) if state == "open" else 0
    if as_json:
        print_json([dict(row._mapping) for row in rows])
        return
    if rows:
        # What all have in common takes no room.
        keys = LISTED if state == EVERY else LISTED[:-1]
        _print(keys, [_line(row, pack)[: len(keys)] for row in rows], pack)
    else:
        console().print(f"no escalations ({state})", markup=False)
    if old:
        console().print(f"{old:,} more are the backlog: --state {BACKLOG}", markup=False)


@escalations_app.command("show")
def show_one(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="The ticket, order, customer or incident.")
    ],
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Say why and to whom a case was escalated, who was told by which list, and how it ended.

    Example: careloop escalations show T10003020700
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    with _ledger(settings) as ledger, ledger.read() as con:
        rows = course(con, case)
    if as_json:
        print_json([dict(row._mapping) for row in rows])
        return
    if not rows:
        raise SettingsError(
            f"{case} was never escalated", "`careloop service due` shows its clocks"
        )
    lang, zone = language(pack.locales[0]), ZoneInfo(pack.zone)
    titles = {clock.id: getattr(clock.title, lang) for clock in pack.sla.clocks}

    def local(at: datetime | None) -> str:
        return f"{at.replace(tzinfo=UTC).astimezone(zone):%Y-%m-%d %H:%M}" if at else "–"

    for row in {(row.clock, row.cycle): row for row in rows}.values():
        times = {"started": row.started_at, "due": row.due_at, "late": row.breached_at}
        told = {name: local(at) for name, at in times.items()}
        promise = f"{titles.get(row.clock, row.clock)} ({row.target})"
        console().print(say("promise", lang, promise=promise, **told), markup=False)
    lines = [
        [
            local(row.at_utc),
            titles.get(row.clock, row.clock),
            level_title(row.level, pack, lang),
            word("course", row.what, lang),
            row.staff_id or words()["columns"]["team"][lang],
            word("course", row.state, lang),
        ]
        for row in rows
    ]
    _print(COURSE, lines, pack)


@escalations_app.command("withdraw")
def withdraw_one(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="The escalation's id, or the beginning of it.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why it is settled; no personal data.")],
    home: Home = None,
) -> None:
    """Say that an escalation is settled although its clock runs on; nobody hears of it again.

    Example: careloop escalations withdraw 3f9a2c --reason "agreed with the customer"
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise SettingsError("--reason is empty or too long", f"at most {LONGEST_REASON} letters")
    with _ledger(load_settings(home=home)) as ledger:
        found, new = withdraw(ledger, name, reason, now())
    console().print(f"{found[:12]}: {'withdrawn' if new else 'was withdrawn before'}", markup=False)


def due(
    hours: Annotated[
        float, typer.Option("--hours", min=0, help="Also what is due within so many hours.")
    ] = 8,
    owner: Owner = None,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what is late or due soon, by owner, as of the last round of the watch or refresh.

    Example: careloop service due --hours 4 --owner S1001
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    file = newest_clocks(settings)
    if file is None:
        raise SettingsError(f"there are no clocks in {settings.home}", "run `careloop run` first")
    as_of = as_of_of(file, pack.zone)
    found = _due(settings, pack, file, as_of, hours)
    found = [row for row in found if owner is None or row["owner_id"] == owner]
    if as_json:
        print_json({"as_of": as_of, "file": file.name, "due": found})
        return
    lang = language(pack.locales[0])
    step = pack.sla.escalation[0].id if pack.sla.escalation else WARNING
    levels = ({**row, "level": step if row["breached_at"] else WARNING} for row in found)
    rows = due_rows([SimpleNamespace(**row) for row in levels], pack)
    late = sum(row.is_late for row in rows)
    local = as_of.replace(tzinfo=UTC).astimezone(ZoneInfo(pack.zone))
    console().print(
        f"{late:,} late, {len(rows) - late:,} due within {hours:g} h, as of "
        f"{local:%Y-%m-%d %H:%M} {pack.zone}",
        markup=False,
    )
    if rows:
        groups = by_owner(rows)
        lines = [line for name, mine in groups for line in _group(name, mine, lang, local.year)]
        _print(DUE, lines, pack)


def _print(keys: tuple[str, ...], rows: list[list[object]], pack: Program) -> None:
    titles = [words()["columns"][key][language(pack.locales[0])] for key in keys]
    whole = [title for key, title in zip(keys, titles, strict=True) if key != "clock"]
    print_table(titles, rows, tight=True, whole=whole)


def _due(
    settings: Settings, pack: Program, file: Path, as_of: datetime, hours: float
) -> list[dict[str, Any]]:
    clocks = open_clocks(settings, pack, file, as_of)
    try:
        return clocks.due(as_of + timedelta(hours=hours))
    finally:
        clocks.con.close()


def _group(owner: str | None, rows: list[Due], lang: str, year: int) -> list[list[object]]:
    """The rows of one owner, whose id stands once."""
    return [
        [
            (owner or "–") if i == 0 else "",
            row.case,
            row.what,
            row.urgency,
            row.clock,
            row.target,
            row.when(lang, year, short=True),
        ]
        for i, row in enumerate(rows)
    ]


def _line(row: Any, pack: Program) -> list[object]:
    lang = language(pack.locales[0])
    shown = due_rows([row], pack)[0]
    raised = row.raised_at.replace(tzinfo=UTC).astimezone(ZoneInfo(pack.zone))
    return [
        row.escalation_id[:8],
        row.owner_id,
        row.case_id,
        shown.clock,
        level_title(row.level, pack, lang),
        row.staff_id or words()["columns"]["team"][lang],
        shown.when(lang, raised.year, short=True),
        f"{raised:%m-%d %H:%M}",
        word("states", row.state, lang),
    ]


def _ledger(settings: Settings) -> Ledger:
    if not has_ledger(settings):
        raise SettingsError(f"there is no ledger in {settings.home}", "nothing was escalated yet")
    return open_ledger(settings)
