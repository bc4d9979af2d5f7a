"""A changed pack on today's data: who is gained, lost, moved, displaced; and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from careloop.cli.main import app
from careloop.program.load import find_program, load_program
from careloop.rule_diff.compare import compare
from careloop.rule_diff.decide import decided
from conftest import Company, table_text

Changes = dict[str, list[tuple[str, str]]]
# The company's data came in months before its last day, which would stop most care.
ANY_AGE = ("max_age: ", "max_age: 1000d, blocks: [], severity: warning} # ")
RESTED = ("  - id: useful_content\n", "  - id: useful_content\n    active: false\n")
MOVED = (
    "    template: maintenance\n    offer: free_maintenance\n    priority: 45",
    "    template: maintenance\n    priority: 99",
)
MORE_CORE = ("{measure: spend_rank, at_least: 0.8}", "{measure: spend_rank, at_least: 0.5}")


def _pack(folder: Path, rules: list[tuple[str, str]], program: list[tuple[str, str]]) -> Path:
    """A copy of the pack with texts replaced, each of which must be there."""
    target = folder / "retail_care"
    shutil.copytree(find_program("retail_care").parent, target)
    for name, pairs in (("rules.yml", rules), ("program.yml", program)):
        file = target / name
        text = file.read_text("utf-8")
        for before, after in pairs:
            assert before in text, before
            text = text.replace(before, after, -1 if (before, after) == ANY_AGE else 1)
        file.write_text(text, "utf-8")
    return target


@pytest.mark.slow
def test_rested_moved_displaced_and_gained_add_up(company: Company, tmp_path: Path) -> None:
    before = table_text(company.settings.published / "marts.duckdb")
    old = load_program(_pack(tmp_path / "old", [], [ANY_AGE]))
    new = load_program(_pack(tmp_path / "new", [RESTED, MOVED], [ANY_AGE]))
    steps: list[str] = []
    with decided(company.settings, old, new, steps.append) as (was, becomes, as_of):
        nothing = compare(was, was)
        difference = compare(was, becomes)
    assert as_of.isoformat() == "2026-11-01T00:00:00"
    assert steps[-1] == "deciding under the new pack"
    assert nothing.counts == []
    assert nothing.totals["before"] == nothing.totals["after"] > 0

    counts: dict[str, int] = {}
    rules: dict[str, set[str]] = {}
    for row in difference.counts:
        counts[row["change"]] = counts.get(row["change"], 0) + row["decisions"]
        rules.setdefault(row["change"], set()).add(row["rule"])
    assert rules["lost"] == {"useful_content"}
    assert rules["moved"] == {"maintenance"}
    assert {"gained", "displaced"} <= set(counts)
    totals = difference.totals
    change = counts["gained"] - counts["lost"] - counts["displaced"]
    assert totals["after"] == totals["before"] + change

    for row in difference.examples:
        assert bool(row["before_by"]) == (row["change"] != "gained")
        assert bool(row["after_by"]) == (row["change"] in ("gained", "moved"))
        if row["change"] == "displaced":
            assert "one_a_day" in row["reason"]
    assert table_text(company.settings.published / "marts.duckdb") == before
    assert not list(company.settings.home.glob("careloop-diff-*"))
    assert not (company.settings.home / "ledger.db").exists()


@pytest.mark.slow
def test_moved_segments_are_built_anew_and_told(company: Company, tmp_path: Path) -> None:
    pack = _pack(tmp_path, [], [ANY_AGE, MORE_CORE])
    command = ["diff-rules", str(pack), "--home", str(company.settings.home)]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    data = json.loads(done.output)
    assert data["from"] != data["to"]
    assert data["totals"]["after"] > data["totals"]["before"]
    gained = {row["segment"] for row in data["counts"] if row["change"] == "gained"}
    assert {"core", "potential", "new"} <= gained
