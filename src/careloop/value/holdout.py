"""How well a model fitted up to a day foretells the orders after it.

Customers with the same history have the same prediction, so the sums of their orders and of the
squares are enough for the total, the correlation and the root mean square error per customer.
SOURCE. Fader, Hardie & Lee (2005), section 4: calibration and forecast period, correlation of
actual and predicted orders per customer.
"""

from dataclasses import dataclass

import numpy as np

from careloop.value.bg_nbd import BgNbd
from careloop.value.groups import Histories


@dataclass(frozen=True)
class Scores:
    """Orders are repeat order days in the holdout; errors are per customer. Unknown figures (no
    order in the holdout, no difference between customers) are NaN."""

    customers: int
    repeaters: int
    predicted: float
    actual: float
    correlation: float
    rmse: float

    @property
    def total_error(self) -> float:
        """Predicted over actual orders, less one: -0.12 is 12 % too few."""
        return self.predicted / self.actual - 1 if self.actual else float("nan")


def holdout_scores(model: BgNbd, groups: Histories, ahead: float) -> Scores:
    """Score a model of the calibration period on ``ahead`` time units after it; the groups are
    those of the calibration with what their customers ordered in the holdout."""
    if groups.held is None or groups.held_squares is None:
        raise ValueError("groups without a holdout cannot be scored")
    weight, held = groups.customers, groups.held
    each = model.conditional_orders(groups.x, groups.recency, groups.age, ahead)
    customers = float(weight.sum())
    predicted, actual = float((weight * each).sum()), float(held.sum())
    squares = float(groups.held_squares.sum())
    misses = float((weight * each**2 - 2 * each * held).sum()) + squares
    mean, mean_held = predicted / customers, actual / customers
    shared = float((each * held).sum()) / customers - mean * mean_held
    spread = float((weight * each**2).sum()) / customers - mean**2
    spread_held = squares / customers - mean_held**2
    both = spread * spread_held
    return Scores(
        customers=round(customers),
        repeaters=round(float(weight[groups.x > 0].sum())),
        predicted=predicted,
        actual=actual,
        correlation=shared / np.sqrt(both) if min(spread, spread_held) > 1e-12 else float("nan"),
        rmse=float(np.sqrt(max(misses, 0) / customers)),
    )
