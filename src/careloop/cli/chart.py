"""`careloop chart`: a KPI as a chart, in the terminal or as a file, without a notebook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.bar import Bar
from rich.table import Table

from careloop.cli.options import Home, Lang, ProgramName, Version, language_of
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.program.load import load_program
from careloop.review.kpi_chart import KpiChart, known_kpis, kpi_chart, write_chart
from careloop.review.words import Words
from careloop.settings import load_settings

BAR = 36
chart_app = typer.Typer(no_args_is_help=True, help="Draw a KPI, in the terminal or as a file.")


def register(app: typer.Typer) -> None:
    app.add_typer(chart_app, name="chart")


@chart_app.command("kpi")
def draw_kpi(
    kpi: Annotated[str, typer.Argument(help="Name of a KPI; `careloop chart list` has them.")],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="segment, stage, tier, region, owner, touchpoint or core. Default: all together",
            show_default=False,
        ),
    ] = None,
    period: Annotated[
        str, typer.Option("--period", help="week, month, quarter or year (12 months).")
    ] = "quarter",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write: .html, .svg or .png.", show_default=False),
    ] = None,
    lang: Lang = None,
    version: Version = None,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw a KPI over periods, of all or by a dimension.

    With --by and more members than lines can be told apart, the last period that is over is drawn.
    Example: careloop chart kpi repurchase_rate --by segment --period quarter --out repurchase.svg
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    chosen = language_of(lang, pack)
    chart = kpi_chart(
        settings,
        pack,
        kpi,
        by=by,  # type: ignore[arg-type]  # checked there
        every=period,  # type: ignore[arg-type]
        language=chosen,
        version=version,
    )
    say = Words("words", chosen, pack)
    file = write_chart(chart, say, out).resolve() if out else None
    if as_json:
        print_json({"kpi": kpi, "unit": chart.unit, "file": file, "rows": list(chart.rows)})
    elif file:
        console().print(f"written {file}", soft_wrap=True)
    else:
        _print(chart, say)


@chart_app.command("list")
def list_kpis(
    lang: Lang = None,
    version: Version = None,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """List the KPIs that have figures, with what they can be drawn by.

    Example: careloop chart list --language en
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    chosen = language_of(lang, pack)
    rows = known_kpis(settings, version)
    if as_json:
        print_json(rows)
        return
    say = Words("words", chosen, pack)
    print_table(
        ["kpi", "title", "last value", "of", "by"],
        [
            [
                row["kpi"],
                row[f"title_{chosen}"],
                say.value(row["value"], row["unit"]),
                say.short_period(row["period_start"], row["period_type"])
                if row["period_start"]
                else None,
                ", ".join(row["dimensions"]) or None,
            ]
            for row in rows
        ],
        tight=True,
        whole=("kpi", "last value", "of"),
    )


def _print(chart: KpiChart, say: Words) -> None:
    out = console()
    first = chart.title + (f" · {chart.last[0]['period']}" if chart.by else "")
    out.print(first, style="bold", markup=False)
    out.print(chart.about, style="dim", markup=False)
    shown = chart.last if chart.by else chart.rows
    values = [row["value"] for row in shown]
    low, high = min(0.0, *values), max(0.0, *values)
    table = Table(box=None, show_header=True, header_style="dim", pad_edge=False)
    table.add_column("")
    table.add_column("", width=BAR)
    table.add_column(say("now_value"), justify="right", no_wrap=True)
    table.add_column(say("change"), justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column(say("target"), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in shown:
        table.add_row(*_cells(row, chart, say, low, high))
    out.print(table)


def _cells(row: dict[str, Any], chart: KpiChart, say: Words, low: float, high: float) -> Iterator:
    name = row["member"] if chart.by else row["period"]
    yield name if row["is_over"] else f"{name} ({say('running')})"
    begin, end = sorted((0.0, row["value"]))
    yield Bar(size=high - low or 1, begin=begin - low, end=end - low, width=BAR)
    yield say.value(row["value"], chart.unit)
    yield say.change(row["change"], chart.unit)
    yield say.number(row["denominator"])
    yield say.value(row["target"], chart.unit)
    yield say.state(row["state"])
