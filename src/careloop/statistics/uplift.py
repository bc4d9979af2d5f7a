"""What care achieved: treated customers against those left alone at random, from grouped rows.

Everything here needs only counts and sums of the two arms, so that SQL does the set work.

Sources: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
JASA 22 (1927), for the interval of one share. R. G. Newcombe, Interval estimation for the
difference between independent proportions: comparison of eleven methods, Statistics in Medicine
17 (1998), method 10 (hybrid score), for the difference of two. B. L. Welch, The generalization of
"Student's" problem when several different population variances are involved, Biometrika 34
(1947), for the difference of two means. A. Fabijan et al., Diagnosing sample ratio mismatch in
online controlled experiments, KDD 2019, for the check of the groups' sizes, flagged below 0.001
as GrowthBook does too.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import erfc, isfinite, sqrt

from scipy import stats


@dataclass(frozen=True)
class Arm:
    """One group. customers and conversions are counts; spend: sum of what they spent in the
    window, squares: sum of the squares of each customer's spend, both exact."""

    customers: int
    conversions: int
    spend: Decimal = Decimal(0)
    squares: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if not 0 <= self.conversions <= self.customers:
            raise ValueError(
                f"{self.conversions} conversions of {self.customers} customers are impossible"
            )

    @property
    def rate(self) -> float | None:
        """Share that converted; unknown without customers."""
        return self.conversions / self.customers if self.customers else None

    @property
    def mean(self) -> float | None:
        """Spend per customer; unknown without customers."""
        return float(self.spend / self.customers) if self.customers else None

    @property
    def variance(self) -> float | None:
        """Variance of the spend between customers; unknown of fewer than two.

        Computed in decimals: in floating point the difference of two large sums loses it.
        """
        if self.customers < 2:
            return None
        with localcontext(prec=60):
            about_mean = self.squares - self.spend * self.spend / self.customers
            return max(0.0, float(about_mean / (self.customers - 1)))


@dataclass(frozen=True)
class Difference:
    """Treated less held out, with the ends of the confidence interval; None where unknown."""

    value: float | None
    low: float | None
    high: float | None


def wilson_interval(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share. Raises ValueError without trials."""
    if trials < 1:
        raise ValueError("a share of nobody has no interval")
    z = _z(confidence)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    spread = 1 + z * z / trials
    return max(0.0, (middle - half) / spread), min(1.0, (middle + half) / spread)


def rate_difference(treated: Arm, holdout: Arm, confidence: float) -> Difference:
    """Difference of the conversion rates with Newcombe's hybrid score interval.

    Unlike the interval of the textbook it holds near 0 and 1, where care usually is.
    """
    p1, p2 = treated.rate, holdout.rate
    if p1 is None or p2 is None:
        return Difference(None, None, None)
    low1, high1 = wilson_interval(treated.conversions, treated.customers, confidence)
    low2, high2 = wilson_interval(holdout.conversions, holdout.customers, confidence)
    value = p1 - p2
    low = value - sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2)
    high = value + sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)
    return Difference(value, low, high)


def spend_difference(treated: Arm, holdout: Arm, confidence: float) -> Difference:
    """Difference of spend per customer with Welch's interval; without one where either arm has
    fewer than two customers. All customers count, those who spent nothing too."""
    m1, m2 = treated.mean, holdout.mean
    if m1 is None or m2 is None:
        return Difference(None, None, None)
    value = m1 - m2
    v1, v2 = treated.variance, holdout.variance
    if v1 is None or v2 is None:
        return Difference(value, None, None)
    e1, e2 = v1 / treated.customers, v2 / holdout.customers
    if e1 + e2 == 0:
        return Difference(value, value, value)
    freedom = (e1 + e2) ** 2 / (e1**2 / (treated.customers - 1) + e2**2 / (holdout.customers - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * sqrt(e1 + e2)
    return Difference(value, value - half, value + half)


def sample_ratio_p(treated: int, holdout: int, holdout_share: float | None) -> float | None:
    """Chance of group sizes as far off or further, if ``holdout_share`` of the customers had been
    drawn at random: Pearson's chi-square with one degree of freedom. None where nobody was
    exposed or no share between 0 and 1 was promised."""
    total = treated + holdout
    if not total or holdout_share is None or not 0 < holdout_share < 1:
        return None
    expected = total * holdout_share
    square = (holdout - expected) ** 2 * (1 / expected + 1 / (total - expected))
    return erfc(sqrt(square / 2))


def _z(confidence: float) -> float:
    if not (isfinite(confidence) and 0 < confidence < 1):
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    return float(stats.norm.ppf((1 + confidence) / 2))
