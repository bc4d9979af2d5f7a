"""Lifetime value: published results on CDNOW, properties, recovery, the gate, and the SQL scores."""

import datetime as dt
import math
import os
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp2f1
from tests.conftest import DAYS, Company

from careloop.program.load import load_program, program_names
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.value import (
    BgNbd,
    Buyers,
    GammaGamma,
    Histories,
    Spend,
    ValueRules,
    factor_rows,
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_row,
    fit_value,
    holdout_scores,
    judge,
    read_histories,
    read_spend,
    suits,
)
from careloop.value.bg_nbd import log_likelihood

FOLDER = Path(os.environ.get("CDNOW_DATA", PROJECT_ROOT.parent / "shared" / "data"))
WEEK = 7.0
HISTORIES = """
    with days as (
        select customer_id, ordered_on, sum(amount) as spend from purchases group by all
    )
    select
        customer_id,
        min(ordered_on) as first_on,
        count(*) - 1 as repeats,
        max(ordered_on) - first_on as recency_days,
        $until::date - first_on as age_days,
        (sum(spend) - arg_min(spend, ordered_on))::double / nullif(repeats, 0)
            as mean_repeat_spend,
        count(*) filter (where ordered_on <= $end::date) - 1 as calibration_repeats,
        max(ordered_on) filter (where ordered_on <= $end::date) - first_on
            as calibration_recency_days,
        $end::date - first_on as calibration_age_days,
        repeats - calibration_repeats as holdout_orders
    from days
    group by customer_id
"""


@pytest.fixture(scope="module")
def rules() -> ValueRules:
    return rules_of("retail_care")


def rules_of(pack: str) -> ValueRules:
    with duckdb.connect() as con:
        day = dt.date(2026, 1, 1)
        write_program_tables(con, load_program(pack, PROJECT_ROOT / "programs"), day, day)
        return ValueRules.of(dict(con.execute("from program.settings").fetchall()))


def bought(rows: list[tuple]) -> duckdb.DuckDBPyConnection:
    """A database with ``purchases`` of (customer, day, amount)."""
    con = duckdb.connect()
    names = ("customer_id", "ordered_on", "amount")
    con.register("rows", pa.table([list(v) for v in zip(*rows, strict=True)], names=names))
    con.execute(
        "create table purchases as select * replace (ordered_on::date as ordered_on, "
        "amount::decimal(18, 2) as amount) from rows"
    )
    return con


def histories(con: duckdb.DuckDBPyConnection, end: str, until: str) -> duckdb.DuckDBPyRelation:
    con.execute(f"create or replace table histories as {HISTORIES}", {"end": end, "until": until})
    return con.table("histories")


# -- the published results on the 1/10 sample of CDNOW ---------------------------------------


@pytest.fixture(scope="module")
def cdnow() -> duckdb.DuckDBPyRelation:
    """Histories whose calibration ends with September 1997; the spend is of the calibration."""
    file = FOLDER / "cdnow_sample.txt"
    if not file.exists():
        pytest.skip(f"{file.name} is not there; set CDNOW_DATA to its folder")
    lines = [line.split() for line in file.read_text("utf-8").splitlines() if line.strip()]
    rows = [(c, f"{d[:4]}-{d[4:6]}-{d[6:]}", amount) for _, c, d, _, amount in lines]
    return histories(bought(rows), "1997-09-30", "1998-06-30")


@pytest.fixture(scope="module")
def calibrated(cdnow) -> tuple[Histories, BgNbd]:
    groups = read_histories(cdnow, WEEK, "calibration_")
    return groups, fit_bg_nbd(groups)


@pytest.mark.real_data
def test_cdnow_parameters_and_likelihood(calibrated) -> None:
    groups, model = calibrated
    assert groups.customers.sum() == 2357
    assert len(groups.x) < 1100
    assert model.converged
    assert (model.r, model.alpha) == pytest.approx((0.2426, 4.4136), abs=0.01)
    assert (model.a, model.b) == pytest.approx((0.7929, 2.4259), abs=0.01)
    assert model.log_likelihood == pytest.approx(-9582.43, abs=0.02)
    assert log_likelihood(model, groups) == pytest.approx(model.log_likelihood, abs=1e-6)


