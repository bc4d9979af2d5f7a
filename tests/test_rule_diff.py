"""A changed pack on today's data: who is gained, lost, moved, displaced; and nothing else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from careloop.cli.main import app
from careloop.program.load import find_program, load_program
from careloop.rule_diff.compare import Difference, compare
from careloop.rule_diff.decide import decided
from conftest import Company, table_text

OLD = load_program("retail_care")
Changed = Callable[..., Difference]


def _pack(folder: Path, changes: dict[str, list[tuple[str, str]]]) -> Path:
    """A copy of the pack with texts replaced, each of which must be there."""
    target = folder / "mine"
    shutil.copytree(find_program("retail_care").parent, target)
    for name, pairs in {"program.yml": [("name: retail_care", "name: mine")], **changes}.items():
        file = target / name
        text = file.read_text("utf-8")
        for before, after in pairs + (
            [("name: retail_care", "name: mine")] if "program" in name else []
        ):
            if before not in text:
                assert before == "name: retail_care"
                continue
            text = text.replace(before, after, 1)
        file.write_text(text, "utf-8")
    return target


@pytest.fixture
def changed(company: Company, tmp_path: Path) -> Changed:
    def run(**files: list[tuple[str, str]]) -> Difference:
        names = {name.replace("_", ".", 1): pairs for name, pairs in files.items()}
        new = load_program(_pack(tmp_path, names))
        with decided(company.settings, OLD, new, lambda _: None) as (before, after, _):
            return compare(before, after)

    return run


def _by_change(difference: Difference) -> dict[str, int]:
    totals: dict[str, int] = {}
    for row in difference.counts:
        totals[row["change"]] = totals.get(row["change"], 0) + row["decisions"]
    return totals


def test_a_pack_with_another_name_only_changes_nothing(changed: Changed) -> None:
    difference = changed()
    assert difference.counts == []
    assert difference.totals["before"] == difference.totals["after"] > 0


def test_a_rested_rule_is_lost_and_makes_room(changed: Changed, company: Company) -> None:
    files = {
        "rules_yml": [("  - id: useful_content\n", "  - id: useful_content\n    active: false\n")]
    }
    sent = company.one(
        "select count(*) from fct_care_decisions "
        "where rule = 'useful_content' and outcome in ('send', 'task')"
    )
    difference = changed(**files)
    found = _by_change(difference)
    lost = [row for row in difference.counts if row["change"] == "lost"]
    assert {row["rule"] for row in lost} == {"useful_content"}
    assert found["lost"] == sent > 0
    totals = difference.totals
    gained = found.get("gained", 0) - found["lost"] - found.get("displaced", 0)
    assert totals["after"] == totals["before"] + gained


def test_a_priority_displaces_and_an_offer_moves(
    changed: Changed, company: Company, tmp_path: Path
) -> None:
    before = table_text(company.settings.published / "marts.duckdb")
    difference = changed(
        rules_yml=[
            (
                "    template: maintenance\n    offer: free_maintenance\n    priority: 45",
                "    template: maintenance\n    priority: 99",
            ),
        ]
    )
    found = _by_change(difference)
    assert found["moved"] > 0
    assert {row["rule"] for row in difference.counts if row["change"] == "moved"} == {"maintenance"}
    assert found["displaced"] > 0
    displaced = [row for row in difference.examples if row["change"] == "displaced"]
    assert all("one_a_day" in row["reason"] for row in displaced)
    assert all(row["before_by"] and not row["after_by"] for row in displaced)
    assert table_text(company.settings.published / "marts.duckdb") == before
    assert not list(company.settings.home.glob("careloop-diff-*"))
    assert not (company.settings.home / "ledger.db").exists()


def test_a_moved_segment_is_built_anew_and_told(company: Company, tmp_path: Path) -> None:
    pack = _pack(
        tmp_path,
        {
            "program.yml": [
                ("{measure: spend_rank, at_least: 0.8}", "{measure: spend_rank, at_least: 0.5}")
            ]
        },
    )
    command = ["diff-rules", str(pack), "--home", str(company.settings.home)]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    data = json.loads(done.output)
    assert data["from"] != data["to"]
    core = [row for row in data["counts"] if row["segment"] == "core" and row["change"] == "gained"]
    assert core
