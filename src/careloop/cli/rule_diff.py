"""`careloop diff-rules`: what a changed pack would change today."""

from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.home import hold
from careloop.program.load import load_program
from careloop.rule_diff.compare import CHANGES, Difference, compare
from careloop.rule_diff.decide import decided
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("diff-rules")(diff_rules)


def diff_rules(
    new_pack: Annotated[str, typer.Argument(help="The changed pack, by name or path.")],
    program: ProgramName = None,
    examples: Annotated[
        int, typer.Option("--examples", help="Examples per rule and kind of change.")
    ] = 10,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Decide today's data under a changed pack and show who is gained, lost, moved, displaced.

    Nothing is sent and nothing published. Example: careloop diff-rules programs/mine
    """
    settings = load_settings(home=home, program=program)
    old, new = load_program(settings.program), load_program(new_pack)
    out = console()
    out.stderr = True
    with (
        hold(settings),
        decided(settings, old, new, lambda text: None if as_json else out.print(text)) as (
            before,
            after,
            as_of,
        ),
    ):
        difference = compare(before, after, examples)
    if as_json:
        print_json(
            {"as_of": as_of.isoformat(), "from": old.hash, "to": new.hash, **asdict(difference)}
        )
        return
    _show(
        difference, f"{old.name} {old.hash} → {new.name} {new.hash}, as of {as_of:%Y-%m-%d %H:%M}"
    )


def _show(difference: Difference, heading: str) -> None:
    out = console()
    out.print(f"[bold]{heading}[/]")
    totals = difference.totals
    out.print(
        f"{totals['before']:,} messages and tasks to {totals['customers_before']:,} customers"
        f" → {totals['after']:,} to {totals['customers_after']:,}\n"
    )
    if not difference.counts:
        out.print("Nothing changes.")
        return
    print_table(["rule", "segment", *CHANGES], _counts(difference.counts))
    for (rule, change), rows in groupby(
        difference.examples, lambda row: (row["rule"], row["change"])
    ):
        print_table(
            ["customer", "segment", "before", "after", "why not"],
            [
                [r["customer_id"], r["segment"], r["before_by"], r["after_by"], _why(r)]
                for r in rows
            ],
            title=f"{rule}: {change}",
        )


def _counts(counts: list[dict[str, Any]]) -> list[list[Any]]:
    rows = []
    for (rule, segment), group in groupby(counts, lambda c: (c["rule"], c["segment"])):
        numbers = {c["change"]: c["decisions"] for c in group}
        rows.append([rule, segment, *(numbers.get(change) for change in CHANGES)])
    return rows


def _why(example: dict[str, Any]) -> str | None:
    if example["change"] not in ("lost", "displaced"):
        return None
    return example["reason"] or "does not come up any more"
