"""Calibration against made-up companies whose right answers are known."""

import json
import random
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

from careloop.calibrate import Calibration, calibrate, folder_of
from careloop.calibrate.clusters import cluster
from careloop.calibrate.contact import contact
from careloop.calibrate.dormancy import dormancy, returns
from careloop.calibrate.draft import Draft
from careloop.calibrate.drift import stability_index
from careloop.calibrate.edit import CannotEdit, Change, PackText, value_at
from careloop.calibrate.judge import _verdict
from careloop.calibrate.marts import Marts
from careloop.calibrate.rules import rules
from careloop.calibrate.say import templates
from careloop.calibrate.service import service
from careloop.calibrate.standings import dry_run, first_sql
from careloop.calibrate.thresholds import candidates, leaves, search
from careloop.cli.main import app
from careloop.errors import SettingsError
from careloop.judge.calibration_section import section
from careloop.program.load import load_program
from careloop.program.measures import MEASURES
from careloop.program.model import Program
from careloop.program.period import Period, parse_period
from careloop.published import query, versions
from careloop.review.model import Section
from careloop.settings import PROJECT_ROOT, Settings, load_settings
from conftest import Company

QUARTER = parse_period("2026Q3")
AS_OF = "2026-10-01"
TYPES = {"text": "varchar", "boolean": "boolean", "days": "integer", "count": "integer",
         "money": "decimal(18, 4)", "score": "integer"}  # fmt: skip
DELIVERIES = (
    "customer_id varchar, rule varchar, purpose varchar, channel varchar, kind varchar, "
    "contact_on date, state varchar, is_opened boolean, is_clicked boolean, is_replied boolean, "
    "is_answered boolean, is_complained boolean, is_unsubscribed boolean, conversion varchar"
)
UPLIFT = (
    "experiment_kind varchar, experiment varchar, period varchar, verdict varchar, "
    "treated_customers bigint, holdout_customers bigint, conversion_event varchar, "
    "rate_difference double, rate_difference_low double, rate_difference_high double"
)
CLOCKS = (
    "clock varchar, channel varchar, state varchar, target varchar, elapsed_seconds bigint, "
    "started_at timestamp, stopped_at timestamp"
)
SEGMENTS = """\
segments:
  - id: core
    title: {en: Core, zh: 核心客户}
    expected_share: 0.10
    when: {measure: spend_rank, at_least: 0.8} # the best
    gets: []
  - id: dormant
    title: {en: Dormant, zh: 沉睡客户}
    expected_share: 0.20
    when: {measure: days_since_last_order, above: *dormant_days}
    gets: []
  - id: potential
    title: {en: Potential, zh: 潜力客户}
    expected_share: 0.40
    when: {measure: interactions_medium, at_least: 20}
    gets: []
  - id: new
    title: {en: New, zh: 新客户}
    expected_share: 0.30
    gets: []

"""
# A thousand customers: rank 0.001 … 1; the first 200 silent for 95 days, who are all below rank
# 0.8; interactions 1 … 50 in turn.
CUSTOMERS = """
select 'c' || lpad(i::varchar, 4, '0') as customer_id, i / 1000 as spend_rank,
    case when i <= 200 then 95 else 10 end as days_since_last_order, 5 as days_since_last_activity,
    100 as tenure_days, 3 as orders_total, 3 as orders_long, i as spend_long,
    1 + i % 50 as interactions_medium, 1 + i % 50 as interactions_long, 1 as interactions_short
from range(1, 1001) as r(i)
"""


class World:
    """A home with one published version, made by hand, and a pack of its own."""

    made: Calibration
    before: dict[Path, bytes]

    def __init__(self, root: Path, as_of: str = AS_OF, **pack: Any) -> None:
        self.root = root
        self.settings = load_settings(home=root / "home", program=str(root / "pack"))
        self.pack = root / "pack"
        if not self.pack.exists():
            write_pack(self.pack, **pack)
        self.settings.published.mkdir(parents=True, exist_ok=True)
        self.file = self.settings.published / f"marts-{as_of.replace('-', '')}T0000-x.duckdb"
        columns = ", ".join(
            f"{m.name} {TYPES.get(m.type, 'double')}"
            for m in MEASURES.values()
            if m.name != "days_since_first_order"
        )
        self.run(
            f"""
            create table rpt_run as select timestamp '{as_of}' as as_of_local,
                'retail_care' as pack, '' as pack_hash;
            create table dim_customers (customer_id varchar, segment varchar, stage varchar,
                as_of_on date default date '{as_of}', first_order_on date, {columns});
            create table fct_customer_changes (customer_id varchar, dimension varchar,
                to_value varchar, as_of timestamp);
            create table rpt_return_intervals (measure varchar, month_start date,
                interval_days integer, returns bigint, visits bigint);
            create table fct_care_deliveries ({DELIVERIES});
            create table rpt_care_uplift ({UPLIFT});
            create table fct_ticket_clocks ({CLOCKS});
            """
        )
        link = self.settings.published / "marts.duckdb"
        link.unlink(missing_ok=True)
        link.symlink_to(self.file.name)

    def run(self, sql: str, *values: Any) -> None:
        with duckdb.connect(str(self.file)) as con:
            con.execute(sql, list(values))

    def insert(self, table: str, rows: list[tuple]) -> None:
        with duckdb.connect(str(self.file)) as con:
            marks = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
            con.execute(f"insert into {table} values {marks}", [v for row in rows for v in row])

    def customers(self, sql: str = CUSTOMERS) -> "World":
        """Customers as a query says, in the segments and stages of the pack."""
        self.run(f"insert into dim_customers by name {sql}")
        program = self.program
        with duckdb.connect(str(self.file)) as con:
            con.execute(
                "create temp view customers as select *, date_diff('day', first_order_on, "
                "as_of_on) as days_since_first_order from dim_customers"
            )
            con.execute(
                f"create temp table placed as select customer_id, {first_sql(program.segments)} "
                f"as segment, {first_sql(program.stages)} as stage from customers"
            )
            con.execute("drop view customers")
            con.execute(
                "update dim_customers set segment = placed.segment, stage = placed.stage "
                "from placed where dim_customers.customer_id = placed.customer_id"
            )
        return self

    def returns(self, months: list[str], days: dict[int, int]) -> "World":
        """So many returns by length, begun in each of the months."""
        total = sum(days.values())
        rows = [
            ("days_since_last_order", month, length, number, total)
            for month in months
            for length, number in days.items()
        ]
        self.insert("rpt_return_intervals", rows)
        return self

    @property
    def program(self) -> Program:
        return _program(self.pack, (self.pack / "program.yml").read_bytes())

    def marts(self, period: Period = QUARTER) -> Marts:
        con = duckdb.connect(str(self.file), read_only=True)
        return Marts.of(con, self.program, period)

    def calibrate(self, period: Period = QUARTER) -> Calibration:
        return calibrate(self.settings, self.program, period)


