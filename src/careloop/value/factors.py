"""What customers who are still alive are expected to do, by repeats and age.

The conditional expectation of BG/NBD is P(alive) times a factor that depends on the number of
repeat orders and the age alone. The factors need numerics and are few; P(alive) and the value of
an order are closed forms, so SQL scores every customer by one join.
SOURCE. Rewriting of (10) in Fader, Hardie & Lee (2005); see ``bg_nbd``.
"""

from dataclasses import dataclass

import numpy as np

from careloop.value.bg_nbd import BgNbd
from careloop.value.maximise import Vector
from careloop.value.rules import MONTH_DAYS, ValueRules

DIGITS = 9


@dataclass(frozen=True)
class Factors:
    """One entry per distinct (repeats, age in days) of the input, in its order.

    orders: expected within the horizon if alive. discounted_orders: the same, each month's worth
    its present value by the middle of the month. quiet: chance of no order within the churn
    horizon if alive.
    """

    repeats: Vector
    age_days: Vector
    orders: Vector
    discounted_orders: Vector
    quiet: Vector


def value_factors(
    model: BgNbd, repeats: Vector, age_days: Vector, unit_days: float, rules: ValueRules
) -> Factors:
    """Factors of a model whose time unit has ``unit_days``; inputs are distinct pairs."""
    months = np.arange(1, rules.horizon_months + 1)
    ends = months * MONTH_DAYS / unit_days
    present = (1 + rules.yearly_discount_rate) ** (-(months - 0.5) / 12)
    age = age_days / unit_days
    orders, discounted = np.zeros_like(age), np.zeros_like(age)
    for count in np.unique(repeats):
        mine = repeats == count
        until = model.orders_if_alive(count, age[mine], ends)
        orders[mine] = until[:, -1]
        discounted[mine] = np.diff(until, axis=1, prepend=0.0) @ present
    quiet = model.quiet_if_alive(repeats, age, rules.churn_horizon_days / unit_days)
    rounded = (np.round(values, DIGITS) for values in (orders, discounted, quiet))
    return Factors(repeats, age_days, *rounded)
