"""`careloop customer` and `careloop access-log`: one customer on one page, and who looked."""

from dataclasses import asdict
from typing import Annotated

import typer

from careloop.access_log import accesses, who_am_i
from careloop.cli.options import Home
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.clock import parse_as_of
from careloop.customer_page.page import read_page
from careloop.customer_page.personal import reveal as reveal_contact
from careloop.customer_page.render import as_data, show, show_contact, words_of
from careloop.errors import SettingsError
from careloop.program.base import language
from careloop.settings import load_settings

LOCALES = ("en", "zh-CN")


def register(app: typer.Typer) -> None:
    app.command("customer")(customer)
    app.command("access-log")(access_log)


def customer(
    customer_id: Annotated[str, typer.Argument(help="The customer's id in the CRM.")],
    locale: Annotated[
        str | None,
        typer.Option("--locale", help="en or zh-CN. Default: the program's first locale"),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="A published version instead of the current.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show contact details too; written to the access log.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why contact details are needed.")
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Show one customer on one page, without personal data unless it is revealed for a reason.

    Example: careloop customer C1000042 --locale en
    """
    if locale not in (None, "zh", *LOCALES):
        raise SettingsError(f"there is no page in {locale}", f"--locale: {', '.join(LOCALES)}")
    if reason and not reveal:
        raise SettingsError("--reason says why contact details are shown", "add --reveal")
    settings = load_settings(home=home)
    customer_id = customer_id.strip()
    page = read_page(settings, customer_id, version, locale)
    lang = language(locale or page.run["locale"])
    contact = reveal_contact(settings, customer_id, reason, page.run["run_id"]) if reveal else None
    if as_json:
        data = as_data(page, lang)
        print_json(data if contact is None else {**data, "contact": contact})
        return
    out, say = console(), words_of(page, lang)
    show(page, out, lang)
    if contact is None:
        out.print(f"\n{say.page('hidden')}", markup=False, style="dim")
    else:
        show_contact(contact, out, say, say.page("logged", who=who_am_i(), why=reason))


def access_log(
    customer_id: Annotated[
        str | None, typer.Option("--customer", help="Only looks at this customer.")
    ] = None,
    who: Annotated[str | None, typer.Option("--who", help="Only those of this user.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only from this day or time on, in UTC.")
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """List who looked at personal data, when and why.

    Example: careloop access-log --since 2026-11-01
    """
    start = parse_as_of(since, "UTC") if since else None
    found = accesses(load_settings(home=home), customer_id=customer_id, who=who, since=start)
    if as_json:
        print_json([asdict(access) for access in found])
        return
    print_table(
        ["at (UTC)", "who", "customer_id", "why", "fields", "run_id"],
        [
            [
                a.at[:19].replace("T", " "),
                a.who,
                a.customer_id,
                a.why,
                ", ".join(a.fields),
                a.run_id,
            ]
            for a in found
        ],
    )
