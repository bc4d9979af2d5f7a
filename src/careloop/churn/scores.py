"""How well a risk tells who leaves.

SOURCES. Mann & Whitney (1947), "On a Test of Whether One of Two Random Variables Is
Stochastically Larger than the Other": AUC by ranks. Brier (1950), "Verification of Forecasts
Expressed in Terms of Probability", Monthly Weather Review 78(1), 1-3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]
RFM_BINS = 5


@dataclass(frozen=True)
class Scores:
    """Of a risk on customers it was not fitted on. ``top_decile``: share of leavers among the
    tenth ranked highest. ``brier``: mean squared error of the chance, and its mean."""

    auc: float
    auc_recency: float
    auc_rfm: float
    top_decile: float
    top_decile_recency: float
    top_decile_rfm: float
    brier: float
    mean_predicted: float

    @property
    def best_baseline(self) -> float:
        """AUC of the better one of recency alone and RFM."""
        return max(self.auc_recency, self.auc_rfm)


def compare(left: Vector, risk: Vector, recency: Vector, rfm: Vector) -> Scores:
    """The risk and both baselines on the same customers, of whom some left and some stayed."""
    scored = (risk, recency, rfm)
    return Scores(
        *(auc(left, score) for score in scored),
        *(precision_at(left, score, 0.1) for score in scored),
        brier=float(((risk - left) ** 2).mean()),
        mean_predicted=float(risk.mean()),
    )


def auc(left: Vector, score: Vector) -> float:
    """Chance that somebody who left (1) is ranked above somebody who stayed (0), ties half."""
    ranks, leavers = rankdata(score), left.sum()
    pairs = leavers * (len(left) - leavers)
    return float((ranks[left == 1].sum() - leavers * (leavers + 1) / 2) / pairs)


def precision_at(left: Vector, score: Vector, share: float) -> float:
    """Share of leavers among the ``share`` scored highest; ties at the edge count pro rata."""
    wanted = len(left) * share
    edge = np.sort(score)[::-1][int(np.ceil(wanted)) - 1]
    above, tied = score > edge, score == edge
    return float((left[above].sum() + left[tied].mean() * (wanted - above.sum())) / wanted)


def rfm_risk(silence: Vector, order_days: Vector, spend: Vector) -> Vector:
    """Minus the sum of the three scores 1..5 of RFM by quantiles, equal values scored equal."""
    return -sum((_score(axis) for axis in (-silence, order_days, spend)), np.zeros(len(silence)))


def _score(values: Vector) -> Vector:
    below = rankdata(values, method="min") - 1
    return 1 + np.floor(below * RFM_BINS / len(values))