@pytest.mark.real_data
def test_cdnow_values(cdnow) -> None:
    before = cdnow.query("h", "from purchases where ordered_on <= '1997-09-30'").fetchall()
    groups = read_spend(histories(bought(before), "1997-09-30", "1997-09-30"))
    assert groups.customers.sum() == 946
    spend = fit_gamma_gamma(groups)
    assert spend.converged
    assert (spend.p, spend.q, spend.v) == pytest.approx((6.25, 3.74, 15.45), abs=0.01)
    assert spend.log_likelihood == pytest.approx(-4055.92, abs=0.02)


@pytest.mark.real_data
def test_cdnow_expectations(calibrated) -> None:
    _, model = calibrated
    ahead = model.expected_orders(np.array([1.0, 32.0, 78.0]))
    assert ahead == pytest.approx([0.0532, 1.0437, 1.8576], abs=5e-4)
    one = model.conditional_orders([2.0], [30.43], [38.86], 39.0)
    assert one[0] == pytest.approx(1.226, abs=5e-4)
    assert model.p_alive(np.zeros(3), np.zeros(3), np.array([0.0, 10.0, 78.0])).tolist() == [1] * 3


@pytest.mark.real_data
def test_cdnow_holdout(calibrated) -> None:
    groups, model = calibrated
    scores = holdout_scores(model, groups, 39.0)
    assert (scores.customers, scores.repeaters, scores.actual) == (2357, 946, 1882)
    assert scores.predicted == pytest.approx(1653, abs=1)
    assert scores.total_error == pytest.approx(-0.121, abs=0.001)
    assert scores.correlation >= 0.62
    assert scores.rmse <= 1.62
    each = model.conditional_orders(groups.x, groups.recency, groups.age, 39.0)
    actual, predicted = [], []
    for count in range(8):
        mine = groups.x >= 7 if count == 7 else groups.x == count
        customers = groups.customers[mine].sum()
        actual.append(groups.held[mine].sum() / customers)
        predicted.append((groups.customers * each)[mine].sum() / customers)
    wanted = [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359]
    assert actual == pytest.approx(wanted, abs=6e-4)
    wanted = [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157]
    assert predicted == pytest.approx(wanted, abs=0.005)


@pytest.mark.real_data
def test_rounding_to_fewer_groups_keeps_the_fit(cdnow, calibrated) -> None:
    groups, model = calibrated
    fewer = read_histories(cdnow, WEEK, "calibration_", limit=500)
    assert len(fewer.x) <= 500 < len(groups.x)
    assert fewer.customers.sum() == groups.customers.sum()
    rough = fit_bg_nbd(fewer)
    assert (rough.r, rough.alpha) == pytest.approx((model.r, model.alpha), rel=0.03)
    assert rough.a / (rough.a + rough.b) == pytest.approx(model.a / (model.a + model.b), rel=0.03)
    exact, coarse = read_spend(cdnow), read_spend(cdnow, limit=900)
    assert len(coarse.x) <= 900 < len(exact.x)
    fine, rounded = fit_gamma_gamma(exact), fit_gamma_gamma(coarse)
    assert (rounded.p, rounded.q, rounded.v) == pytest.approx((fine.p, fine.q, fine.v), rel=0.02)


# -- properties -------------------------------------------------------------------------------

PARAMETER = st.floats(0.05, 20)
MODELS = st.builds(BgNbd, PARAMETER, PARAMETER, PARAMETER, PARAMETER)


@given(MODELS, st.integers(0, 300), st.floats(0, 150), st.lists(st.floats(0, 300), min_size=3))
def test_p_alive_is_a_chance_that_falls_with_silence(model, x, recency, silences) -> None:
    recency = recency if x else 0.0
    age = recency + np.sort(np.array(silences))
    alive = model.p_alive(np.full(len(age), x), np.full(len(age), recency), age)
    assert ((alive >= 0) & (alive <= 1)).all()
    assert (np.diff(alive) <= 1e-12).all()
    assert x > 0 or (alive == 1).all()


@given(MODELS, st.integers(0, 300), st.floats(1, 150))
def test_expected_orders_grow_with_time_but_not_beyond_the_rate(model, x, age) -> None:
    ahead = np.array([0.0, 1.0, 10.0, 52.0])
    orders = model.orders_if_alive(x, np.array([age]), ahead)[0]
    assert orders[0] == pytest.approx(0, abs=1e-9)
    assert orders[1] > 0
    assert (np.diff(orders) >= 0).all()  # what is still to come may be below the last digit
    assert (orders <= (model.r + x) / (model.alpha + age) * ahead * (1 + 1e-6) + 1e-9).all()
    quiet = model.quiet_if_alive(np.array([x]), np.array([age]), 10.0)
    assert 0 <= quiet[0] <= 1


