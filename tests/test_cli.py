"""What people type and read."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from careloop.cli.contract import contract_markdown
from careloop.cli.main import COMMANDS, app, commands_of
from careloop.cli.output import print_table
from careloop.cli.run import days_between
from careloop.errors import CareloopError, SourceError
from careloop.settings import PROJECT_ROOT, load_settings
from conftest import Company

ANALYSES = sorted((PROJECT_ROOT / "dbt_project" / "analyses").glob("*.sql"))


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its full name."""
    found: list[tuple[str, click.Command]] = []

    def walk(name: str, command: click.Command) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found.append((name, command))
        for child, sub in (children or {}).items():
            walk(f"{name} {child}".strip(), sub)

    walk("", typer.main.get_command(app))
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_command_has_help_with_an_example(name: str, command: click.Command) -> None:
    text = command.help or ""
    assert "Example" in text, f"careloop {name} --help shows no example"
    assert f"careloop {name}" in text
    assert all(getattr(p, "help", "") for p in command.params if isinstance(p, click.Option))


def test_the_table_of_commands_is_what_the_modules_register() -> None:
    folder = PROJECT_ROOT / "src" / "careloop" / "cli"
    modules = {p.stem for p in folder.glob("*.py") if "def register(app" in p.read_text("utf-8")}
    assert set(COMMANDS) == modules
    assert {module: set(commands_of(module)) for module in COMMANDS} == {
        module: set(names) for module, names in COMMANDS.items()
    }


def test_a_command_imports_no_other() -> None:
    code = (
        "import sys; from careloop.cli.main import app; "
        "app(['marts', '--help'], standalone_mode=False); "
        "print(sorted(n for n in sys.modules if n.startswith('careloop.cli.')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = out.stdout.strip().splitlines()[-1]
    assert "'careloop.cli.marts'" in imported
    assert not [m for m in COMMANDS if m != "marts" and f"'careloop.cli.{m}'" in imported]


def test_a_command_that_does_not_exist_names_the_nearest() -> None:
    found = CliRunner().invoke(app, ["mart"])
    assert found.exit_code == 2
    assert "marts" in found.output


def test_the_contract_page_is_up_to_date() -> None:
    page = (PROJECT_ROOT / "docs" / "contract.md").read_text("utf-8")
    assert page == contract_markdown(), "run: careloop contract --markdown > docs/contract.md"


def test_output_keeps_to_a_hundred_columns(company: Company) -> None:
    for arguments in (["marts"], ["marts", "dim_customers"], ["quarantine"]):
        lines = [x for x in company.run(*arguments).splitlines() if not x.startswith("file ")]
        assert max(map(len, lines)) <= 100


def test_sql_as_table_json_and_csv(company: Company) -> None:
    statement = "select segment, count(*) as customers from dim_customers group by all order by all"
    assert "core" in company.run("sql", statement)
    rows = json.loads(company.run("sql", statement, "--json"))
    assert sum(row["customers"] for row in rows) == 400
    assert company.run("sql", statement, "--csv").splitlines()[0] == "segment,customers"
    with pytest.raises(CareloopError, match="the query failed"):
        company.run("sql", "select nothing from nowhere")
    with pytest.raises(CareloopError, match="read-only"):
        company.run("sql", "create table mine as select 1")


def test_the_quarantine_counts_and_shows_rows(company: Company) -> None:
    shown = json.loads(company.run("quarantine", "--json", "--rows", "500"))
    assert sum(row["rows"] for row in shown["counts"]) == len(shown["rows"]) > 20
    assert all(row["reason"] for row in shown["rows"])
    assert all("raw" not in row for row in shown["rows"])
    only = json.loads(company.run("quarantine", "orders", "--json"))
    assert {row["entity"] for row in only["rows"]} == {"orders"}


def test_source_check_loads_nothing_and_hides_personal_values(company: Company) -> None:
    folder = company.folder / "store"
    result = CliRunner().invoke(app, ["source", "check", str(folder), "--json"])
    checked = {item["entity"]: item for item in json.loads(result.output)["mapped"]}
    assert checked["contacts"]["rows"][0]["phone"] in ("•••", None)
    assert len(checked["orders"]["rows"]) == 5
    assert "birthday" in checked["customers"]["maps"]
    assert "is_strategic" in checked["customers"]["missing"]
    text = CliRunner().invoke(app, ["source", "check", str(folder)]).output
    assert "left over" in text
    assert "maps" in text


def test_source_check_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "source.yml").write_text(
        "name: a\nzone: UTC\nentities:\n  customers: {file: c.csv}\n  orders: {file: o.csv}\n"
    )
    (tmp_path / "c.csv").write_text("id\n1\n")
    with pytest.raises(SourceError) as caught:
        app(["source", "check", str(tmp_path)], standalone_mode=False)
    assert "nothing maps to the required column customer_id" in str(caught.value)
    assert "no file matches o.csv" in str(caught.value)


