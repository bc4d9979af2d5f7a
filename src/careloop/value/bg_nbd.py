"""BG/NBD: how many orders a customer who may already have left will place.

Customers order at random at their own rate (gamma over customers) and after each order may
leave for good (beta over customers). Times are in the model's unit, from the first order day:
``x`` repeat order days, ``recency`` of the last one, ``age`` at the end of observation.

SOURCES. Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the
Pareto/NBD Model", Marketing Science 24(2), 275-284: likelihood (6), E[X(t)] (9), conditional
expectation (10). Fader, Hardie & Lee (2008), "Computing P(alive) Using the BG/NBD Model".
Golub & Welsch (1969), "Calculation of Gauss Quadrature Rules", Math. Comp. 23, 221-230.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import digamma, expit, gammaln, logit

from careloop.value.groups import Histories
from careloop.value.maximise import Vector, maximise

NODES = 96
# Beyond these r and a + b, customers hardly differ any more and the likelihood is flat.
_LOWER = np.array([np.log(1e-4), -25.0, logit(1e-6), np.log(1e-3)])
_UPPER = np.array([np.log(1e4), 10.0, logit(1 - 1e-6), np.log(1e4)])


@dataclass(frozen=True)
class BgNbd:
    """A fitted model. Rates are gamma(r, alpha), chances to leave beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = float("nan")
    converged: bool = True

    def p_alive(self, x: Vector, recency: Vector, age: Vector) -> Vector:
        """Chance that a customer has not left yet, 0..1; 1 without a repeat order, since who
        leaves does so after an order that the model counts."""
        odds = _log_odds_gone(self, np.asarray(x, float), np.asarray(recency), np.asarray(age))
        return expit(-odds)

    def orders_if_alive(self, x: float, age: Vector, ahead: Vector) -> NDArray[np.float64]:
        """Expected orders within each of ``ahead`` of customers alive at ``age`` with ``x``
        repeats: an array (age, ahead).

        The mean over the chance p to leave, beta(a, b + x), of (1 - ((alpha + age) /
        (alpha + age + p ahead)) ** (r + x)) / p, which is what the hypergeometric function of
        (10) stands for; by Gauss-Jacobi quadrature it has no trouble near a = 1 or for large x.
        Exact to 1e-12, and to 1e-5 where ``ahead`` is a thousand times alpha + age.
        """
        p, weight = _beta_nodes(self.a, self.b + x)
        ratio = np.asarray(ahead, float)[None, :] / (self.alpha + np.asarray(age, float)[:, None])
        shape = self.r + x
        total = np.zeros_like(ratio)
        for node, share in zip(p, weight, strict=True):
            total -= share / node * np.expm1(-shape * np.log1p(node * ratio))
        return total

    def quiet_if_alive(self, x: Vector, age: Vector, ahead: float) -> Vector:
        """Chance that a customer alive at ``age`` orders nothing within ``ahead``: the mean of
        exp(-rate ahead) over the rate gamma(r + x, alpha + age)."""
        return np.exp(-(self.r + np.asarray(x)) * np.log1p(ahead / (self.alpha + np.asarray(age))))

    def expected_orders(self, ahead: Vector) -> Vector:
        """E[X(t)]: repeat orders of a new customer within each of ``ahead``."""
        return self.orders_if_alive(0, np.zeros(1), np.asarray(ahead, float))[0]

    def conditional_orders(
        self, x: Vector, recency: Vector, age: Vector, ahead: float
    ) -> NDArray[np.float64]:
        """Expected orders within ``ahead`` of each customer: p_alive times orders_if_alive, which
        depends on x and age alone."""
        x, recency, age = (np.asarray(v, float) for v in (x, recency, age))
        if_alive = np.empty_like(age)
        for count in np.unique(x):
            mine = x == count
            ages, place = np.unique(age[mine], return_inverse=True)
            if_alive[mine] = self.orders_if_alive(count, ages, np.array([ahead]))[place, 0]
        return self.p_alive(x, recency, age) * if_alive


def fit_bg_nbd(groups: Histories) -> BgNbd:
    """The maximum of the likelihood. ``converged`` is false where there is none.

    It is searched over log r, log of the mean rate r / alpha, logit of the mean chance to leave
    a / (a + b), and log (a + b), which depend on one another little.
    """
    counts, place = np.unique(groups.x, return_inverse=True)
    total = groups.customers.sum()
    days = float((groups.customers * groups.age).sum())
    if not total or not days or not counts.any():
        return BgNbd(np.nan, np.nan, np.nan, np.nan, converged=False)

    def objective(point: Vector) -> tuple[float, Vector]:
        return _mean_log_likelihood(point, groups, counts, place, total)

    pace = np.log(float((groups.customers * groups.x).sum()) / days)
    starts = [
        np.array([np.log(0.5), pace + 0.5, logit(0.2), np.log(3.0)]),
        np.array([np.log(2.0), pace, logit(0.03), np.log(20.0)]),
    ]
    best = maximise(objective, starts, _LOWER, _UPPER)
    r, alpha, a, b = _natural(best.point)
    return BgNbd(r, alpha, a, b, best.value * float(total), best.converged)


