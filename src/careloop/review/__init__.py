"""The quarterly review and its monthly short form: figures, sentences, charts, tables."""

from careloop.program.period import Period, last_period, parse_period
from careloop.review.write import Written, write

__all__ = ["Period", "Written", "last_period", "parse_period", "write"]
