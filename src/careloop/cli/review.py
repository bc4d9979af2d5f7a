"""`careloop review`: a quarter or a month as a page, a workbook and a PDF."""

from typing import Annotated, Any

import typer

from careloop import clock
from careloop.cli.options import Home, Lang, Now, ProgramName, Version, language_of
from careloop.cli.output import JsonFlag, console, print_json
from careloop.judge import Judged, judge
from careloop.published import open_published
from careloop.refresh import program_of
from careloop.review import Period, last_period, parse_period
from careloop.settings import Settings, load_settings

MARKS = {"good": "[green]✓[/]", "bad": "[red]✗[/]", "info": "•"}


def register(app: typer.Typer) -> None:
    app.command("review")(review)


def review(
    period: Annotated[
        str | None,
        typer.Argument(
            help="2026Q3, or 2026-10 for the short form. Default: the last quarter that is over",
            show_default=False,
        ),
    ] = None,
    lang: Lang = None,
    version: Version = None,
    pdf: Annotated[
        bool | None,
        typer.Option(
            "--pdf/--no-pdf",
            help="Print a PDF too. Default: if a browser is at hand",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        bool,
        typer.Option("--calibration/--no-calibration", help="Propose changes of a quarter's pack."),
    ] = True,
    alert: Annotated[
        bool, typer.Option("--alert", help="Tell the operators of missed critical KPIs, once.")
    ] = False,
    now: Now = None,
    program: ProgramName = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the review of a quarter, or the short form of a month, from the published marts.

    One page that needs no network, the tables as a workbook and a PDF, in reviews/PERIOD of the
    home directory. Example: careloop review 2026Q3 --language en
    """
    settings = load_settings(home=home, program=program)
    pack = program_of(settings)
    out = console()
    out.stderr = True
    done = judge(
        settings,
        pack,
        parse_period(period) if period else default_period(settings, version),
        clock.clock_at(now)(),
        language=language_of(lang, pack),
        version=version,
        pdf=pdf,
        calibration=calibration,
        alerts=alert,
        progress=lambda text: None if as_json else out.print(text, style="dim", markup=False),
    )
    if as_json:
        print_json(data_of(done))
    else:
        _print(done)


def default_period(settings: Settings, version: str | None) -> Period:
    """The last quarter that was over when the marts were built."""
    con = open_published(settings, version)
    try:
        day = con.execute("select as_of_local::date from rpt_run").fetchall()[0][0]
    finally:
        con.close()
    return last_period("quarter", day)


def _print(done: Judged) -> None:
    out = console()
    as_of = f"{done.marts.as_of:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    out.print(f"[bold]{done.period.name}[/], from the marts as of {as_of}")
    for sentence in done.written.headline:
        out.print(f"{MARKS[sentence.tone]} {sentence.text}")
    out.print()
    for name, path in (("page", done.written.html), ("workbook", done.workbook), ("pdf", done.pdf)):
        if path:
            out.print(f"{name:<9} {path}", soft_wrap=True, markup=False)
    if done.calibrated:
        text = f"{done.calibrated.proposals} proposals, {done.calibrated.folder}"
        out.print(f"{'pack':<9} {text}", soft_wrap=True, markup=False)
    if done.why_no_pdf:
        out.print(done.why_no_pdf, soft_wrap=True, markup=False)
    if done.told:
        out.print(told_text(done), markup=False)


def told_text(done: Judged) -> str:
    """What became of the alerts, in a line."""
    told = done.told
    if told is None or not told.configured:
        return "alerts: nobody is named; docs/channels.md says how"
    failed = f", {told.failed} failed ({told.reason})" if told.failed else ""
    return f"alerts: {told.sent} told, {told.known} told before{failed}"


def data_of(done: Judged) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "period": done.period.name,
        "language": done.language,
        "version": done.marts.version,
        "as_of": done.marts.as_of.isoformat(),
        "page": str(done.written.html),
        "workbook": str(done.workbook),
        "pdf": str(done.pdf) if done.pdf else None,
        "why_no_pdf": done.why_no_pdf,
        "headline": [{"tone": s.tone, "text": s.text} for s in done.written.headline],
        "kpis": done.written.kpis,
        "proposals": done.calibrated.proposals if done.calibrated else None,
        "proposed_pack": str(done.calibrated.folder) if done.calibrated else None,
        "alerts": done.told.__dict__ if done.told else None,
        "seconds": done.seconds,
    }
