"""Churn risk: the fit, the gate, and SQL against the library on a company whose leavers are known."""

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.optimize import minimize

from careloop.churn import (
    FEATURES,
    ChurnRules,
    Customers,
    Logistic,
    auc,
    churn_row,
    fit_churn,
    fit_logistic,
    precision_at,
    read_customers,
    rfm_risk,
)
from careloop.churn.logistic import PENALTY
from careloop.settings import Settings
from careloop.transform.prepare import CARRIED
from test_models import DAY, Company, failures, utc

RULES = ChurnRules(min_customers=30, min_auc_gain=0)
DAYS = 90  # the churn horizon of retail_care


# -- the fit and the gate --------------------------------------------------------------------


def some_customers(count: int = 800, seed: int = 3, known: float = 1.0) -> Customers:
    """Leaving depends on the second feature; recency tells ``known`` of the same."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(FEATURES)))
    features[:, 4] = 1
    left = (rng.random(count) < 1 / (1 + np.exp(-2 * features[:, 1]))).astype(float)
    silence = known * left + rng.normal(size=count)
    return Customers(features, left, silence, rng.integers(1, 9, count) * 1.0, rng.random(count))


def test_logistic_is_the_maximum_of_the_penalised_likelihood() -> None:
    customers = some_customers()
    model = fit_logistic(customers.features, customers.left)
    assert model.converged
    assert model.weights[4] == 0
    spread = customers.features.std(axis=0)
    used = spread > 0

    def loss(point: np.ndarray) -> float:
        odds = point[0] + (customers.features[:, used] - model.means[used]) @ point[1:]
        fit = np.logaddexp(0, odds) - customers.left * odds
        return fit.sum() + PENALTY / 2 * ((point[1:] * spread[used]) ** 2).sum()

    best = minimize(loss, np.zeros(used.sum() + 1), method="BFGS", options={"gtol": 1e-6}).x
    assert model.weights[used] == pytest.approx(best[1:], abs=1e-4)
    mine = np.r_[model.intercept + model.weights @ model.means, model.weights[used]]
    assert loss(mine) <= loss(best) + 1e-6
    assert model.predict(customers.features).mean() == pytest.approx(
        customers.left.mean(), abs=1e-6
    )


def test_predictions_of_the_unit_test() -> None:
    """The figures that the dbt unit test churn_risk_is_what_the_library_predicts expects."""
    weights = np.array([0.2, -0.5, 1, -0.3, 0.1, -0.2, 0.6])
    rows = np.array(
        [[6, 0.7, 0.8, -1, 1, 2.3, 1.6], [5, 1, 0.5, -0.5, 0, 0, 0], [4, 3, 0.1, 1, 0, 2, 0]]
    )
    risk = Logistic(-1.0, weights, np.zeros(7)).predict(rows)
    assert [round(float(r), 6) for r in risk] == [0.824914, 0.53743, 0.091123]


def test_scores() -> None:
    left = np.array([0.0, 0, 1, 1])
    assert auc(left, np.array([1.0, 2, 3, 4])) == 1
    assert auc(left, np.array([4.0, 3, 2, 1])) == 0
    assert auc(left, np.ones(4)) == 0.5
    assert auc(left, np.array([1.0, 3, 2, 4])) == 0.75
    assert precision_at(left, np.array([1.0, 3, 2, 4]), 0.25) == 1
    assert precision_at(left, np.array([1.0, 3, 2, 4]), 0.5) == 0.5
    assert precision_at(left, np.ones(4), 0.25) == 0.5
    best_first = rfm_risk(np.arange(10.0), 10 - np.arange(10.0), 10 - np.arange(10.0))
    assert list(best_first) == sorted(best_first)
    assert best_first[0] == -15
    assert best_first[-1] == -3


def test_a_good_model_is_accepted_and_judged_on_others() -> None:
    fit = fit_churn(some_customers(), RULES)
    assert fit.status == "accepted"
    assert fit.scores
    assert fit.scores.auc > fit.scores.best_baseline
    assert fit.scores.mean_predicted == pytest.approx(fit.leavers / fit.customers, abs=0.01)
    assert fit.scores.brier < 0.25


def test_a_useless_model_is_rejected() -> None:
    customers = some_customers()
    noise = np.random.default_rng(1).normal(size=customers.features.shape)
    useless = replace(customers, features=noise)
    fit = fit_churn(useless, RULES)
    assert fit.status == "rejected"
    assert "recency alone has" in fit.reasons[0]
    # Were it judged on those it is fitted on, noise would look better than a coin.
    assert fit.scores
    assert fit.model
    assert fit.scores.auc < 0.53 < auc(useless.left, fit.model.predict(noise))


def test_the_gate_asks_for_the_packs_lead() -> None:
    customers = some_customers()
    lead = fit_churn(customers, RULES).scores
    assert lead
    gain = lead.auc - lead.best_baseline
    assert fit_churn(customers, ChurnRules(30, gain * 0.9)).status == "accepted"
    assert fit_churn(customers, ChurnRules(30, gain * 1.1)).status == "rejected"


@pytest.mark.parametrize("left", [0.0, 1.0])
def test_one_class_only_is_not_fitted(left: float) -> None:
    customers = some_customers()
    one = replace(customers, left=np.full_like(customers.left, left))
    fit = fit_churn(one, RULES)
    assert (fit.status, fit.model, fit.scores) == ("rejected", None, None)
    assert "it takes 30 of each" in fit.reasons[0]


def test_nobody_is_not_fitted() -> None:
    nobody = Customers(np.empty((0, len(FEATURES))), *(np.empty(0) for _ in range(4)))
    row = churn_row(fit_churn(nobody, RULES)).to_pylist()[0]
    assert row["status"] == "rejected"
    assert row["base_rate"] is row["auc"] is row["intercept"] is None


def test_separable_customers_still_get_finite_weights() -> None:
    customers = some_customers()
    left = (customers.features[:, 0] > 0).astype(float)
    fit = fit_churn(replace(customers, left=left), RULES)
    assert fit.status == "accepted"
    assert fit.model
    assert np.all(np.isfinite(fit.model.weights))


# -- a company whose leavers are known, through dbt ------------------------------------------


def simulated(seed: int = 5, count: int = 700) -> tuple[dict[str, list[dict]], set[str]]:
    """Customers order and interact at their own pace until they leave; and who had left by DAY."""
    rng = random.Random(seed)
    rows: dict[str, list[dict]] = {"customers": [], "orders": [], "interactions": []}
    gone = set()
    for i in range(count):
        name, start = f"c{i:04}", rng.uniform(60, 720)
        ends = max(start - rng.expovariate(1 / 300), -30)
        if ends > 0:
            gone.add(name)
        rows["customers"].append({"customer_id": name})
        pace = rng.gammavariate(1.5, 1 / 45)
        for kind, rate in (("orders", pace), ("interactions", 3 * pace)):
            if kind == "interactions" and rng.random() < 0.2:
                continue
            back = start
            while back > max(ends, -20):
                # Never at midnight: whether an order at the very moment is seen is not the point.
                at = utc(dt.datetime.combine(DAY, dt.time(9))) - dt.timedelta(days=int(back) + 1)
                event = {"customer_id": name, f"{kind[:-1]}_id": f"{kind}{len(rows[kind])}"}
                if kind == "orders":
                    event |= {"ordered_at": at, "amount": rng.randint(20, 900)}
                else:
                    event |= {"occurred_at": at, "kind": "view"}
                rows[kind].append(event)
                back -= rng.expovariate(rate)
    return rows, gone


def made(home: Path, day: dt.date, *select: str) -> Company:
    company = Company(Settings(home=home, threads=2, memory_limit="1GB"))
    company.prepare(simulated()[0], day)
    result = company.dbt("run", "--select", *select)
    assert result.success, failures(result)
    return company


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return made(
        tmp_path_factory.mktemp("today"), DAY, "+int_customer_churn_risk", "+fct_churn_model_runs"
    )


@pytest.fixture(scope="module")
def at_cutoff(tmp_path_factory: pytest.TempPathFactory) -> Company:
    day = DAY - dt.timedelta(days=DAYS)
    return made(tmp_path_factory.mktemp("cutoff"), day, "+int_churn_features")


@pytest.mark.slow
def test_it_tells_who_left_better_than_recency(today: Company) -> None:
    gone = simulated()[1]
    run = today.query("from marts.fct_churn_model_runs")[0]
    assert (run["status"], run["is_used"], run["label_days"]) == ("accepted", True, DAYS)
    assert run["cutoff_on"] == DAY - dt.timedelta(days=DAYS)
    assert run["auc"] > max(run["auc_recency"], run["auc_rfm"])
    assert run["mean_predicted"] == pytest.approx(run["base_rate"], abs=0.02)
    rows = today.query(
        "from intermediate.int_customer_churn_risk join intermediate.int_churn_features "
        "using (customer_id) order by customer_id"
    )
    left = np.array([float(r["customer_id"] in gone) for r in rows])
    assert 100 < left.sum() < len(rows) - 100
    risk, silence = (np.array([r[c] for r in rows]) for c in ("churn_risk", "silence_days"))
    assert auc(left, risk) > auc(left, silence) + 0.01
    assert {r["churn_risk_method"] for r in rows} == {"model"}
    assert all(r["churn_risk_reason"] for r in rows if r["churn_risk_rank"] > 0.8)


@pytest.mark.slow
def test_features_of_the_cut_off_are_those_of_a_run_on_that_day(
    today: Company, at_cutoff: Company
) -> None:
    columns = f"customer_id, order_days, silence_days, {', '.join(FEATURES)}"
    learned = today.query(f"select {columns} from intermediate.int_churn_training order by 1")
    scored = at_cutoff.query(f"select {columns} from intermediate.int_churn_features order by 1")
    assert len(learned) > 400
    assert learned == scored


@pytest.mark.slow
def test_labels_are_the_orders_after_the_cut_off(today: Company) -> None:
    cutoff = DAY - dt.timedelta(days=DAYS)
    labels = today.query("select customer_id, has_left from intermediate.int_churn_training")
    later = {
        o["customer_id"]
        for o in simulated()[0]["orders"]
        if cutoff <= o["ordered_at"].date()
        and o["ordered_at"] <= utc(dt.datetime.combine(DAY, dt.time()))
    }
    assert {r["customer_id"]: bool(r["has_left"]) for r in labels} == {
        r["customer_id"]: r["customer_id"] not in later for r in labels
    }
    assert {r["has_left"] for r in labels} == {0, 1}


@pytest.mark.slow
def test_scoring_in_sql_is_the_librarys_prediction(today: Company) -> None:
    used = today.query("from intermediate.int_churn_model")[0]
    model = Logistic(
        used["intercept"],
        *(np.array([used[f"{k}_{f}"] for f in FEATURES]) for k in ("weight", "mean")),
    )
    rows = today.query(
        "from intermediate.int_churn_features join intermediate.int_customer_churn_risk "
        "using (customer_id) order by customer_id"
    )
    features = np.array([[r[f] for f in FEATURES] for r in rows], float)
    assert [r["churn_risk"] for r in rows] == pytest.approx(model.predict(features), abs=1.1e-6)


@pytest.mark.slow
def test_the_fit_does_not_depend_on_the_order_of_rows(today: Company) -> None:
    with duckdb.connect(str(today.settings.warehouse), read_only=True) as con:
        table = "select * from intermediate.int_churn_training order by "
        fits = [
            churn_row(fit_churn(read_customers(con.sql(table + by)), RULES)).to_pylist()
            for by in ("customer_id", "customer_id desc", "hash(customer_id)")
        ]
    assert fits[0] == fits[1] == fits[2]
    published = today.query("from intermediate.int_churn_fit")[0]
    assert {k: v for k, v in fits[0][0].items() if k != "reasons"} == {
        k: v for k, v in published.items() if k != "reasons"
    }


@pytest.mark.slow
def test_the_mart_is_carried_with_all_its_columns(today: Company) -> None:
    _, carried = CARRIED["churn_model_runs"]
    columns = [r["column_name"] for r in today.query("describe marts.fct_churn_model_runs")]
    assert [column.split()[0] for column in carried.split(", ")] == columns


@pytest.mark.slow
def test_macro_and_library_name_the_same_features(today: Company) -> None:
    columns = [r["column_name"] for r in today.query("describe intermediate.int_churn_training")]
    assert tuple(columns[-len(FEATURES) :]) == FEATURES
