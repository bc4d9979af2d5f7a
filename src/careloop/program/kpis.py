"""The KPIs there are, defined once in kpis.yml: unit, direction, numerator, denominator, models.

unit: share (0..1), score_5 (1..5), score_100 (0..100), nps (-100..100), minutes, hours, days or
money. Values in packs are in this unit; relative changes are shares of the baseline (0.25 is
+25 %).
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import yaml

Unit = Literal["share", "score_5", "score_100", "nps", "minutes", "hours", "days", "money"]
Better = Literal["higher", "lower"]

# Least and most a value of a unit can be.
LIMITS: dict[str, tuple[float, float]] = {
    "share": (0, 1),
    "score_5": (1, 5),
    "score_100": (0, 100),
    "nps": (-100, 100),
    **dict.fromkeys(("minutes", "hours", "days", "money"), (0, float("inf"))),
}


@dataclass(frozen=True)
class Kpi:
    """One KPI: numerator / denominator, both sums over rows.

    better: the direction of improvement. of: what one unit of the denominator is. is_state: it
    holds on a day and is recorded by each run, instead of being counted over a period.
    """

    name: str
    unit: Unit
    better: Better
    of: str
    is_state: bool
    about_en: str
    about_zh: str
    numerator_en: str
    numerator_zh: str
    denominator_en: str
    denominator_zh: str
    models: tuple[str, ...]

    @property
    def is_proportion(self) -> bool:
        """Whether the numerator counts some of the denominator."""
        return self.unit == "share"


def _kpi(item: dict[str, Any]) -> Kpi:
    texts = {
        f"{key}_{language}": item[key][language]
        for key in ("about", "numerator", "denominator")
        for language in ("en", "zh")
    }
    return Kpi(
        item["name"],
        item["unit"],
        item["better"],
        item["of"],
        item.get("state", False),
        models=tuple(item["models"]),
        **texts,
    )


def _load() -> dict[str, Kpi]:
    text = (files("careloop.program") / "kpis.yml").read_text("utf-8")
    return {item["name"]: _kpi(item) for item in yaml.safe_load(text)}


KPIS: dict[str, Kpi] = _load()
