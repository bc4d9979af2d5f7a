"""Statistics of single customers: numbers that SQL cannot compute, on grouped data."""

from careloop.statistics.counts import Expected, expected_counts
from careloop.statistics.likelihoods import likelihood_table

__all__ = ["Expected", "expected_counts", "likelihood_table"]
