"""`careloop source check` and `careloop quarantine`: before and after loading."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from careloop.cli.options import Home
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.contract import entities
from careloop.errors import CareloopError, SourceError
from careloop.ingest.offer import Offer, offers
from careloop.ingest.stage import plan_of
from careloop.lake.batches import Lake
from careloop.lake.quarantine import counts, create_open_rejects
from careloop.settings import load_settings
from careloop.sources import database
from careloop.sources.files import Table, open_table, read_carefully
from careloop.sources.mapping import Plan
from careloop.sources.spec import Source, load_source
from careloop.warehouse import names_of

SHOWN_ROWS = 5


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Map and check sources.")
    group.command("check")(check)
    app.add_typer(group, name="source")
    app.command("quarantine")(quarantine)


def check(
    folder: Annotated[Path, typer.Argument(help="Folder with a source.yml.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show personal values in the five rows.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what a source maps, what is missing and left over, and show five mapped rows.

    Nothing is loaded. Example: careloop source check data/crm/online
    """
    source = load_source(folder)
    checked, problems = [], []
    for entity in entities().values():
        try:
            offered = list(offers(source, entity))
        except SourceError as error:
            problems.append(error)
            continue
        for offer in offered:
            try:
                checked.append(_check(offer, reveal))
            except CareloopError as error:
                problems.append(error)
    if as_json:
        print_json(
            {"source": source.name, "mapped": checked, "problems": [e.what for e in problems]}
        )
    else:
        _print_checked(source, checked)
    if problems:
        raise SourceError(
            f"source {source.name}: {len(problems)} of its files can't be loaded:\n  "
            + "\n  ".join(str(error).replace("\n", "\n  ") for error in problems)
        )


def _check(offer: Offer, reveal: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as con:
        table = _open(offer, Path(scratch))
        plan = plan_of(con, offer, table)
        relation = offer.relation(table)
        columns = list(plan.expressions)
        head = f"(select * from {relation} limit 2000)"
        try:
            rows, broken = _first_rows(con, plan, head)
        except duckdb.Error:
            if not table.lines and offer.mapping.query is None:
                table = read_carefully(table.path, offer.form, Path(scratch))
                head = f"(select * from {table.relation} limit 2000)"
            plan.guard(con, head)
            rows, broken = _first_rows(con, plan, head)
    return {
        "entity": offer.entity.name,
        "file": offer.file,
        "maps": plan.expressions,
        "missing": plan.missing,
        "left_over": plan.left_over,
        "bad_rows_in_first_2000": broken + sum(b.line <= 2001 for b in table.broken),
        "rows": [_masked(plan, columns, row, reveal) for row in rows],
    }


def _first_rows(
    con: duckdb.DuckDBPyConnection, plan: Plan, relation: str
) -> tuple[list[tuple[Any, ...]], int]:
    """A few sound rows, mapped, and how many rows of ``relation`` break the contract."""
    sql = plan.staged_sql(relation, full=False)
    names = names_of(plan.expressions)
    rows = con.execute(
        f"select {names} from ({sql}) where _error is null limit {SHOWN_ROWS}"
    ).fetchall()
    broken = con.execute(f"select count(*) from ({sql}) where _error is not null").fetchall()
    return rows, broken[0][0]


def _open(offer: Offer, scratch: Path) -> Table:
    if offer.path is None:
        return database.extract(offer.source, offer.mapping, scratch, None)
    return open_table(offer.path, offer.form, scratch)


def _masked(plan: Plan, columns: list[str], row: tuple, reveal: bool) -> dict[str, Any]:
    return {
        name: "•••"
        if plan.entity.columns[name].personal and value is not None and not reveal
        else value
        for name, value in zip(columns, row, strict=True)
    }


def _print_checked(source: Source, checked: list[dict[str, Any]]) -> None:
    out = console()
    out.print(f"source [bold]{source.name}[/], times without offset are in {source.zone}")
    for item in checked:
        out.print(f"\n[bold]{item['entity']}[/] from {item['file']}", markup=True)
        out.print(f"  maps      {', '.join(item['maps'])}", markup=False)
        if item["missing"]:
            out.print(f"  missing   {', '.join(item['missing'])}", markup=False)
        if item["left_over"]:
            out.print(f"  left over {', '.join(item['left_over'])}", markup=False)
        if item["bad_rows_in_first_2000"]:
            bad = item["bad_rows_in_first_2000"]
            out.print(f"  [red]{bad} of the first 2,000 rows break the contract[/]")
        known = [c for c in item["maps"] if any(row[c] is not None for row in item["rows"])][:7]
        if known:
            print_table(known, [[_short(row[c]) for c in known] for row in item["rows"]])


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 24 else text[:23] + "…"


def quarantine(
    entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    rows: Annotated[int, typer.Option("--rows", help="How many rows to show.")] = 20,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also show the raw rows, with their personal data.")
    ] = False,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Count and show the rows that were rejected and are still open.

    A row leaves the quarantine when its key is loaded from a corrected file.
    Example: careloop quarantine orders --rows 50
    """
    settings = load_settings(home=home)
    with duckdb.connect() as con:
        create_open_rejects(con, Lake(settings.lake))
        if entity:
            con.execute("delete from open_rejects where entity <> ?", [entity])
        total = counts(con)
        columns = ["entity", "file", "line", "key", "reason", *(["raw"] if raw else [])]
        found = con.execute(
            f"select {', '.join(columns)} from open_rejects "
            "order by entity, source, file, line, key limit ?",
            [rows],
        ).fetchall()
    if as_json:
        problems = ["entity", "source", "file", "problem", "rows"]
        print_json(
            {
                "counts": [dict(zip(problems, row, strict=True)) for row in total],
                "rows": [dict(zip(columns, row, strict=True)) for row in found],
            }
        )
        return
    if not total:
        console().print("The quarantine is empty.")
        return
    count = sum(row[-1] for row in total)
    print_table(["entity", "source", "file", "problem", "rows"], total, title=f"{count:,} rows")
    print_table(columns, found, title=f"the first {len(found)}")
    console().print(
        "Correct the export and run again: a row leaves the quarantine once its key is loaded."
    )
