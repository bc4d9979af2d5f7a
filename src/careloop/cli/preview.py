"""`careloop preview`: what a rule would say to a customer, or to whoever looks after one."""

import webbrowser
from dataclasses import asdict
from datetime import datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from careloop.access_log import checked_reason, record
from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json
from careloop.errors import ProgramError, SettingsError
from careloop.messages.batch import Renderer, address_on, masked
from careloop.messages.rendering import Content, render
from careloop.messages.values import (
    Person,
    example_about,
    example_occasion,
    example_values,
    is_task,
)
from careloop.program.channels import ADDRESS
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.rules import Rule
from careloop.published import query
from careloop.settings import Settings, load_settings
from careloop.warehouse import literal

_DECISION = ("occasion", "channel", "locale", "about", "offer_until", "owner_id", "due_at", "as_of")


def register(app: typer.Typer) -> None:
    """Adds the command `preview`."""
    app.command("preview")(preview)


def preview(
    rule: Annotated[str, typer.Argument(help="The rule's id.")],
    customer: Annotated[
        str | None, typer.Option("--customer", help="The customer's id in the CRM.")
    ] = None,
    examples: Annotated[
        bool, typer.Option("--examples", help="With the documented example values instead.")
    ] = False,
    channel: Annotated[
        str | None, typer.Option("--channel", help="One of the rule's channels.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option("--locale", help="Default: the customer's, or the first.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the e-mail's HTML to this file.")
    ] = None,
    browse: Annotated[bool, typer.Option("--open", help="Open the HTML in a browser.")] = False,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="With personal data; written to the access log.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why personal data are needed.")
    ] = None,
    program: ProgramName = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a rule says to a customer; personal data are hidden unless they are revealed.

    A task shows what an employee is told. Nothing is decided, recorded or sent.

    Example: careloop preview birthday --customer C1000042 --channel email
    """
    if examples == bool(customer):
        raise SettingsError("whose message is to be shown?", "give --customer ID or --examples")
    if bool(reason) != reveal:
        raise SettingsError("--reveal needs --reason, and --reason --reveal", "give both or none")
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    found = _rule(pack, rule)
    if examples:
        shown = _with_examples(pack, found, channel, locale)
    else:
        why = checked_reason(reason) if reveal else None
        shown = _for_customer(settings, pack, found, str(customer).strip(), channel, locale, why)
    _write(shown, settings, output, browse)
    if as_json:
        print_json(shown)
    else:
        _print(shown)


def _rule(pack: Program, name: str) -> Rule:
    for rule in pack.rules:
        if rule.id == name:
            return rule
    names = [rule.id for rule in pack.rules]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"its rules: {', '.join(names)}"
    raise ProgramError(f"{pack.name} has no rule {name}", hint)


def _channel(rule: Rule, wanted: str | None, default: str | None = None) -> str:
    if wanted and wanted not in rule.channels:
        raise SettingsError(
            f"{rule.id} does not use {wanted}", f"its channels: {', '.join(rule.channels)}"
        )
    return wanted or default or rule.channels[0]


def _with_examples(
    pack: Program, rule: Rule, channel: str | None, locale: str | None
) -> dict[str, Any]:
    way, lang = _channel(rule, channel), locale or pack.locales[0]
    values = example_values(pack, rule, way, lang)
    task = is_task(rule, way)
    content = render(pack, rule.template, way, lang, values, purpose=rule.purpose, task=task)
    return _shown(rule, way, lang, content, note="all values are examples")


def _for_customer(
    settings: Settings,
    pack: Program,
    rule: Rule,
    customer: str,
    channel: str | None,
    locale: str | None,
    why: str | None,
) -> dict[str, Any]:
    with Renderer(settings, pack) as renderer:
        key = (customer, None)
        there = renderer.people([key]).get(key, Person())
        open_to = [c for c in rule.channels if ADDRESS.get(c) is None or address_on(c, there)]
        message, note, run_id = _message(settings, pack, rule, customer, channel, open_to)
        key = (customer, message["owner_id"])
        person = renderer.people([key]).get(key, Person())
        if why is None:
            person = masked(person)
        else:
            known = [name for name, value in asdict(person).items() if value and name != "sex"]
            record(settings, customer, why, known, run_id)
        content, used, _ = renderer.content(message, person, locale)
    to = address_on(message["channel"], person) if why else _has(message["channel"], person)
    shown = _shown(rule, message["channel"], used, content, note=note)
    return {**shown, "customer_id": customer, "to": to}


def _has(channel: str, person: Person) -> str | None:
    """Whether there is an address, not which."""
    column = ADDRESS.get(channel)
    return "hidden" if column and getattr(person, column) else None


def _message(
    settings: Settings,
    pack: Program,
    rule: Rule,
    customer: str,
    channel: str | None,
    open_to: list[str],
) -> tuple[dict[str, Any], str, str]:
    """A message as the ledger would have it: from the rule's last decision on the customer, else
    from the profile with an example for what happened; a note that says which; the run's id."""
    columns, rows = query(
        settings,
        "select c.locale, c.segment, c.stage, c.account_manager_id as owner_id, "
        "r.as_of_on as contact_on, r.run_id "
        "from dim_customers as c cross join rpt_run as r "
        f"where c.customer_id = {literal(customer)}",
    )
    if not rows:
        raise SettingsError(
            f"there is no customer {customer}", "`careloop customer ID` names ids that are alike"
        )
    profile = dict(zip(columns, rows[0], strict=True))
    run_id = profile.pop("run_id")
    decided = _decision(settings, rule, customer)
    way = _channel(rule, channel, decided.get("channel") or next(iter(open_to), None))
    on = profile["contact_on"]
    made_up = {
        "occasion": example_occasion(rule, on),
        "about": example_about(pack, rule),
        "due_at": datetime.combine(on, time(18), ZoneInfo(pack.zone)),
    }
    message = {
        "message_id": "0" * 32,
        "customer_id": customer,
        "rule": rule.id,
        "template": rule.template,
        "purpose": rule.purpose,
        "offer": rule.offer,
        "kind": "task" if is_task(rule, way) else "send",
        **profile,
        **(decided or made_up),
        "channel": way,
    }
    if not is_task(rule, way):
        message["due_at"] = message["owner_id"] = None
    note = (
        f"as decided on {decided['as_of']:%Y-%m-%d}"
        if decided
        else "not decided yet: what happened (order, dates, amounts) is an example"
    )
    return message, note, run_id


