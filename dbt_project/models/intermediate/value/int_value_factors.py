"""What customers still alive are expected to do; see ``careloop.value.factors``."""

from careloop.value import ValueRules, factor_rows


def model(dbt, session):  # noqa: ARG001
    dbt.config(materialized="table")
    rules = ValueRules.of(dict(dbt.source("program", "settings").fetchall()))
    used = dbt.ref("int_value_model").filter("r is not null").project("r, alpha, a, b").fetchall()
    parameters = dict(zip(("r", "alpha", "a", "b"), used[0], strict=True)) if used else None
    return factor_rows(dbt.ref("int_purchase_histories"), parameters, rules)
