"""One run of the churn model: customers as of the cut-off in, one row with a verdict out."""

import math
from dataclasses import asdict, dataclass, fields

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from careloop.churn.logistic import Logistic, Matrix, Vector, fit_logistic
from careloop.churn.rules import ChurnRules
from careloop.churn.scores import Scores, compare, rfm_risk

MODEL, VERSION = "churn_logistic", "1"
# Columns of the macro churn_features, in its order; another meaning is another version.
FEATURES = (
    "age",
    "orders",
    "missed_orders",
    "spend",
    "interactions_known",
    "interactions",
    "missed_interactions",
)
FOLDS = 5
Reason = tuple[str, str]
ROW = {
    **{name: pa.string() for name in ("model", "version", "status", "reasons", "reasons_zh")},
    "sampled_customers": pa.int64(),
    "leavers": pa.int64(),
    **{field.name: pa.float64() for field in fields(Scores)},
    "base_rate": pa.float64(),
    "intercept": pa.float64(),
    **{f"weight_{name}": pa.float64() for name in FEATURES},
    **{f"mean_{name}": pa.float64() for name in FEATURES},
}


@dataclass(frozen=True)
class Customers:
    """Customers as of the cut-off, in an order that has nothing to do with them. ``left``: 1 where
    no order came within the days after it; silence in days, spend in the program's currency."""

    features: Matrix
    left: Vector
    silence: Vector
    order_days: Vector
    spend: Vector


@dataclass(frozen=True)
class ChurnFit:
    """What one run found; ``status`` is accepted or rejected, ``why`` says why not, in English and
    Chinese."""

    customers: int
    leavers: int
    why: tuple[Reason, ...]
    model: Logistic | None = None
    scores: Scores | None = None

    @property
    def status(self) -> str:
        """In words of the table."""
        return "rejected" if self.why else "accepted"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, in English."""
        return tuple(en for en, _ in self.why)


def read_customers(table: duckdb.DuckDBPyRelation) -> Customers:
    """Of ``int_churn_training``, sorted by a hash of the customer."""
    names = [*FEATURES, "has_left", "silence_days", "order_days", "spend_total"]
    listed = ", ".join(f"cast({name} as double) as {name}" for name in names)
    sql = f"select {listed} from customers order by md5(customer_id), customer_id"
    columns = [np.asarray(c, float) for c in table.query("customers", sql).fetchnumpy().values()]
    features = np.column_stack(columns[: len(FEATURES)])
    return Customers(features, *columns[len(FEATURES) :])


def fit_churn(customers: Customers, rules: ChurnRules) -> ChurnFit:
    """Fit and judge. Each fifth is judged by a model of the other four, so that nobody is judged
    by a model that knows how they ended; the one to be used is then fitted on all."""
    count, leavers = len(customers.left), int(customers.left.sum())
    if min(leavers, count - leavers) < rules.min_customers:
        reason = (
            f"of {count:,} customers {leavers:,} left and {count - leavers:,} stayed; "
            f"it takes {rules.min_customers:,} of each",
            f"{count:,} 位客户中 {leavers:,} 位流失、{count - leavers:,} 位留存；"
            f"两类各需 {rules.min_customers:,} 位",
        )
        return ChurnFit(count, leavers, (reason,))
    risk, judged = _out_of_fold(customers)
    model = fit_logistic(customers.features, customers.left)
    rfm = rfm_risk(customers.silence, customers.order_days, customers.spend)
    scores = compare(customers.left, risk, customers.silence, rfm)
    converged = judged and model.converged
    return ChurnFit(count, leavers, _reasons(scores, converged, rules), model, scores)


def _out_of_fold(customers: Customers) -> tuple[NDArray[np.float64], bool]:
    fold = np.arange(len(customers.left)) % FOLDS
    risk, converged = np.empty(len(fold)), True
    for this in range(FOLDS):
        others = fold != this
        model = fit_logistic(customers.features[others], customers.left[others])
        risk[~others] = model.predict(customers.features[~others])
        converged = converged and model.converged
    return risk, converged


def _reasons(scores: Scores, converged: bool, rules: ChurnRules) -> tuple[Reason, ...]:
    reasons = [] if converged else [("the fit found no best weights", "拟合没有找到最优权重")]
    if not round(scores.auc, 6) >= round(scores.best_baseline + rules.min_auc_gain, 6):
        by_recency = scores.auc_recency >= scores.auc_rfm
        en, zh = ("recency alone", "仅看最近购买") if by_recency else ("RFM", "RFM ")
        reasons.append(
            (
                f"on customers it was not fitted on its AUC is {scores.auc:.4f}; {en} has "
                f"{scores.best_baseline:.4f}, and {rules.min_auc_gain:g} more are asked for",
                f"在未参与拟合的客户上 AUC 为 {scores.auc:.4f}；{zh}已达 "
                f"{scores.best_baseline:.4f}，须再高出 {rules.min_auc_gain:g}",
            )
        )
    return tuple(reasons)


def churn_row(fit: ChurnFit) -> pa.Table:
    """The one row of ``int_churn_fit``: scores to 6 decimals, what is unknown empty."""
    row = {
        "model": MODEL,
        "version": VERSION,
        "status": fit.status,
        "reasons": "; ".join(fit.reasons) or None,
        "reasons_zh": "；".join(zh for _, zh in fit.why) or None,
        "sampled_customers": fit.customers,
        "leavers": fit.leavers,
        "base_rate": round(fit.leavers / fit.customers, 6) if fit.customers else None,
    }
    if fit.scores:
        row |= {name: _decimals(value) for name, value in asdict(fit.scores).items()}
    if fit.model and fit.model.converged:
        row["intercept"] = fit.model.intercept
        for name, weight, mean in zip(FEATURES, fit.model.weights, fit.model.means, strict=True):
            row |= {f"weight_{name}": float(weight), f"mean_{name}": float(mean)}
    return pa.Table.from_pylist([row], schema=pa.schema(ROW))


def _decimals(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