def _decision(settings: Settings, rule: Rule, customer: str) -> dict[str, Any]:
    """The rule's last decision on the customer; empty without one."""
    there = query(
        settings,
        "select count(*) from information_schema.tables where table_name = 'fct_care_decisions'",
    )[1]
    if not there[0][0]:
        return {}
    columns, rows = query(
        settings,
        f"select {', '.join(_DECISION)} from fct_care_decisions "
        f"where rule = {literal(rule.id)} and customer_id = {literal(customer)} "
        "order by as_of desc, decision_key limit 1",
    )
    known = dict(zip(columns, rows[0], strict=True)) if rows else {}
    return {name: value for name, value in known.items() if value is not None}


def _shown(rule: Rule, channel: str, locale: str, content: Content, note: str) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "title": rule.title.en,
        "kind": "task" if is_task(rule, channel) else "send",
        "channel": channel,
        "locale": locale,
        "note": note,
        "subject": content.subject,
        "text": content.text,
        "html": content.html,
    }


def _write(shown: dict[str, Any], settings: Settings, output: Path | None, browse: bool) -> None:
    if not (output or browse):
        return
    if shown["html"] is None:
        raise SettingsError(
            f"a message on {shown['channel']} has no HTML",
            "add --channel email, if the rule has it",
        )
    path = (output or settings.home / "tmp" / f"preview-{shown['rule']}.html").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shown["html"], "utf-8")
    shown["file"] = str(path)
    if browse:
        webbrowser.open(path.as_uri())


def _print(shown: dict[str, Any]) -> None:
    out = console()
    kind = "told to an employee" if shown["kind"] == "task" else "sent to the customer"
    parts = [shown["title"], kind, shown["channel"], shown["locale"], shown["note"]]
    out.print(" · ".join(parts), markup=False, style="dim")
    if "to" in shown:
        nowhere = "no address on this channel" if ADDRESS.get(shown["channel"]) else "by id"
        out.print(f"To: {shown['to'] or nowhere}", markup=False)
    if shown["subject"]:
        out.print(f"Subject: {shown['subject']}", markup=False, style="bold")
    out.print()
    out.print(shown["text"], markup=False, soft_wrap=True)
    if "file" in shown:
        out.print(f"\nHTML: {shown['file']}", markup=False, soft_wrap=True)
