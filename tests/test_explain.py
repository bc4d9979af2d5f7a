"""Why somebody was, or was not, contacted, in words of both languages."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from careloop.cli.main import app
from careloop.errors import SettingsError
from careloop.explain.read import explain
from careloop.explain.words import Sentences, _words
from careloop.program.load import load_program
from careloop.published import decision_files
from conftest import DAYS, Company

PACK = load_program("retail_care")


# The day the data came in: later ones find them too old for most purposes.
FRESH = date.fromisoformat(DAYS[0])


def _first_version(company: Company) -> str:
    return company.summaries[0]["published"].rpartition("marts-")[2].removesuffix(".duckdb")


def _customers(company: Company) -> dict[str, str]:
    """One customer for every gate that stopped something, and for what went out."""
    return dict(
        company.rows(
            "select coalesce(gate, outcome), min(customer_id) from fct_care_decisions group by all",
            _first_version(company),
        )
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_gate_has_its_sentence(company: Company, lang: str) -> None:
    say = Sentences(PACK, lang)
    found = _customers(company)
    assert {"send", "consent", "reachable", "caps", "holdout"} <= set(found)
    for what, customer in found.items():
        explained = explain(company.settings, PACK, customer, FRESH)
        rows = [row for row in explained.decisions if (row["gate"] or row["outcome"]) == what]
        assert rows
        for row in rows:
            told = say.outcome(row) + say.why(row)
            assert "{" not in told
            assert "None" not in told
            assert (row["gate"] is None) == (say.why(row) == "")
            gates = say.gates(row)
            assert len(gates) == len(_words()["gates"])
            stopped = [title for title, ok, _ in gates if ok is False]
            if row["gate"] and row["gate"] != "quiet_hours":
                assert stopped[0] == _words()["gates"][row["gate"]]["title"][lang]


def test_a_rule_that_did_not_come_up_says_for_whom_it_is(company: Company) -> None:
    customer = company.one("select min(customer_id) from dim_customers where segment = 'dormant'")
    explained = explain(company.settings, PACK, customer, None)
    silent = {one.rule.id: one for one in explained.silent}
    assert silent["core_contact"].not_in == ("segment", ["core"], "dormant")
    assert "Core" in Sentences(PACK, "en").silent(silent["core_contact"])
    came_up = {row["rule"] for row in explained.decisions}
    assert came_up | set(silent) == {rule.id for rule in PACK.rules if rule.active}
    assert not came_up & set(silent)


def test_an_earlier_day_is_told_from_the_archive(company: Company) -> None:
    assert len(decision_files(company.settings)) == len(DAYS)
    day = FRESH
    customer, rule = company.rows(
        "select customer_id, rule from fct_care_decisions order by decision_key limit 1",
        _first_version(company),
    )[0]
    explained = explain(company.settings, PACK, customer, day)
    assert explained.as_of.date() == day
    assert rule in {row["rule"] for row in explained.decisions}
    with pytest.raises(SettingsError, match="nothing was decided on 2026-07-02"):
        explain(company.settings, PACK, customer, date(2026, 7, 2))
    with pytest.raises(SettingsError, match="no customer NOBODY"):
        explain(company.settings, PACK, "NOBODY", day)


def test_the_command_speaks_both_languages_and_json(company: Company) -> None:
    customer = _customers(company)["caps"]
    home = str(company.settings.home)
    run = CliRunner().invoke
    command = ["explain", customer, "--home", home, "--date", DAYS[0]]
    english = run(app, [*command, "--locale", "en", "--gates"])
    assert english.exit_code == 0, english.output
    assert "no room left" in english.output
    assert max(map(len, english.output.splitlines())) <= 100
    chinese = run(app, command)
    assert "已达上限" in chinese.output
    data = json.loads(run(app, [*command, "--json"]).output)
    assert {row["rule"] for row in data["decisions"]}
    assert all(isinstance(row["gates"], dict) for row in data["decisions"])


def test_nothing_decided_yet(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["explain", "C1", "--home", str(tmp_path)])
    assert isinstance(done.exception, SettingsError)
    assert "careloop run" in done.exception.hint
