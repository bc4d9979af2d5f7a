"""The fit of the value model to this run's histories; see ``careloop.value.run``."""

from careloop.value import ValueRules, fit_row, fit_value


def model(dbt, session):  # noqa: ARG001
    dbt.config(materialized="table")
    rules = ValueRules.of(dict(dbt.source("program", "settings").fetchall()))
    holdout_days = dbt.ref("int_value_period").project("holdout_days").fetchall()[0][0]
    regularity = dbt.ref("int_purchase_regularity")
    columns = "sampled_customers, interval_variation"
    sampled, variation = regularity.project(columns).fetchall()[0]
    histories = dbt.ref("int_purchase_histories")
    return fit_row(fit_value(histories, rules, holdout_days, sampled, variation), rules)