@cache
def _program(pack: Path, _: bytes) -> Program:
    return load_program(pack)


def write_pack(
    folder: Path,
    replaced: dict[str, str] | None = None,
    own: str = SEGMENTS,
    recluster: bool = False,
) -> None:
    """A copy of retail_care with simple segments; `replaced` texts are changed."""
    source = PROJECT_ROOT / "programs" / "retail_care"
    folder.mkdir(parents=True)
    (folder / "messages").symlink_to(source / "messages")
    for name in ("program.yml", "rules.yml"):
        file = folder / name
        text = (source / name).read_text("utf-8")
        if name == "program.yml" and own:
            text = text[: text.index("segments:\n")] + own + text[text.index("stages:\n") :]
        for old, new in (replaced or {}).items():
            text = text.replace(old, new)
        text = text.replace("recluster: true", f"recluster: {'true' if recluster else 'false'}")
        file.write_text(text, "utf-8")


def ids(found: list[Draft]) -> dict[str, Any]:
    return {draft.id: draft.change.new for draft in found}


# -- thresholds ----------------------------------------------------------------------------------


def test_thresholds_give_the_expected_shares(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    found = world.calibrate()
    # Rank ≥ 0.9 is held by 101 of 1,000. Of the 699 others who are not silent, 20 of 50 values of
    # interactions have to be high enough for 40 %: ≥ 24 is as near as 20 ± 20 % comes.
    changed = {p.id: p.changes[0].new for p in found.proposals}
    assert changed == {
        "segments.core.when.at_least": 0.9,
        "segments.potential.when.at_least": 22,
    }
    shares = {r["value"]: r["proposed_share"] for r in found.shares if r["dimension"] == "segment"}
    assert shares["core"] == 0.101
    assert shares["dormant"] == 0.2
    assert abs(shares["potential"] - 0.40) < 0.01
    # The promise is the dry run's, and the whole is more than the parts.
    promises = {p.figure: p for p in found.proposals[0].promises}
    assert promises["segment_share:core"].before == 0.201
    assert promises["segment_share:core"].alone == promises["segment_share:core"].together == 0.101
    assert promises["segment_share:potential"].alone > promises["segment_share:potential"].together
    # The reference to the days is left alone: it is another part's number.
    assert "above: *dormant_days" in (found.pack_folder / "program.yml").read_text("utf-8")


def test_thresholds_stay_within_the_largest_change(tmp_path: Path) -> None:
    world = World(tmp_path, replaced={"max_threshold_change: 0.2": "max_threshold_change: 0.05"})
    world.customers()
    found = world.calibrate()
    by_id = {p.id: p for p in found.proposals}
    core = by_id["segments.core.when.at_least"]
    assert core.changes[0].new == 0.84
    assert core.confidence == "low"
    assert any("5%" in caveat.en for caveat in core.caveats)


@pytest.mark.parametrize("seed", range(4))
def test_every_candidate_is_counted_as_the_conditions_are(tmp_path: Path, seed: int) -> None:
    """The grouped count of the search against the pack itself with the value written into it, with
    unknown measures, every comparison, and a condition within `not`."""
    own = SEGMENTS.replace(
        "when: {measure: spend_rank, at_least: 0.8} # the best",
        "when: {all: [{measure: spend_rank, above: 0.5}, "
        "{not: {measure: spend_long, below: 300}}]}",
    ).replace(
        "when: {measure: interactions_medium, at_least: 20}",
        "when: {any: [{measure: interactions_medium, at_least: 20}, "
        "{measure: tenure_days, at_most: 30}]}",
    )
    draw = random.Random(seed)
    world = World(tmp_path, own=own)
    rows = ", ".join(
        f"('c{i}', {draw.choice(['null', draw.randint(0, 100) / 100])}, "
        f"{draw.choice(['null', draw.randint(200, 400)])}, "
        f"{draw.choice(['null', draw.randint(70, 110)])}, {draw.randint(10, 30)}, "
        f"{draw.choice(['null', draw.randint(20, 40)])})"
        for i in range(300)
    )
    world.customers(
        f"select * from (values {rows}) as t(customer_id, spend_rank, spend_long, "
        "days_since_last_order, interactions_medium, tenure_days)"
    )
    marts, program = world.marts(), world.program
    text = PackText.of(program)
    found = leaves(program, text, 0.2)
    assert {(x.measure.name, x.operation) for x in found} == {
        ("spend_rank", "above"), ("spend_long", "below"),
        ("interactions_medium", "at_least"), ("tenure_days", "at_most"),
    }  # fmt: skip
    for number in range(3):
        chosen = [
            replace(leaf, candidates=tuple(sorted({leaf.value, draw.choice(leaf.candidates)})))
            for leaf in found
        ]
        result = search(marts, program, chosen)
        changed = text.copy()
        for step in result.steps:
            changed.apply(Change("program.yml", step.leaf.keys, step.leaf.value, step.new))
        moves = dry_run(marts, program, changed.load(tmp_path / f"{seed}-{number}"))
        known = moves.shares("segment", after=True)
        assert {s: v for s, v in result.shares_after.items() if v} == known
        before = moves.shares("segment", after=False)
        assert {s: v for s, v in result.shares_before.items() if v} == before
        assert result.distance_after <= result.distance_before


def test_candidates_are_numbers_people_would_write() -> None:
    ratio = candidates(MEASURES["spend_rank"], 0.9, 0.2)
    assert ratio[0] == 0.72
    assert ratio[-1] == 1.0
    assert len(ratio) == 29
    assert candidates(MEASURES["orders_total"], 3, 0.2) == (3,)
    assert candidates(MEASURES["orders_total"], 5, 0.2) == (4, 5, 6)
    assert candidates(MEASURES["tenure_days"], 30, 0.1) == (27, 28, 29, 30, 31, 32, 33)
    money = candidates(MEASURES["spend_total"], 1000, 0.02)
    assert money == (980, 990, 1000, 1010, 1020)
    assert all(isinstance(value, int) for value in money)
    assert candidates(MEASURES["interval_ratio"], 1.5, 0.1) == (1.4, 1.5, 1.6)
    assert candidates(MEASURES["orders_short"], 0, 0.2) == (0,)


def test_shares_that_fit_are_left_alone(tmp_path: Path) -> None:
    own = SEGMENTS.replace("at_least: 0.8}", "at_least: 0.9}").replace(
        "at_least: 20", "at_least: 22"
    )
    world = World(tmp_path, own=own).customers()
    world.returns(["2025-06-01"], dict.fromkeys(range(1, 101), 10))
    found = world.calibrate()
    assert found.proposals == ()
    assert found.diff == ""
    assert found.summary.en == "2026Q3 gives no reason to change a number of the pack."
    assert found.proposed_hash == found.pack_hash
    folder = found.pack_folder
    assert (folder / "program.yml").read_bytes() == (world.pack / "program.yml").read_bytes()
    assert (folder / "changes.diff").read_text() == ""
    assert any("within 5% of their expected share" in f.text.en for f in found.findings)


# -- dormancy ------------------------------------------------------------------------------------


def test_days_are_the_stated_share_of_returns(tmp_path: Path) -> None:
    world = World(tmp_path)
    # One return for each of 1 … 100 days: 90 % within 90 days.
    world.returns([f"2025-{m:02}-01" for m in range(1, 9)], dict.fromkeys(range(1, 101), 10))
    # Before the latest year that had the horizon: of another time.
    world.returns(["2024-01-01"], {99: 100_000})
    # Begun later than a horizon ago: those who take long can't be back yet, and don't count.
    world.returns(["2026-06-01"], {1: 100_000})
    found = returns(world.marts(), "dormant_days")
    assert (found.days_for(0.9), found.days_for(0.5), found.horizon) == (90, 50, 365)
    assert found.total == 8 * 1000
    assert found.within(45) == 0.45
    drafts, findings = dormancy(world.marts(), PackText.of(world.program))
    assert ids(drafts) == {"activity.lost_days": 292}
    assert [f.id for f in findings] == ["dormancy.dormant_days"]
    assert "Days until dormant fits" in findings[0].text.en


def test_days_move_by_the_largest_change_at_most(tmp_path: Path) -> None:
    world = World(tmp_path)
    months = [f"202{y}-{m:02}-01" for y in (3, 4, 5) for m in range(1, 13)]
    world.returns(months, dict.fromkeys(range(1, 201), 1))
    drafts, findings = dormancy(world.marts(), PackText.of(world.program))
    # 180 days by the criterion, 90 + 20 % allowed; 198 days against 365 - 20 %.
    assert ids(drafts) == {"activity.dormant_days": 108, "activity.lost_days": 292}
    assert [d.confidence(100) for d in drafts] == ["medium", "medium"]
    assert "180" in drafts[0].caveats[0].en
    assert findings == []
    few = World(tmp_path / "few")
    few.returns(["2023-01-01"], {10: 99})
    drafts, findings = dormancy(few.marts(), PackText.of(few.program))
    assert drafts == []
    assert all("too few to tell" in f.text.en for f in findings)


def test_days_move_stages_and_what_refers_to_them(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    months = [f"202{y}-{m:02}-01" for y in (3, 4, 5) for m in range(1, 13)]
    world.returns(months, dict.fromkeys(range(1, 201), 1))
    found = world.calibrate()
    days = found.proposals[0]
    assert days.id == "activity.dormant_days"
    # 95 days are no longer dormant with 108.
    promised = {p.figure: p.alone for p in days.promises}
    assert promised["segment_share:dormant"] == 0.0
    assert promised["stage_share:dormant"] == 0.0
    assert {(m["dimension"], m["from"]) for m in days.figures["moves"]} == {
        ("segment", "dormant"), ("stage", "dormant"),
    }  # fmt: skip
    text = (found.pack_folder / "program.yml").read_text("utf-8")
    assert "dormant_days: &dormant_days 108 # nothing bought for 3 months" in text


# -- clusters, drift -----------------------------------------------------------------------------


def test_planted_clusters_are_found() -> None:
    draw = np.random.default_rng(3)
    centres = [(2, 30, 9000, 200), (40, 5, 500, 20), (500, 1, 50, 1)]
    planted = np.repeat(np.arange(3), 120)
    columns = {
        name: np.array([centres[k][j] for k in planted]) * draw.uniform(0.8, 1.2, len(planted))
        for j, name in enumerate(("days_since_last_activity", "orders_long", "spend_long",
                                  "interactions_long"))
    }  # fmt: skip
    segments = np.array(["core", "potential", "dormant"])[planted]
    found = cluster(columns, segments, 6)
    assert found.number == 3
    assert found.index == 1.0
    assert (found.labels == planted).all()
    assert max(found.scores, key=found.scores.get) == 3
    assert found.medians[0]["spend_long"] > found.medians[1]["spend_long"]
    again = cluster(columns, segments, 6)
    assert again.scores == found.scores
    shuffled = cluster(columns, np.random.default_rng(1).permutation(segments), 6)
    assert abs(shuffled.index) < 0.05
    assert cluster({name: np.ones(200) for name in columns}, segments[:200], 6) is None


def test_stability_index_by_hand() -> None:
    # (0.6 − 0.5)·ln(0.6/0.5) + (0.4 − 0.5)·ln(0.4/0.5)
    assert stability_index({"a": 60, "b": 40}, {"a": 50, "b": 50}) == pytest.approx(0.0405465)
    assert stability_index({"a": 5, "b": 5}, {"a": 50, "b": 50}) == 0
    assert stability_index({"a": 99}, {"a": 50, "b": 50}) > 0.25


def test_shares_of_earlier_quarters_and_their_drift(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    # As of 1 July (16:00 UTC the day before) half were core, as of 1 October nearly all.
    for day, core in (("2026-06-30 16:00", 50), ("2026-09-30 16:00", 90)):
        world.run(
            "insert into fct_customer_changes select i, 'segment', case when i < ? then 'core' "
            "else 'new' end, ? from range(100) as r(i)", core, day,
        )  # fmt: skip
    world.run("insert into fct_customer_changes values ('99', 'segment', null, '2026-10-05')")
    made = world.calibrate()
    found = {f.id: f for f in made.findings}
    drift = found["segments.drift_segment"]
    assert drift.tone == "bad"
    assert "50.0% → 90.0%" in drift.text.en
    row = next(r for r in drift.rows if r["value"].en == "Core")
    assert (row["2026Q2"], row["now"], row["expected"]) == (0.5, 0.9, 0.1)
    core = next(p for p in made.proposals if "core" in p.id)
    assert core.confidence == "medium"
    assert any("the aim moves" in c.en for c in core.caveats)


# -- contact and rules ---------------------------------------------------------------------------


def _sent(
    world: World, customers: int, days: list[int], tired: dict[int, int], **more: Any
) -> None:
    """Messages to customers on days of July; tired: how many unsubscribe after the n-th."""
    values = {"rule": "useful_content", "purpose": "marketing", "channel": "sms"} | more
    for number, day in enumerate(days, 1):
        world.run(
            f"insert into fct_care_deliveries select 'c' || i, '{values['rule']}', "
            f"'{values['purpose']}', '{values['channel']}', 'send', date '2026-07-01' + {day}, "
            f"'sent', i % 2 = 0, i % 4 = 0, false, false, false, i < {tired.get(number, 0)}, "
            f"case when i % 5 = 0 then 'converted' else 'not_converted' end "
            f"from range({customers}) as r(i)"
        )


def test_a_cap_whose_last_message_tires_is_lowered(tmp_path: Path) -> None:
    world = World(tmp_path)
    # Two a week are allowed: of 400 customers 40 leave at the second, none at the first.
    _sent(world, 400, [0, 2, 14, 16], {2: 40, 4: 40})
    drafts, findings = contact(world.marts())
    assert ids(drafts) == {"caps.marketing_week.most": 1, "caps.sms_month.most": 3}
    week = drafts[0]
    assert week.figures["last"]["messages"] == week.figures["earlier"]["messages"] == 800
    assert week.promises[0].before == 0.05
    assert week.promises[0].alone == 0.0
    frequency = next(f for f in findings if f.id == "contact.frequency")
    assert [(r["messages_a_month"], r["messages"]) for r in frequency.rows] == [("4", 1600)]
    assert frequency.rows[0]["tired"] == 0.05
    assert frequency.rows[0]["converted"] == 0.2


def test_a_cap_whose_last_message_is_welcome_is_raised_and_too_few_say_nothing(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    _sent(world, 600, [0, 2], {})
    drafts, _ = contact(world.marts())
    assert ids(drafts) == {"caps.marketing_week.most": 3}
    assert "Nobody has had that many yet" in drafts[0].caveats[1].en
    few = World(tmp_path / "few")
    _sent(few, 99, [0, 2], {2: 99})
    assert contact(few.marts())[0] == []
    service = World(tmp_path / "service")
    _sent(service, 600, [0, 2], {2: 300}, purpose="service")  # exempt from every cap
    assert contact(service.marts())[0] == []
    none = World(tmp_path / "none")
    assert contact(none.marts())[1][0].id == "contact.none"


def test_rules_without_use_or_with_harm(tmp_path: Path) -> None:
    world = World(tmp_path)
    program = world.program
    regular = next(r for r in program.rules if r.trigger.cadence is not None)
    others = [r.id for r in program.rules if r.trigger.cadence is None and r.cooldown is None]
    rows = [
        (regular.id, "no_difference", -0.004, 0.004),
        (others[0], "no_difference", -0.004, 0.004),
        (others[1], "fewer", -0.05, -0.01),
        (others[2], "no_difference", -0.05, 0.06),  # says nothing
        (others[3], "more", 0.01, 0.05),
        (others[4], "too_small", -0.05, -0.01),
    ]
    for rule, verdict, low, high in rows:
        world.run(
            "insert into rpt_care_uplift values ('rule', ?, 'all', ?, 2000, 1500, 'order', ?, ?, ?)",
            rule, verdict, (low + high) / 2, low, high,
        )  # fmt: skip
    drafts, findings = rules(world.marts())
    amount = regular.trigger.cadence.every
    rarer = value_at(program, "rules.yml", ("rules", regular.id, "trigger", "cadence", "every"))
    assert rarer == amount
    assert ids(drafts) == {
        f"rules.{regular.id}.trigger.cadence.every": re.sub(
            r"\d+", lambda m: str(int(m[0]) + 1), amount
        ),
        f"rules.{others[1]}.active": False,
    }
    assert [f.id for f in findings] == [f"rules.{others[0]}", "rules.answers"]
    assert "no use that can be measured" in findings[0].text.en
    assert "Of 5 with customers enough, 1 bring more" in findings[1].text.en


def test_a_rule_that_tires_waits_longer(tmp_path: Path) -> None:
    world = World(tmp_path)
    waits = next(r for r in world.program.rules if r.cooldown == "30d" and not r.trigger.cadence)
    _sent(world, 500, [0], {1: 25}, rule=waits.id)
    drafts, _ = rules(world.marts())
    assert ids(drafts) == {f"rules.{waits.id}.cooldown": "36d"}
    assert "25 of 500 messages (5.0%" in drafts[0].evidence.en


# -- service -------------------------------------------------------------------------------------


def _cases(
    world: World, clock: str, target: str, seconds: list[int], limit: int, **more: Any
) -> None:
    """Cases that took so many seconds; a negative number of them still wait."""
    started = more.get("started", "2026-08-01")
    rows = [
        (clock, "web", "met" if 0 <= value <= limit else "breached", target, abs(value), started,
         None if value < 0 else "2026-09-01")
        for value in seconds
    ]  # fmt: skip
    world.insert("fct_ticket_clocks", rows)


def test_targets_always_and_never_met(tmp_path: Path) -> None:
    world = World(tmp_path)
    hour = 3600
    # All within 20 h; the answer to an enquiry (24 h) may become 20 h.
    _cases(world, "enquiry_answer", "24h", [20 * hour - i for i in range(200)], 24 * hour)
    # Never within 10 min; 12 min do for all of them but one in 400, which still waits: 12 min
    # have passed for it, but it isn't answered.
    _cases(world, "consult_answer", "10m", [680] * 119, 600)
    _cases(world, "consult_answer", "10m", [-700], 600)
    # Neither; another target than today's; another quarter; too few.
    _cases(world, "complaint_answer", "24h", [hour] * 80 + [30 * hour] * 40, 24 * hour)
    _cases(world, "simple_solved", "2d", [hour] * 150, 48 * hour)
    _cases(world, "complex_solved", "7d", [hour] * 150, 168 * hour, started="2026-06-01")
    drafts, findings = service(world.marts())
    assert ids(drafts) == {"sla.enquiry_answer.target": "20h"}
    assert drafts[0].promises[0].before == drafts[0].promises[0].alone == 1.0
    told = {f.id: f for f in findings}
    assert "1 are always met and 1 mostly missed" in told["service.clocks"].text.en
    assert "is missed mostly" in told["service.consult_answer"].text.en
    met = {r["clock"].en: (r["cases"], round(r["met"], 3)) for r in told["service.clocks"].rows}
    assert met["Complaint answered"] == (120, 0.667)
    assert len(met) == 3
    # Were all answered in 12 minutes, that could be promised.
    world.run("update fct_ticket_clocks set stopped_at = '2026-09-01', elapsed_seconds = 680")
    assert ids(service(world.marts())[0])["sla.consult_answer.target"] == "12m"


# -- changing the pack ---------------------------------------------------------------------------


def _edited(tmp_path: Path, text: str, change: Change, name: str = "rules.yml") -> str:
    program = load_program("retail_care", PROJECT_ROOT / "programs")
    pack = PackText(program, {name: text}, {name: text})
    pack.apply(change)
    return pack.texts[name]


def test_only_the_value_is_changed(tmp_path: Path) -> None:
    text = "a: {x: &n 0.80, y: *n} # why\r\nb:\r\n  - id: q\r\n    every: '1w' # often\r\nc:  1e3"
    change = Change("rules.yml", ("a", "x"), 0.8, 0.75)
    assert _edited(tmp_path, text, change) == text.replace("0.80", "0.75")
    change = Change("rules.yml", ("b", "q", "every"), "1w", "2w")
    assert _edited(tmp_path, text, change) == text.replace("'1w'", "'2w'")
    change = Change("rules.yml", ("c",), 1000, 5)
    assert _edited(tmp_path, text, change) == text.replace("1e3", "5")
    with pytest.raises(CannotEdit, match="refers to a value elsewhere"):
        _edited(tmp_path, text, Change("rules.yml", ("a", "y"), 0.8, 0.7))
    with pytest.raises(CannotEdit, match="no single value"):
        _edited(tmp_path, text, Change("rules.yml", ("a",), 0.8, 0.7))
    change = Change("rules.yml", ("b", "q", "active"), None, False)
    assert "- id: q\r\n    active: false\n    every" in _edited(tmp_path, text, change)
    flow = "rules:\n  - {id: q, x: 1}"
    change = Change("rules.yml", ("rules", "q", "active"), None, False)
    assert _edited(tmp_path, flow, change) == "rules:\n  - {id: q, active: false, x: 1}"


def test_diff_of_a_file_without_a_last_newline_applies(tmp_path: Path) -> None:
    write_pack(tmp_path / "pack")
    file = tmp_path / "pack" / "program.yml"
    file.write_text(file.read_text("utf-8").rstrip("\n"), "utf-8")
    pack = PackText.of(load_program(tmp_path / "pack"))
    for change in (
        Change("program.yml", ("data", "volume", 4, "max_drop"), 0.5, 0.6),
        Change("program.yml", ("caps", "limits", "sms_month", "most"), 4, 3),
        Change("rules.yml", ("rules", "useful_content", "active"), None, False),
    ):
        pack.apply(change)
    pack.load(tmp_path / "proposed")
    _patched(tmp_path / "pack", pack.diff())
    for name in ("program.yml", "rules.yml"):
        assert (tmp_path / "pack" / name).read_bytes() == (
            tmp_path / "proposed" / name
        ).read_bytes()
    assert load_program(tmp_path / "pack").hash == load_program(tmp_path / "proposed").hash


def _patched(folder: Path, diff: str) -> None:
    subprocess.run(
        ["patch", "-p1", "-d", str(folder)], input=diff.encode(), check=True, capture_output=True
    )


def test_a_pack_that_extends_another_gets_what_it_changes(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "program.yml").write_text("extends: retail_care\nname: mine\ncaps: {limits: []}\n")
    program = load_program(own, PROJECT_ROOT / "programs")
    pack = PackText.of(program)
    keys = ("segments", "core", "when", "all", 0, "at_least")
    assert not pack.is_own("program.yml", keys)
    assert not pack.is_alias("program.yml", keys)
    assert not pack.is_alias("program.yml", ("segments", "core", "when", "all", 2, "at_most"))
    pack.apply(Change("program.yml", keys, 0.8, 0.7))
    pack.apply(Change("program.yml", ("activity", "dormant_days"), 90, 80))
    pack.apply(Change("rules.yml", ("rules", "useful_content", "active"), True, False))
    changed = pack.load(tmp_path / "proposed")
    assert value_at(changed, "program.yml", keys) == 0.7
    assert changed.activity.dormant_days == 80
    assert changed.segments[1] == program.segments[1]
    assert [r.id for r in changed.rules if not r.active] == ["useful_content"]
    assert changed.caps.limits == []
    _patched(own, pack.diff())
    assert load_program(own, PROJECT_ROOT / "programs").hash == changed.hash


# -- the whole -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company with a reason for every kind of proposal."""
    world = World(tmp_path_factory.mktemp("quarter"), recluster=True).customers()
    months = [f"202{y}-{m:02}-01" for y in (3, 4, 5) for m in range(1, 13)]
    world.returns(months, dict.fromkeys(range(1, 73), 1))
    _sent(world, 400, [0, 2, 14, 16], {2: 40, 4: 40})
    _cases(world, "enquiry_answer", "24h", [20 * 3600 - i for i in range(120)], 24 * 3600)
    world.before = {f: f.read_bytes() for f in world.pack.rglob("*") if f.is_file()}
    world.made = world.calibrate()
    return world


def test_the_proposed_pack_is_valid_and_the_diff_makes_it(quarter: World, tmp_path: Path) -> None:
    found = quarter.made
    assert {p.part for p in found.proposals} == {
        "dormancy", "segments", "contact", "rules", "service",
    }  # fmt: skip
    folder = found.pack_folder
    assert folder == folder_of(quarter.settings, "2026Q3")
    proposed = load_program(folder)
    assert proposed.hash == found.proposed_hash != found.pack_hash
    for proposal in found.proposals:
        for change in proposal.changes:
            assert value_at(proposed, change.file, change.keys) == change.new, change.path
            assert value_at(quarter.program, change.file, change.keys) == change.old
        assert proposal.evidence.en
        assert proposal.evidence.zh
        assert proposal.effect.zh
        assert proposal.promises
    # Nothing has changed by itself.
    assert quarter.before == {f: f.read_bytes() for f in quarter.pack.rglob("*") if f.is_file()}
    shutil.copytree(quarter.pack, tmp_path / "pack")
    _patched(tmp_path / "pack", (folder / "changes.diff").read_text("utf-8"))
    for name in ("program.yml", "rules.yml"):
        assert (tmp_path / "pack" / name).read_bytes() == (folder / name).read_bytes()
    changed = [x for x in found.diff.splitlines() if x.startswith(("+", "-"))]
    assert len([x for x in changed if not x.startswith(("+++", "---"))]) <= 2 * len(found.proposals)


def test_the_same_again_byte_by_byte(quarter: World) -> None:
    folder = quarter.made.pack_folder
    first = {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert quarter.calibrate() == quarter.made
    assert first == {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    data = json.loads(first["proposals.json"])
    assert str(quarter.root) not in first["proposals.json"].decode()
    assert data["proposals"][0]["changes"][0]["path"] == "activity.dormant_days"


def test_what_was_taken_is_judged(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    _cases(world, "enquiry_answer", "24h", [20 * 3600 - i for i in range(120)], 24 * 3600)
    _cases(world, "complaint_answer", "24h", [20 * 3600 - i for i in range(120)], 24 * 3600)
    first = world.calibrate()
    assert first.judged_period is None
    assert {p.id for p in first.proposals} == {
        "segments.core.when.at_least", "segments.potential.when.at_least",
        "sla.enquiry_answer.target", "sla.complaint_answer.target",
    }  # fmt: skip
    # One quarter on: the first threshold and one target were taken as proposed, the other target
    # otherwise, the second threshold not; the core is as promised, answers have become slow.
    file = world.pack / "program.yml"
    text = file.read_text("utf-8").replace(
        "spend_rank, at_least: 0.8}", "spend_rank, at_least: 0.9}"
    )
    text = re.sub(r"(id: enquiry_answer.*?target: )24h", r"\g<1>20h", text)
    text = re.sub(r"(id: complaint_answer.*?target: )24h", r"\g<1>22h", text)
    file.write_text(text, "utf-8")
    later = World(tmp_path, as_of="2027-01-01").customers()
    _cases(later, "enquiry_answer", "20h", [30 * 3600] * 50 + [3600] * 50, 20 * 3600,
           started="2026-11-01")  # fmt: skip
    found = later.calibrate(parse_period("2026Q4"))
    assert found.judged_period == "2026Q3"
    judged = {j.id: j for j in found.judged}
    assert {key: j.state for key, j in judged.items()} == {
        "segments.core.when.at_least": "accepted",
        "segments.potential.when.at_least": "not_taken",
        "sla.enquiry_answer.target": "accepted",
        "sla.complaint_answer.target": "partly",
    }
    core = {k.figure: k for k in judged["segments.core.when.at_least"].kept}
    kept = core["segment_share:core"]
    assert (kept.before, kept.promised, kept.actual, kept.verdict) == (0.201, 0.101, 0.101, "kept")
    # Only one of the two thresholds was taken: judged by what it promised alone.
    promised = {p.figure: p.alone for p in first.proposals[0].promises}
    assert core["segment_share:potential"].promised == promised["segment_share:potential"]
    slow = judged["sla.enquiry_answer.target"].kept[0]
    assert (slow.promised, slow.actual, slow.verdict) == (1.0, 0.5, "not_kept")
    assert judged["sla.complaint_answer.target"].kept[0].verdict == "unknown"
    assert judged["segments.potential.when.at_least"].kept == ()
    made = section(found, "zh")
    assert any("未采纳" in s.text for s in made.sentences)
    assert {s.tone for s in made.sentences} >= {"good", "bad"}


@pytest.mark.parametrize(
    ("actual", "verdict"),
    [(0.096, "kept"), (0.10, "kept"), (0.112, "not_kept"), (0.141, "not_kept"), (0.03, "not_kept")],
)
def test_a_share_that_moved_away_is_not_as_promised(actual: float, verdict: str) -> None:
    # Promised was a small step, within the tolerance of staying where it was.
    assert _verdict(0.112, 0.096, actual, "near", 0.05) == verdict


def test_what_was_taken_but_not_built_is_not_judged(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    world.calibrate()
    later = World(tmp_path, as_of="2027-01-01").customers()
    later.run("update rpt_run set pack_hash = ?", world.program.hash)
    file = world.pack / "program.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("spend_rank, at_least: 0.8}", "spend_rank, at_least: 0.9}"))
    found = later.calibrate(parse_period("2026Q4"))
    judged = {j.id: j for j in found.judged}["segments.core.when.at_least"]
    assert (judged.state, judged.kept) == ("waiting", ())
    assert "built before" in judged.text.en
    assert "taken, not yet in use" in _texts(section(found, "en"))


def test_customers_stand_where_they_did_when_the_period_ended(tmp_path: Path) -> None:
    end = World(tmp_path).customers()
    # Two months later a tenth of them is left.
    late = World(tmp_path, as_of="2026-12-01").customers(f"{CUSTOMERS} limit 100")
    # The version of the period's end was built with another pack: nobody knows who stood where.
    found = late.calibrate()
    assert found.customers == 100
    assert any("as of 2026-12-01" in finding.text.en for finding in found.findings)
    end.run("update rpt_run set pack_hash = ?", end.program.hash)
    found = late.calibrate()
    assert (found.customers, str(found.standings_as_of.date())) == (1000, AS_OF)
    assert found.as_of.date() == date(2026, 12, 1)
    assert not any("kept" in finding.text.en for finding in found.findings)
    # A version of the middle of a period knows nothing of its end.
    assert late.calibrate(parse_period("2026Q4")).customers == 100


def test_periods_and_packs_that_do_not_fit(quarter: World) -> None:
    with pytest.raises(SettingsError, match="begins after"):
        quarter.calibrate(parse_period("2026Q4"))
    other = load_program("online_crm", PROJECT_ROOT / "programs")
    with pytest.raises(SettingsError, match="is of the pack retail_care"):
        calibrate(quarter.settings, other, QUARTER)
    assert quarter.marts(parse_period("2026-09")).until == date(2026, 10, 1)


def test_a_quarter_nothing_is_known_of_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path).customers()
    world.run("create table rpt_kpis as select 'quarter' as period_type, "
              "date '2026-07-01' as period_start, date '2026-10-01' as period_end")  # fmt: skip
    assert world.calibrate().customers == 1000
    with pytest.raises(SettingsError, match="nothing of 2020Q1: its figures begin with 2026-07-01"):
        world.calibrate(parse_period("2020Q1"))


def test_texts_are_complete(quarter: World) -> None:
    for key, texts in templates().items():
        fields = [set(re.findall(r"{(\w+)}", texts[lang])) for lang in ("en", "zh")]
        assert fields[0] == fields[1], key
    found = quarter.made
    for language in ("en", "zh"):
        made = section(found, language)
        assert isinstance(made, Section)
        tables = {t.id: t for t in made.blocks}
        assert len(tables["calibration_proposals"].rows) == len(found.proposals)
        for text in _texts(made):
            assert "{" not in text, text
            assert not re.search("[\u4e00-\u9fff]", text) or language == "zh", text
    assert all(re.search("[\u4e00-\u9fff]", s.text) for s in section(found, "zh").sentences)


def _texts(made: Section) -> list[str]:
    found = [made.title, *(s.text for s in made.sentences)]
    for table in made.blocks:
        found += [table.title, table.note, *(c.title for c in table.columns)]
        found += [v for row in table.rows for v in row.values() if isinstance(v, str)]
    return found


def test_command(quarter: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["calibrate", "2026Q3", "--home", str(quarter.settings.home), "--program",
                 str(quarter.pack)]  # fmt: skip
    run = CliRunner().invoke(app, [*arguments, "--lang", "en", "--tables"])
    assert run.exit_code == 0, run.output
    assert "Core: " in run.stdout
    assert "patch -d" in run.stdout
    lines = [x for x in run.stdout.splitlines() if not x.startswith("  ")]
    assert max(map(len, lines)) <= 100
    monkeypatch.setattr("careloop.cli.calibrate.calibrate", lambda *_, **__: quarter.made)
    run = CliRunner().invoke(app, [*arguments, "--json"])
    data = json.loads(run.stdout)
    assert data["period"] == "2026Q3"
    assert Path(data["pack_folder"], "changes.diff").is_file()


def test_company(company: Company, tmp_path: Path) -> None:
    """The refreshed company: read-only but for a folder of reviews in a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "published").symlink_to(company.settings.published)
    settings: Settings = company.settings.model_copy(update={"home": home})
    program = load_program("retail_care")
    found = calibrate(settings, program, QUARTER)
    # Where they stood as the quarter ended, which is not where they stand a month later.
    assert found.standings_as_of.date() >= QUARTER.end_day
    day = f"{found.standings_as_of:%Y%m%dT%H%M}"
    version = next(v for v in versions(settings) if v.startswith(day))
    now = dict(query(settings, "select segment, actual_share from rpt_segment_shares", version)[1])
    shares = {r["value"]: r["share"] for r in found.shares if r["dimension"] == "segment"}
    assert shares == {s: pytest.approx(v, abs=1e-6) for s, v in now.items()}
    assert company.one("select count(*) from rpt_return_intervals") > 100
    assert company.one("select max(interval_days) from rpt_return_intervals") > 90
    ids = {f.id for f in found.findings}
    assert {"segments.shares", "segments.drift_segment", "clusters.measures"} <= ids
    assert load_program(found.pack_folder).hash == found.proposed_hash
    first = (found.pack_folder / "proposals.json").read_bytes()
    assert calibrate(settings, program, QUARTER) == found
    assert (found.pack_folder / "proposals.json").read_bytes() == first
