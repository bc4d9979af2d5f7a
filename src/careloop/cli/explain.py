"""`careloop explain`: why a customer was, or was not, contacted."""

import json
from typing import Annotated, Any

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.clock import parse_as_of
from careloop.explain.read import Explained, explain
from careloop.explain.words import Sentences
from careloop.program.base import language
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("explain")(explain_customer)


def explain_customer(
    customer_id: Annotated[str, typer.Argument(help="The customer's id in the CRM.")],
    date: Annotated[
        str | None, typer.Option("--date", help="Day of the decisions. Default: the latest")
    ] = None,
    gates: Annotated[
        bool, typer.Option("--gates", help="Show every gate of every decision.")
    ] = False,
    locale: Annotated[
        str | None, typer.Option("--locale", help="en or zh-CN. Default: the program's first")
    ] = None,
    program: ProgramName = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Say why a customer was, or was not, contacted: rule by rule, gate by gate.

    Example: careloop explain C1000042 --date 2026-11-01 --locale en
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    day = parse_as_of(date, pack.zone).date() if date else None
    found = explain(settings, pack, customer_id.strip(), day)
    say = Sentences(pack, language(locale or pack.locales[0]))
    if as_json:
        print_json(_data(found, say))
        return
    _show(found, pack, say, gates)


def _show(found: Explained, pack: Program, say: Sentences, gates: bool) -> None:
    out = console()
    titles = {rule.id: say.rules.text(rule.title) for rule in pack.rules}
    out.print(f"[bold]{found.customer_id}[/]  {found.as_of:%Y-%m-%d %H:%M}")
    if not found.decisions:
        out.print(say.word("nothing"))
    else:
        print_table(
            [say.word("rule"), say.word("outcome")],
            [
                [
                    f"{titles.get(row['rule'], row['rule'])}\n{say.occasion(row['occasion'])}",
                    "\n".join(filter(None, _told(found, row, say))),
                ]
                for row in found.decisions
            ],
            title=say.word("decided"),
        )
    for row in found.decisions if gates else ():
        rows = [[title, _mark(ok), told] for title, ok, told in say.gates(row)]
        print_table(
            ["", "", ""], rows, title=f"{titles.get(row['rule'], row['rule'])}: {say.word('gates')}"
        )
    if found.silent:
        print_table(
            [say.word("rule"), say.word("why")],
            [[titles[s.rule.id], say.silent(s)] for s in found.silent],
            title=say.word("silent"),
        )


def _told(found: Explained, row: dict[str, Any], say: Sentences) -> list[str]:
    return [say.outcome(row), say.why(row), say.state(found.became.get(row["decision_key"]))]


def _mark(ok: bool | None) -> str:
    return {True: "✓", False: "✗", None: "·"}[ok]


def _data(found: Explained, say: Sentences) -> dict[str, Any]:
    return {
        "customer_id": found.customer_id,
        "as_of": found.as_of.isoformat(),
        "version": found.version,
        "decisions": [
            row
            | {
                "gates": json.loads(row["gates"]),
                "about": json.loads(row["about"] or "{}"),
                "decided": say.outcome(row),
                "why": say.why(row),
                "became": found.became.get(row["decision_key"]),
            }
            for row in found.decisions
        ],
        "did_not_come_up": {s.rule.id: say.silent(s) for s in found.silent},
    }
