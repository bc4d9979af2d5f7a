"""Signs of churn: the statistics behind them, the life of an alert, and every pack's signals."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from scipy import stats

from careloop.program.care import Signal
from careloop.program.load import load_program, program_names
from careloop.published import versions
from careloop.settings import PROJECT_ROOT
from careloop.statistics import expected_counts, likelihood_table
from careloop.transform.dbt import DBT_PROJECT
from conftest import DAYS, Company

PACKS = program_names(PROJECT_ROOT / "programs")
UNIT_TESTS = DBT_PROJECT / "models/intermediate/churn"


# -- statistics -------------------------------------------------------------------------------


def histories(size: int = 3000) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    known = rng.integers(0, 200, size)
    days, span = rng.integers(1, 400, size), rng.choice([7, 30, 90], size)
    return known, days, span, rng.poisson(span * (known + 1) / days)


def test_expected_counts_are_those_of_the_negative_binomial() -> None:
    known, days, span, seen = histories()
    found = expected_counts(known, days, span, seen, 0.9)
    law = stats.nbinom(known + 0.5, days / (days + span))
    assert np.array_equal(found.low, law.ppf(0.05))
    assert np.array_equal(found.high, law.ppf(0.95))
    assert np.allclose(found.fewer, law.cdf(seen), rtol=1e-9, atol=1e-300)
    assert np.allclose(found.more, law.sf(seen - 1), rtol=1e-6, atol=1e-13)
    inside = law.cdf(found.high) - law.cdf(found.low - 1)
    assert (inside >= 0.9).all()


def test_expected_counts_are_the_poisson_counts_of_an_uncertain_rate() -> None:
    """The definition itself: Poisson counts averaged over Gamma(k + 1/2, d), by simulation."""
    rng = np.random.default_rng(2)
    for known, days, span, seen in ((0, 90, 30, 1), (3, 275, 90, 0), (12, 60, 30, 11)):
        rates = rng.gamma(known + 0.5, 1 / days, 400_000)
        counts = rng.poisson(rates * span)
        found = expected_counts([known], [days], [span], [seen], 0.9)
        assert found.fewer[0] == pytest.approx((counts <= seen).mean(), abs=0.004)
        assert found.more[0] == pytest.approx((counts >= seen).mean(), abs=0.004)


@pytest.mark.parametrize("chance", [0.05, 0.01])
@pytest.mark.parametrize(("days", "span"), [(335, 30), (275, 90), (150, 30), (23, 7)])
def test_steady_customers_alarm_no_more_often_than_promised(
    chance: float, days: int, span: int
) -> None:
    rng = np.random.default_rng(3)
    size = 40_000
    limit = chance + 3 * np.sqrt(chance * (1 - chance) / size)
    for events in (2, 5, 12, 40, 150):
        rate = events / (days + span)
        counts = np.stack([rng.poisson(rate * days, size), rng.poisson(rate * span, size)])
        (known, seen), times = np.unique(counts, axis=1, return_counts=True)
        found = expected_counts(known, [days], [span], seen, 0.9)
        for tail in (found.fewer, found.more):
            alarmed = times[(tail <= chance) & (known >= 3)].sum()
            assert alarmed / size <= limit, (events, days, span)


def test_a_rate_of_a_third_is_noticed_where_there_is_history_enough() -> None:
    rng = np.random.default_rng(4)
    known, seen = rng.poisson(60, 20_000), rng.poisson(6, 20_000)
    found = expected_counts(known, np.full(20_000, 275), np.full(20_000, 90), seen, 0.9)
    assert (found.fewer <= 0.05).mean() > 0.9
    sparse = expected_counts([1], [275], [90], [0], 0.9)
    assert sparse.fewer[0] > 0.5


def test_silence_is_as_unlikely_as_said() -> None:
    """(d / (d + s))^k is F(2, 2k), and alarms steady customers exactly as often as promised."""
    rng = np.random.default_rng(5)
    size = 100_000
    for intervals in (2, 3, 10):
        history = rng.exponential(20, (size, intervals)).sum(axis=1)
        silence = rng.exponential(20, size)
        likelihood = (history / (history + silence)) ** intervals
        law = stats.f(2, 2 * intervals)
        assert np.allclose(likelihood, law.sf(silence * intervals / history))
        for chance in (0.05, 0.2):
            error = 4 * np.sqrt(chance * (1 - chance) / size)
            assert (likelihood <= chance).mean() == pytest.approx(chance, abs=error)


def test_table_of_likelihoods_has_each_history_once() -> None:
    con = duckdb.connect()
    con.execute(
        "create table candidates as from (values ('a', 'drop', 8, 275, 90, 0), "
        "('b', 'drop', 8, 275, 90, 0), ('c', 'surge', 8, 275, 90, 0), "
        "('d', 'surge', 8, 275, 90, 9), ('e', null, 8, 275, 90, 0)) "
        "t (customer_id, direction, baseline_events, baseline_days, recent_days, recent_events)"
    )
    rows = likelihood_table(con.table("candidates"), 0.9).to_pylist()
    law = stats.nbinom(8.5, 275 / 365)
    assert [(r["direction"], r["recent_events"]) for r in rows] == [
        ("drop", 0), ("surge", 0), ("surge", 9)]  # fmt: skip
    assert [r["likelihood"] for r in rows] == [
        pytest.approx(law.cdf(0), abs=1e-9), 1, pytest.approx(law.sf(8), abs=1e-9)]  # fmt: skip
    assert {(r["expected_low"], r["expected_high"]) for r in rows} == {
        (law.ppf(0.05), law.ppf(0.95))
    }
    assert likelihood_table(con.table("candidates").filter("false"), 0.9).num_rows == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1], [0], [30], [1], 0.9), "above 0"),
        (([1], [30], [0], [1], 0.9), "above 0"),
        (([-1], [30], [30], [1], 0.9), "negative"),
        (([1], [30], [30], [-1], 0.9), "negative"),
        (([1], [30], [30], [1], 1), "between 0 and 1"),
    ],
)
def test_impossible_histories_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        expected_counts(*arguments)


# -- the life of an alert ---------------------------------------------------------------------

ALERTS = "alerts.customer_id, alerts.signal, onset_on, last_seen_on, closed_on, close_reason"


class Days:
    """The compiled model int_customer_alerts, run day by day on signals of our own."""

    def __init__(self, company: Company) -> None:
        folder = company.settings.build / "target/compiled/careloop/models/intermediate/churn"
        self.sql = (folder / "int_customer_alerts.sql").read_text("utf-8")
        self.con = duckdb.connect()
        self.con.execute("attach ':memory:' as warehouse")
        for schema in ("run", "intermediate", "program"):
            self.con.execute(f"create schema warehouse.{schema}")
        published = company.settings.published / "marts.duckdb"
        self.con.execute(f"attach '{published.resolve()}' as published (read_only)")
        copies = {"program.signals": "program.signals",
                  "run.previous_customer_alerts": "fct_customer_alerts limit 0",
                  "intermediate.int_customer_profile": "dim_customers limit 0"}  # fmt: skip
        for table, source in copies.items():
            self.con.execute(f"create table warehouse.{table} as from published.{source}")
        self.con.execute(
            "create table warehouse.intermediate.int_customer_signals as select customer_id, "
            "signal, observed, expected_low, expected_high, likelihood, evidence, "
            "false as is_expired from published.fct_customer_alerts limit 0"
        )

    def run(self, day: date, on: set[tuple[str, str]], customers: set[str]) -> set[tuple]:
        """Carries what an earlier run left, and returns all alerts after this day's."""
        tables = {"int_customer_profile": [(c,) for c in sorted(customers)],
                  "int_customer_signals": [(*pair, False) for pair in sorted(on)]}  # fmt: skip
        names = {1: "customer_id", 3: "customer_id, signal, is_expired"}
        for table, rows in tables.items():
            self.con.execute(f"truncate warehouse.intermediate.{table}")
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                self.con.executemany(
                    f"insert into warehouse.intermediate.{table} ({names[len(rows[0])]}) "
                    f"values ({marks})",
                    rows,
                )
        sql = re.sub(r"timestamp '[^']+'", f"timestamp '{day}'", self.sql)
        sql = re.sub(r"date '[^']+'", f"date '{day}'", sql)
        self.con.execute(f"create or replace table alerts as {sql}")
        return set(self.con.execute(f"select {ALERTS} from alerts").fetchall())

    def publish(self) -> None:
        """What the next run starts from: as the refresh carries it."""
        self.con.execute("truncate warehouse.run.previous_customer_alerts")
        self.con.execute(
            "insert into warehouse.run.previous_customer_alerts by name "
            "select * exclude (points), points::integer as points from alerts"
        )


