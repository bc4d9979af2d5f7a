"""Which thresholds of the segments would give the shares the pack expects.

The thresholds are searched one at a time: of all single steps the one that brings the shares
nearest to the expected ones is taken, and so on until no step brings enough. The distance is the
sum of |share − expected share| over the segments (twice the total variation distance). Steps stay
within ``calibration.max_threshold_change`` of today's value. Every candidate is counted exactly:
customers with the same answers to all conditions are grouped once, and of one threshold all
candidates are counted in one query, from the segments a customer would be in with its condition
true and with it false.

SOURCE of the scheme: coordinate descent with the best coordinate first (Gauss-Southwell rule), e.g.
S. J. Wright, Coordinate descent algorithms, Mathematical Programming 151 (2015), section 3.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor, log10

from careloop.calibrate.edit import Keys, PackText
from careloop.calibrate.marts import Marts
from careloop.program.conditions import COMPARISONS, Condition, condition_sql, sql_literal
from careloop.program.load import FILE
from careloop.program.measures import Measure
from careloop.program.model import Program

Number = int | float
WHOLE = ("days", "count", "score")
MIN_ORDER = ("at_least", "above")


@dataclass(frozen=True)
class Leaf:
    """A condition ``measure operation value`` of a segment and the values it may be given."""

    keys: Keys
    segment: str
    measure: Measure
    operation: str
    value: Number
    candidates: tuple[Number, ...]

    @property
    def now(self) -> int:
        """Place of today's value among the candidates."""
        return self.candidates.index(self.value)


@dataclass(frozen=True)
class Step:
    """A threshold that is changed. limited: a larger change would bring the shares nearer, were
    it allowed."""

    leaf: Leaf
    new: Number
    limited: bool


@dataclass(frozen=True)
class Search:
    """What was found. shares: of the segments, now and then; distance: sum of the gaps."""

    steps: tuple[Step, ...]
    shares_before: dict[str, float]
    shares_after: dict[str, float]
    distance_before: float
    distance_after: float
    leaves: int


def leaves(program: Program, text: PackText, share: float) -> list[Leaf]:
    """Thresholds that may be changed: comparisons of numbers that are written where they stand
    (not references to a value of another part) and have another value within ``share``."""
    found = []
    for segment in program.segments:
        for keys, leaf in _leaves(segment.when, ("segments", segment.id, "when")):
            measure, operation, value = leaf.leaf()
            if operation not in COMPARISONS:
                continue
            values = candidates(measure, value, share)
            if len(values) < 2 or text.is_alias(FILE, (*keys, operation)):
                continue
            found.append(Leaf((*keys, operation), segment.id, measure, operation, value, values))
    return found


def _leaves(condition: Condition | None, keys: Keys) -> list[tuple[Keys, Condition]]:
    if condition is None:
        return []
    if condition.measure is not None:
        return [(keys, condition)]
    if condition.not_ is not None:
        return _leaves(condition.not_, (*keys, "not"))
    word = "all" if condition.all is not None else "any"
    children = condition.all if condition.all is not None else condition.any or []
    return [x for i, child in enumerate(children) for x in _leaves(child, (*keys, word, i))]


def candidates(measure: Measure, value: Number, share: float) -> tuple[Number, ...]:
    """Values within ``share`` of a value, ascending, the value among them: whole numbers of days
    and counts, hundredths of ratios, else steps of two (money: three) leading digits."""
    now = Decimal(str(value))
    if now == 0:
        return (value,)
    low, high = sorted((now * (1 - Decimal(str(share))), now * (1 + Decimal(str(share)))))
    if measure.type == "ratio":
        low, high = max(low, Decimal(0)), min(high, Decimal(1))
    digits = 2 if measure.type == "money" else 1
    step = Decimal(10) ** (floor(log10(abs(value))) - digits)
    if measure.type in WHOLE:
        step = max(step, Decimal(1))
    if measure.type == "ratio":
        step = min(Decimal("0.01"), step)
    first, last = ceil(low / step), floor(high / step)
    values = {step * n for n in range(first, last + 1)} | {now}
    whole = isinstance(value, int)
    return tuple(
        value if v == now else int(v) if whole and v == int(v) else float(v)
        for v in sorted(values)
        if measure.type not in WHOLE or v == int(v) or v == now
    )


