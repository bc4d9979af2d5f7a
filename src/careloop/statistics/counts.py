"""What count a customer's own history lets expect, and how unlikely another one is.

The events of a customer are taken as a Poisson process of unknown rate λ. With Jeffreys' prior
for a Poisson rate, Gamma(1/2, 0), ``k`` events in ``d`` days make λ ~ Gamma(k + 1/2, d), and the
count of the next ``d'`` days negative binomial with size ``k + 1/2`` and success probability
``d / (d + d')``. Few events make the distribution wide, so a sparse history alarms seldom.

Sources: A. Gelman, J. Carlin, H. Stern, D. Dunson, A. Vehtari, D. Rubin, Bayesian Data Analysis,
3rd ed. 2013, sections 2.6 (Poisson model, negative binomial predictive) and 2.8 (Jeffreys' prior);
K. Krishnamoorthy, J. Peng, Improved closed-form prediction intervals for binomial and Poisson
distributions, Journal of Statistical Planning and Inference 141 (2011), for the frequentist
coverage of such limits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

PRIOR_EVENTS = 0.5


@dataclass(frozen=True)
class Expected:
    """Arrays, one value per history. low, high: central prediction interval of the recent count.
    fewer: chance of the observed count or fewer; more: of the observed count or more."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    fewer: NDArray[np.float64]
    more: NDArray[np.float64]


def expected_counts(
    baseline_events: ArrayLike,
    baseline_days: ArrayLike,
    recent_days: ArrayLike,
    recent_events: ArrayLike,
    interval: float,
) -> Expected:
    """The recent count expected from the baseline, and how unlikely the observed one is.

    Counts are events, lengths days above 0; ``interval`` is the share the prediction interval
    holds at least, e.g. 0.9: each end leaves out at most half of the rest. Raises ValueError for
    a length that is not above 0, a negative count or an interval outside (0, 1).
    """
    known, days, span, seen = (
        np.asarray(a, dtype=float)
        for a in (baseline_events, baseline_days, recent_days, recent_events)
    )
    if np.any(days <= 0) or np.any(span <= 0):
        raise ValueError("baseline_days and recent_days must be above 0")
    if np.any(known < 0) or np.any(seen < 0):
        raise ValueError("counts of events cannot be negative")
    if not 0 < interval < 1:
        raise ValueError(f"interval must be between 0 and 1, not {interval}")
    size, p = known + PRIOR_EVENTS, days / (days + span)
    left_out = (1 - interval) / 2
    return Expected(
        low=_quantile(left_out, size, p),
        high=_quantile(1 - left_out, size, p),
        fewer=_at_most(seen, size, p),
        more=np.where(seen > 0, special.betainc(np.maximum(seen, 1), size, 1 - p), 1.0),
    )


def _at_most(count: NDArray, size: NDArray, p: NDArray) -> NDArray[np.float64]:
    """P(X ≤ count) of a negative binomial X, by the regularised incomplete beta function."""
    return special.betainc(size, np.floor(count) + 1, p)


def _quantile(share: float, size: NDArray, p: NDArray) -> NDArray[np.int64]:
    """Least count that is not exceeded with the chance ``share``, by bisection."""
    mean = size * (1 - p) / p
    low = np.full(size.shape, -1.0)
    high = np.ceil(mean + 3 * np.sqrt(mean / p)) + 1
    while np.any(short := _at_most(high, size, p) < share):
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        enough = _at_most(middle, size, p) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high.astype(np.int64)