def reference(
    state: dict[tuple, list], day: date, on: set[tuple[str, str]], customers: set[str]
) -> set[tuple]:
    """The rules in plain words; ``state`` holds [onset, last seen] of open alerts by pair, and
    the closed ones under the key ``()``."""
    closed = state.setdefault((), [])
    for pair in sorted(p for p in state if p):
        onset, seen = state[pair]
        if pair in on:
            state[pair] = [onset, day]
        elif pair[0] not in customers:
            closed.append((*pair, onset, seen, day, "left_data"))
        elif (day - seen).days >= 7:
            closed.append((*pair, onset, seen, day, "cleared"))
        else:
            continue
        if pair not in on:
            del state[pair]
    for pair in on - set(state):
        state[pair] = [day, day]
    kept = {row for row in closed if (day - row[4]).days <= 365}
    return kept | {(*pair, *state[pair], None, None) for pair in state if pair}


@pytest.mark.slow
def test_alerts_follow_the_rules_over_many_days(company: Company) -> None:
    """Sixty runs with skipped days, each run twice: onset, persistence, closing, re-opening."""
    days, state = Days(company), {}
    rng = np.random.default_rng(6)
    pairs = [(c, s) for c in "abcdef" for s in ("rhythm_broken", "purchase_drop")]
    day, reopened = date(2026, 1, 1), 0
    on: set[tuple[str, str]] = set()
    for _ in range(60):
        day += timedelta(days=int(rng.choice([1, 1, 1, 2, 5])))
        customers = {c for c in "abcdef" if rng.random() < 0.98}
        flips = {p for p in pairs if rng.random() < 0.15}
        on = {p for p in on ^ flips if p[0] in customers}
        expected = reference(state, day, on, customers)
        assert days.run(day, on, customers) == expected, day
        days.publish()
        # The same day again starts from what it published itself.
        assert days.run(day, on, customers) == expected, day
        assert days.run(day, set(), customers) == days.run(day, set(), customers)
        days.run(day, on, customers)
        days.publish()
        onsets = [row[:2] for row in expected]
        reopened = max(reopened, len(onsets) - len(set(onsets)))
    reasons = {row[5] for row in state[()]}
    assert reasons == {"cleared", "left_data"}
    assert reopened >= 5


