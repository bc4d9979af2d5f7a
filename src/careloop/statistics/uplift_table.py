"""The comparison of treated and held-out customers as a table, one row per comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Self

import duckdb
import pyarrow as pa

from careloop.statistics.uplift import (
    Arm,
    Difference,
    rate_difference,
    sample_ratio_p,
    spend_difference,
)

KEYS = ("experiment_kind", "experiment", "period")
COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(KEYS, pa.string()),
    "treated_rate": pa.float64(),
    "holdout_rate": pa.float64(),
    "rate_difference": pa.float64(),
    "rate_difference_low": pa.float64(),
    "rate_difference_high": pa.float64(),
    "treated_spend": pa.float64(),
    "holdout_spend": pa.float64(),
    "spend_difference": pa.float64(),
    "spend_difference_low": pa.float64(),
    "spend_difference_high": pa.float64(),
    "sample_ratio_p": pa.float64(),
    "verdict": pa.string(),
    "verdict_en": pa.string(),
    "verdict_zh": pa.string(),
}
# What is counted, as words of a verdict.
NOUNS = {
    "order": ("orders", "订单"),
    "interaction": ("interactions", "互动"),
    "survey_answer": ("survey answers", "问卷回答"),
    "login": ("logins", "登录"),
    "visit": ("visits", "到访"),
}
DIGITS = 9


@dataclass(frozen=True)
class UpliftRules:
    """The pack's numbers. least_customers: of either arm, below which nothing is said."""

    confidence: float
    least_customers: int
    sample_ratio_alarm: float

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """From the pack as flat settings."""
        return cls(
            float(settings["uplift.confidence"]),
            int(settings["uplift.least_customers"]),
            float(settings["uplift.sample_ratio_alarm"]),
        )


def uplift_table(groups: duckdb.DuckDBPyRelation, rules: UpliftRules) -> pa.Table:
    """One row per row of ``groups``, which has the keys, ``conversion_event``,
    ``holdout_share`` (promised; null: unknown), ``complete_on`` (date, null: complete) and of
    each arm ``customers``, ``conversions``, ``spend`` and ``spend_squares``."""
    names = groups.columns
    rows = [dict(zip(names, row, strict=True)) for row in groups.order(", ".join(KEYS)).fetchall()]
    compared = [compare(row, rules) for row in rows]
    return pa.table({n: pa.array([row[n] for row in compared], t) for n, t in COLUMNS.items()})


def compare(row: Mapping[str, Any], rules: UpliftRules) -> dict[str, Any]:
    """The columns of one comparison."""
    treated, holdout = _arm(row, "treated"), _arm(row, "holdout")
    share = row["holdout_share"]
    ratio = sample_ratio_p(
        treated.customers, holdout.customers, None if share is None else float(share)
    )
    rates = rate_difference(treated, holdout, rules.confidence)
    spends = spend_difference(treated, holdout, rules.confidence)
    event = row["conversion_event"]
    name, english, chinese = verdict(
        treated, holdout, rates, ratio, rules, event, row["complete_on"]
    )
    return {
        **{key: row[key] for key in KEYS},
        "treated_rate": _rounded(treated.rate),
        "holdout_rate": _rounded(holdout.rate),
        **_interval("rate_difference", rates),
        "treated_spend": _rounded(treated.mean),
        "holdout_spend": _rounded(holdout.mean),
        **_interval("spend_difference", spends),
        "sample_ratio_p": ratio if ratio is None else float(f"{ratio:.6g}"),
        "verdict": name,
        "verdict_en": english,
        "verdict_zh": chinese,
    }


def verdict(
    treated: Arm,
    holdout: Arm,
    rates: Difference,
    ratio: float | None,
    rules: UpliftRules,
    event: str,
    complete_on: date | None,
) -> tuple[str, str, str]:
    """(name, English, Chinese): what may be said, the strongest objection first."""
    english, chinese = NOUNS[event]
    if not treated.customers or not holdout.customers:
        missing = ("left alone", "对照") if not holdout.customers else ("treated", "关怀")
        return (
            "nothing_to_compare",
            f"nothing to compare: nobody was {missing[0]}",
            f"无法比较：没有{missing[1]}组客户",
        )
    if ratio is not None and ratio < rules.sample_ratio_alarm:
        return (
            "wrong_sizes",
            "groups do not have the promised sizes: not to be trusted",
            "两组规模与约定比例不符，结果不可信",
        )
    if complete_on is not None:
        return (
            "running",
            f"still running, until {complete_on.isoformat()}",
            f"仍在进行，{complete_on.isoformat()} 结束",
        )
    least = min(treated.customers, holdout.customers)
    if least < rules.least_customers:
        return (
            "too_small",
            f"too small to tell: {least} customers in the smaller group, "
            f"{rules.least_customers} are needed",
            f"样本太小，无法判断：较小一组仅 {least} 位客户，至少需要 {rules.least_customers} 位",
        )
    low, high = _points(rates.low), _points(rates.high)
    if rates.low is not None and rates.low > 0:
        return (
            "more",
            f"more {english}: between {low} and {high} points",
            f"{chinese}增加：{low} 到 {high} 个百分点",
        )
    if rates.high is not None and rates.high < 0:
        return (
            "fewer",
            f"fewer {english}, so worse: between {low} and {high} points",
            f"{chinese}减少，效果更差：{low} 到 {high} 个百分点",
        )
    return (
        "no_difference",
        f"no difference found: between {low} and {high} points of {english}",
        f"未发现差异：{chinese} {low} 到 {high} 个百分点",
    )


def _arm(row: Mapping[str, Any], name: str) -> Arm:
    return Arm(
        int(row[f"{name}_customers"]),
        int(row[f"{name}_conversions"]),
        Decimal(row[f"{name}_spend_total"]),
        Decimal(row[f"{name}_spend_squares"]),
    )


def _interval(name: str, found: Difference) -> dict[str, float | None]:
    values = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return {column: _rounded(value) for column, value in values.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _points(share: float | None) -> str:
    return f"{(share or 0) * 100:+.1f}".replace("-", "−")
