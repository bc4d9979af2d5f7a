"""The whole refresh: trusted marts, their history, and what happens when something fails."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from careloop.cli.run import Steps, refresh_once
from careloop.contract import entities
from careloop.errors import BusyError, GateError, SourceError
from careloop.home import hold
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.published import current_version, versions
from careloop.settings import load_settings
from conftest import DAYS, Company, table_text


def test_a_reader_saw_every_refresh_without_error(company: Company) -> None:
    assert company.reader_errors == ""
    assert company.reads > 20
    assert company.versions_read == len(DAYS)


def test_every_customer_is_in_one_segment_and_stage_with_a_reason(company: Company) -> None:
    total, distinct, complete = company.rows(
        "select count(*), count(distinct customer_id), count(*) filter (where segment is not null "
        "and stage is not null and segment_reason <> '' and stage_reason <> '') from dim_customers"
    )[0]
    assert total == distinct == complete == 400


def test_the_marts_agree_with_the_lake(company: Company) -> None:
    """Independent of dbt: counted straight from the exports' rows in the lake."""
    relation = current(Lake(company.settings.lake), entities()["orders"])
    with duckdb.connect() as con:
        expected = con.execute(
            f"select count(*), sum(amount) from ({relation}) where ordered_at < '2026-10-31 16:00:00'"
        ).fetchall()[0]
    assert company.rows("select count(*), sum(amount) from fct_orders")[0] == expected


def test_changes_lead_to_the_present_state(company: Company) -> None:
    """Replaying fct_customer_changes gives exactly what customers are today."""
    replayed = company.rows(
        "from (select customer_id, dimension, nullif(arg_max(coalesce(to_value, ''), as_of), '') "
        "as value from fct_customer_changes group by all) where value is not null order by all"
    )
    states = " union all ".join(
        f"select customer_id, '{name}' as dimension, {name} as value from dim_customers"
        for name in ("segment", "stage", "tier", "churn_level")
    )
    today = company.rows(f"from ({states}) where value is not null order by all")
    assert replayed == today
    assert company.one("select count(distinct changed_on) from fct_customer_changes") == len(DAYS)


def test_migration_reconciles_in_every_period(company: Company) -> None:
    rows = company.rows(
        "select opening + new_customers + entered - departed - erased - left_data - closing "
        "from rpt_segment_migration"
    )
    assert rows
    assert {row[0] for row in rows} == {0}


def test_quality_results_and_loads_are_published(company: Company) -> None:
    assert company.one("select count(*) from rpt_data_quality where gate = 'raw'") > 20
    assert company.one("select count(*) from rpt_data_quality where gate = 'marts'") > 10
    assert (
        company.one(
            "select count(*) from rpt_data_quality where severity = 'critical' and not is_success"
        )
        == 0
    )
    loaded, rejected = company.rows("select sum(rows_loaded), sum(rows_rejected) from rpt_loads")[0]
    assert loaded > 5_000
    assert rejected > 20


def test_exactly_the_damaged_rows_are_in_quarantine(company: Company) -> None:
    """The sample says which rows it damaged; nothing else may be rejected, and nothing less."""
    with duckdb.connect() as con:
        expected = dict(
            con.execute(
                f"select expect, count(*) from '{company.folder}/truth/dirt.csv' group by expect"
            ).fetchall()
        )
    rejected, held = company.rows("select sum(rows_rejected), sum(rows_held) from rpt_loads")[0]
    assert (rejected, held) == (expected["rejected"], expected["held"])


def test_the_program_can_be_read_with_the_marts(company: Company) -> None:
    shares = company.rows("select segment, expected_share from program.segments order by position")
    assert shares == [("core", 0.1), ("dormant", 0.2), ("potential", 0.3), ("new", 0.4)]
    assert company.one("select count(*) from program.kpi_targets") == 10


def test_no_personal_data_is_published(company: Company) -> None:
    personal = {c.name for e in entities().values() for c in e.columns.values() if c.personal}
    lake = Lake(company.settings.lake)
    with duckdb.connect() as con:
        contacts = con.execute(
            f"select phone, email from ({current(lake, entities()['contacts'])})"
        ).fetchall()
        con.execute(f"attach '{current_version(company.settings)}' as marts (read_only)")
        columns = con.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where database_name = 'marts' and schema_name = 'main'"
        ).fetchall()
        kept = {("dim_products", "name"), ("rpt_segment_shares", "position")}
        assert {(t, c) for t, c, _ in columns if c in personal} <= kept
        known = {value for row in contacts for value in row if value}
        for table in sorted({t for t, _, _ in columns}):
            text = " || ' ' || ".join(
                f"coalesce(\"{c}\"::varchar, '')"
                for t, c, kind in columns
                if t == table and "VARCHAR" in kind
            )
            if not text:
                continue
            for (value,) in con.execute(f"select {text} from marts.{table}").fetchall():
                words = set(value.replace(",", " ").split())
                assert not words & known, table


