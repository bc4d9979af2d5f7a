"""Activity levels and health: limits of the packs, properties of the score, and its history."""

import datetime as dt
import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from careloop.program.conditions import Condition, condition_sql
from careloop.program.customers import HealthComponent, Ordered
from careloop.program.load import load_program, program_names
from careloop.program.measures import MEASURES
from careloop.published import versions
from careloop.settings import PROJECT_ROOT
from conftest import Company

PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
UNIT_TESTS = PROJECT_ROOT / "dbt_project/models/intermediate/profile"
ASPECTS = {"satisfaction", "resolution", "response", "activity", "value", "engagement"}
TYPES = {"days": "integer", "count": "integer", "money": "decimal(18, 4)", "score": "integer"}


# -- activity ----------------------------------------------------------------------------------


def measure_type(name: str) -> str:
    return TYPES.get(MEASURES[name].type, "double")


def levels_of(rows: list[dict], rules: list[Ordered], con: duckdb.DuckDBPyConnection) -> list[str]:
    names = sorted({leaf.measure for r in rules if r.when for leaf in r.when.leaves()})
    con.execute("create or replace table c (no integer, "
                + ", ".join(f"{name} {measure_type(name)}" for name in names) + ")")  # fmt: skip
    values = [[no, *(row.get(name) for name in names)] for no, row in enumerate(rows)]
    con.executemany(f"insert into c values ({', '.join('?' * (len(names) + 1))})", values)
    case = " ".join(f"when {condition_sql(rule.when)} then '{rule.id}'" for rule in rules)
    return [
        level for (level,) in con.execute(f"select case {case} end from c order by no").fetchall()
    ]


def moved_limits(leaf: Condition) -> Iterator[Condition]:
    """The leaf with its limit a little lower, a little higher, and in or out."""
    _, operation, value = leaf.leaf()
    other = {"at_least": "above", "above": "at_least", "at_most": "below", "below": "at_most"}
    step = 1 if isinstance(value, int) and measure_type(leaf.measure) == "integer" else 0.1 * value
    wider = value - step if operation in ("at_least", "above") else value + step
    yield Condition(measure=leaf.measure, **{operation: wider})
    yield Condition(measure=leaf.measure, **{other[operation]: value})


def replaced(tree: Condition, old: Condition, new: Condition) -> Condition:
    if tree is old:
        return new
    part = lambda children: [replaced(c, old, new) for c in children] if children else None  # noqa: E731
    return tree.model_copy(update={"all": part(tree.all), "any": part(tree.any)})


@pytest.mark.parametrize("pack", PACKS)
def test_unit_tests_stand_at_every_limit_of_the_activity_levels(pack: str) -> None:
    """Any limit moved a little, or taken in or out, makes a row of the unit tests fail."""
    rules = load_program(pack, PROGRAMS).activity.levels
    text = (UNIT_TESTS / f"_unit_tests_{pack}.yml").read_text("utf-8")
    test = next(t for t in yaml.safe_load(text)["unit_tests"]
                if t["model"] == "int_customer_activity")  # fmt: skip
    rows = test["given"][0]["rows"]
    wanted = {row["customer_id"]: row["activity_level"] for row in test["expect"]["rows"]}
    expected = [wanted[row["customer_id"]] for row in rows]
    con = duckdb.connect()
    assert levels_of(rows, rules, con) == expected
    unguarded = []
    for i, rule in enumerate(rules[:-1]):
        for leaf in rule.when.leaves():
            for moved in moved_limits(leaf):
                changed = rule.model_copy(update={"when": replaced(rule.when, leaf, moved)})
                if levels_of(rows, [*rules[:i], changed, *rules[i + 1 :]], con) == expected:
                    unguarded.append((rule.id, condition_sql(leaf), condition_sql(moved)))
    assert not unguarded


@pytest.mark.parametrize("pack", PACKS)
def test_a_broken_habit_counts_before_fixed_limits(pack: str) -> None:
    levels = load_program(pack, PROGRAMS).activity.levels
    names = [level.id for level in levels]
    assert set(names) in ({"at_risk", "highly_active", "active", "silent"},
                          {"churn_risk", "highly_active", "active", "silent"})  # fmt: skip
    assert names[0].endswith("risk")
    assert names[-1] == "silent"
    used = {leaf.measure for level in levels[:-1] for leaf in level.when.leaves()}
    own_habit = {"interaction_change", "visit_change", "order_change", "interval_ratio"}
    assert own_habit & {leaf.measure for leaf in levels[0].when.leaves()}
    assert {"logins_short", "visits_short", "dwell_minutes_short"} & used
    assert "answer_hours" in used


