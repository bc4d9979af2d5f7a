"""Statistics of customers: numbers that SQL cannot compute, on grouped data."""

from careloop.statistics.counts import Expected, expected_counts
from careloop.statistics.likelihoods import likelihood_table
from careloop.statistics.uplift import (
    Arm,
    Difference,
    rate_difference,
    sample_ratio_p,
    spend_difference,
    wilson_interval,
)
from careloop.statistics.uplift_table import UpliftRules, uplift_table

__all__ = [
    "Arm",
    "Difference",
    "Expected",
    "UpliftRules",
    "expected_counts",
    "likelihood_table",
    "rate_difference",
    "sample_ratio_p",
    "spend_difference",
    "uplift_table",
    "wilson_interval",
]