@pytest.mark.slow
def test_the_same_inputs_give_the_same_tables(company: Company) -> None:
    path = current_version(company.settings)
    assert path is not None
    before = table_text(path)
    settings = company.settings.model_copy(update={"publish_parquet": True})
    summary = refresh_once(settings, DAYS[-1], Steps(quiet=True))
    assert summary["run_id"] == company.summaries[-1]["run_id"]
    assert table_text(path) == before
    parquet = company.settings.published / "parquet" / "current"
    with duckdb.connect() as con:
        found = con.execute(f"select count(*) from '{parquet}/dim_customers.parquet'").fetchall()
    assert found == [(400,)]


@pytest.mark.slow
def test_a_replay_of_an_earlier_day_is_identical_and_moves_nothing(
    company: Company, tmp_path: Path
) -> None:
    """With everything loaded, day two is worked out again: as it would be worked out then."""
    home = tmp_path / "home"
    shutil.copytree(company.settings.home, home, symlinks=True)
    settings = company.settings.model_copy(update={"home": home})
    current_file = current_version(settings)
    original = settings.published / Path(company.summaries[1]["published"]).name
    before = table_text(original)
    summary = refresh_once(settings, DAYS[1], Steps(quiet=True))
    assert not summary["current"]
    assert current_version(settings) == current_file
    assert Path(summary["published"]) == original
    assert table_text(original) == before


@pytest.mark.slow
def test_versions_are_kept_by_number(company: Company, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(company.settings.home, home, symlinks=True)
    few = company.settings.model_copy(update={"home": home, "keep_versions": 2})
    oldest = versions(few)[0]
    refresh_once(few, "2026-11-02", Steps(quiet=True))
    assert oldest not in versions(few)
    assert [name[:8] for name in versions(few)] == ["20261101", "20261102"]
    refresh_once(few.model_copy(update={"keep_days": 1}), "2026-12-02", Steps(quiet=True))
    kept = [name[:8] for name in versions(few)]
    assert kept == ["20261102", "20261202"], "the one a reader may just be opening stays"


def test_a_vanished_half_stops_the_run_and_keeps_the_last_version(
    company: Company, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(company.settings.home, home, symlinks=True)
    settings = company.settings.model_copy(update={"home": home})
    for batch in Lake(settings.lake).batches("customers"):
        if batch.source == "online":
            shutil.rmtree(Lake(settings.lake).folder(batch))
    alone = settings.model_copy(update={"sources": settings.sources[1:]})
    before = current_version(alone)
    with pytest.raises(GateError, match="customers"):
        refresh_once(alone, "2026-11-02", Steps(quiet=True))
    assert current_version(alone) == before


def test_a_refused_file_stops_the_run_with_its_name(company: Company, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "crm"
    shutil.copytree(company.folder, folder)
    (folder / "online" / "orders.csv").write_bytes(b"")
    settings = load_settings(home=home, sources=[folder / "online", folder / "store"])
    with pytest.raises(SourceError, match=r"orders\.csv is empty"):
        refresh_once(settings, DAYS[-1], Steps(quiet=True))
    assert current_version(settings) is None
    assert Lake(settings.lake).batches("customers"), "what was sound is loaded"


def test_one_run_at_a_time(company: Company) -> None:
    with hold(company.settings), pytest.raises(BusyError, match="another run"):
        refresh_once(company.settings, DAYS[-1], Steps(quiet=True))


@pytest.mark.slow
def test_kill_at_random_moments_then_run_again(company: Company, tmp_path: Path) -> None:
    """kill -9 during `careloop run`, three times; then once undisturbed: the same marts."""
    home = tmp_path / "home"
    command = [sys.executable, "-m", "careloop", "run", "--home", str(home), "--as-of", DAYS[-1]]
    for source in company.settings.sources:
        command += ["--source", str(source)]
    chance = random.Random(3)
    for span in ((2, 5), (5, 9), (9, 16)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(*span))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    calm = company.settings.model_copy(update={"home": tmp_path / "calm"})
    refresh_once(calm, DAYS[-1], Steps(quiet=True))
    after_kills, undisturbed = current_version(load_settings(home=home)), current_version(calm)
    assert after_kills is not None
    assert undisturbed is not None
    assert table_text(after_kills) == table_text(undisturbed)
