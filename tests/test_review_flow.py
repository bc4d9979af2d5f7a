"""The review as a flow on a real Prefect server: what a person sees, and whom it tells."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
import yaml

from apprise_receiver import Receiver
from careloop.judge import marts_for, missed_kpis
from careloop.ledger.database import open_ledger
from careloop.prefect_stack import deploy_all
from careloop.program.load import load_program
from careloop.published import current_version, query
from careloop.review import parse_period
from careloop.settings import PROJECT_ROOT
from prefect_server import Server

pytestmark = [pytest.mark.prefect, pytest.mark.slow]
PROGRAM = load_program("retail_care")
QUARTER, MONTH = "2026Q3", "2026-10"
NOW = "2026-11-01T06:00+08:00"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def listening(receiver: Receiver) -> Iterator[Receiver]:
    """The flows tell the receiver."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARELOOP_CHANNELS", json.dumps({"alerts": {"type": "apprise"}}))
        patch.setenv("CARELOOP_CHANNEL_ALERTS_URL", receiver.url)
        yield receiver


def start(server: Server, *, pdf: bool = False, **parameters: Any) -> dict[str, Any]:
    """A run of the flow. pdf: print one if a browser is there; it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        if not pdf:
            patch.setenv("CARELOOP_BROWSER", "no browser")
        server.stack.run_flow("flows.review", {"now": NOW, "wait_minutes": 0, **parameters})
    return server.last_run()


@pytest.fixture(scope="module")
def missed(server: Server, good_run: dict) -> list[dict[str, Any]]:
    """The critical targets that were missed: whatever the sample company missed is made so."""
    file = current_version(server.stack.settings)
    assert file
    with duckdb.connect(str(file)) as con:
        con.execute("update rpt_kpi_targets set is_critical = true")
    asked = parse_period(QUARTER)
    found = missed_kpis(
        server.stack.settings, asked, marts_for(server.stack.settings, PROGRAM, asked)
    )
    assert found, "the sample company misses no target in this quarter"
    return found


@pytest.fixture(scope="module")
def quarterly(server: Server, missed: list, listening: Receiver) -> dict[str, Any]:
    """The run of a quarter, named by nothing but the time it was started at."""
    return start(server, pdf=True, kind="quarter")


def test_a_quarter_shows_headline_targets_and_files(server: Server, quarterly: dict) -> None:
    assert quarterly["state"]["type"] == "COMPLETED", quarterly["state"]["message"]
    assert quarterly["state"]["message"].startswith("2026Q3 is written: ")
    tasks = server.post("task_runs/filter", {"flow_runs": {"id": {"any_": [quarterly["id"]]}}})
    names = {task["name"] for task in tasks}
    assert names == {"marts of 2026Q3", "calibration", "page", "workbook", "pdf", "alerts"}
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    shown = server.artifacts(quarterly["id"])
    title, *lines = shown["review-headline"]["data"].splitlines()
    assert title == "# 客户关怀与体验提升方案 2026Q3"
    assert any(line.startswith(("- ✓ ", "- ✗ ", "- • ")) for line in lines)
    targets = json.loads(shown["review-kpis"]["data"])
    assert len(targets) >= len(PROGRAM.goals.targets)
    assert "净推荐值" in {row["KPI"] for row in targets}
    assert [row["state"] for row in targets if "未达成" in row["state"]] == [
        row["state"] for row in targets[: sum("未达成" in row["state"] for row in targets)]
    ], "the missed ones come first"
    folder = server.stack.settings.home / "reviews" / QUARTER
    linked = ("review-page", "review-workbook", "review-proposed-pack")
    files = {key: link(shown[key]["data"]) for key in linked}
    assert files["review-page"] == folder / "review-zh.html"
    assert files["review-workbook"] == folder / "review-zh.xlsx"
    assert files["review-proposed-pack"].parent == folder
    assert all(path.exists() for path in files.values())


def link(data: str) -> Path:
    """The file a link artifact leads to."""
    return Path(unquote(urlsplit(data.partition("](")[2].rstrip(")")).path))


def test_missed_critical_kpis_are_told_once(
    server: Server, quarterly: dict, listening: Receiver, missed: list
) -> None:
    told = [body for body in listening.bodies if "2026 年第 3 季度" in body["title"]]
    assert len(told) == 1
    lines = told[0]["message"].strip().splitlines()
    assert len(lines) == len(missed)
    assert all("目标" in line for line in lines)
    _, people = query(
        server.stack.settings, "select distinct account_manager_id from dim_customers"
    )
    assert not [p for (p,) in people if p and p in told[0]["message"]], "no person is named"
    with open_ledger(server.stack.settings) as ledger, ledger.read() as con:
        sql = "select kind, channel, state, staff_id from alerts where kind = 'kpi'"
        rows = con.exec_driver_sql(sql).all()
    assert rows == [("kpi", "alerts", "sent", None)] * len(missed)


def test_the_same_again_gives_the_same_and_tells_nobody(
    server: Server, quarterly: dict, listening: Receiver
) -> None:
    folder = server.stack.settings.home / "reviews" / QUARTER
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    heard = len(listening.bodies)
    again = start(server, period=QUARTER)
    assert again["state"]["type"] == "COMPLETED"
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    assert {"review-zh.html", "review-zh.xlsx"} <= set(before)
    assert len(listening.bodies) == heard


def test_a_month_is_the_short_form_in_the_language_asked_for(
    server: Server, listening: Receiver
) -> None:
    run = start(server, kind="month", language="en")
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].startswith(f"{MONTH} is written")
    shown = server.artifacts(run["id"])
    assert "review-proposed-pack" not in shown
    folder = server.stack.settings.home / "reviews" / MONTH
    page = (folder / "review-en.html").read_text("utf-8")
    assert '<html lang="en"' in page
    assert "October 2026" in page


def test_a_review_comes_without_its_calibration_when_that_fails(
    server: Server, listening: Receiver
) -> None:
    reviews = server.stack.settings.home / "reviews"
    earlier = reviews / "2026Q1" / "calibration"
    earlier.mkdir(parents=True)
    (earlier / "proposals.json").write_text("damaged")
    run = start(server, period="2026Q2")
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].endswith("; there is no calibration, its task says why")
    tasks = server.post("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    failed = [task["name"] for task in tasks if task["state"]["type"] == "FAILED"]
    assert failed == ["calibration"]
    assert (reviews / "2026Q2" / "review-zh.html").exists()


def test_marts_that_end_before_the_period_stop_the_run(server: Server, good_run: dict) -> None:
    run = start(server, period="2026Q4")
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"] == (
        "2026Q4 ends with 2026-12-31, and the published marts are as of 2026-11-01 00:00"
    )


def test_alerts_that_nobody_takes_fail_the_run_and_go_out_with_the_next(
    server: Server, quarterly: dict, listening: Receiver
) -> None:
    with open_ledger(server.stack.settings) as ledger, ledger.write() as con:
        con.exec_driver_sql("delete from alerts where kind = 'kpi'")
    listening.answers = [403]
    run = start(server, period=QUARTER)
    assert run["state"]["type"] == "FAILED"
    assert "2026Q3 is written, but its alerts are not told: HTTP 403" in run["state"]["message"]
    heard = len(listening.bodies)
    assert start(server, period=QUARTER)["state"]["type"] == "COMPLETED"
    assert len(listening.bodies) == heard + 1


def test_how_often_the_review_meeting_is_decides_the_schedule(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {one["name"]: one for one in server.post("deployments/filter")}
    crons = {
        name: one["schedules"][0]["schedule"]["cron"]
        for name, one in by_name.items()
        if one["name"] in ("quarterly", "monthly")
    }
    assert crons == {"quarterly": "0 5 1 1,4,7,10 *", "monthly": "30 5 1 * *"}
    declared = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    kinds = {one["name"]: one["parameters"].get("kind") for one in declared}
    assert (kinds["quarterly"], kinds["monthly"]) == ("quarter", "month")
    given: list[dict[str, str]] = []
    monkeypatch.setattr(
        "careloop.prefect_stack.subprocess.run",
        lambda *_, env, **__: given.append(env) or type("Done", (), {"returncode": 0}),
    )
    yearly = PROGRAM.operation.model_copy(update={"review_every": "half_year"})
    deploy_all(PROGRAM.model_copy(update={"operation": yearly}), {})
    assert {env["REVIEW_MONTHS"] for env in given} == {"1,7"}