@pytest.mark.parametrize("question", ANALYSES, ids=[path.stem for path in ANALYSES])
def test_the_example_questions_have_answers(company: Company, question: Path) -> None:
    result = CliRunner().invoke(
        app, ["sql", "-", "--home", str(company.settings.home)], input=question.read_text("utf-8")
    )
    assert result.exit_code == 0, result.exception


def test_days_of_a_backfill() -> None:
    from datetime import date

    months = days_between(date(2026, 1, 31), date(2026, 4, 1), "month")
    assert [str(day) for day in months] == ["2026-01-31", "2026-02-01", "2026-03-01", "2026-04-01"]
    weeks = days_between(date(2026, 1, 1), date(2026, 1, 31), "week")
    assert [day.day for day in weeks] == [1, 8, 15, 22, 29]
    with pytest.raises(CareloopError, match="allowed: day, week, month"):
        days_between(date(2026, 1, 1), date(2026, 1, 2), "year")


def test_settings_come_from_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "careloop.toml").write_text('program = "key_account"\nhome = "elsewhere"\n')
    assert load_settings().program == "key_account"
    monkeypatch.setenv("CARELOOP_PROGRAM", "b2b_service")
    settings = load_settings()
    assert (settings.program, settings.home) == ("b2b_service", (tmp_path / "elsewhere").resolve())
    (tmp_path / "careloop.toml").write_text('programm = "x"\n')
    with pytest.raises(CareloopError, match="programm"):
        load_settings()


def test_a_table_too_wide_to_read_is_printed_row_by_row(capsys: pytest.CaptureFixture) -> None:
    columns = [f"a_long_name_{i}" for i in range(12)]
    print_table(columns, [[f"[value] {i}" for i in range(12)], [None] * 12])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("a_long_name_3")] == [
        ["a_long_name_3", "[value]", "3"],
        ["a_long_name_3", "–"],
    ]
    assert [line for line in lines if line.startswith("row 2")]
    print_table(columns[:3], [["客户", "b", "c"]])
    assert "客户" in [
        part.strip() for part in capsys.readouterr().out.replace("│", "\n").split("\n")
    ]


def test_the_page_of_questions_is_up_to_date(company: Company) -> None:
    page = (PROJECT_ROOT / "docs" / "questions.md").read_text("utf-8")
    assert page == company.run("questions", "--markdown"), "run: make docs"
    for file in ANALYSES:
        assert f"`{file.stem}`" in page


def test_a_question_is_answered(company: Company) -> None:
    rows = json.loads(company.run("questions", "targets_missed", "--json"))
    expected = "select count(distinct target_id) from rpt_kpi_targets where is_over and slice_kind <> 'owner'"
    assert len({row["target_id"] for row in rows}) == company.one(expected)
    with pytest.raises(CareloopError, match="no question nothing"):
        company.run("questions", "nothing")