def search(marts: Marts, program: Program, found: list[Leaf]) -> Search:
    """The best thresholds. Nothing is written; one scan of dim_customers."""
    _group(marts, program, found)
    total = marts.one("select sum(customers) from answers")
    expected = {s.id: s.expected_share for s in program.segments if s.expected_share is not None}
    least = program.calibration.share_tolerance / 10
    places = [leaf.now for leaf in found]

    def shares_by(index: int) -> list[dict[str, float]]:
        return _shares(marts, program, found, places, index, total)

    def distance(shares: dict[str, float]) -> float:
        return round(sum(abs(shares.get(s, 0.0) - e) for s, e in expected.items()), 9)

    before = _now(marts, program, found, places, total)
    current = start = distance(before)

    def step(indexes: list[int], gain: float) -> bool:
        """Takes the best single step, if it gains enough."""
        nonlocal current
        options = [
            (distance(shares), abs(place - found[index].now), index, place)
            for index in indexes
            for place, shares in enumerate(shares_by(index))
        ]
        if not options or min(options)[0] > current - gain:
            return False
        current, _, index, place = min(options)
        places[index] = place
        return True

    while step(list(range(len(found))), least):
        pass
    for index, leaf in enumerate(found):
        # What the later steps have made needless goes back.
        if places[index] != leaf.now:
            again = distance(shares_by(index)[leaf.now])
            if again <= current + least:
                places[index], current = leaf.now, again
    # Among thresholds that change anyhow the last digit is worth its gain.
    while step([i for i, leaf in enumerate(found) if places[i] != leaf.now], 1e-9):
        pass
    after = _now(marts, program, found, places, total)
    steps = tuple(
        Step(leaf, leaf.candidates[place], place in (0, len(leaf.candidates) - 1))
        for leaf, place in zip(found, places, strict=True)
        if place != leaf.now
    )
    return Search(steps, before, after, start, distance(after), len(found))


def _group(marts: Marts, program: Program, found: list[Leaf]) -> None:
    """The table ``answers``: customers by their answers to every condition. b<i>: of a leaf that
    may change, how many of its candidates (lower ones first) the measure is above; a<n>: the
    answer to any other condition."""
    columns = [f"{_bucket_sql(leaf)} as b{i}" for i, leaf in enumerate(found)]
    known = {leaf.keys[:-1] for leaf in found}
    for number, (keys, leaf) in enumerate(_all_leaves(program)):
        if keys not in known:
            columns.append(f"{condition_sql(leaf)} as a{number}")
    marts.con.execute(
        "create or replace temp table answers as "
        f"select {', '.join([*columns, 'count(*) as customers'])} from customers group by all"
    )


def _all_leaves(program: Program) -> list[tuple[Keys, Condition]]:
    return [x for s in program.segments for x in _leaves(s.when, ("segments", s.id, "when"))]


def _bucket_sql(leaf: Leaf) -> str:
    """Number of candidates c with ``measure >= c`` (or ``> c`` where equality counts as below)."""
    sign = ">=" if leaf.operation in ("at_least", "below") else ">"
    values = ", ".join(sql_literal(c) for c in leaf.candidates)
    unknown = 0 if leaf.operation in MIN_ORDER else len(leaf.candidates)
    counted = f"len(list_filter([{values}], lambda c: {leaf.measure.name} {sign} c))"
    return f"case when {leaf.measure.name} is null then {unknown} else {counted} end"


def _answer(leaf: Leaf, index: int, place: int) -> str:
    """Whether the condition holds with its candidate at ``place``, from the bucket."""
    return f"(b{index} {'>' if leaf.operation in MIN_ORDER else '<='} {place})"


def _segment_sql(
    program: Program, found: list[Leaf], places: list[int], given: dict[int, str]
) -> str:
    by_keys = {leaf.keys[:-1]: i for i, leaf in enumerate(found)}
    numbers = {keys: n for n, (keys, _) in enumerate(_all_leaves(program))}

    def sql(condition: Condition, keys: Keys) -> str:
        if condition.measure is not None:
            index = by_keys.get(keys)
            if index is None:
                return f"a{numbers[keys]}"
            return given.get(index) or _answer(found[index], index, places[index])
        if condition.not_ is not None:
            return f"not ({sql(condition.not_, (*keys, 'not'))})"
        word = "all" if condition.all is not None else "any"
        children = condition.all if condition.all is not None else condition.any or []
        parts = [sql(child, (*keys, word, i)) for i, child in enumerate(children)]
        return "(" + (" and " if word == "all" else " or ").join(parts) + ")"

    cases = [
        f"when {sql(s.when, ('segments', s.id, 'when'))} then '{s.id}'"
        for s in program.segments
        if s.when is not None
    ]
    return f"case {' '.join(cases)} else '{program.segments[-1].id}' end"


def _shares(
    marts: Marts,
    program: Program,
    found: list[Leaf],
    places: list[int],
    index: int,
    total: int,
) -> list[dict[str, float]]:
    """Shares of the segments for each candidate of one leaf, the others as they are."""
    leaf = found[index]
    with_it, without = (
        _segment_sql(program, found, places, {index: answer}) for answer in ("true", "false")
    )
    rows = marts.rows(
        f"select b{index} as bucket, {with_it} as with_it, {without} as without_it, "
        "sum(customers) as customers from answers group by all"
    )
    above = leaf.operation in MIN_ORDER
    result = []
    for place in range(len(leaf.candidates)):
        counts: dict[str, int] = {}
        for row in rows:
            holds = row["bucket"] > place if above else row["bucket"] <= place
            name = row["with_it"] if holds else row["without_it"]
            counts[name] = counts.get(name, 0) + int(row["customers"])
        result.append({name: number / total for name, number in counts.items()})
    return result


def _now(
    marts: Marts, program: Program, found: list[Leaf], places: list[int], total: int
) -> dict[str, float]:
    rows = marts.rows(
        f"select {_segment_sql(program, found, places, {})} as segment, "
        "sum(customers) as customers from answers group by all"
    )
    counts = {row["segment"]: int(row["customers"]) for row in rows}
    return {s.id: counts.get(s.id, 0) / total for s in program.segments}