@given(
    st.floats(0.1, 3), st.floats(1, 20), st.floats(0.2, 0.9), st.floats(1, 5),
    st.integers(0, 30), st.floats(5, 100), st.floats(1, 60),
)  # fmt: skip
def test_the_expectation_is_the_published_one(r, alpha, a, b, x, age, ahead) -> None:
    model = BgNbd(r, alpha, a, b)
    z = ahead / (alpha + age + ahead)
    hyper = hyp2f1(r + x, b + x, a + b + x - 1, z) * (1 - z) ** (r + x)
    published = (a + b + x - 1) / (a - 1) * (1 - hyper)
    found = model.orders_if_alive(x, np.array([age]), np.array([ahead]))[0, 0]
    assert found == pytest.approx(published, rel=1e-6)


@given(
    MODELS,
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 60), st.integers(1, 5)),
        min_size=1,
    ),
)
def test_grouped_is_ungrouped(model, rows) -> None:
    x, recency, silence, customers = (np.array(v, float) for v in zip(*rows, strict=True))
    recency = np.where(x > 0, recency, 0)
    grouped = Histories(x, recency, recency + silence, customers)
    times = customers.astype(int)
    single = Histories(*(np.repeat(v, times) for v in (x, recency, recency + silence)),
                       np.ones(times.sum()))  # fmt: skip
    whole = log_likelihood(model, grouped)
    assert whole == pytest.approx(log_likelihood(model, single), rel=1e-9)
    published = [
        _published_likelihood(model, *one)
        for one in zip(x, recency, recency + silence, strict=True)
    ]
    assert whole == pytest.approx(sum(np.array(published) * customers), rel=1e-7, abs=1e-7)


