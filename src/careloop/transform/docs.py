"""dbt's documentation of the models as one page that needs neither a server nor a network."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from careloop.durable import put
from careloop.errors import TransformError
from careloop.home import hold
from careloop.published import current_version, open_published
from careloop.run_info import RunInfo
from careloop.settings import Settings
from careloop.transform.dbt import invoke
from careloop.transform.prepare import prepare_warehouse

ROOM = "docs"
# dbt's page asks for icons before it knows their names, and for a file that is not there.
CORRECTIONS = {
    'xlink:href="{{ getIcon(': 'ng-attr-href="{{ getIcon(',
    "${require('./assets/favicons/favicon.ico')}": "data:,",
}
_TABLES = """
    select
        t.schema_name,
        t.table_name,
        t.comment,
        t.estimated_size,
        list(
            {'name': c.column_name, 'type': c.data_type, 'comment': c.comment}
            order by c.column_index
        ) as columns
    from (
        select schema_name, table_name, comment, estimated_size from duckdb_tables()
        where not internal and database_name = current_database()
        union all
        select schema_name, view_name, comment, null from duckdb_views()
        where not internal and database_name = current_database()
    ) as t
    inner join duckdb_columns() as c
        on t.schema_name = c.schema_name and t.table_name = c.table_name
    where c.database_name = current_database()
    group by all
    order by t.schema_name, t.table_name
"""


def write_docs(settings: Settings, run: RunInfo) -> Path:
    """Write ``home/docs/site/index.html``: every model with its description, columns, types, SQL,
    tests and lineage; returns its path.

    Types and numbers of rows are those of the published marts, and of the private warehouse
    where nobody works in it. Neither is touched: dbt compiles in a home of its own that holds the
    program and no data. Raises BusyError and TransformError.
    """
    room = settings.home / ROOM
    bare = settings.model_copy(update={"home": room, "ledger_url": None})
    with hold(bare):
        prepare_warehouse(bare, run)
        try:
            result = invoke(bare, ["docs", "generate", "--empty-catalog"])
        finally:
            for path in (bare.warehouse, bare.marts):
                path.unlink(missing_ok=True)
        if not result.success:
            raise TransformError(f"dbt made no docs: {result.exception}", "reinstall careloop")
        target = bare.build / "target"
        manifest = json.loads((target / "manifest.json").read_text("utf-8"))
        catalog = json.loads((target / "catalog.json").read_text("utf-8"))
        tables = _tables(settings)
        for kind in ("nodes", "sources"):
            catalog[kind] = {
                name: found
                for name, node in manifest[kind].items()
                if (found := _entry(name, node, tables))
            }
        page = room / "site" / "index.html"
        page.parent.mkdir(exist_ok=True)
        put(page, _page(manifest, catalog).encode())
    return page


def _tables(settings: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """Tables by schema and name: comment, rows, columns."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if settings.warehouse.exists():
        try:
            with duckdb.connect(str(settings.warehouse), read_only=True) as con:
                found |= _read(con)
        except duckdb.IOException:
            pass  # a refresh is under way
    if current_version(settings):
        with open_published(settings) as con:
            found |= _read(con)
    return found


def _read(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (schema, name): {"comment": comment, "rows": rows, "columns": columns}
        for schema, name, comment, rows, columns in con.execute(_TABLES).fetchall()
    }


def _entry(
    unique_id: str, node: dict[str, Any], tables: dict[tuple[str, str], dict[str, Any]]
) -> dict[str, Any] | None:
    """A table as dbt's catalog has it (schemas.getdbt.com/dbt/catalog/v1.json)."""
    table = tables.get((node["schema"], node.get("identifier") or node.get("alias", "")))
    if table is None:
        return None
    metadata = {
        "type": "BASE TABLE" if table["rows"] is not None else "VIEW",
        "schema": node["schema"],
        "name": node["name"],
        "database": node["database"],
        "comment": table["comment"],
        "owner": None,
    }
    columns = {
        column["name"]: {**column, "index": number}
        for number, column in enumerate(table["columns"], 1)
    }
    rows = {
        "id": "rows",
        "label": "Rows",
        "value": table["rows"],
        "include": table["rows"] is not None,
        "description": "Rows when this page was made",
    }
    has = {**rows, "id": "has_stats", "label": "Has Stats?", "value": True, "include": False}
    return {
        "metadata": metadata,
        "columns": columns,
        "stats": {"has_stats": has, "rows": rows},
        "unique_id": unique_id,
    }


def _page(manifest: dict[str, Any], catalog: dict[str, Any]) -> str:
    """dbt's own page with its data inside, as `dbt docs generate --static` makes it."""
    page = files("dbt.task.docs").joinpath("index.html").read_text("utf-8")
    for wrong, right in CORRECTIONS.items():
        page = page.replace(wrong, right)
    for name, data in (("MANIFEST", manifest), ("CATALOG", catalog)):
        text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
        page = page.replace(f'"{name}.JSON INLINE DATA"', text)
    return page