def test_a_rerun_without_the_sign_forgets_what_the_day_had_seen(company: Company) -> None:
    days, one = Days(company), {("a", "purchase_drop")}
    first, later = date(2026, 3, 1), date(2026, 3, 9)
    days.run(first, one, {"a"})
    days.publish()
    days.run(later, one, {"a"})
    days.publish()
    assert days.run(later, set(), {"a"}) == {("a", "purchase_drop", first, first, later, "cleared")}
    days.publish()
    assert days.run(later, one, {"a"}) == {("a", "purchase_drop", first, later, None, None)}


# -- published versions ------------------------------------------------------------------------


def published_alerts(company: Company) -> Iterator[tuple[date, dict[str, dict[str, Any]]]]:
    columns = ("alert_key", "customer_id", "signal", "onset_on", "last_seen_on", "closed_on",
               "close_reason", "points", "churn_level", "churn_level_since", "as_of")  # fmt: skip
    for day, version in zip(DAYS, versions(company.settings), strict=True):
        rows = company.rows(f"select {', '.join(columns)} from fct_customer_alerts", version)
        alerts = [dict(zip(columns, row, strict=True)) for row in rows]
        yield date.fromisoformat(day), {alert["alert_key"]: alert for alert in alerts}


def test_alerts_are_carried_over_versions(company: Company) -> None:
    before: dict[str, dict[str, Any]] = {}
    persisted = 0
    for day, alerts in published_alerts(company):
        assert alerts
        pairs = [(a["customer_id"], a["signal"]) for a in alerts.values() if not a["closed_on"]]
        assert len(pairs) == len(set(pairs))
        new = {k for k, a in alerts.items() if a["onset_on"] == day}
        assert set(alerts) - new == set(before)
        for key in new:
            assert alerts[key]["closed_on"] is None
        for key, old in before.items():
            now = alerts[key]
            assert (now["onset_on"], now["as_of"]) == (old["onset_on"], old["as_of"])
            if old["closed_on"]:
                assert now["closed_on"] == old["closed_on"]
            elif now["closed_on"]:
                assert now["closed_on"] == day
                assert now["close_reason"] in ("cleared", "expired", "left_data")
            else:
                assert now["last_seen_on"] == day
                persisted += 1
        before = alerts
    assert persisted > 10
    assert any(a["closed_on"] for a in before.values())


def test_levels_are_those_of_the_points(company: Company) -> None:
    levels = load_program("retail_care").churn.levels
    since: dict[str, tuple] = {}
    for day, alerts in published_alerts(company):
        points: dict[str, int] = {}
        for alert in alerts.values():
            if alert["closed_on"] is None:
                name = alert["customer_id"]
                points[name] = points.get(name, 0) + alert["points"]
        now = {}
        for alert in alerts.values():
            total = points.get(alert["customer_id"], 0)
            level = next((v.level for v in reversed(levels) if total >= v.min_points), None)
            assert alert["churn_level"] == level
            now[alert["customer_id"]] = (level, alert["churn_level_since"])
        for name, (level, started) in now.items():
            old_level, old_start = since.get(name, (None, None))
            expected = old_start if level == old_level else day
            assert started == (expected if level else None)
        since = now
    assert {level for level, _ in since.values()} >= {"low", "medium", None}