def test_every_customer_has_one_activity_level_with_their_values(company: Company) -> None:
    with duckdb.connect(str(company.settings.warehouse), read_only=True) as con:
        rows = con.execute(
            "select activity_level, activity_reason, days_since_last_activity "
            "from intermediate.int_customer_activity join intermediate.int_customer_profile "
            "using (customer_id)"
        ).fetchall()
        customers = con.execute(
            "select count(*) from intermediate.int_customer_profile"
        ).fetchall()[0][0]
    assert len(rows) == customers
    assert len({level for level, _, _ in rows}) >= 3
    for level, reason, days in rows:
        if level == "active":
            assert reason == f"days_since_last_activity ≤ 30 ({days})"


# -- the score ---------------------------------------------------------------------------------

RETAIL = load_program("retail_care", PROGRAMS).health
USED = sorted(
    {c.measure for c in RETAIL.components}
    | {leaf.measure for c in RETAIL.components if c.when for leaf in c.when.leaves()}
)


@pytest.fixture(scope="module")
def scorer(company: Company) -> duckdb.DuckDBPyConnection:
    """The compiled models of the pack retail_care over a profile that tests fill."""
    con = duckdb.connect()
    con.execute("attach ':memory:' as warehouse")
    for schema in ("intermediate", "run"):
        con.execute(f"create schema warehouse.{schema}")
    columns = ", ".join(f"{name} {measure_type(name)}" for name in USED)
    con.execute(f"create table warehouse.intermediate.int_customer_profile "
                f"(customer_id varchar, {columns})")  # fmt: skip
    con.execute("create table warehouse.run.previous_health_history (customer_id varchar, "
                "recorded_on date, health_score decimal(4, 1), as_of timestamp)")  # fmt: skip
    for name, file in (
        ("int_customer_health_recorded", "intermediate/health"),
        ("int_customer_health", "intermediate/health"),
        ("fct_customer_health", "marts/customers"),
    ):
        con.execute(f"create view warehouse.intermediate.{name} as {compiled(company, file, name)}")
    return con


def compiled(company: Company, folder: str, name: str) -> str:
    root = company.settings.build / "target/compiled/careloop/models"
    return (root / folder / f"{name}.sql").read_text("utf-8")


def scored(con: duckdb.DuckDBPyConnection, rows: list[dict]) -> tuple[list, list[list]]:
    """Health and components of customers, in order."""
    con.execute("delete from warehouse.intermediate.int_customer_profile")
    marks = ", ".join("?" * (len(USED) + 1))
    con.executemany(
        f"insert into warehouse.intermediate.int_customer_profile values ({marks})",
        [[str(no), *(row[name] for name in USED)] for no, row in enumerate(rows)],
    )
    total = con.execute(
        "select health_score, health_known_share, health_weakest "
        "from warehouse.intermediate.int_customer_health order by customer_id::integer"
    ).fetchall()
    parts = con.execute(
        "select customer_id, component, score, weight, contribution, is_known "
        "from warehouse.intermediate.fct_customer_health order by customer_id::integer"
    ).fetchall()
    return total, [list(group) for _, group in itertools.groupby(parts, lambda part: part[0])]


def values(name: str) -> st.SearchStrategy:
    kind = MEASURES[name].type
    if kind in ("count", "days"):
        return st.none() | st.integers(0, 400)
    top = 1.0 if kind == "ratio" else 50.0
    return st.none() | st.floats(0, top, allow_nan=False, width=32)


profiles = st.fixed_dictionaries({name: values(name) for name in USED})


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(profiles, min_size=1, max_size=8))
def test_score_is_the_weighted_mean_of_what_is_known(scorer: Any, rows: list[dict]) -> None:
    totals, parts = scored(scorer, rows)
    assert len(totals) == len(parts) == len(rows)
    for (score, share, weakest), part in zip(totals, parts, strict=True):
        assert len(part) == len(RETAIL.components)
        known = [p for p in part if p[5]]
        assert all(0 <= p[2] <= 100 for p in known)
        assert all(p[2] is None and p[4] is None for p in part if not p[5])
        weight = sum(p[3] for p in known)
        assert share == pytest.approx(weight / sum(p[3] for p in part), abs=1e-4)
        assert (score is None) == (share < RETAIL.min_known_weight)
        if score is None:
            assert weakest is None
            assert all(p[4] is None for p in part)
            continue
        assert 0 <= score <= 100
        contributions = sum(p[4] for p in known)
        assert abs(contributions - score) <= Decimal("0.05")
        mean = sum(p[3] * float(p[2]) for p in known) / weight
        assert float(score) == pytest.approx(mean, abs=0.051)
        lost = {p[1]: p[3] * (100 - float(p[2])) for p in known}
        if weakest is None:
            assert max(lost.values()) == 0
        else:
            assert lost[weakest] == pytest.approx(max(lost.values()), abs=0.02)


