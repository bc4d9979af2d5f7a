"""The flow on a real Prefect server: what a person sees, and why a failed run failed."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from careloop.ledger.database import open_ledger
from careloop.settings import PROJECT_ROOT
from conftest import DAYS, Company
from prefect_server import Server

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def test_a_run_shows_its_models_tests_and_artifacts(server: Server, good_run: dict) -> None:
    assert good_run["state"]["type"] == "COMPLETED"
    assert good_run["state"]["message"].startswith("published retail_care as of 2026-11-01")
    tasks = server.post(
        "task_runs/filter", {"flow_runs": {"id": {"any_": [good_run["id"]]}}, "limit": 200}
    )
    names = {task["name"] for task in tasks}
    assert {"model dim_customers", "model int_customer_segments", "model fct_orders"} <= names
    assert any(name.startswith("test ") for name in names)
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    shown = server.artifacts(good_run["id"])
    assert {"progress", "rows", "quality-raw", "quality-marts", "segments"} <= set(shown)
    assert "| Core | 核心客户 |" in shown["segments"]["data"]
    assert json.loads(shown["quality-raw"]["data"])[0].keys() >= {"result", "table", "expectation"}


def test_a_failed_run_says_why_in_one_sentence(
    server: Server, good_run: dict, company: Company, tmp_path: Path
) -> None:
    empty = company.folder / "online" / "orders_zz.csv"
    empty.write_bytes(b"")
    try:
        assert server.stack.run_flow("flows.refresh", {"as_of": DAYS[-1]}) == 1
    finally:
        empty.unlink()
    run = server.last_run()
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"] == "orders_zz.csv is empty"


def test_every_flow_has_a_deployment_whose_parameters_match(server: Server) -> None:
    declared = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    flows = sorted(
        path for path in (PROJECT_ROOT / "flows").glob("*.py") if "@flow" in path.read_text("utf-8")
    )
    assert sorted({d["entrypoint"].split(":")[0] for d in declared}) == [
        path.relative_to(PROJECT_ROOT).as_posix() for path in flows
    ]
    for deployment in declared:
        module, name = deployment["entrypoint"].split(":")
        imported = importlib.import_module(module.removesuffix(".py").replace("/", "."))
        function = getattr(imported, name)
        assert set(deployment["parameters"]) == set(inspect.signature(function.fn).parameters)
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    for deployment in server.post("deployments/filter"):
        zones = [s["schedule"]["timezone"] for s in deployment["schedules"]]
        assert zones == ([] if deployment["name"] == "planning" else ["Asia/Shanghai"])
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert "careloop" in deployment["tags"]


def test_a_refresh_that_ends_well_starts_planning(server: Server) -> None:
    """The automation that the deployment's trigger makes listens to the refresh deployment."""
    deployments = {one["id"]: one["name"] for one in server.post("deployments/filter")}
    (automation,) = server.post("automations/filter")
    trigger, (action,) = automation["trigger"], automation["actions"]
    assert automation["enabled"]
    assert trigger["posture"] == "Reactive"
    assert trigger["expect"] == ["prefect.flow-run.Completed"]
    related = trigger["match_related"]
    assert related == {"prefect.resource.role": "deployment", "prefect.resource.name": "daily"}
    assert related["prefect.resource.name"] in deployments.values()
    assert action["type"] == "run-deployment"
    assert deployments[action["deployment_id"]] == "planning"


def run(server: Server, flow: str, now: str) -> dict[str, Any]:
    """The run of a flow at a time of 1 November 2026, local."""
    moment = f"2026-11-01T{now}+08:00"
    assert server.stack.run_flow(f"flows.{flow}", {"now": moment}) == 0
    return server.last_run()


def table(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(artifact["data"])


def states(server: Server) -> dict[str, int]:
    with open_ledger(server.stack.settings) as ledger, ledger.read() as con:
        rows = con.exec_driver_sql("select state, count(*) from messages group by state")
        return dict(rows.tuples().all())


@pytest.fixture(scope="module")
def care_runs(server: Server, good_run: dict[str, Any]) -> list[dict[str, Any]]:
    """Planning and dispatch, each twice."""
    return [
        run(server, "care", "00:30"),
        run(server, "care", "00:31"),
        run(server, "dispatch", "20:30"),
        run(server, "dispatch", "20:31"),
    ]


def test_planning_shows_what_was_decided(server: Server, care_runs: list[dict]) -> None:
    first, again, *_ = care_runs
    planned = sum(states(server).values())
    assert planned > 100
    assert first["state"]["message"] == f"{planned} messages and tasks of 1 day, 0 too late"
    shown = server.artifacts(first["id"])
    assert table(shown["planned"])[0]["planned"] == planned
    rules = table(shown["decisions"])
    assert sum(row["send"] + row["task"] for row in rules) == planned
    assert any("caps" in row["stopped by"] for row in rules)
    assert again["state"]["message"] == "everything published is planned already"
    assert set(server.artifacts(again["id"])) <= {"planned"}


def test_dispatch_shows_what_was_sent(server: Server, care_runs: list[dict]) -> None:
    *_, first, again = care_runs
    sent = states(server)["sent"]
    assert sent > 100
    assert first["state"]["message"].startswith(f"{sent} sent")
    shown = server.artifacts(first["id"])
    assert sum(row["sent"] for row in table(shown["sent"])) == sent
    assert shown["progress"]["data"] == 100
    assert again["state"]["message"] == "nothing was due"
    outbox = server.stack.settings.home / "outbox"
    written = [line for file in outbox.glob("*/*.jsonl") for line in file.read_text().splitlines()]
    tasks = sum(row["sent"] for row in table(shown["sent"]) if row["channel"] == "task")
    assert len(written) == len(set(written)) == sent - tasks


def test_a_run_left_open_by_a_crash_is_freed(server: Server, good_run: dict) -> None:
    """A worker killed while it launches leaves a run that would hold the only slot for ever."""
    body = {"state": {"type": "PENDING", "name": "Submitting"}}
    deployment = server.post("deployments/filter")[0]
    run = server.post(f"deployments/{deployment['id']}/create_flow_run", body)
    assert server.stack.free_dead_runs() >= 1
    freed = server.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})[0]
    assert freed["state"]["type"] == "CRASHED"
