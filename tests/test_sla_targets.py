"""History of the service targets over runs with changing packs."""

import datetime as dt
from typing import Any

import duckdb
import pytest

from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.sla import Clock
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from careloop.warehouse import rows_of
from jinja_sql import Models

FIRST, SECOND, THIRD, FOURTH = (dt.datetime(2026, 6, day) for day in (1, 2, 3, 4))
PACK = load_program("service_desk", PROJECT_ROOT / "programs")


class History:
    """Runs one after the other, each going on from the published table of the one before."""

    def __init__(self) -> None:
        self.con = duckdb.connect()
        self.models = Models(DBT_PROJECT, self.con)
        for schema in ("run", "intermediate", "marts"):
            self.con.execute(f"create schema {schema}")
        self.con.execute(f"create table run.previous_sla_targets ({CARRIED['sla_targets'][1]})")

    def run(
        self, clocks: list[Clock], as_of: dt.datetime, published: list[dict] | None = None
    ) -> list[dict[str, Any]]:
        """The published rows of a run; published: those of the version it goes on from."""
        con = self.con
        pack = _with_clocks(clocks)
        write_program_tables(con, pack, as_of.date(), as_of.date() + dt.timedelta(days=3))
        con.execute(
            "create or replace table run.context as select ?::timestamp as as_of_utc, "
            "'x' as pack_hash",
            [as_of],
        )
        con.execute("delete from run.previous_sla_targets")
        for row in published or []:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            con.execute(
                f"insert into run.previous_sla_targets ({names}) values ({marks})",
                list(row.values()),
            )
        self.models.run("int_sla_targets", "dim_sla_targets")
        return rows_of(con, "from marts.dim_sla_targets order by clock, valid_from nulls first")


def _with_clocks(clocks: list[Clock]) -> Program:
    return PACK.model_copy(update={"sla": PACK.sla.model_copy(update={"clocks": clocks})})


def _clock(id: str, **parts: Any) -> Clock:
    whole = {
        "id": id,
        "title": {"en": id, "zh": id},
        "starts": "ticket_opened",
        "stops": "solved",
        "target": "24h",
        "clock": "calendar",
    }
    return Clock.model_validate({**whole, **parts})


def _periods(rows: list[dict]) -> list[tuple]:
    return [(r["clock"], r["target"], r["valid_from"], r["valid_until"]) for r in rows]


@pytest.fixture
def history() -> History:
    return History()


def test_first_targets_have_held_since_ever(history: History) -> None:
    rows = history.run(PACK.sla.clocks, FIRST)
    assert [r["clock"] for r in sorted(rows, key=lambda r: r["clock_no"])] == [
        c.id for c in PACK.sla.clocks
    ]
    assert {(r["valid_from"], r["valid_until"]) for r in rows} == {(None, None)}
    found = next(r for r in rows if r["clock"] == "feedback_solved")
    assert found["target_key"] == "feedback_solved"
    assert (found["kinds"], found["channels"]) == ("|complaint|suggestion|", None)
    assert (found["pauses"], found["target_seconds"]) == ("|pending|", 86400)


CHANGES: list[dict[str, Any]] = [
    {"target": "12h"},
    {"stops": "closed"},
    {"kinds": ["fault"]},
    {"urgencies": ["urgent"]},
    {"channels": ["wecom"]},
    {"touchpoints": ["use"]},
    {"segments": ["core"]},
    {"stages": ["new"]},
    {"tiers": ["gold"]},
    {"complex": False},
    {"clock": "business"},
    {"pauses": ["pending"]},
    {"warn_at": 0.5},
    {"target_share": 0.9},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_changed_clock_opens_a_version(history: History, change: dict) -> None:
    first = history.run([_clock("a"), _clock("b")], FIRST)
    rows = history.run([_clock("a", **change), _clock("b")], SECOND, first)
    target = change.get("target", "24h")
    assert _periods(rows) == [
        ("a", "24h", None, SECOND),
        ("a", target, SECOND, None),
        ("b", "24h", None, None),
    ]
    assert len({r["target_key"] for r in rows}) == 3
    third = history.run([_clock("b"), _clock("a", **change)], THIRD, rows)
    assert _periods(third) == _periods(rows)


def test_titles_places_and_the_order_of_lists_open_none(history: History) -> None:
    before = [_clock("a", kinds=["fault", "enquiry"]), _clock("b")]
    first = history.run(before, FIRST)
    after = [_clock("b"), _clock("a", title={"en": "A", "zh": "甲"}, kinds=["enquiry", "fault"])]
    rows = history.run(after, SECOND, first)
    assert _periods(rows) == [("a", "24h", None, None), ("b", "24h", None, None)]
    assert (rows[0]["title_en"], rows[0]["title_zh"], rows[0]["clock_no"]) == ("A", "甲", 2)
    assert rows[0]["as_of"] == FIRST


def test_a_clock_that_goes_and_comes_back(history: History) -> None:
    first = history.run([_clock("a")], FIRST)
    second = history.run([], SECOND, first)
    assert _periods(second) == [("a", "24h", None, SECOND)]
    third = history.run([], THIRD, second)
    assert third == second
    fourth = history.run([_clock("a")], FOURTH, third)
    assert _periods(fourth) == [("a", "24h", None, SECOND), ("a", "24h", FOURTH, None)]


def test_a_rerun_gives_the_same_and_a_replay_what_held_then(history: History) -> None:
    old, new = [_clock("a")], [_clock("a", target="1h"), _clock("b")]
    first = history.run(old, FIRST)
    second = history.run(old, SECOND, first)
    third = history.run(new, THIRD, second)
    assert history.run(new, THIRD, second) == third
    # The version before is no longer kept: the later one must do, and gives the same.
    assert history.run(new, THIRD, third) == third
    assert history.run(old, SECOND, third) == second
    assert history.run(old, FIRST, third) == first
