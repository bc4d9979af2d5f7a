"""How unlikely each distinct change is; see ``careloop.statistics.counts``."""

from careloop.statistics import likelihood_table


def model(dbt, session):  # noqa: ARG001
    dbt.config(materialized="table")
    settings = dict(dbt.source("program", "settings").fetchall())
    interval = float(settings["churn.interval"])
    return likelihood_table(dbt.ref("int_signal_candidates"), interval)
