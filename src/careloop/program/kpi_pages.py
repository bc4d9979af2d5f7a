"""What is generated from kpis.yml: the table of docs/kpis.md, and dbt's semantic layer."""

from typing import Any

import yaml

from careloop.program.kpis import KPIS, Kpi

# Ending of a metric's name by type of period; a quarter is what most targets go by.
PERIODS = {"quarter": "", "month": "_month", "week": "_week", "year": "_year"}
PARTS = ("numerator", "denominator")
_PERIOD_WORDS = {
    "quarter": "a calendar quarter",
    "month": "a calendar month",
    "week": "a week from Monday, where the program asks for weeks",
    "year": "twelve months that end with a quarter or with as_of's day",
}
_UNITS = {
    "share": "share, 0 to 1",
    "score_5": "1 to 5",
    "score_100": "0 to 100",
    "nps": "-100 to 100",
    "minutes": "minutes",
    "hours": "hours",
    "days": "days",
    "money": "the program's currency",
}
# Name of a dimension: column or expression, and what it is.
_COUNTED = {
    "name": ("kpi", "Name of the KPI."),
    "period_type": ("period_type", "week, month, quarter or year."),
}
_OWNER = {"owner": ("owner_id", "Member of staff it belongs to, else the account manager today.")}
_PLACES = {
    "segment": ("segment", "The customer's segment when the period began."),
    "stage": ("stage", "The customer's lifecycle stage when the period began."),
    "tier": ("tier", "The customer's loyalty tier when the period began."),
    "region": ("region", "The customer's region today."),
    "touchpoint": ("touchpoint", "Touchpoint it is about."),
    "core": (
        "case when is_core then 'core' when not is_core then 'other' else '(unknown)' end",
        "core or other pain points; (unknown) for all other KPIs.",
    ),
}


def kpis_markdown() -> str:
    """The generated part of docs/kpis.md."""
    lines = ["## Every KPI", ""]
    for kpi in KPIS.values():
        state = "; holds on a day, recorded by each run" if kpi.is_state else ""
        lines += [
            f"### {kpi.name}",
            "",
            f"{kpi.about_en} · {kpi.about_zh}",
            "",
            f"*{_UNITS[kpi.unit]}, {kpi.better} is better; one {kpi.of} is one of the "
            f"denominator{state}*",
            "",
            "| | |",
            "|---|---|",
            f"| numerator | {kpi.numerator_en} |",
            f"| denominator | {kpi.denominator_en} |",
            f"| 分子 | {kpi.numerator_zh} |",
            f"| 分母 | {kpi.denominator_zh} |",
            f"| from | {', '.join(f'`{model}`' for model in kpi.models)} |",
            "",
        ]
    return "\n".join(lines)


def semantic_models() -> str:
    """dbt's semantic layer: one metric per KPI and type of period, over fct_kpis, and one per KPI
    by owner over fct_kpi_owners, of quarters."""
    models = [
        _model("kpis", "kpi", "fct_kpis", "What KPIs count, by period and slice.", _PLACES),
        _model("kpi_owners", "kpi_owner", "fct_kpi_owners", "The same by owner.", _OWNER),
    ]
    metrics = [_part(entity, part) for entity in ("kpi", "kpi_owner") for part in PARTS]
    metrics += [_metric(kpi, period) for kpi in KPIS.values() for period in PERIODS]
    metrics += [_metric(kpi, "quarter", "kpi_owner", "_by_owner") for kpi in KPIS.values()]
    text = yaml.safe_dump(
        {"version": 2, "semantic_models": models, "metrics": metrics},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return f"# Generated from kpis.yml by `make docs`.\n{text}"


def _model(name: str, entity: str, mart: str, about: str, dimensions: dict) -> dict[str, Any]:
    period = {
        "name": "period_start",
        "label": "Period",
        "description": "First local day of the period.",
        "type": "time",
        "type_params": {"time_granularity": "day"},
    }
    texts = [
        {"name": name, "description": about, "type": "categorical", "expr": expr}
        for name, (expr, about) in (_COUNTED | dimensions).items()
    ]
    return {
        "name": name,
        "label": "KPIs" if entity == "kpi" else "KPIs by owner",
        "description": about,
        "model": f"ref('{mart}')",
        "defaults": {"agg_time_dimension": "period_start"},
        "primary_entity": entity,
        "dimensions": [period, *texts],
        "measures": [_measure(entity, part) for part in PARTS],
    }


def _measure(entity: str, part: str) -> dict[str, Any]:
    # Periods are never added: of several the last one counts.
    last = {"name": "period_start", "window_choice": "max"}
    return {
        "name": part if entity == "kpi" else f"owner_{part}",
        "description": f"Sum of the {part}, of the last period asked for.",
        "agg": "sum",
        "expr": part,
        "non_additive_dimension": last,
    }


def _part(entity: str, part: str) -> dict[str, Any]:
    return {
        "name": f"{entity}_{part}",
        "label": f"{part.capitalize()} of KPIs" + (" by owner" if entity != "kpi" else ""),
        "description": f"The {part} of what is chosen by {entity}__name and "
        f"{entity}__period_type; says nothing without both.",
        "type": "simple",
        "type_params": {"measure": part if entity == "kpi" else f"owner_{part}"},
    }


def _metric(kpi: Kpi, period: str, entity: str = "kpi", ending: str = "") -> dict[str, Any]:
    return {
        "name": kpi.name + PERIODS[period] + ending,
        "label": f"{kpi.about_en} ({period}{ending.replace('_', ' ')})",
        "description": f"{kpi.about_en}, over {_PERIOD_WORDS[period]} ({_UNITS[kpi.unit]}; "
        f"{kpi.better} is better). Numerator: {kpi.numerator_en}. Denominator: "
        f"{kpi.denominator_en}.",
        "type": "ratio",
        "type_params": {part: f"{entity}_{part}" for part in PARTS},
        "filter": [
            f"{{{{ Dimension('{entity}__{dimension}') }}}} = '{value}'"
            for dimension, value in (("name", kpi.name), ("period_type", period))
        ],
    }
