"""``careloop sample``: makes a believable CRM to try careloop with."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from careloop.cli.output import JsonFlag, console, print_table
from careloop.clock import start_of_day
from careloop.errors import SettingsError
from careloop.sample import ZONE, make_delta, make_sample


def register(app: typer.Typer) -> None:
    """Adds the command to ``app``."""
    app.command("sample")(sample)


def sample(
    dir: Annotated[Path, typer.Argument(help="Folder to write the exports into.")],
    customers: Annotated[int, typer.Option(help="Number of customers.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same sample.")] = 7,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="The history ends as this day begins; today if not given."
        ),
    ] = None,
    dirty: Annotated[str, typer.Option(help="Share of bad rows, e.g. 1%.")] = "0%",
    format: Annotated[
        str, typer.Option(help="auto (Parquet above 100,000 customers), csv or parquet.")
    ] = "auto",
    lang: Annotated[str, typer.Option(help="Names and texts: zh, en or mixed.")] = "mixed",
    delta: Annotated[
        bool, typer.Option("--delta", help="Add the next days to a sample made before.")
    ] = False,
    days: Annotated[int, typer.Option(help="With --delta: how many days.", min=1)] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other things.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the CRM exports of an invented company: an online shop and its stores.

    Every entity of the contract, with seasons, late deliveries, complaints, customers who
    leave and who come back. What is true but no CRM knows stands in DIR/truth.

    Example: careloop sample crm --customers 2000 --as-of 2026-11-01 --dirty 1%

    Then, a day later: careloop sample crm --delta
    """
    out = console()
    with out.status("starting") as status:
        show = (lambda _: None) if as_json else (lambda file: status.update(f"writing {file}"))
        if delta:
            files = make_delta(dir, days=days, on_file=show)
        else:
            files = make_sample(
                dir, customers, seed, _day(as_of), _share(dirty), format,
                lang=lang, force=force, on_file=show,
            )  # fmt: skip
    rows = [(file.file, file.rows, round(file.size / 1e6, 2)) for file in files]
    print_table(["file", "rows", "MB"], rows, title="" if as_json else str(dir), as_json=as_json)


def _day(as_of: datetime | None) -> date:
    return as_of.date() if as_of else start_of_day(ZONE).date()


def _share(text: str) -> float:
    """'1%' or '0.01' as 0.01; raises SettingsError for anything else."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise SettingsError(f"--dirty is '{text}'", "give a share such as 1% or 0.01") from None
