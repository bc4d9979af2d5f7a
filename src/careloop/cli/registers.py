"""`careloop registers`: the office's registers of a month as one workbook."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.errors import SettingsError
from careloop.program.load import load_program
from careloop.registers.access import NOTHING, sight_of
from careloop.registers.export import export
from careloop.settings import load_settings

LANGUAGES = ("zh", "en")


def register(app: typer.Typer) -> None:
    app.command("registers")(registers)


def registers(
    month: Annotated[
        datetime,
        typer.Option("--month", formats=["%Y-%m"], help="Month, in the program's zone."),
    ],
    lang: Annotated[
        str | None,
        typer.Option("--pack-language", help="zh or en. Default: registers.language of the pack"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Workbook to write. Default: registers/registers-MONTH.xlsx in --home",
            show_default=False,
        ),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="With personal data; written to the access log.")
    ] = False,
    staff: Annotated[
        str | None,
        typer.Option("--as", help="Staff id whose role decides which personal data is shown."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why personal data is needed.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a workbook that differs; load it first.")
    ] = False,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the program's registers as one workbook, and the source.yml that reads it back.

    Which rows: customers, all there are now; follow-ups done in the month, or planned for it;
    tickets submitted in it; satisfaction surveys answered in it.

    Example: careloop registers --month 2026-10 --reveal --as S1001 --reason "October calls"
    """
    if lang not in (None, *LANGUAGES):
        raise SettingsError(f"there is no {lang}", f"--pack-language: {', '.join(LANGUAGES)}")
    if (reason or staff) and not reveal:
        raise SettingsError("--as and --reason are for personal data", "add --reveal")
    if out is not None and out.suffix.lower() != ".xlsx":
        raise SettingsError(f"{out} is no workbook", "--out: a name that ends in .xlsx")
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    sight = sight_of(settings, pack, staff, reason) if reveal else NOTHING
    done = export(settings, pack, month.date(), sight, lang=lang, path=out, overwrite=overwrite)
    if as_json:
        print_json(asdict(done))
        return
    titles = {r.id: getattr(r.title, done.language) for r in pack.registers.lists}
    print_table(
        ["register", "rows", "hidden"],
        [[titles[key], rows, ", ".join(done.hidden[key])] for key, rows in done.rows.items()],
    )
    console().print(f"written to {done.file}", markup=False, soft_wrap=True)
    if done.source:
        console().print(
            f"what people edit in it is loaded by --source {done.source}",
            markup=False,
            soft_wrap=True,
        )
