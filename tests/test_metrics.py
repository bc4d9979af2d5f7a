"""The semantic layer: generated from kpis.yml, and asked by `mf` it says what rpt_kpis says."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from careloop.program.kpi_pages import PERIODS, kpis_markdown, semantic_models
from careloop.program.kpis import KPIS
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from conftest import Company

SEGMENTS = """
select kpi, period_type, period_start, slice as segment, value, numerator, denominator
from rpt_kpis
where slice_kind = 'segment' and not (is_state and is_over)
"""


def test_what_is_generated_is_up_to_date() -> None:
    models = DBT_PROJECT / "models" / "marts" / "review" / "_semantic_models.yml"
    page = PROJECT_ROOT / "docs" / "kpis.md"
    assert models.read_text("utf-8") == semantic_models(), "run: make docs"
    assert page.read_text("utf-8").endswith(kpis_markdown()), "run: make docs"


def mf(company: Company, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`careloop metrics …` in a process of its own: dbt and MetricFlow leave much behind."""
    return subprocess.run(
        [sys.executable, "-m", "careloop", "metrics", *arguments],
        env=os.environ | {"CARELOOP_HOME": str(company.settings.home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def ask(company: Company, file: Path, metrics: list[str], *more: str) -> list[dict[str, str]]:
    done = mf(
        company, "query", "--quiet", "--metrics", ",".join(metrics), "--csv", str(file), *more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
@pytest.mark.parametrize("period", ["quarter", "month", "year"])
def test_every_kpi_by_segment_is_that_of_the_mart(
    period: str, company: Company, tmp_path: Path
) -> None:
    names = {kpi + PERIODS[period]: kpi for kpi in KPIS}
    rows = ask(company, tmp_path / "all.csv", list(names), "--group-by", "metric_time,kpi__segment")
    found = {
        (kpi, row["metric_time__day"][:10], row["kpi__segment"]): float(row[metric])
        for row in rows
        for metric, kpi in names.items()
        if row[metric]
    }
    wanted = {
        (kpi, str(start), segment): value
        for kpi, kind, start, segment, value, *_ in company.rows(SEGMENTS)
        if kind == period
    }
    # The mart has no slices where a KPI knows no segment at all.
    apart = {key for key in found if key not in wanted}
    assert {kpi for kpi, *_ in apart}.isdisjoint(kpi for kpi, *_ in wanted)
    assert {segment for *_, segment in apart} <= {"(unknown)"}
    known = {key: value for key, value in found.items() if key not in apart}
    assert known == pytest.approx(wanted, rel=1e-9)
    assert len({kpi for kpi, *_ in wanted}) > 30


@pytest.mark.slow
def test_periods_are_never_added(company: Company, tmp_path: Path) -> None:
    """Without a period the last one counts, of months by year the last month."""
    by_month = {
        (str(start), segment): value
        for kpi, kind, start, segment, value, *_ in company.rows(SEGMENTS)
        if (kpi, kind) == ("resolution_rate", "month")
    }
    chosen = ["resolution_rate_month"]
    last = max(start for start, _ in by_month)
    rows = ask(company, tmp_path / "last.csv", chosen, "--group-by", "kpi__segment")
    found = {(last, r["kpi__segment"]): float(r["resolution_rate_month"]) for r in rows}
    assert found == pytest.approx({k: v for k, v in by_month.items() if k[0] == last})
    by_year = ("--group-by", "metric_time__year,kpi__segment")
    rows = ask(company, tmp_path / "year.csv", chosen, *by_year)
    found = {(r["metric_time__year"][:4], r["kpi__segment"]): float(r[chosen[0]]) for r in rows}
    months = {start[:4]: start for start, _ in sorted(by_month)}
    wanted = {(start[:4], s): v for (start, s), v in by_month.items() if start == months[start[:4]]}
    assert found == pytest.approx(wanted)
    assert set(months) == {"2025", "2026"}


@pytest.mark.slow
def test_what_is_asked_wrongly_is_told_plainly(company: Company) -> None:
    done = mf(company, "forecast")
    assert done.returncode == 2
    assert "`forecast` is no command of MetricFlow" in done.stderr
    assert "query" in done.stderr


@pytest.mark.slow
def test_owners_have_the_values_of_the_mart(company: Company, tmp_path: Path) -> None:
    metric = "sla_on_time_rate_by_owner"
    rows = ask(
        company, tmp_path / "owners.csv", [metric],
        "--group-by", "kpi_owner__owner", "--end-time", "2026-09-30",
    )  # fmt: skip
    wanted = company.rows(
        "select slice, value from rpt_kpis where kpi = 'sla_on_time_rate' "
        "and slice_kind = 'owner' and period_type = 'quarter' and period_start = '2026-07-01'"
    )
    found = {row["kpi_owner__owner"]: float(row[metric]) for row in rows}
    assert found == pytest.approx(dict(wanted))
    assert len(found) > 3
