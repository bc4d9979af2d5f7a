"""`careloop marts` and `careloop sql`: the published marts for people without another tool."""

import csv
import sys
from typing import Annotated

import typer

from careloop.cli.options import Home, Version
from careloop.cli.output import JsonFlag, console, print_table
from careloop.errors import SettingsError
from careloop.published import current_version, query
from careloop.settings import load_settings
from careloop.warehouse import literal


def register(app: typer.Typer) -> None:
    app.command("marts")(marts)
    app.command("sql")(sql)


def marts(
    table: Annotated[str | None, typer.Argument(help="Show this table's columns.")] = None,
    version: Version = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """List the published tables, or the columns of one.

    Example: careloop marts dim_customers
    """
    settings = load_settings(home=home)
    if table is None:
        columns, rows = query(
            settings,
            "select t.table_name as table, t.estimated_size as rows, t.column_count as columns, "
            "regexp_extract(t.comment, '^[^.:]*') as about "
            "from duckdb_tables() as t where schema_name = 'main' order by t.table_name",
            version,
        )
        print_table(columns, rows, as_json=as_json)
        if not as_json:
            run = query(
                settings, "select as_of_local, pack, pack_hash, run_id from rpt_run", version
            )
            as_of, pack, pack_hash, run_id = run[1][0]
            console().print(f"as of {as_of}, program {pack} ({pack_hash}), run {run_id}")
            console().print("the program's own tables: program.segments, program.kpi_targets …")
            console().print(f"file {current_version(settings)}", soft_wrap=True)
        return
    columns, rows = query(
        settings,
        "select column_name as column, data_type as type, comment as about "
        "from duckdb_columns() where table_name = "
        f"{literal(table.removeprefix('program.'))} and schema_name = "
        f"'{'program' if table.startswith('program.') else 'main'}' order by column_index",
        version,
    )
    if not rows:
        raise SettingsError(f"there is no table {table}", "`careloop marts` lists them")
    print_table(columns, rows, as_json=as_json)


def sql(
    statement: Annotated[str, typer.Argument(help="A query, or - to read it from standard input.")],
    version: Version = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Rows shown in a table.")] = 100,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a query over the published marts, read-only.

    Example: careloop sql "select segment, count(*) from dim_customers group by all"
    """
    settings = load_settings(home=home)
    text = sys.stdin.read() if statement == "-" else statement
    columns, rows = query(settings, text, version)
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
        return
    shown = rows if as_json else rows[:limit]
    print_table(columns, shown, as_json=as_json)
    if len(rows) > len(shown):
        console().print(f"{len(shown):,} of {len(rows):,} rows; --limit or --csv shows more")
