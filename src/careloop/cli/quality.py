"""`careloop quality`: the declared expectations, and what the last run found."""

from typing import Annotated

import typer

from careloop.cli.options import Home
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.settings import PROJECT_ROOT, load_settings

group = typer.Typer(no_args_is_help=True, help="Quality gates: what is expected, what was found.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="quality")


@group.command()
def check(as_json: JsonFlag = False) -> None:
    """Check that every declared expectation can run: types, arguments, columns, queries.

    Example: careloop quality check
    """
    from careloop.quality.check import check_all

    found = check_all(models=PROJECT_ROOT / "dbt_project" / "models")
    expectations = [e for gate in found.values() for e in gate]
    if as_json:
        print_json(
            [
                {
                    "table": e.table,
                    "expectation": e.expectation["en"],
                    "severity": e.severity,
                    "why": e.why["en"],
                    "type": e.type,
                    "kwargs": e.kwargs,
                }
                for e in expectations
            ]
        )
        return
    rows = [[e.table, e.expectation["en"], e.severity] for e in expectations]
    print_table(["table", "expectation", "severity"], rows)
    counts = ", ".join(f"{len(e)} at the {gate} gate" for gate, e in found.items())
    console().print(f"{len(rows)} expectations are valid: {counts}")


@group.command()
def results(
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    gate: Annotated[str | None, typer.Option("--gate", help="raw or marts.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what the last published run found.

    Example: careloop quality results --failed
    """
    from careloop.quality.results import published_results

    settings = load_settings(home=home)
    rows = [
        row
        for row in published_results(settings.published / "marts.duckdb")
        if gate in (None, row["gate"]) and not (failed and row["is_success"])
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["table", "expectation", "severity", "holds", "rows", "failing", "keys"],
        [
            [
                row["table_name"],
                row["expectation_en"],
                row["severity"],
                row["is_success"],
                row["rows_checked"],
                row["rows_failing"] if row["rows_failing"] is not None else row["observed"],
                ", ".join(row["failing_keys"][:3]) + ("…" if len(row["failing_keys"]) > 3 else ""),
            ]
            for row in rows
        ],
    )
    bad = sum(1 for row in rows if not row["is_success"])
    console().print(f"{len(rows)} expectations, {bad} failed")
