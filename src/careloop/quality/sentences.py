"""The expectation types a gate may use, and how each reads in English and Chinese.

Types of Great Expectations that are not listed here are left out because they do not work over
DuckDB (column types, quantiles) or read every row into Python.
"""

import re
from datetime import datetime, time
from typing import Any

SENTENCES: dict[str, tuple[str, str]] = {
    "expect_column_to_exist": ("the column {column} exists", "存在列 {column}"),
    "expect_table_columns_to_match_set": (
        "the columns are {column_set}",
        "列为 {column_set}",
    ),
    "expect_table_row_count_to_be_between": ("the table has {range} rows", "行数{range}"),
    "expect_table_row_count_to_equal": ("the table has {value} rows", "行数等于 {value}"),
    "expect_column_values_to_not_be_null": ("{column} is known", "{column} 有值"),
    "expect_column_values_to_be_null": ("{column} is empty", "{column} 为空"),
    "expect_column_values_to_be_unique": ("{column} is unique", "{column} 不重复"),
    "expect_compound_columns_to_be_unique": (
        "{column_list} together are unique",
        "{column_list} 的组合不重复",
    ),
    "expect_column_values_to_be_in_set": (
        "{column} is one of {value_set}",
        "{column} 取值为 {value_set}",
    ),
    "expect_column_values_to_not_be_in_set": (
        "{column} is none of {value_set}",
        "{column} 不取 {value_set}",
    ),
    "expect_column_values_to_be_between": ("{column} is {range}", "{column} {range}"),
    "expect_column_value_lengths_to_be_between": (
        "the length of {column} is {range}",
        "{column} 的长度{range}",
    ),
    "expect_column_values_to_match_regex": ("{column} matches {regex}", "{column} 匹配 {regex}"),
    "expect_column_values_to_not_match_regex": (
        "{column} does not match {regex}",
        "{column} 不匹配 {regex}",
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        "{column_A} is {more} {column_B}",
        "{column_A} {more}{column_B}",
    ),
    "expect_column_pair_values_to_be_equal": (
        "{column_A} equals {column_B}",
        "{column_A} 等于 {column_B}",
    ),
    "expect_column_min_to_be_between": (
        "the smallest {column} is {range}",
        "{column} 的最小值{range}",
    ),
    "expect_column_max_to_be_between": (
        "the largest {column} is {range}",
        "{column} 的最大值{range}",
    ),
    "expect_column_sum_to_be_between": ("the sum of {column} is {range}", "{column} 的合计{range}"),
    "expect_column_mean_to_be_between": (
        "the mean of {column} is {range}",
        "{column} 的平均值{range}",
    ),
    "expect_column_median_to_be_between": (
        "the median of {column} is {range}",
        "{column} 的中位数{range}",
    ),
    "expect_column_stdev_to_be_between": (
        "the standard deviation of {column} is {range}",
        "{column} 的标准差{range}",
    ),
    "unexpected_rows_expectation": ("", ""),
}
"""``unexpected_rows_expectation`` has no sentence of its own: the file must say what it means."""


def sentence(type_: str, kwargs: dict[str, Any]) -> dict[str, str]:
    """What ``type_`` with ``kwargs`` asks for, ``{"en": …, "zh": …}``."""
    return {
        language: _fill(template, kwargs, language) + _mostly(kwargs.get("mostly"), language)
        for language, template in zip(("en", "zh"), SENTENCES[type_], strict=True)
    }


def _fill(template: str, kwargs: dict[str, Any], language: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "range":
            return _range(kwargs, language)
        if name == "more":
            return _more(bool(kwargs.get("or_equal")), language)
        return _text(kwargs.get(name))

    return re.sub(r"\{(\w+)\}", value, template)


def _more(or_equal: bool, language: str) -> str:
    if language == "zh":
        return "不小于 " if or_equal else "大于 "
    return "at or after" if or_equal else "after"


def _range(kwargs: dict[str, Any], language: str) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = kwargs.get("strict_min"), kwargs.get("strict_max")
    words = {
        "en": ("above ", "at least ", "below ", "at most ", " and "),
        "zh": ("大于 ", "不小于 ", "小于 ", "不大于 ", " 且"),
    }[language]
    parts = []
    if low is not None:
        parts.append((words[0] if above[0] else words[1]) + _text(low))
    if high is not None:
        parts.append((words[2] if above[1] else words[3]) + _text(high))
    return words[4].join(parts)


def _mostly(share: Any, language: str) -> str:
    if share is None or share == 1:
        return ""
    percent = f"{float(share) * 100:g}"
    return {"en": f" in at least {percent} % of rows", "zh": f"（至少 {percent}% 的行）"}[language]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,g}"
    if isinstance(value, (list, tuple, set)):
        return ", ".join(_text(v) for v in value) or "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == time() else f"{value:%Y-%m-%d %H:%M}"
    return str(value)
