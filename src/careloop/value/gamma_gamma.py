"""Gamma-Gamma: what a customer's order is worth, given the mean of the repeat orders so far.

Order values vary at random about a customer's own mean, and these means vary over customers,
independently of how often they order.

SOURCES. Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value": likelihood (1a),
conditional expectation (5). Fader, Hardie & Lee (2005), "RFM and CLV: Using Iso-Value Curves for
Customer Base Analysis", Journal of Marketing Research 42(4), 415-430.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from careloop.value.groups import Spend
from careloop.value.maximise import Vector, maximise

_LOWER = np.log(np.array([1e-3, 1e-3, 1e-6]))
_UPPER = np.log(np.array([1e4, 1e4, 1e8]))


@dataclass(frozen=True)
class GammaGamma:
    """A fitted model: order values are gamma(p, nu), nu over customers gamma(q, v)."""

    p: float
    q: float
    v: float
    log_likelihood: float = float("nan")
    converged: bool = True

    @property
    def has_mean(self) -> bool:
        """Below q = 1 the mean of all customers does not exist."""
        return self.q > 1

    def expected_order_value(self, x: Vector, mean: Vector) -> Vector:
        """Expected value of the next order after ``x`` repeat orders of ``mean`` on average; of
        all customers where x = 0."""
        x, mean = np.asarray(x, float), np.asarray(mean, float)
        return self.p * (self.v + x * mean) / (self.p * x + self.q - 1)


def fit_gamma_gamma(groups: Spend) -> GammaGamma:
    """The maximum of the likelihood over log p, log q and log v, values divided by their mean.
    ``converged`` is false where there is none."""
    total = float(groups.customers.sum())
    if not total:
        return GammaGamma(np.nan, np.nan, np.nan, converged=False)
    scale = float((groups.customers * groups.mean).sum()) / total
    scaled = Spend(groups.x, groups.mean / scale, groups.customers)
    counts, place = np.unique(scaled.x, return_inverse=True)

    def objective(point: Vector) -> tuple[float, Vector]:
        parameters = np.exp(point)
        value, *slope = (
            float((scaled.customers * term).sum()) / total
            for term in _terms(parameters, scaled, counts, place)
        )
        return value, parameters * np.array(slope)

    starts = [np.log([4.0, 4.0, 1.0]), np.log([1.0, 1.5, 1.0])]
    best = maximise(objective, starts, _LOWER, _UPPER)
    p, q, v = (float(value) for value in np.exp(best.point))
    units = float((groups.customers * np.log(scale)).sum())
    return GammaGamma(p, q, v * scale, best.value * total - units, best.converged)


def log_likelihood(model: GammaGamma, groups: Spend) -> float:
    """Of the groups under the model."""
    counts, place = np.unique(groups.x, return_inverse=True)
    terms = _terms(np.array([model.p, model.q, model.v]), groups, counts, place)
    return float((groups.customers * terms[0]).sum())


def _terms(
    parameters: Vector, groups: Spend, counts: Vector, place: NDArray[np.intp]
) -> tuple[Vector, Vector, Vector, Vector]:
    """Log-likelihood of one customer of each group, and its derivatives by p, q, v. ``counts``
    are the distinct x and ``place`` finds each group's: special functions are slow."""
    p, q, v = parameters
    x, spent = groups.x, groups.x * groups.mean
    log_all, log_spent = np.log(spent + v), np.log(spent)
    of_count = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q) + q * np.log(v)
    both = digamma(p * counts + q)
    value = of_count[place] + p * x * log_spent - np.log(groups.mean) - (p * x + q) * log_all
    d_p = x * ((both - digamma(p * counts))[place] + log_spent - log_all)
    d_q = (both - digamma(q) + np.log(v))[place] - log_all
    d_v = q / v - (p * x + q) / (spent + v)
    return value, d_p, d_q, d_v
