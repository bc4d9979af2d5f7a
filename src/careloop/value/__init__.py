"""Customer lifetime value: BG/NBD and Gamma-Gamma on grouped histories, their check and use."""

from careloop.value.bg_nbd import BgNbd, fit_bg_nbd
from careloop.value.factors import value_factors
from careloop.value.gamma_gamma import GammaGamma, fit_gamma_gamma
from careloop.value.gate import Buyers, Verdict, judge, suits
from careloop.value.groups import Histories, Spend, read_histories, read_spend
from careloop.value.holdout import Scores, holdout_scores
from careloop.value.rules import ValueRules
from careloop.value.run import ValueFit, factor_rows, fit_row, fit_value

__all__ = [
    "BgNbd",
    "Buyers",
    "GammaGamma",
    "Histories",
    "Scores",
    "Spend",
    "ValueFit",
    "ValueRules",
    "Verdict",
    "factor_rows",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "fit_row",
    "fit_value",
    "holdout_scores",
    "judge",
    "read_histories",
    "read_spend",
    "suits",
    "value_factors",
]