def _published_likelihood(m: BgNbd, x: float, recency: float, age: float) -> float:
    """(6) of Fader, Hardie & Lee (2005), as written there, of one customer."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    start = math.lgamma(m.r + x) - math.lgamma(m.r) + m.r * math.log(m.alpha)
    stayed = log_beta(m.a, m.b + x) - log_beta(m.a, m.b) - (m.r + x) * math.log(m.alpha + age)
    if not x:
        return start + stayed
    left = log_beta(m.a + 1, m.b + x - 1) - log_beta(m.a, m.b)
    left -= (m.r + x) * math.log(m.alpha + recency)
    return start + float(np.logaddexp(stayed, left))


@given(PARAMETER, st.floats(1.1, 20), st.floats(1, 500), st.integers(1, 40), st.floats(1, 900))
def test_an_order_is_worth_between_own_and_general_mean(p, q, v, x, mean) -> None:
    model = GammaGamma(p, q, v)
    general = model.expected_order_value(np.zeros(1), np.zeros(1))[0]
    own = model.expected_order_value(np.array([x]), np.array([mean]))[0]
    assert min(general, mean) * (1 - 1e-9) <= own <= max(general, mean) * (1 + 1e-9)


# -- simulated customers ----------------------------------------------------------------------


def simulate(model: BgNbd, customers: int, days: int = 700, seed: int = 5) -> list[tuple]:
    """(customer, day, amount) of customers who follow the model, in days; values are gamma."""
    rng = np.random.default_rng(seed)
    rate, leaving = (
        rng.gamma(model.r, 1 / model.alpha, customers),
        rng.beta(model.a, model.b, customers),
    )
    usual = 40 / rng.gamma(4.0, 1.0, customers) * 3
    rows, begin = [], dt.date(2024, 1, 1)
    for i in range(customers):
        at = rng.uniform(0, days / 2)
        while True:
            day = begin + dt.timedelta(days=int(at))
            rows.append((f"c{i:05}", day, round(float(rng.gamma(5, usual[i] / 5)), 2)))
            if len(rows) > 1 and rows[-2][0] == rows[-1][0] and rng.random() < leaving[i]:
                break
            at += rng.exponential(1 / rate[i])
            if at >= days:
                break
    return rows


@pytest.fixture(scope="module")
def simulated() -> duckdb.DuckDBPyRelation:
    con = bought(simulate(BgNbd(0.9, 60.0, 0.5, 3.0), 4000))
    return histories(con, "2025-07-01", "2025-12-01")


def test_simulated_parameters_are_recovered(simulated, rules) -> None:
    fit = fit_value(simulated, replace(rules, time_unit="day"), 153, 500, 0.9)
    assert fit.verdict.status == "accepted", fit.verdict.reasons
    assert fit.model.r / fit.model.alpha == pytest.approx(0.9 / 60, rel=0.1)
    assert fit.model.r == pytest.approx(0.9, rel=0.15)
    assert fit.model.a / (fit.model.a + fit.model.b) == pytest.approx(0.5 / 3.5, rel=0.2)
    assert abs(fit.scores.total_error) < 0.1
    assert fit.scores.correlation > 0.5
    assert (fit.spend.p, fit.spend.q) == pytest.approx((5, 4), rel=0.2)


def test_the_time_unit_changes_nothing_but_the_unit(simulated, rules) -> None:
    by = {
        unit: fit_value(simulated, replace(rules, time_unit=unit), 153) for unit in ("day", "week")
    }
    day, week = by["day"], by["week"]
    assert day.model.alpha == pytest.approx(7 * week.model.alpha, rel=1e-5)
    assert (day.model.r, day.model.a) == pytest.approx((week.model.r, week.model.a), rel=1e-5)
    assert day.scores.predicted == pytest.approx(week.scores.predicted, rel=1e-5)


def test_the_row_is_the_same_again_and_in_any_order(simulated, rules) -> None:
    shuffled = simulated.query("h", "from h order by md5(customer_id)")
    rows = [fit_row(fit_value(r, rules, 153), rules) for r in (simulated, simulated, shuffled)]
    assert rows[0].equals(rows[1])
    assert rows[0].equals(rows[2])


# -- the gate ---------------------------------------------------------------------------------


def test_too_few_repeaters_are_not_fitted(simulated, rules) -> None:
    few = simulated.query("h", "from h where customer_id < 'c00100'")
    fit = fit_value(few, rules, 153)
    assert fit.verdict.status == "rejected"
    assert "fewer than the 200" in fit.verdict.reasons[0]
    assert fit.model is None
    row = fit_row(fit, rules).to_pylist()[0]
    assert (row["r"], row["holdout_error"]) == (None, None)
    assert row["customers"] == 100


def test_a_bad_holdout_rejects_with_its_figures(simulated, rules) -> None:
    strict = replace(rules, max_total_error=0.0, min_correlation=0.99)
    fit = fit_value(simulated, strict, 153)
    assert fit.verdict.status == "rejected"
    assert len(fit.verdict.reasons) == 2
    assert "orders were predicted" in fit.verdict.reasons[0]
    assert "correlation" in fit.verdict.reasons[1]
    assert fit.model is not None


def test_data_the_model_is_not_for(rules) -> None:
    nobody = suits(Buyers(0, 0), rules)
    single = suits(Buyers(1000, 3), rules)
    regular = suits(Buyers(1000, 800, 300, 0.08), rules)
    for verdict, fallback, words in (
        (nobody, "unknown", "nobody has ordered"),
        (single, "unknown", "single purchases"),
        (regular, "history", "subscription"),
    ):
        assert (verdict.status, verdict.fallback) == ("not_applicable", fallback)
        assert words in verdict.reasons[0]
    assert suits(Buyers(1000, 800, 300, 0.8), rules) is None
    assert suits(Buyers(1000, 800, 49, 0.08), rules) is None


def test_what_does_not_converge_is_rejected(rules) -> None:
    buyers = Buyers(1000, 500)
    model, spend = BgNbd(1, 1, 1, 1), GammaGamma(1, 2, 1)
    lost = replace(model, converged=False)
    assert "found no best parameters" in judge(buyers, lost, spend, None, rules).reasons[0]
    assert "up to the holdout" in judge(buyers, model, spend, None, rules).reasons[0]
    unequal = judge(buyers, model, replace(spend, q=0.9), None, rules)
    assert "too unequal" in unequal.reasons[0]
    nothing = fit_bg_nbd(Histories(*(np.zeros(2) for _ in range(3)), np.ones(2)))
    assert not nothing.converged
    assert not fit_gamma_gamma(Spend(*(np.zeros(0) for _ in range(3)))).converged


def test_free_orders_say_nothing_about_values() -> None:
    con = duckdb.connect()
    con.execute(
        "create table h as select * from (values (2, 0.0), (3, -5.0), (1, 20.0), (0, null)) "
        "as t (repeats, mean_repeat_spend)"
    )
    spend = read_spend(con.table("h"))
    assert (spend.x.tolist(), spend.mean.tolist()) == ([1.0], [20.0])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 90), st.integers(0, 90)), min_size=1),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_any_small_data_ends_in_a_verdict(rules, rows, values) -> None:
    con = duckdb.connect()
    con.execute(
        "create table h (repeats int, recency_days int, age_days int, mean_repeat_spend double, "
        "calibration_repeats int, calibration_recency_days int, calibration_age_days int, "
        "holdout_orders int)"
    )
    for i, (x, recency, silence) in enumerate(rows):
        recency = recency if x else 0
        age = recency + silence
        con.execute("insert into h values (?, ?, ?, ?, ?, ?, ?, ?)",
                    [x, recency, age, values[i % len(values)] if x else None,
                     x, recency, age, x])  # fmt: skip
    easy = replace(rules, min_repeat_customers=1)
    row = fit_row(fit_value(con.table("h"), easy, 30), easy).to_pylist()[0]
    assert row["status"] in ("accepted", "rejected", "not_applicable")
    assert (row["reasons"] is None) == (row["status"] == "accepted")


# -- packs and published tables ---------------------------------------------------------------


@pytest.mark.parametrize("pack", program_names(PROJECT_ROOT / "programs"))
def test_every_pack_has_its_rules(pack: str) -> None:
    found = rules_of(pack)
    assert found.fallback in ("history", "unknown")
    assert 0 < found.min_interval_variation < 0.6
    assert found.unit_days in (1, 7)


def test_sql_scores_are_the_librarys(company: Company) -> None:
    """Every customer of the last refresh, recomputed from the published parameters."""
    with duckdb.connect(str(company.settings.warehouse), read_only=True) as con:
        used = con.execute("from intermediate.int_value_model").fetchnumpy()
        rows = con.execute(
            "from intermediate.int_purchase_histories join intermediate.int_customer_value "
            "using (customer_id) order by customer_id"
        ).fetchnumpy()
        settings_of = dict(con.execute("from program.settings").fetchall())
        table = con.table("intermediate.int_purchase_histories")
        model = BgNbd(*(float(used[name][0]) for name in ("r", "alpha", "a", "b")))
        spend = GammaGamma(*(float(used[name][0]) for name in ("p", "q", "v")))
        parameters = dict(
            zip(("r", "alpha", "a", "b"), (model.r, model.alpha, model.a, model.b), strict=True)
        )
        found = ValueRules.of(settings_of)
        factors = factor_rows(table, parameters, found).to_pylist()
    assert used["value_method"][0] == "model"
    unit = found.unit_days
    x, recency, age = (rows[name] for name in ("repeats", "recency_days", "age_days"))
    alive = model.p_alive(x, recency / unit, age / unit)
    assert rows["p_alive"] == pytest.approx(alive, abs=1e-6)
    months = found.horizon_months * 365.25 / 12
    orders = model.conditional_orders(x, recency / unit, age / unit, months / unit)
    assert rows["expected_orders"] == pytest.approx(orders, abs=2e-6)
    mean = np.nan_to_num(np.ma.filled(rows["mean_repeat_spend"], 0.0))
    each = spend.expected_order_value(x, np.maximum(mean, 0))
    assert rows["expected_order_value"].astype(float) == pytest.approx(each, abs=0.006)
    quiet = model.quiet_if_alive(x, age / unit, found.churn_horizon_days / unit)
    assert rows["churn_risk"] == pytest.approx(1 - alive + alive * quiet, abs=1e-6)
    by = {(f["repeats"], f["age_days"]): f for f in factors}
    mine = [by[key]["discounted_orders_if_alive"] for key in zip(x, age, strict=True)]
    value = rows["predicted_value"].astype(float)
    assert value == pytest.approx(alive * np.array(mine) * each, abs=0.006)
    assert (value <= orders * each + 0.01).all()
    assert (value >= 0.9 * orders * each - 0.01).all()
    assert rows["predicted_value_rank"].max() == 1
    high = rows["is_high_potential"]
    assert high.any()
    assert (rows["predicted_value_rank"][high] >= 0.8).all()


def test_one_run_a_refresh_is_kept(company: Company) -> None:
    """The company grows: it takes until November to have enough repeat customers."""
    runs = company.rows(
        "select as_of_on::text, status, is_used, used_model_run = model_run, reasons, r, "
        "repeat_customers from fct_model_runs order by as_of"
    )
    assert [run[0] for run in runs] == list(DAYS)
    for day, status, is_used, used, reasons, r, repeaters in runs:
        enough = repeaters >= 200
        assert (status == "accepted") == is_used == enough, day
        assert (used, reasons is None, r is not None) == (enough or None, enough, enough)
    assert [run[1] for run in runs] == ["rejected", "rejected", "accepted"]
