"""Uplift: the formulas against others' code and published examples, and against known truth."""

import datetime as dt
import random
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from careloop.statistics import (
    Arm,
    rate_difference,
    sample_ratio_p,
    spend_difference,
    wilson_interval,
)
from careloop.statistics.uplift_table import UpliftRules, compare

RULES = UpliftRules(confidence=0.95, least_customers=100, sample_ratio_alarm=0.001)


def arm_of(spend: np.ndarray, conversions: int) -> Arm:
    exact = [Decimal(str(v)) for v in spend.tolist()]
    return Arm(
        len(exact), conversions, sum(exact, Decimal(0)), sum((v * v for v in exact), Decimal(0))
    )


def row(t: tuple[int, int], h: tuple[int, int], **other: object) -> dict[str, object]:
    body = {
        "experiment_kind": "rule", "experiment": "birthday", "period": "2026-10",
        "conversion_event": "order", "holdout_share": None, "complete_on": None,
        "treated_customers": t[0], "treated_conversions": t[1],
        "holdout_customers": h[0], "holdout_conversions": h[1],
    }  # fmt: skip
    for name in ("treated", "holdout"):
        body |= {f"{name}_spend_total": 0, f"{name}_spend_squares": 0}
    return {**body, **other}


@pytest.mark.parametrize(
    ("t", "h", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_published_intervals(t: tuple, h: tuple, low: float, high: float) -> None:
    found = rate_difference(Arm(t[1], t[0]), Arm(h[1], h[0]), 0.95)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_intervals_agree_with_scipy() -> None:
    rng = random.Random(5)
    for _ in range(200):
        n = rng.randint(1, 5000)
        x = rng.randint(0, n)
        low, high = wilson_interval(x, n, 0.9)
        other = stats.binomtest(x, n).proportion_ci(0.9, method="wilson")
        assert (low, high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_rates_agree_with_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    rng = random.Random(6)
    for _ in range(300):
        n1, n2 = rng.randint(1, 3000), rng.randint(1, 300)
        x1, x2 = rng.randint(0, n1), rng.randint(0, n2)
        found = rate_difference(Arm(n1, x1), Arm(n2, x2), 0.95)
        low, high = proportion.confint_proportions_2indep(x1, n1, x2, n2, method="newcomb")
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_spend_agrees_with_scipy() -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        a = np.round(rng.lognormal(4, 1.2, rng.integers(2, 400)) * (rng.random() < 0.9), 2)
        b = np.round(rng.lognormal(4, 1, rng.integers(2, 60)), 2)
        found = spend_difference(arm_of(a, 0), arm_of(b, 0), 0.95)
        other = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert found.value == pytest.approx(a.mean() - b.mean(), rel=1e-9)
        assert (found.low, found.high) == pytest.approx((other.low, other.high), rel=1e-9)


def test_variance_of_large_equal_amounts_is_not_lost() -> None:
    """Sums of squares of a billion each differ in the last digits only."""
    spend = np.array([1_000_000_000.01, 1_000_000_000.02, 1_000_000_000.03])
    assert arm_of(spend, 0).variance == pytest.approx(0.0001, rel=1e-9)


def test_sample_ratio_agrees_with_scipy_and_triggers() -> None:
    rng = random.Random(8)
    for _ in range(200):
        total, share = rng.randint(10, 100_000), rng.uniform(0.01, 0.5)
        holdout = min(total, max(0, round(rng.gauss(total * share, total**0.5))))
        expected = [total * (1 - share), total * share]
        other = stats.chisquare([total - holdout, holdout], expected).pvalue
        assert sample_ratio_p(total - holdout, holdout, share) == pytest.approx(other, abs=1e-12)
    assert sample_ratio_p(10, 0, None) is None
    assert sample_ratio_p(0, 0, 0.1) is None
    # A twentieth too few held out of 100,000: far more than chance.
    assert sample_ratio_p(90_500, 9_500, 0.1) < 0.001
    told = compare(row((90_500, 9_000), (9_500, 900), holdout_share=0.1), RULES)
    assert told["verdict"] == "wrong_sizes"
    assert told["verdict_en"] == "groups do not have the promised sizes: not to be trusted"


def test_right_groups_are_seldom_called_wrong() -> None:
    rng = np.random.default_rng(9)
    held = rng.binomial(20_000, 0.05, 4000)
    alarms = sum(sample_ratio_p(20_000 - int(h), int(h), 0.05) < 0.001 for h in held)
    assert alarms <= 14  # 4 expected


@pytest.mark.parametrize(("base", "effect"), [(0.05, 0.02), (0.3, 0.0), (0.02, 0.0)])
def test_the_interval_holds_a_known_effect_as_often_as_it_says(base: float, effect: float) -> None:
    rng = np.random.default_rng(10)
    treated = rng.binomial(4000, base + effect, 2000)
    held = rng.binomial(400, base, 2000)
    inside = 0
    for t, h in zip(treated.tolist(), held.tolist(), strict=True):
        found = rate_difference(Arm(4000, t), Arm(400, h), 0.95)
        inside += found.low <= effect <= found.high
    assert 0.935 <= inside / 2000 <= 0.97


def test_spend_interval_holds_a_known_effect() -> None:
    rng = np.random.default_rng(12)
    inside = 0
    for _ in range(400):
        a = np.round(rng.gamma(2, 50, 600) * (rng.random(600) < 0.5) + 3, 2)
        b = np.round(rng.gamma(2, 50, 200) * (rng.random(200) < 0.5), 2)
        found = spend_difference(arm_of(a, 0), arm_of(b, 0), 0.95)
        inside += found.low <= 3 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (row((0, 0), (0, 0)), "nothing to compare: nobody was left alone"),
        (row((50, 5), (0, 0)), "nothing to compare: nobody was left alone"),
        (row((0, 0), (50, 5)), "nothing to compare: nobody was treated"),
        (row((5000, 500), (99, 5)), "too small to tell: 99 customers in the smaller group, 100 are needed"),
        (row((5000, 500), (500, 10), complete_on=dt.date(2026, 12, 1)), "still running, until 2026-12-01"),
        (row((5000, 750), (500, 25)), "more orders: between +7.5 and +11.9 points"),
        (row((5000, 250), (500, 75)), "fewer orders, so worse: between −13.4 and −7.1 points"),
        (row((5000, 500), (500, 50)), "no difference found: between −3.0 and +2.5 points of orders"),
        (row((5000, 500), (500, 50), conversion_event="survey_answer"),
         "no difference found: between −3.0 and +2.5 points of survey answers"),
    ],
)  # fmt: skip
def test_verdicts(values: dict, wanted: str) -> None:
    told = compare(values, RULES)
    assert told["verdict_en"] == wanted
    assert told["verdict_zh"]


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="impossible"):
        Arm(5, 6)
    with pytest.raises(ValueError, match="confidence"):
        rate_difference(Arm(5, 1), Arm(5, 1), 1.0)
