"""`careloop metrics`: KPIs of any slice, by dbt's semantic layer."""

import typer

from careloop.cli.options import Home
from careloop.metrics import run_metricflow
from careloop.settings import load_settings

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    app.command("metrics", context_settings=PASSED_ON)(metrics)


def metrics(context: typer.Context, home: Home = None) -> None:
    """Ask for KPIs of any slice: a command of MetricFlow (`mf`) on the published marts.

    Without a period in --group-by the last one counts. docs/kpis.md has more examples.

    Example: careloop metrics query --metrics nps,repurchase_rate --group-by kpi__segment

    Example: careloop metrics list metrics
    """
    run_metricflow(load_settings(home=home), context.args)
