"""The fit of the churn model to who left after the cut-off; see ``careloop.churn.run``."""

from careloop.churn import ChurnRules, churn_row, fit_churn, read_customers


def model(dbt, session):  # noqa: ARG001
    dbt.config(materialized="table")
    rules = ChurnRules.of(dict(dbt.source("program", "settings").fetchall()))
    return churn_row(fit_churn(read_customers(dbt.ref("int_churn_training")), rules))
