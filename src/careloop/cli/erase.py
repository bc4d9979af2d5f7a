"""`careloop erase`: remove a customer's personal data for good."""

from dataclasses import asdict
from typing import Annotated

import typer

from careloop.cli.options import Home
from careloop.cli.output import JsonFlag, console, print_json
from careloop.clock import now
from careloop.erase import erase as erase_customer
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("erase")(erase)


def erase(
    customer_id: Annotated[str, typer.Argument(help="The customer's id in the CRM.")],
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; written to the access log.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove a customer's personal data everywhere; figures stay, under a pseudonym.

    Example: careloop erase C1000042 --reason "asked for it on 3 November"
    """
    if not yes:
        question = f"Remove all personal data of {customer_id}? It can't be undone"
        typer.confirm(question, abort=True, err=True)
    found = erase_customer(load_settings(home=home), customer_id, reason, now())
    if as_json:
        print_json(asdict(found))
        return
    out = console()
    out.print(
        f"{customer_id} is now {found.pseudonym}: {found.files:,} files rewritten, "
        f"{found.addresses:,} addresses suppressed"
    )
    if found.shared:
        out.print(
            f"{found.shared:,} other customers have one of these addresses and are not reached "
            "on it any more"
        )
    out.print("Erase them in the CRM too, and run careloop run for the published tables.")