def log_likelihood(model: BgNbd, groups: Histories) -> float:
    """Of the groups under the model."""
    counts, place = np.unique(groups.x, return_inverse=True)
    parameters = (model.r, model.alpha, model.a, model.b)
    return float((groups.customers * _terms(parameters, groups, counts, place)[0]).sum())


def _natural(point: Vector) -> tuple[float, float, float, float]:
    r, leaving, size = np.exp(point[0]), expit(point[2]), np.exp(point[3])
    alpha = np.exp(point[0] - point[1])
    return float(r), float(alpha), float(leaving * size), float(expit(-point[2]) * size)


def _mean_log_likelihood(
    point: Vector, groups: Histories, counts: Vector, place: NDArray[np.intp], total: float
) -> tuple[float, Vector]:
    r, alpha, a, b = _natural(point)
    value, d_r, d_alpha, d_a, d_b = (
        float((groups.customers * term).sum()) / float(total)
        for term in _terms((r, alpha, a, b), groups, counts, place)
    )
    turn = a * b / (a + b)
    slope = [r * d_r + alpha * d_alpha, -alpha * d_alpha, turn * (d_a - d_b), a * d_a + b * d_b]
    return value, np.array(slope)


def _terms(
    parameters: tuple[float, float, float, float],
    groups: Histories,
    counts: Vector,
    place: NDArray[np.intp],
) -> tuple[Vector, ...]:
    """Log-likelihood of one customer of each group, and its derivatives by r, alpha, a, b."""
    r, alpha, a, b = parameters
    x = groups.x
    since_start, until_last = np.log(alpha + groups.age), np.log(alpha + groups.recency)
    odds = _log_odds_gone(BgNbd(r, alpha, a, b), x, groups.recency, groups.age)
    gone = expit(odds)
    stayed = 1 - gone
    before = np.where(x > 0, b + x - 1, 1.0)
    gammas = (
        gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
        + gammaln(a + b) - gammaln(a + b + counts) + gammaln(b + counts) - gammaln(b)
    )  # fmt: skip
    all_left = digamma(a + b) - digamma(a + b + counts)
    value = gammas[place] - (r + x) * since_start + np.logaddexp(0.0, odds)
    d_r = (digamma(r + counts) - digamma(r) + np.log(alpha))[place]
    d_r -= stayed * since_start + gone * until_last
    d_alpha = stayed / (alpha + groups.age) + gone / (alpha + groups.recency)
    d_alpha = r / alpha - (r + x) * d_alpha
    d_a = all_left[place] + gone / a
    d_b = (all_left + digamma(b + counts) - digamma(b))[place] - gone / before
    return value, d_r, d_alpha, d_a, d_b


def _log_odds_gone(model: BgNbd, x: Vector, recency: Vector, age: Vector) -> Vector:
    """Log of P(gone) / P(alive); minus infinity without a repeat order."""
    repeated = x > 0
    before = np.where(repeated, model.b + x - 1, 1.0)
    silence = np.log1p((age - recency) / (model.alpha + recency))
    odds = np.log(model.a) - np.log(before) + (model.r + x) * silence
    return np.where(repeated, odds, -np.inf)


def _beta_nodes(a: float, b: float) -> tuple[Vector, Vector]:
    """Points in 0..1 and weights of the mean of a smooth function over beta(a, b): eigenvalues of
    the recurrence of the Jacobi polynomials, and squares of the first entries of its vectors."""
    n = np.arange(1, NODES, dtype=float)
    first, second = b - 1, a - 1
    both = first + second
    middle = np.empty(NODES)
    middle[0] = (second - first) / (both + 2)
    middle[1:] = (second**2 - first**2) / ((2 * n + both) * (2 * n + both + 2))
    square = np.empty(NODES - 1)
    square[0] = 4 * (first + 1) * (second + 1) / ((both + 2) ** 2 * (both + 3))
    n = n[1:]
    square[1:] = 4 * n * (n + first) * (n + second) * (n + both) / (
        (2 * n + both) ** 2 * (2 * n + both + 1) * (2 * n + both - 1)
    )  # fmt: skip
    points, vectors = eigh_tridiagonal(middle, np.sqrt(square))
    return np.clip((points + 1) / 2, 1e-300, 1.0), vectors[0] ** 2
