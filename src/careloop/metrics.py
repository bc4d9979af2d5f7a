"""KPIs of any slice for analysts: dbt's semantic layer (MetricFlow) over the published marts.

``home/metrics`` is a small dbt project in which `mf` runs as it is: a profile that reads the
published marts, and the semantic manifest of careloop's own project.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from careloop.durable import sync
from careloop.errors import SettingsError
from careloop.program.kpi_pages import semantic_models
from careloop.published import LINK, current_version
from careloop.settings import Settings
from careloop.transform.dbt import environment, manifest

MANIFEST = "semantic_manifest.json"


def run_metricflow(settings: Settings, arguments: list[str]) -> None:
    """Runs a command of `mf` (query, list …) on the published marts; it leaves by SystemExit.

    Raises SettingsError where MetricFlow is missing or nothing is published.
    """
    folder = prepare_folder(settings)
    names = ("DBT_PROJECT_DIR", "DBT_PROFILES_DIR")
    os.environ.update(environment(settings) | dict.fromkeys(names, str(folder)))
    os.environ["DBT_LOG_PATH"] = str(folder / "logs")
    commands = _metricflow()
    # The commands themselves: what goes around them asks the package index for a newer version.
    found = commands.get(arguments[0]) if arguments else None
    if found is None:
        raise SettingsError(
            f"`{arguments[0] if arguments else ''}` is no command of MetricFlow",
            "there are: " + ", ".join(sorted(commands)),
        )
    found.main(arguments[1:], prog_name=f"careloop metrics {arguments[0]}")


def prepare_folder(settings: Settings) -> Path:
    """Writes ``home/metrics`` as far as it is missing or old, and returns it."""
    if current_version(settings) is None:
        raise SettingsError("nothing is published yet", "run: careloop run")
    _metricflow()
    apart = settings.apart("metrics")
    folder = apart.build.resolve()
    (folder / "target").mkdir(parents=True, exist_ok=True)
    marts = settings.published.resolve() / LINK
    _write(folder / "dbt_project.yml", {"name": "careloop", "version": "1.0", "profile": "marts"})
    _write(folder / "profiles.yml", {"marts": _profile(marts, settings)})
    made_from = folder / "target" / "made_from"
    wanted = hashlib.sha256(semantic_models().encode()).hexdigest()
    target = folder / "target" / MANIFEST
    if not target.exists() or not made_from.exists() or made_from.read_text() != wanted:
        from dbt.contracts.graph.semantic_manifest import SemanticManifest

        SemanticManifest(manifest(apart)).write_json_to_file(str(target))
        sync(target)
        made_from.write_text(wanted)
    return folder


def _metricflow() -> dict[str, Any]:
    """MetricFlow's commands by name."""
    try:
        from dbt_metricflow.cli.main import cli
    except ImportError:
        raise SettingsError(
            "MetricFlow is not installed", "run: pip install 'careloop[metrics]'"
        ) from None
    return cli.commands


def _profile(marts: Path, settings: Settings) -> dict[str, Any]:
    known = environment(settings)
    output = {
        "type": "duckdb",
        "path": ":memory:",
        "attach": [{"path": str(marts), "alias": "marts", "read_only": True}],
        "threads": 1,
        "settings": {
            "threads": int(known["CARELOOP_THREADS"]),
            "memory_limit": known["CARELOOP_MEMORY_LIMIT"],
            "TimeZone": "UTC",
        },
    }
    return {"target": "published", "outputs": {"published": output}}


def _write(path: Path, content: dict[str, Any]) -> None:
    # JSON is YAML, too.
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
