"""One run of the value model: groups in, one row of parameters, scores and a verdict out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from careloop.value.bg_nbd import BgNbd, fit_bg_nbd
from careloop.value.factors import value_factors
from careloop.value.gamma_gamma import GammaGamma, fit_gamma_gamma
from careloop.value.gate import Buyers, Verdict, judge, suits
from careloop.value.groups import read_histories, read_spend
from careloop.value.holdout import Scores, holdout_scores
from careloop.value.rules import ValueRules

MODEL, VERSION = "bg_nbd_gamma_gamma", "1"
DIGITS = 10
FIT_COLUMNS = {
    **{name: pa.string() for name in ("model", "version", "status", "reasons", "reasons_zh")},
    "fallback": pa.string(),
    "time_unit": pa.string(),
    "unit_days": pa.float64(),
    **{name: pa.float64() for name in ("r", "alpha", "a", "b", "log_likelihood")},
    **{name: pa.float64() for name in ("p", "q", "v", "spend_log_likelihood")},
    "customers": pa.int64(),
    "repeat_customers": pa.int64(),
    "interval_variation": pa.float64(),
    "holdout_customers": pa.int64(),
    "holdout_repeat_customers": pa.int64(),
    "holdout_predicted": pa.float64(),
    "holdout_actual": pa.int64(),
    "holdout_error": pa.float64(),
    "holdout_correlation": pa.float64(),
    "holdout_rmse": pa.float64(),
}


@dataclass(frozen=True)
class ValueFit:
    """What one run found; parts that were not fitted are None."""

    buyers: Buyers
    verdict: Verdict
    model: BgNbd | None = None
    spend: GammaGamma | None = None
    scores: Scores | None = None


def fit_value(
    histories: duckdb.DuckDBPyRelation,
    rules: ValueRules,
    holdout_days: int,
    sampled: int = 0,
    interval_variation: float | None = None,
) -> ValueFit:
    """Fit and judge the customers of ``int_purchase_histories``; times in the pack's unit.

    Below the pack's number of repeat customers nothing is fitted.
    """
    groups = read_histories(histories, rules.unit_days)
    repeaters = round(float(groups.customers[groups.x > 0].sum()))
    customers = round(float(groups.customers.sum()))
    buyers = Buyers(customers, repeaters, sampled, interval_variation)
    verdict = suits(buyers, rules)
    if verdict:
        return ValueFit(buyers, verdict)
    if repeaters < rules.min_repeat_customers:
        return ValueFit(buyers, judge(buyers, None, None, None, rules))
    model = fit_bg_nbd(groups)
    del groups
    spend = fit_gamma_gamma(read_spend(histories))
    scores = _holdout(histories, rules, holdout_days)
    return ValueFit(buyers, judge(buyers, model, spend, scores, rules), model, spend, scores)


def _holdout(
    histories: duckdb.DuckDBPyRelation, rules: ValueRules, holdout_days: int
) -> Scores | None:
    groups = read_histories(histories, rules.unit_days, "calibration_")
    model = fit_bg_nbd(groups)
    if not model.converged:
        return None
    return holdout_scores(model, groups, holdout_days / rules.unit_days)


def fit_row(fit: ValueFit, rules: ValueRules) -> pa.Table:
    """The one row of ``int_value_fit``: parameters to 10 significant digits, scores to 6
    decimals, what is unknown empty."""
    model, spend, scores = fit.model, fit.spend, fit.scores
    row = {
        "model": MODEL,
        "version": VERSION,
        "status": fit.verdict.status,
        "reasons": "; ".join(fit.verdict.reasons) or None,
        "reasons_zh": "；".join(zh for _, zh in fit.verdict.why) or None,
        "fallback": fit.verdict.fallback,
        "time_unit": rules.time_unit,
        "unit_days": rules.unit_days,
        **_known(model, "r", "alpha", "a", "b", "log_likelihood"),
        **_known(spend, "p", "q", "v"),
        "spend_log_likelihood": _significant(spend.log_likelihood if spend else None),
        "customers": fit.buyers.customers,
        "repeat_customers": fit.buyers.repeaters,
        "interval_variation": _decimals(fit.buyers.interval_variation),
        "holdout_customers": scores.customers if scores else None,
        "holdout_repeat_customers": scores.repeaters if scores else None,
        "holdout_predicted": _decimals(scores.predicted if scores else None),
        "holdout_actual": round(scores.actual) if scores else None,
        "holdout_error": _decimals(scores.total_error if scores else None),
        "holdout_correlation": _decimals(scores.correlation if scores else None),
        "holdout_rmse": _decimals(scores.rmse if scores else None),
    }
    return pa.Table.from_pylist([row], schema=pa.schema(FIT_COLUMNS))


def _known(part: BgNbd | GammaGamma | None, *names: str) -> dict[str, float | None]:
    return {name: _significant(getattr(part, name) if part else None) for name in names}


def _significant(value: float | None) -> float | None:
    known = value is not None and math.isfinite(value)
    return float(f"{value:.{DIGITS}g}") if known else None


def _decimals(value: float | None) -> float | None:
    return round(float(value), 6) if value is not None and math.isfinite(value) else None


def factor_rows(
    histories: duckdb.DuckDBPyRelation, used: Mapping[str, Any] | None, rules: ValueRules
) -> pa.Table:
    """The rows of ``int_value_factors`` under the parameters in use; none without a model."""
    sql = "select repeats, age_days from histories group by all order by repeats, age_days"
    pairs = histories.query("histories", sql).fetchnumpy()
    repeats, age = (pairs[name].astype(float) for name in ("repeats", "age_days"))
    if not used:
        repeats, age = repeats[:0], age[:0]
        used = dict.fromkeys(("r", "alpha", "a", "b"), 1.0)
    model = BgNbd(used["r"], used["alpha"], used["a"], used["b"])
    found = value_factors(model, repeats, age, rules.unit_days, rules)
    return pa.table(
        {
            "repeats": pa.array(found.repeats.astype("int32")),
            "age_days": pa.array(found.age_days.astype("int32")),
            "orders_if_alive": pa.array(found.orders),
            "discounted_orders_if_alive": pa.array(found.discounted_orders),
            "quiet_if_alive": pa.array(found.quiet),
        }
    )