def test_reports_add_up_to_the_alerts(company: Company) -> None:
    assert company.one("select sum(alerts_open) from rpt_alerts") == company.one(
        "select count(*) from fct_customer_alerts where is_open"
    )
    assert company.one("select sum(customers) from rpt_churn_levels") == company.one(
        "select count(*) from dim_customers"
    )
    shares = "select sum(share_of_segment) from rpt_churn_levels group by segment"
    assert all(share == pytest.approx(1) for (share,) in company.rows(shares))
    ranks = "select distinct customer_id, churn_rank from fct_customer_alerts where churn_rank > 0"
    assert sorted(rank for _, rank in company.rows(ranks)) == list(
        range(1, 1 + len(company.rows(ranks)))
    )


def test_likelihoods_of_published_changes(company: Company) -> None:
    """The evidence of an open alert carries the figures its likelihood comes from."""
    rows = company.rows(
        "select evidence, observed, expected_low, expected_high, likelihood "
        "from fct_customer_alerts where signal = 'interaction_drop'"
    )
    assert rows
    figures = r"(\d+) interactions in (\d+) days; .* after (\d+) in the (\d+) days before"
    for evidence, observed, low, high, likelihood in rows:
        seen, span, known, days = map(int, re.match(figures, evidence).groups())
        law = stats.nbinom(known + 0.5, days / (days + span))
        assert seen == observed
        assert (low, high) == (law.ppf(0.05), law.ppf(0.95))
        assert likelihood == pytest.approx(law.cdf(seen), abs=1e-6)
        assert likelihood <= 0.05


# -- packs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", PACKS)
def test_unit_tests_reach_every_signal_on_both_sides(pack: str) -> None:
    tests = yaml.safe_load((UNIT_TESTS / f"_unit_tests_{pack}.yml").read_text("utf-8"))
    test = tests["unit_tests"][0]
    given = [row["customer_id"] for part in test["given"] for row in part["rows"]]
    fires = {(row["customer_id"], row["signal"]) for row in test["expect"]["rows"]}
    for signal in load_program(pack).churn.signals:
        mine = {name for name in given if name.startswith(signal.id)}
        alarmed = {name for name, fired in fires if fired == signal.id}
        assert alarmed, signal.id
        assert mine - alarmed, signal.id


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_watches_for_what_the_programs_name(pack: str) -> None:
    signals = load_program(pack).churn.signals
    assert any(s.change == "drop" or s.silence for s in signals)
    assert any(s.change == "surge" and s.count == "tickets" for s in signals)
    assert any(s.repeated == "complaints" for s in signals)
    assert any(s.low_score for s in signals)


DROP = {"change": "drop", "count": "orders", "window": "medium", "baseline": "long", "by": 0.5,
        "min_baseline": 3, "max_likelihood": 0.05}  # fmt: skip
SILENCE = {"silence": "orders", "min_events": 3, "min_days": 30, "max_likelihood": 0.05}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "needs exactly one of these"),
        ({**DROP, **SILENCE}, "needs exactly one of these"),
        ({**DROP, "max_likelihood": None}, "is needed for a signal with `change`"),
        ({**DROP, "at_most": 1.0}, "does not fit a signal with `change`"),
        ({**DROP, "by": 1.5}, "at most 1 for a drop"),
        ({**DROP, "window": "long", "baseline": "medium"}, "must be longer than window"),
        ({**DROP, "count": "tickets", "window": "short"}, "is not a window tickets are counted"),
        ({**DROP, "count": "logins"}, "is not a window logins are counted"),
        ({**SILENCE, "min_events": 1}, "greater than or equal to 2"),
        ({**SILENCE, "expires_after_days": 29}, "is before min_days"),
        ({"repeated": "complaints", "window": "short", "at_least": 2}, "is not a window"),
        ({"low_score": "csat", "at_most": 2.0, "expires_after_days": 7}, "at most 1 for csat"),
        ({"low_score": "nps", "at_most": 3.0}, "is needed for a signal with `low_score`"),
    ],
)
def test_signals_that_make_no_sense_are_refused(keys: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Signal(id="x", title={"en": "X", "zh": "X"}, points=1, **keys)


def test_evidence_names_no_person(company: Company) -> None:
    contacts = Path(company.folder / "online/contacts.csv").read_text("utf-8").splitlines()[1:50]
    names = {line.split(",")[1] for line in contacts if len(line.split(",")[1]) > 2}
    texts = " ".join(t for (t,) in company.rows("select evidence from fct_customer_alerts"))
    assert texts
    assert not [name for name in names if name in texts]
