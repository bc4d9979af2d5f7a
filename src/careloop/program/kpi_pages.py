"""What is generated from kpis.yml: the table of docs/kpis.md, and dbt's semantic layer."""

from typing import Any

import yaml

from careloop.program.kpis import KPIS, Kpi

# Ending of a metric's name by type of period; a quarter is what most targets go by.
PERIODS = {"quarter": "", "month": "_month", "week": "_week", "year": "_year"}
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
# Name of a dimension: column or expression of fct_kpis, and what it is.
_DIMENSIONS = {
    "name": ("kpi", "Name of the KPI."),
    "period_type": ("period_type", "week, month, quarter or year."),
    "segment": ("segment", "The customer's segment when the period began."),
    "stage": ("stage", "The customer's lifecycle stage when the period began."),
    "tier": ("tier", "The customer's loyalty tier when the period began."),
    "region": ("region", "The customer's region today."),
    "owner": ("owner_id", "Member of staff it belongs to, else the account manager today."),
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
    """dbt's semantic layer over fct_kpis: one metric per KPI and type of period."""
    parts = ("numerator", "denominator")
    model = {
        "name": "kpis",
        "label": "KPIs",
        "description": "What KPIs count, by period and slice.",
        "model": "ref('fct_kpis')",
        "defaults": {"agg_time_dimension": "period_start"},
        "primary_entity": "kpi",
        "dimensions": [*_dimensions()],
        "measures": [_measure(part) for part in parts],
    }
    metrics = [_part(part) for part in parts]
    metrics += [_metric(kpi, period) for kpi in KPIS.values() for period in PERIODS]
    text = yaml.safe_dump(
        {"version": 2, "semantic_models": [model], "metrics": metrics},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return f"# Generated from kpis.yml by `make docs`.\n{text}"


def _dimensions() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": "period_start",
            "label": "Period",
            "description": "First local day of the period.",
            "type": "time",
            "type_params": {"time_granularity": "day"},
        }
    ]
    for name, (expr, about) in _DIMENSIONS.items():
        found.append({"name": name, "description": about, "type": "categorical", "expr": expr})
    return found


def _measure(part: str) -> dict[str, Any]:
    # Periods are never added: of several the last one counts.
    last = {"name": "period_start", "window_choice": "max"}
    return {
        "name": part,
        "description": f"Sum of the {part}, of the last period asked for.",
        "agg": "sum",
        "expr": part,
        "non_additive_dimension": last,
    }


def _part(part: str) -> dict[str, Any]:
    return {
        "name": f"kpi_{part}",
        "label": f"{part.capitalize()} of KPIs",
        "description": f"The {part} of what is chosen by kpi__name and kpi__period_type; says "
        "nothing without both.",
        "type": "simple",
        "type_params": {"measure": part},
    }


def _metric(kpi: Kpi, period: str) -> dict[str, Any]:
    return {
        "name": kpi.name + PERIODS[period],
        "label": f"{kpi.about_en} ({period})",
        "description": f"{kpi.about_en}, over {_PERIOD_WORDS[period]} ({_UNITS[kpi.unit]}; "
        f"{kpi.better} is better). Numerator: {kpi.numerator_en}. Denominator: "
        f"{kpi.denominator_en}.",
        "type": "ratio",
        "type_params": {"numerator": "kpi_numerator", "denominator": "kpi_denominator"},
        "filter": [
            f"{{{{ Dimension('kpi__{dimension}') }}}} = '{value}'"
            for dimension, value in (("name", kpi.name), ("period_type", period))
        ],
    }
