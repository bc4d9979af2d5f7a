"""Churn risk learned from a company's own past: who stayed away after an earlier day."""

from careloop.churn.logistic import Logistic, fit_logistic
from careloop.churn.rules import ChurnRules
from careloop.churn.run import (
    FEATURES,
    ChurnFit,
    Customers,
    churn_row,
    fit_churn,
    read_customers,
)
from careloop.churn.scores import Scores, auc, precision_at, rfm_risk

__all__ = [
    "FEATURES",
    "ChurnFit",
    "ChurnRules",
    "Customers",
    "Logistic",
    "Scores",
    "auc",
    "churn_row",
    "fit_churn",
    "fit_logistic",
    "precision_at",
    "read_customers",
    "rfm_risk",
]
