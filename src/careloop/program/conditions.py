"""Condition trees: who a rule is about, as readable text and as SQL.

A condition is ``{all: […]}``, ``{any: […]}``, ``{not: …}`` or a leaf
``{measure: NAME, OPERATION: VALUE}``. A leaf over an unknown (NULL) measure is false, except
``is_known: false``; so ``not`` of it is true. The SQL is a boolean expression that is never
NULL, in the part of the language that DuckDB and Spark read alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from careloop.program.base import Closed, Line, Mistake, refuse
from careloop.program.measures import MEASURES, Measure

Number = int | float
COMPARISONS = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<"}
_SIGNS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
OPERATIONS = (*COMPARISONS, "equals", "one_of", "is_known")
_NUMERIC = (*COMPARISONS, "equals", "one_of", "is_known")
OPERATIONS_BY_TYPE: dict[str, tuple[str, ...]] = {
    "text": ("equals", "one_of", "is_known"),
    "boolean": ("equals", "is_known"),
    **dict.fromkeys(("days", "count", "money", "ratio", "score", "number"), _NUMERIC),
}


class Condition(Closed):
    """A condition on one customer: all, any or not of other conditions, or a measure with
    exactly one operation."""

    model_config = ConfigDict(serialize_by_alias=True)

    all: Annotated[list[Condition], Field(min_length=1)] | None = Field(
        None, description="Every one of these conditions holds."
    )
    any: Annotated[list[Condition], Field(min_length=1)] | None = Field(
        None, description="At least one of these conditions holds."
    )
    not_: Condition | None = Field(None, alias="not", description="This condition does not hold.")
    measure: str | None = Field(None, description="The measure that is compared.")
    at_least: Number | None = Field(None, description="The measure is this or more.")
    above: Number | None = Field(None, description="The measure is more than this.")
    at_most: Number | None = Field(None, description="The measure is this or less.")
    below: Number | None = Field(None, description="The measure is less than this.")
    equals: bool | Number | Line | None = Field(None, description="The measure is exactly this.")
    one_of: Annotated[list[Number | Line], Field(min_length=1)] | None = Field(
        None, description="The measure is one of these."
    )
    is_known: bool | None = Field(
        None, description="The measure is known (true) or unknown (false)."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Condition:
        forms = [name for name in ("all", "any", "not", "measure") if self._given(name)]
        operations = self.operations()
        if len(forms) != 1:
            refuse(
                [
                    Mistake(
                        (),
                        forms or None,
                        "must have exactly one of these keys",
                        ("all", "any", "not", "measure"),
                    )
                ]
            )
        if forms != ["measure"]:
            refuse(
                [
                    Mistake((op,), getattr(self, op), f"only fits a measure, not `{forms[0]}`")
                    for op in operations
                ]
            )
            return self
        measure = MEASURES.get(self.measure or "")
        if measure is None:
            refuse([Mistake(("measure",), self.measure, "is not a measure", tuple(MEASURES))])
        refuse(_operation_mistakes(self, measure, operations))
        return self

    def _given(self, form: str) -> bool:
        return getattr(self, "not_" if form == "not" else form) is not None

    def operations(self) -> list[str]:
        """The operations written in this leaf; exactly one once it is valid."""
        return [name for name in OPERATIONS if getattr(self, name) is not None]

    def leaf(self) -> tuple[Measure, str, Any]:
        """Measure, operation and value of a leaf."""
        operation = self.operations()[0]
        return MEASURES[self.measure], operation, getattr(self, operation)

    def leaves(self) -> Iterator[Condition]:
        """Every leaf below this condition, in the order written."""
        if self.measure is not None:
            yield self
        for child in [*(self.all or ()), *(self.any or ()), *([self.not_] if self.not_ else ())]:
            yield from child.leaves()


def _operation_mistakes(
    leaf: Condition, measure: Measure | None, operations: list[str]
) -> list[Mistake]:
    if measure is None:
        return []
    fitting = OPERATIONS_BY_TYPE[measure.type]
    if len(operations) != 1:
        return [
            Mistake(
                (), operations or None, f"needs exactly one operation on {measure.name}", fitting
            )
        ]
    operation = operations[0]
    value = getattr(leaf, operation)
    if operation not in fitting:
        return [
            Mistake(
                (operation,),
                value,
                f"does not fit {measure.name}, which is {measure.type}",
                fitting,
            )
        ]
    if operation == "is_known":
        return []
    wanted = {"text": str, "boolean": bool}.get(measure.type, (int, float))
    items = list(enumerate(value)) if operation == "one_of" else [(None, value)]
    return [
        Mistake(
            (operation,) if index is None else (operation, index),
            item,
            f"must be a {'number' if wanted == (int, float) else measure.type} like {measure.name}",
        )
        for index, item in items
        if not isinstance(item, wanted) or (isinstance(item, bool) and wanted is not bool)
    ]


NO_OTHER = "no other rule applies"


def condition_text(condition: Condition | None) -> str:
    """Readable English, e.g. ``spend_rank ≥ 0.9 and orders_total ≥ 2``."""
    if condition is None:
        return NO_OTHER
    if condition.measure is not None:
        return _leaf_text(condition)
    if condition.not_ is not None:
        return f"not ({condition_text(condition.not_)})"
    word = " and " if condition.all is not None else " or "
    children = condition.all if condition.all is not None else condition.any
    return word.join(_bracketed(child, len(children)) for child in children)


def _bracketed(child: Condition, siblings: int) -> str:
    text = condition_text(child)
    compound = len(child.all or child.any or ()) > 1
    return f"({text})" if compound and siblings > 1 else text


def _leaf_text(leaf: Condition) -> str:
    measure, operation, value = leaf.leaf()
    if operation == "is_known":
        return f"{measure.name} is {'known' if value else 'unknown'}"
    if operation == "one_of":
        return f"{measure.name} is {' or '.join(map(_plain, value))}"
    if operation == "equals" and measure.type == "boolean":
        return measure.name if value else f"{measure.name} is false"
    return f"{measure.name} {_SIGNS.get(operation, '=')} {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else f"{value:.10g}"


def condition_sql(condition: Condition | None) -> str:
    """A boolean SQL expression over measure names, never NULL; the default is ``true``."""
    if condition is None:
        return "true"
    if condition.measure is not None:
        return _leaf_sql(condition)
    if condition.not_ is not None:
        return f"not ({condition_sql(condition.not_)})"
    word = " and " if condition.all is not None else " or "
    children = condition.all if condition.all is not None else condition.any
    return "(" + word.join(condition_sql(child) for child in children) + ")"


def _leaf_sql(leaf: Condition) -> str:
    comparison = _comparison_sql(leaf)
    return comparison if leaf.is_known is not None else f"coalesce({comparison}, false)"


def _comparison_sql(leaf: Condition) -> str:
    """The comparison of a leaf, NULL where the measure is."""
    measure, operation, value = leaf.leaf()
    name = measure.name
    if operation == "is_known":
        return f"({name} is {'not ' if value else ''}null)"
    if operation == "one_of":
        return f"{name} in ({', '.join(map(sql_literal, value))})"
    return f"{name} {COMPARISONS.get(operation, '=')} {sql_literal(value)}"


def judged_sql(condition: Condition) -> str:
    """A boolean SQL expression, never NULL: whether what is known of a customer settles the
    condition, whichever way. Of `any`, one that holds is enough; of `all`, one that fails."""
    return f"(({_three_valued_sql(condition)}) is not null)"


def _three_valued_sql(condition: Condition) -> str:
    """SQL's own logic, in which NULL is unknown."""
    if condition.measure is not None:
        return _comparison_sql(condition)
    if condition.not_ is not None:
        return f"not ({_three_valued_sql(condition.not_)})"
    word = " and " if condition.all is not None else " or "
    children = condition.all if condition.all is not None else condition.any
    return word.join(f"({_three_valued_sql(child)})" for child in children)


