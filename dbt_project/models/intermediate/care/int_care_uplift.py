"""Treated against held-out customers; see ``careloop.statistics.uplift``."""

from careloop.statistics import UpliftRules, uplift_table


def model(dbt, session):  # noqa: ARG001
    dbt.config(materialized="table")
    rules = UpliftRules.of(dict(dbt.source("program", "settings").fetchall()))
    return uplift_table(dbt.ref("int_care_uplift_groups"), rules)
