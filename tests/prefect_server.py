"""A Prefect server for tests, with its worker's environment."""

import json
import urllib.request
from typing import Any

from careloop.prefect_stack import Stack


class TestStack(Stack):
    """A stack whose flows keep older versions: they are of use to other tests."""

    __test__ = False

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "CARELOOP_KEEP_DAYS": str(self.settings.keep_days)}


class Server:
    """A running stack and its REST API."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.stack.api_url}/{path}",
            data=json.dumps(body or {}).encode(),
            headers={"content-type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or "null")

    def last_run(self) -> dict[str, Any]:
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}
        body = {"sort": "END_TIME_DESC", "limit": 1, "flow_runs": ended}
        return self.post("flow_runs/filter", body)[0]

    def artifacts(self, run_id: str) -> dict[str, Any]:
        found = self.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})
        return {artifact["key"]: artifact for artifact in found}
