"""`careloop contract`: the canonical entities and their columns."""

from dataclasses import asdict
from typing import Annotated

import typer

from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.contract import Column, Entity, entities
from careloop.errors import SettingsError


def register(app: typer.Typer) -> None:
    app.command("contract")(contract)


def contract(
    entity: Annotated[
        str | None, typer.Argument(help="Entity, e.g. orders; all if left out.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print the data contract: what a CRM is mapped into.

    Example: careloop contract orders
    """
    known = entities()
    if entity and entity not in known:
        raise SettingsError(f"there is no entity {entity}", f"entities: {', '.join(known)}")
    if as_json:
        chosen = [known[entity]] if entity else list(known.values())
        print_json(
            [{**asdict(e), "columns": [asdict(c) for c in e.columns.values()]} for e in chosen]
        )
    elif markdown:
        typer.echo(contract_markdown(), nl=False)
    elif entity:
        _print_entity(known[entity])
    else:
        rows = [[e.name, ", ".join(e.key), _need(e), e.about] for e in known.values()]
        print_table(["entity", "key", "", "one row per"], rows)
        console().print("One entity's columns: careloop contract orders")


def _need(entity: Entity) -> str:
    return "required" if entity.required else "optional"


def _print_entity(entity: Entity) -> None:
    console().print(
        f"[bold]{entity.name}[/] ({entity.title['zh']}, {_need(entity)}): {entity.about}"
    )
    rows = [[c.name, c.type, _rules(entity, c), c.about] for c in entity.columns.values()]
    print_table(["column", "type", "rules", "meaning"], rows)


def _rules(entity: Entity, column: Column) -> str:
    rules = []
    if column.name in entity.key:
        rules.append("key")
    elif column.required:
        rules.append("required")
    if column.allowed:
        rules.append(" | ".join(column.allowed))
    if column.min is not None:
        rules.append(f"≥ {column.min:g}")
    if column.max is not None:
        rules.append(f"≤ {column.max:g}")
    if column.references:
        rules.append(f"in {column.references}")
    if column.personal:
        rules.append("personal")
    return "; ".join(rules)


def contract_markdown() -> str:
    """The contract as the page docs/contract.md."""
    lines = [
        "# The data contract",
        "",
        "What every CRM is mapped into. Times are stored in UTC; amounts are decimal with a",
        "currency; columns marked *personal* never leave the lake. `customers` and `orders` are",
        "required; without the others careloop runs and says what it doesn't know.",
        "",
        "This page is printed by `careloop contract --markdown`.",
        "",
    ]
    for entity in entities().values():
        key = ", ".join(f"`{k}`" for k in entity.key)
        lines += [
            f"## {entity.name} · {entity.title['zh']}",
            "",
            f"{entity.about} Key: {key}. {_need(entity).capitalize()}.",
            "",
            "| column | type | rules | meaning |",
            "|---|---|---|---|",
        ]
        for column in entity.columns.values():
            rules = _rules(entity, column).replace(" | ", ", ")
            lines.append(f"| {column.name} | {column.type} | {rules} | {column.about} |")
        lines.append("")
    return "\n".join(lines)