def sql_literal(value: Any) -> str:
    """``value`` as a literal that DuckDB and Spark read as the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # Spark reads a backslash inside quotes as an escape, DuckDB as itself.
    parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\\")]
    return parts[0] if len(parts) == 1 else "(" + " || chr(92) || ".join(parts) + ")"


def reason_sql(condition: Condition | None) -> str:
    """A SQL text: the condition with this customer's values, for customers it holds for, e.g.
    ``spend_rank ≥ 0.9 (0.97); orders_total ≥ 2 (5)``. Of `any` only what holds is named."""
    if condition is None:
        return sql_literal(NO_OTHER)
    if condition.measure is not None:
        measure, operation, _ = condition.leaf()
        text = _leaf_text(condition)
        if operation == "is_known" or (operation == "equals" and measure.type != "ratio"):
            return sql_literal(text)
        return f"{sql_literal(text + ' (')} || {measure_text_sql(measure)} || ')'"
    if condition.not_ is not None:
        return _not_reason_sql(condition)
    if condition.all is not None:
        return "concat_ws('; ', " + ", ".join(map(reason_sql, condition.all)) + ")"
    cases = (f"case when {condition_sql(c)} then {reason_sql(c)} end" for c in condition.any or ())
    return "concat_ws('; ', " + ", ".join(cases) + ")"


def _not_reason_sql(condition: Condition) -> str:
    measures = list(dict.fromkeys(leaf.measure for leaf in condition.leaves()))
    label = len(measures) > 1
    values = " || ', ' || ".join(
        (sql_literal(f"{name} ") + " || " if label else "") + measure_text_sql(MEASURES[name])
        for name in measures
    )
    return f"{sql_literal(condition_text(condition) + ' (')} || {values} || ')'"


def measure_text_sql(measure: Measure) -> str:
    """A SQL text of the customer's value: two decimals for money, ratios and other fractions."""
    if measure.type == "text":
        text = measure.name
    elif measure.type in ("money", "ratio", "number"):
        text = f"cast(cast({measure.name} as decimal(18, 2)) as string)"
    else:
        text = f"cast({measure.name} as string)"
    return f"coalesce({text}, 'unknown')"