@settings(max_examples=60, deadline=None)
@given(row=profiles, component=st.sampled_from(RETAIL.components), by=st.floats(0, 40))
def test_better_in_one_component_never_lowers_the_score(
    scorer: Any, row: dict, component: HealthComponent, by: float
) -> None:
    if row[component.measure] is None:
        row = {**row, component.measure: 1}
    up = 1 if component.best > component.worst else -1
    better = max(0, row[component.measure] + up * by)
    if isinstance(row[component.measure], int):
        better = int(better)
        if up < 0:
            better = min(better, row[component.measure])
    (before, share, _), (after, share_after, _) = scored(
        scorer, [row, {**row, component.measure: better}]
    )[0]
    assert share == share_after
    assert (before is None) == (after is None)
    assert before is None or after >= before


@pytest.mark.parametrize("pack", PACKS)
def test_packs_cover_every_aspect(pack: str) -> None:
    components = load_program(pack, PROGRAMS).health.components
    assert {c.aspect for c in components} == ASPECTS
    assert sum(c.weight for c in components) == 100


# -- history -----------------------------------------------------------------------------------


def published_scores(company: Company, version: str) -> dict[str, Any]:
    return dict(company.rows(
        "select customer_id, round(sum(contribution), 1) from fct_customer_health "
        "where contribution is not null group by customer_id", version
    ))  # fmt: skip


def test_trend_is_the_difference_to_the_score_published_then(company: Company) -> None:
    with duckdb.connect(str(company.settings.warehouse), read_only=True) as con:
        today = con.execute("select as_of_date from run.context").fetchall()[0][0]
        rows = con.execute(
            "select customer_id, health_score, health_trend_30, health_trend_90 "
            "from intermediate.int_customer_health"
        ).fetchall()
    scores = {
        company.one("select as_of_on from rpt_run", version): published_scores(company, version)
        for version in versions(company.settings)
    }
    known = {30: 0, 90: 0}
    for customer, score, *trends in rows:
        for days, trend in zip((30, 90), trends, strict=True):
            then = [day for day in sorted(scores)
                    if day <= today - dt.timedelta(days=days) and customer in scores[day]]  # fmt: skip
            expected = score - scores[then[-1]][customer] if score is not None and then else None
            assert trend == expected, (customer, days)
            known[days] += trend is not None
    assert known[30] > known[90] > 10


def test_history_holds_changes_only_and_is_the_same_after_a_rerun(
    company: Company, tmp_path: Path
) -> None:
    """The models are run again over the history they made, as when a day is repeated."""
    table = "fct_customer_health_history"
    published = company.rows(f"from {table} order by all")
    for (a, day_a, score_a, _), (b, day_b, score_b, _) in itertools.pairwise(published):
        if a == b:
            assert (day_b - day_a).days >= RETAIL.history.every_days
            assert score_a != score_b
    days = {day for _, day, _, _ in published}
    assert len(days) == 3
    oldest = max(days) - dt.timedelta(days=RETAIL.history.keep_days)
    old = [customer for customer, day, _, _ in published if day <= oldest]
    assert old
    assert len(old) == len(set(old))

    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(company.settings.warehouse.read_bytes())
    with duckdb.connect(str(path)) as con:
        con.execute("delete from run.previous_health_history")
        con.executemany("insert into run.previous_health_history values (?, ?, ?, ?)", published)
        for folder, name in (("intermediate/health", "int_customer_health_recorded"),
                             ("intermediate/health", "int_customer_health")):  # fmt: skip
            before = con.execute(f"from intermediate.{name} order by all").fetchall()
            con.execute(f"create or replace table intermediate.{name} as "
                        + compiled(company, folder, name))  # fmt: skip
            if name == "int_customer_health":
                assert con.execute(f"from intermediate.{name} order by all").fetchall() == before
        again = con.execute(compiled(company, "marts/customers", table)).fetchall()
    assert sorted(again) == published


def test_report_agrees_with_the_components(company: Company) -> None:
    wrong = company.rows(
        """
        with parts as (
            select segment, component, score from fct_customer_health
            join dim_customers using (customer_id)
            union all
            select '(all)', component, score from fct_customer_health
        )
        select * from (
            select segment, component, count(*) as customers, count(score) as known,
                round(avg(score), 1) as average
            from parts group by all
        ) as counted full join (from rpt_health where component <> '(total)') as report
            using (segment, component)
        where (report.customers, report.customers_known) is distinct from (counted.customers, known)
            or abs(average_score - average) > 0.051
        """
    )
    assert not wrong
    total = company.rows(
        "select customers_known, average_score, red_share + yellow_share + green_share "
        "from rpt_health where segment = '(all)' and component = '(total)'"
    )[0]
    scores = published_scores(company, versions(company.settings)[-1])
    assert total[0] == len(scores)
    assert float(total[1]) == pytest.approx(float(sum(scores.values())) / len(scores), abs=0.051)
    assert total[2] == pytest.approx(1)
    runs = company.rows("select recorded_on, count(*) from rpt_health_history group by all")
    assert len(runs) == 3
    columns = "segment, component, customers_known, average_score"
    assert company.rows(
        f"select {columns} from rpt_health_history "
        "where recorded_on = (select as_of_on from rpt_run) order by all"
    ) == company.rows(f"select {columns} from rpt_health order by all")
