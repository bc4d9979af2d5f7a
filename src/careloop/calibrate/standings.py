"""Segments and stages under a pack, from the measures of dim_customers: a dry run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from careloop.calibrate.marts import Marts
from careloop.program.conditions import condition_sql
from careloop.program.customers import Ordered
from careloop.program.model import Program

DIMENSIONS = ("segment", "stage")
Counts = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Moves:
    """Who is where before and after. counts: customers by (from, to), per dimension."""

    counts: dict[str, Counts]
    customers: int

    def shares(self, dimension: str, *, after: bool) -> dict[str, float]:
        """Share of the customers in each value that has any."""
        found: dict[str, int] = {}
        for pair, number in self.counts[dimension].items():
            found[pair[after]] = found.get(pair[after], 0) + number
        return {value: number / max(self.customers, 1) for value, number in found.items()}

    def rows(self) -> tuple[dict[str, Any], ...]:
        """Who moves: dimension, from, to, customers."""
        return tuple(
            {"dimension": dimension, "from": a, "to": b, "customers": number}
            for dimension in DIMENSIONS
            for (a, b), number in self.counts[dimension].items()
            if a != b
        )

    def moved(self, dimension: str) -> int:
        """Customers who are elsewhere."""
        return sum(n for (a, b), n in self.counts[dimension].items() if a != b)


def dry_run(marts: Marts, before: Program, after: Program) -> Moves:
    """Where everybody is under each of two packs. One scan of dim_customers."""
    columns = [
        f"{first_sql(rules)} as {dimension}_{name}"
        for name, pack in (("before", before), ("after", after))
        for dimension, rules in (("segment", pack.segments), ("stage", pack.stages))
    ]
    rows = marts.rows(
        f"select {', '.join(columns)}, count(*) as customers from customers group by all"
    )
    counts: dict[str, Counts] = {}
    for dimension in DIMENSIONS:
        order = {rule.id: i for i, rule in enumerate(_both(before, after, dimension))}
        found: Counts = {}
        for row in rows:
            pair = (row[f"{dimension}_before"], row[f"{dimension}_after"])
            found[pair] = found.get(pair, 0) + row["customers"]
        ordered = sorted(found, key=lambda pair: (order[pair[0]], order[pair[1]]))
        counts[dimension] = {pair: found[pair] for pair in ordered}
    return Moves(counts, sum(row["customers"] for row in rows))


def _both(before: Program, after: Program, dimension: str) -> list[Ordered]:
    name = f"{dimension}s"
    return [*getattr(before, name), *getattr(after, name)]


def first_sql(rules: Sequence[Ordered]) -> str:
    """A SQL text: the first of the rules whose condition holds."""
    cases = [f"when {condition_sql(r.when)} then '{r.id}'" for r in rules if r.when is not None]
    last = next((r.id for r in rules if r.when is None), None)
    otherwise = f"else '{last}'" if last else ""
    return f"case {' '.join(cases)} {otherwise} end"
