"""The statements of a round: what dbt makes of the models, kept so that dbt starts once a day.

A round is a minute's work every quarter of an hour. Reading the project, choosing models and
filling in their macros would take most of it, and gives the same text all day but for the
moment. So dbt compiles the models for a moment that nothing else has, and its literal is replaced.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from careloop import __version__
from careloop.durable import put
from careloop.errors import TransformError
from careloop.run_info import RunInfo
from careloop.settings import Settings
from careloop.transform.dbt import DBT_PROJECT, invoke, manifest
from careloop.warehouse import connect, literal, quote
from careloop.watch.models import Selection, selection

# Moments only, as macros reckon with the date: no time of data is known that exactly.
MOMENTS = {"as_of_utc": "23:58:57.123457", "as_of_local": "23:58:57.123458"}
STAYS = "what was found before stays"


@dataclass
class Statement:
    """What makes a model. relation: quoted, with its database. sql: its query, for the moments
    of ``Compiled``."""

    model: str
    relation: str
    kind: str
    sql: str


@dataclass
class Compiled:
    """chosen: models and inputs of the round. statements: in the order they are run in.
    moments: what stands in them for the columns of run.context."""

    key: str
    moments: dict[str, str]
    chosen: Selection
    statements: list[Statement]

    @classmethod
    def kept(cls, settings: Settings, key: str) -> "Compiled | None":
        """The statements an earlier round left, unless they are for something else."""
        try:
            data = json.loads(_file(settings).read_text("utf-8"))
            if data["key"] == key:
                steps = [Statement(**statement) for statement in data["statements"]]
                return cls(key, data["moments"], Selection(**data["chosen"]), steps)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def keep(self, settings: Settings) -> None:
        put(_file(settings), json.dumps(asdict(self)).encode())


def key_of(run: RunInfo, version: Path) -> str:
    """What statements depend on: release, pack, day, and the version whose tables they read."""
    hashed = hashlib.sha256()
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "program"]
    files = [p for folder in folders for p in folder.glob("*.py")]
    files += [p for kind in ("sql", "yml") for p in (DBT_PROJECT / "macros").rglob(f"*.{kind}")]
    files += [p for kind in ("sql", "yml") for p in (DBT_PROJECT / "models").rglob(f"*.{kind}")]
    for file in sorted(files):
        hashed.update(file.read_bytes())
    parts = (__version__, run.program.hash, str(run.as_of_local.date()), version.stem)
    return "|".join((*parts, hashed.hexdigest()[:16]))


def choose(settings: Settings) -> Selection:
    """Models and inputs of a round, from the parsed project."""
    return selection(manifest(settings))


def compiled(settings: Settings, key: str, chosen: Selection, run: RunInfo) -> Compiled:
    """Let dbt compile the models: the warehouse has the run and the program, and goes away then.
    Raises TransformError."""
    real = _moments_of(run)
    moments = {column: f"{real[column][:10]} {time}" for column, time in MOMENTS.items()}
    values = ", ".join(f"{column} = {literal(moment)}" for column, moment in moments.items())
    with connect(settings, settings.warehouse) as con:
        con.execute(f"update run.context set {values}")
    result = invoke(settings, ["compile", "--no-write-json", "--select", *chosen.models])
    if not result.success:
        failed = [r for r in result.result or [] if str(r.status) in ("error", "fail")]
        reason = f"{failed[0].node.name}: {failed[0].message}" if failed else result.exception
        raise TransformError(f"the watch failed: {' '.join(str(reason).split())[:500]}", STAYS)
    settings.warehouse.unlink()
    settings.marts.unlink(missing_ok=True)
    nodes = {r.node.unique_id: r.node for r in result.result if r.node.name in chosen.models}
    done = Compiled(key, moments, chosen, [_statement(node) for node in _in_order(nodes)])
    done.keep(settings)
    return done


def compute(
    con: duckdb.DuckDBPyConnection, settings: Settings, made: Compiled, run: RunInfo
) -> None:
    """Run the statements; marts are attached. Raises TransformError, and forgets them then."""
    moments = _moments_of(run)
    for schema in ("staging", "intermediate"):
        con.execute(f"create schema if not exists {schema}")
    for statement in made.statements:
        sql = statement.sql
        for column, moment in made.moments.items():
            sql = sql.replace(moment, moments[column])
        try:
            con.execute(f"create {statement.kind} {statement.relation} as {sql}")
        except duckdb.Error as error:
            _file(settings).unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:500]
            raise TransformError(f"the watch failed: {statement.model}: {reason}", STAYS) from error


def _file(settings: Settings) -> Path:
    return settings.build / "statements.json"


def _moments_of(run: RunInfo) -> dict[str, str]:
    return {column: str(getattr(run, column)) for column in MOMENTS}


def _in_order(nodes: dict[str, Any]) -> list[Any]:
    """The nodes, each after those it reads from."""
    done: dict[str, Any] = {}

    def add(key: str) -> None:
        if key in nodes and key not in done:
            for parent in sorted(nodes[key].depends_on.nodes):
                add(parent)
            done[key] = nodes[key]

    for key in sorted(nodes):
        add(key)
    return list(done.values())


def _statement(node: Any) -> Statement:
    """Under a contract, the columns in its order and of its types."""
    sql = node.compiled_code
    if node.config.contract.enforced:
        columns = ", ".join(
            f"cast({quote(c.name)} as {c.data_type}) as {quote(c.name)}"
            for c in node.columns.values()
        )
        sql = f"select {columns} from ({sql}\n)"
    kind = "view" if node.config.materialized == "view" else "table"
    return Statement(node.name, node.relation_name, kind, sql)
