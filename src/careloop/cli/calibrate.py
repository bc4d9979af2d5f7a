"""`careloop calibrate`: what a quarter says about the numbers of the pack."""

from typing import Annotated, Any

import typer

from careloop.calibrate import Calibration, Finding, Words, calibrate
from careloop.calibrate.run import DIFF
from careloop.calibrate.say import Percent, shown
from careloop.cli.options import Home, ProgramName, language_of
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.cli.review import default_period
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.period import parse_period
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("calibrate")(calibrate_period)


def calibrate_period(
    period: Annotated[
        str | None,
        typer.Argument(
            help="Quarter or month, like 2026Q3 or 2026-10. Default: the last quarter that is over",
            show_default=False,
        ),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option("--language", "--lang", help="zh or en. Default: the program's"),
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Show the tables behind the findings.")
    ] = False,
    version: Annotated[
        str | None, typer.Option("--version", help="Published version. Default: the current one")
    ] = None,
    program: ProgramName = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Propose changes of the pack from a quarter's data; nothing is changed by itself.

    Writes a proposed pack, a diff and proposals.json into reviews/PERIOD/calibration in --home.
    Where shares, dormancy, caps, rules or service targets don't fit the data, each change comes
    with its evidence and with the effect a dry run foresees.

    Example: careloop calibrate 2026Q3 --language en --tables
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    spoken = language_of(lang, pack)
    out = console()
    out.stderr = True
    found = calibrate(
        settings,
        pack,
        parse_period(period) if period else default_period(settings, version),
        version=version,
        progress=lambda text: None if as_json else out.print(f"  {text}", style="dim"),
    )
    if as_json:
        print_json(found.as_data() | {"pack_folder": str(found.pack_folder)})
        return
    _show(found, pack, spoken, tables)


# What the terminal says beside the calibration's own texts.
_WORDS = {
    "why": Words("why", "依据"),
    "effect": Words("effect", "影响"),
    "sure": Words("confidence", "可信度"),
    "but": Words("but", "注意"),
    "high": Words("high", "高"),
    "medium": Words("medium", "中"),
    "low": Words("low", "低"),
    "found": Words("What the data say", "数据说明"),
    "judged": Words("Last proposals", "上期建议"),
    "together": Words("With every proposal", "全部采纳后"),
    "take": Words("To take the changes", "采纳建议"),
    "today": Words("What they would change today", "对今日决策的影响"),
}


def _show(found: Calibration, pack: Program, lang: str, tables: bool) -> None:
    out = console()
    say = {key: getattr(text, lang) for key, text in _WORDS.items()}
    until = f"{found.first_day:%Y-%m-%d} – {found.until:%Y-%m-%d}"
    out.print(f"[bold]{found.pack} {found.period}[/]  {until}")
    out.print(getattr(found.summary, lang), markup=False)
    for number, proposal in enumerate(found.proposals, 1):
        out.print(f"\n[bold]{number}[/]  ", end="")
        out.print(getattr(proposal.title, lang), style="bold", markup=False)
        told = [
            (say["why"], getattr(proposal.evidence, lang)),
            (say["effect"], getattr(proposal.effect, lang)),
            (say["sure"], say[proposal.confidence]),
            *((say["but"], getattr(caveat, lang)) for caveat in proposal.caveats),
        ]
        for name, text in told:
            out.print(f"   {name}: {text}", markup=False)
    if found.judged:
        out.print(f"\n[bold]{say['judged']} ({found.judged_period})[/]")
        for judged in found.judged:
            out.print(f" · {getattr(judged.text, lang)}", markup=False)
    out.print(f"\n[bold]{say['found']}[/]")
    for finding in found.findings:
        out.print(f" · {getattr(finding.text, lang)}", markup=False)
    for finding in found.findings if tables else ():
        if finding.rows:
            _table(finding, lang)
    out.print("")
    if found.diff:
        folder = found.pack_folder
        for name, command in (
            ("today", f"careloop diff-rules {folder}"),
            ("take", f"patch -d {pack.folder} -p1 < {folder / DIFF}"),
        ):
            out.print(f"{say[name]}:\n  {command}", markup=False, soft_wrap=True)


def _table(finding: Finding, lang: str) -> None:
    print_table(
        [getattr(column.title, lang) for column in finding.columns],
        [[_cell(row.get(c.key), c.kind, lang) for c in finding.columns] for row in finding.rows],
        title=getattr(finding.title, lang) if finding.title else "",
    )


def _cell(value: Any, kind: str, lang: str) -> Any:
    if value is None:
        return None
    if kind == "share":
        return shown(Percent(value), lang)
    return getattr(value, lang) if isinstance(value, Words) else value
