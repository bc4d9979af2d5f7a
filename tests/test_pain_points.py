"""Pain points: what customers write is recognised as the rules say, and never published."""

import datetime as dt
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb
import pytest
import yaml

from careloop.program.keywords import any_pattern, keyword_mistake
from careloop.program.load import load_program, program_names
from careloop.program.model import Program
from careloop.program.tables import write_program_tables
from careloop.published import open_published
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.warehouse import rows_of
from conftest import Company, packs_of
from jinja_sql import Models

PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
AS_OF = dt.datetime(2026, 6, 1)
WORDS = yaml.safe_load((PROJECT_ROOT / "src/careloop/sample/words.yml").read_text("utf-8"))
WHITE = " \t\n\f\r"
ENDS = ".!?。！？\n"


# -- the reference: letter by letter, without patterns ----------------------------------------


def is_letter(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place].isascii() and (
        text[place].isalnum() or text[place] == "_"
    )  # fmt: skip


def ends_of(word: str, text: str, start: int) -> Iterator[int]:
    """Where a keyword that begins in a text at a place ends, the longest first."""
    if not word:
        if not (is_letter(text, start - 1) and is_letter(text, start)):
            yield start
        return
    letter, rest = word[0], word[1:]
    if letter in "*…":
        if letter == "…" and is_letter(text, start - 1) and is_letter(text, start):
            return
        stop = start
        while stop < len(text) and (
            is_letter(text, stop) if letter == "*"
            else stop - start < 20 and text[stop] not in ENDS
        ):  # fmt: skip
            stop += 1
        for place in range(stop, start - 1, -1):
            begins = rest[:1].isascii() and rest[:1].isalnum()
            if letter == "*" and is_letter(text, place):
                continue
            if letter == "…" and begins and is_letter(text, place - 1):
                continue
            yield from ends_of(rest, text, place)
    elif letter == " ":
        stop = start
        while stop < len(text) and text[stop] in WHITE:
            stop += 1
        for place in range(stop, start, -1):
            yield from ends_of(rest, text, place)
    elif start < len(text):
        there = text[start].replace("’", "'").lower()
        if there == letter.replace("’", "'").lower():
            yield from ends_of(rest, text, start + 1)


def end_of(word: str, text: str, start: int) -> int | None:
    word = word.replace(" … ", "…").replace(" …", "…").replace("… ", "…")
    if word[0].isascii() and is_letter(text, start - 1):
        return None
    return next(ends_of(word, text, start), None)


def has(word: str, text: str) -> bool:
    return any(end_of(word, text, i) is not None for i in range(len(text)))


def without(words: list[str], text: str) -> str:
    result, place = "", 0
    while place < len(text):
        end = next((e for w in words if (e := end_of(w, text, place)) is not None), None)
        result += text[place] if end is None else "\x1f"
        place = place + 1 if end is None else end
    return result


def places(words: list[str], text: str) -> str:
    """What any of the words finds, from left to right and no letter twice."""
    found, place = [], 0
    while place < len(text):
        end = next((e for w in words if (e := end_of(w, text, place)) is not None), None)
        found += [] if end is None else [text[place:end]]
        place = place + 1 if end is None else end
    return "\x1f".join(found)


def recognised(program: Program, category: str | None, text: str) -> tuple[Any, str | None, Any]:
    """Rule, how it was found, and the evidence."""
    rules = program.pain_points.rules
    for rule in rules:
        if category in rule.categories:
            return rule, "category", category
    for rule in rules:
        left = without(rule.unless_keywords, text)
        read = places(rule.keywords, left)
        if found := [word for word in rule.keywords if has(word, read)]:
            return rule, "keyword", ", ".join(found)
    return None, None, None


# -- a warehouse with texts ------------------------------------------------------------------


@cache
def program_of(pack: str) -> Program:
    return load_program(pack, PROGRAMS)


def warehouse(pack: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    program = program_of(pack)
    for schema in ("raw", "run", "staging", "intermediate", "marts"):
        con.execute(f"create schema {schema}")
    write_program_tables(con, program, dt.date(2025, 1, 1), dt.date(2026, 12, 31))
    con.execute(
        "create table run.context as select ?::timestamp as as_of_utc, ?::date as as_of_date, "
        "'UTC' as zone, 'CNY' as currency, 'h' as pack_hash",
        [AS_OF, AS_OF],
    )
    con.execute(
        "create table raw.tickets (ticket_id varchar, opened_at timestamp, description varchar)"
    )
    con.execute(
        "create table raw.surveys (response_id varchar, ticket_id varchar, customer_id varchar, "
        "order_id varchar, asked_at timestamp, answered_at timestamp, comment varchar)"
    )
    con.execute(
        "create table intermediate.int_cases (case_id varchar, case_kind varchar, "
        "ticket_id varchar, response_id varchar, customer_id varchar, opened_at timestamp, "
        "kind varchar, category varchar, touchpoint varchar, department varchar, "
        "is_resolved boolean, resolved_at timestamp)"
    )
    return con


def classes(
    con: duckdb.DuckDBPyConnection, texts: list[tuple[str | None, str | None]]
) -> list[dict[str, Any]]:
    """What the model says of tickets with a category and a text, in their order."""
    rows = [(f"t{i:05}", *text) for i, text in enumerate(texts)]
    con.execute("delete from raw.tickets; delete from intermediate.int_cases")
    con.executemany("insert into raw.tickets values (?, '2026-05-01', ?)",
                    [(key, text) for key, _, text in rows])  # fmt: skip
    con.executemany("insert into intermediate.int_cases (case_id, case_kind, ticket_id, category) "
                    "values ($1, 'ticket', $1, $2)", [row[:2] for row in rows])  # fmt: skip
    Models(DBT_PROJECT, con).run("int_case_classes")
    return rows_of(con, "from intermediate.int_case_classes order by case_id")


FILLERS = ("订单", "你好，", "。", "！", " ", "\n", "please ", "translated ", "the late", "ed ", "x",
           "returned the call ", "不", "没有", "很", "not ", "O10002370005", "'", "’", "É", "，")  # fmt: skip


def random_text(rng: random.Random, words: list[str]) -> str:
    """Keywords in both languages, whole, broken and grown together, between other things."""
    parts = []
    for _ in range(rng.randint(1, 5)):
        word = rng.choice(words)
        gap = rng.choice(("", " ", "了", " the parcel ", "。", " x" * 12))
        word = word.replace("…", gap).replace("*", rng.choice(("", "s", "ed", "-")))
        word = word.replace(" ", rng.choice((" ", " ", "  ", "\n")))
        word = word.replace("'", rng.choice("'’"))
        change = rng.random()
        if change < 0.15:
            word = word.upper()
        elif change < 0.3:
            word = word[: rng.randint(1, len(word))]
        parts += [word, *rng.choices(FILLERS, k=rng.randint(0, 3))]
    return "".join(parts)


@pytest.mark.parametrize("pack", packs_of())
def test_random_texts_are_recognised_as_by_reading_letter_by_letter(pack: str) -> None:
    rng, program = random.Random(pack), program_of(pack)
    rules = program.pain_points.rules
    words = [w for rule in rules for w in (*rule.keywords, *rule.unless_keywords)]
    categories = [c for rule in rules for c in rule.categories] + ["other"]
    texts: list[tuple[str | None, str | None]] = [
        (rng.choice(categories) if rng.random() < 0.1 else None, random_text(rng, words))
        for _ in range(600)
    ]
    texts += [(None, None), (None, ""), ("other", None), (rules[-1].categories[0], None)]
    found = classes(warehouse(pack), texts)
    seen = set()
    for (category, text), row in zip(texts, found, strict=True):
        rule, how, evidence = recognised(program, category, text or "")
        wanted = (rule.id if rule else None, how, evidence)
        assert (row["pain_point"], row["matched_by"], row["evidence"]) == wanted, repr(text)
        assert row["class"] == (rule.class_ if rule else None)
        assert row["is_core"] == bool(rule and rule.is_core)
        assert row["touchpoint"] == (rule.touchpoint if rule and rule.touchpoint else "(unknown)")
        default = program.pain_points.department_default
        assert row["department"] == (rule.department if rule else default)
        seen.add((row["pain_point"], how))
    assert {rule.id for rule in rules} <= {name for name, how in seen if how == "keyword"}
    assert (None, None) in seen


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_the_sample_writes_is_recognised_without_its_category(
    pack: str, language: str
) -> None:
    """The truth is the category that a text was written for."""
    program = program_of(pack)
    truth = {c: rule for rule in reversed(program.pain_points.rules) for c in rule.categories}
    texts = [
        (category, text.replace("{order}", "O10002370005"))
        for category, of in WORDS["ticket"].items()
        for text in of[language]
    ]
    con = warehouse(pack)
    found = classes(con, [(None, text) for _, text in texts])
    problems = [(truth[c], row) for (c, _), row in zip(texts, found, strict=True) if c in truth]
    same = [row for rule, row in problems if rule.id == row["pain_point"]]
    other_class = [row for rule, row in problems if row["class"] not in (rule.class_, None)]
    assert len(same) >= 0.8 * len(problems), [r for _, r in problems if r not in same]
    assert len(other_class) <= 0.05 * len(problems), other_class
    # Enquiries, invoices and wishes are no pain points, whatever words they are in.
    quiet = [row for (c, _), row in zip(texts, found, strict=True)
             if c in ("order_status", "product_info", "invoice", "usage_advice", "suggestion")]  # fmt: skip
    assert quiet
    assert all(row["pain_point"] is None for row in quiet)


def test_comments_count_for_their_ticket_and_for_answers_asked_together() -> None:
    con = warehouse("retail_care")
    con.execute("""
        insert into raw.tickets values ('t1', '2026-05-01', 'Hello'), ('t2', '2026-05-01', null);
        insert into raw.surveys values
            ('r1', 't1', 'c', null, '2026-05-02', '2026-05-03', 'The agent was rude'),
            ('r2', 't2', 'c', null, '2026-05-02', '2026-06-02', 'The agent was rude'),
            ('r3', null, 'c', 'o', '2026-05-02', '2026-05-03', null),
            ('r4', null, 'c', 'o', '2026-05-02', '2026-05-03', '物流太慢'),
            ('r5', null, null, 'o', '2026-05-02', '2026-05-03', 'spam'),
            ('r6', null, null, 'o', '2026-05-02', '2026-05-03', null);
        insert into intermediate.int_cases (case_id, ticket_id, response_id) values
            ('t1', 't1', null), ('t2', 't2', null), ('r3', null, 'r3'), ('r5', null, 'r5'),
            ('r6', null, 'r6');
    """)
    Models(DBT_PROJECT, con).run("int_case_classes")
    found = con.execute(
        "select case_id, pain_point, evidence from intermediate.int_case_classes order by all"
    ).fetchall()
    assert found == [
        ("r3", "late_delivery", "物流太慢"),
        ("r5", "empty_gesture", "spam"),
        ("r6", None, None),
        ("t1", "bad_attitude", "rude"),
        ("t2", None, None),  # answered after as_of
    ]


@pytest.mark.parametrize(
    ("word", "mistake"),
    [
        ("late", None),
        ("refus* … refund", None),
        ("退款…没到账", None),
        ("late, later", "comma"),
        ("太慢*", "only at the end of a word in Latin"),
        ("re*fund", "only at the end of a word in Latin"),
        ("… late", "both sides"),
        ("late ", "blanks"),
    ],
)
def test_keywords_that_cannot_be_looked_for_are_refused(word: str, mistake: str | None) -> None:
    said = keyword_mistake(word)
    assert said is None if mistake is None else said and mistake in said


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("late", "It was translated", False),
        ("late", "LATE again", True),
        ("late", "又late了", True),
        ("refund", "refunded", False),
        ("refund*", "Refunded.", True),
        ("doesn't fit", "It doesn’t\nfit", True),
        ("return* … complicated", "Returning is far too complicated", True),
        ("return* … complicated", "Returned. It is complicated", False),
        ("退款…没到账", "退款一周还没到账", True),
    ],
)
def test_keywords_mean_whole_words(word: str, text: str, found: bool) -> None:
    con = duckdb.connect()
    rows = con.execute("select regexp_matches(?, ?)", [text, any_pattern([word])]).fetchall()
    assert rows == [(found,)]
    assert has(word, text) == found


# -- ranking, against the same by hand in Python ---------------------------------------------

PERIODS = (("rolling", 0), ("rolling", 1), ("quarter", 0), ("quarter", 1), ("quarter", 2))


def ranking_world(pack: str, rng: random.Random) -> duckdb.DuckDBPyConnection:
    con = warehouse(pack)
    rules = program_of(pack).pain_points.rules[:3]
    con.execute(
        "create table staging.stg_surveys (customer_id varchar, kind varchar, "
        "answered_at timestamp, score double, scale_min double, scale_max double)"
    )
    con.execute(
        "create table intermediate.int_case_classes (case_id varchar, pain_point varchar, "
        "class varchar, touchpoint varchar)"
    )
    con.execute(
        "create table intermediate.int_pain_point_periods (period_type varchar, "
        "period_no integer, period_start date, period_end date, starts_at timestamp, "
        "ends_at timestamp, is_over boolean, is_shown boolean, customers_active bigint)"
    )
    for kind, number in PERIODS:
        start, end = AS_OF - dt.timedelta(60 * (number + 1)), AS_OF - dt.timedelta(60 * number)
        shown = (kind, number) not in (("rolling", 1), ("quarter", 2))
        con.execute(
            "insert into intermediate.int_pain_point_periods values (?, ?, ?, ?, ?, ?, ?, ?, 60)",
            [kind, number, start, end, start, end + dt.timedelta(microseconds=number == 0),
             kind == "rolling" or number > 0, shown],
        )  # fmt: skip
    for i in range(300):
        opened = AS_OF - dt.timedelta(hours=rng.randint(0, 24 * 180))
        solved = opened + dt.timedelta(hours=rng.randint(1, 24 * 40))
        resolved = solved if rng.random() < 0.8 and solved <= AS_OF else None
        rule = rng.choices((*rules, None), (6, 3, 1, 2))[0]
        con.execute(
            "insert into intermediate.int_cases (case_id, case_kind, customer_id, opened_at, "
            "kind, is_resolved, resolved_at) values (?, ?, ?, ?, ?, ?, ?)",
            [f"t{i}", rng.choice(("ticket", "ticket", "low_score")),
             rng.choice((None, *(f"c{n}" for n in range(25)))), opened,
             rng.choice(("complaint", "fault")), resolved is not None, resolved],
        )  # fmt: skip
        con.execute(
            "insert into intermediate.int_case_classes values (?, ?, ?, ?)",
            [f"t{i}", rule and rule.id, rule and rule.class_, rng.choice(("use", "consult"))],
        )
        con.execute(
            "insert into staging.stg_surveys values (?, ?, ?, ?, 1, 5)",
            [f"c{rng.randint(0, 30)}", rng.choice(("csat", "csat", "nps")),
             AS_OF - dt.timedelta(hours=rng.randint(0, 24 * 180)), rng.choice((1, 3, 4, 5, None))],
        )  # fmt: skip
    return con


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def ranked(con: duckdb.DuckDBPyConnection, pack: str) -> dict[tuple, dict[str, Any]]:
    """The rows of int_pain_points by period, pain point and touchpoint, one by one."""
    points = program_of(pack).pain_points
    cases = con.execute(
        "select pain_point, int_case_classes.touchpoint, case_kind, customer_id, opened_at, kind, resolved_at "
        "from intermediate.int_cases join intermediate.int_case_classes using (case_id) "
        "where pain_point is not null"
    ).fetchall()
    answers = [(c, at, (score - 1) / 4) for c, at, score in con.execute(
        "select customer_id, answered_at, score from staging.stg_surveys "
        "where kind = 'csat' and score is not null").fetchall()]  # fmt: skip
    recheck = dt.timedelta(days=int(points.recheck_after[:-1]))
    result = {}
    for kind, number in PERIODS:
        start, end = AS_OF - dt.timedelta(60 * (number + 1)), AS_OF - dt.timedelta(60 * number)
        within = lambda at, a=start, b=end, n=number: a <= at and (at < b or (n == 0 and at == b))  # noqa: E731
        said = [(c, value) for c, at, value in answers if within(at)]
        for name, place in {case[:2] for case in cases}:
            all_of = [case for case in cases if case[0] == name]
            mine = [case for case in all_of if case[1] == place and within(case[4])]
            touched = {case[3] for case in mine if case[3]}
            fixed = {
                c: min(times) for c in touched
                if (times := [k[6] for k in mine
                              if k[3] == c and k[6] and k[6] + recheck <= AS_OF])
            }  # fmt: skip
            complaints = sum(case[5] == "complaint" for case in mine)
            score = len(touched) / 60 * complaints / len(mine) if mine else 0
            after = [v for c, at, v in answers if c in fixed and at > fixed[c]]
            result[kind, number, name, place] = {
                "cases": len(mine),
                "complaints": complaints,
                "low_scores": sum(case[2] == "low_score" for case in mine),
                "open_tickets": sum(k[2] == "ticket" and not k[6] for k in mine),
                "customers_touched": len(touched),
                "score": score,
                "level": next(
                    (x.level for x in points.levels if mine and round(score, 9) >= x.min_score),
                    None,
                ),
                "satisfaction": mean([100 * v for c, v in said if c in touched]),
                "satisfaction_others": mean([100 * v for c, v in said if c not in touched]),
                "satisfaction_answers": sum(c in touched for c, _ in said),
                "satisfaction_others_answers": sum(c not in touched for c, _ in said),
                "customers_rechecked": len(fixed),
                "customers_again": sum(
                    any(k[3] == c and k[4] > at for k in all_of) for c, at in fixed.items()
                ),
                "satisfaction_after": mean([100 * v for v in after]),
                "satisfaction_after_answers": len(after),
            }
    return result


@pytest.mark.parametrize("pack", PACKS)
def test_pain_points_are_ranked_and_checked_again_as_by_hand(pack: str) -> None:
    con = ranking_world(pack, random.Random(pack))
    Models(DBT_PROJECT, con).run("int_pain_points")
    wanted, points = ranked(con, pack), program_of(pack).pain_points
    rows = rows_of(
        con,
        "select p.period_no, i.* from intermediate.int_pain_points i "
        "join intermediate.int_pain_point_periods p using (period_type, period_start)",
    )
    there = {(r["period_type"], r["period_no"], r["pain_point"], r["touchpoint"]) for r in rows}
    assert there == {
        key for key, row in wanted.items()
        if key[:2] not in (("rolling", 1), ("quarter", 2))
        and (row["cases"] or wanted[(key[0], key[1] + 1, *key[2:])]["cases"])
    }  # fmt: skip
    for row in rows:
        key = (row["period_type"], row["period_no"], row["pain_point"], row["touchpoint"])
        before = wanted[(key[0], key[1] + 1, *key[2:])]
        for name, value in wanted[key].items():
            if isinstance(value, float) and name != "score":
                assert float(row[name]) == pytest.approx(value, abs=0.0501), (key, name)
            elif name == "score":
                assert row[name] == pytest.approx(value, abs=1e-8), key
            else:
                assert row[name] == value, (key, name)
        now, then = round(wanted[key]["score"], 9), round(before["score"], 9)
        trend = (
            None if key[:2] == ("quarter", 0)
            else "gone" if not row["cases"]
            else "new" if not before["cases"]
            else "same" if now == then
            else "worse" if now >= round(then * (1 + points.trend_from), 9)
            else "better" if now <= round(then * (1 - points.trend_from), 9)
            else "same"
        )  # fmt: skip
        assert row["trend"] == trend, key
    assert {r["trend"] for r in rows} >= {None, "worse", "better"}


def test_findings_are_carried_on_from_run_to_run() -> None:
    """Found when first at a level, left when below it, and new when it comes back."""
    con = warehouse("retail_care")
    con.execute(
        "create table run.previous_pain_point_findings (finding_key varchar, pain_point varchar, "
        "touchpoint varchar, level varchar, is_core boolean, found_on date, due_on date, "
        "left_on date, is_late boolean, as_of timestamp)"
    )
    con.execute(
        "create table intermediate.int_pain_points (period_type varchar, pain_point varchar, "
        "touchpoint varchar, cases integer, score double, is_solved boolean)"
    )
    models, days = Models(DBT_PROJECT, con), (0, 10, 40, 50, 60)
    scores = (0.5, 0.0025, 0.5, None, 0.001)
    for day, score in zip(days, scores, strict=True):
        con.execute("update run.context set as_of_date = ?, as_of_utc = ?",
                    [AS_OF + dt.timedelta(day)] * 2)  # fmt: skip
        con.execute("delete from intermediate.int_pain_points")
        con.execute(
            "insert into intermediate.int_pain_points values "
            "('rolling', 'late_delivery', 'delivery', 1, coalesce(?, 0.5), ?), "
            "('quarter', 'slow_answer', 'consult', 1, 0.9, false)",
            [score, score is None],
        )
        models.run("fct_pain_point_findings")
        con.execute("delete from run.previous_pain_point_findings")
        con.execute(
            "insert into run.previous_pain_point_findings by name "
            "from marts.fct_pain_point_findings"
        )
    found = con.execute(
        "select level, found_on, due_on, left_on, is_late from marts.fct_pain_point_findings "
        "order by level, found_on"
    ).fetchall()
    day = lambda month, number: dt.date(2026, month, number)  # noqa: E731
    assert found == [
        ("high", day(6, 1), day(7, 1), day(6, 11), False),
        ("high", day(7, 11), day(8, 11), day(7, 21), False),
        ("low", day(6, 1), day(12, 1), day(7, 21), False),
        ("low", day(7, 31), dt.date(2027, 1, 31), None, False),
        ("medium", day(6, 1), day(9, 1), day(7, 21), False),
    ]


def test_a_pain_point_goes_from_open_to_improving_overdue_and_solved() -> None:
    """Its term is that of the level it was found at, however it goes on."""
    con = warehouse("retail_care")
    names = ("touchpoint", "class", "level", "trend")
    numbers = (
        "cases", "complaints", "low_scores", "open_tickets", "customers_touched",
        "customers_active", "touched_share", "complaint_rate", "score", "previous_score",
        "previous_customers_touched", "satisfaction", "satisfaction_answers",
        "satisfaction_others", "satisfaction_others_answers", "customers_rechecked",
        "customers_again", "came_again_share", "satisfaction_after", "satisfaction_after_answers",
    )  # fmt: skip
    con.execute(
        "create table intermediate.int_pain_points (period_type varchar, period_start date, "
        "period_end date, is_over boolean, pain_point varchar, is_solved boolean, "
        + ", ".join([f"{n} varchar" for n in names] + [f"{n} double" for n in numbers])
        + ")"
    )
    con.execute(
        "create table run.previous_pain_point_findings (finding_key varchar, pain_point varchar, "
        "touchpoint varchar, level varchar, is_core boolean, found_on date, due_on date, "
        "left_on date, is_late boolean, as_of timestamp)"
    )
    models, day = Models(DBT_PROJECT, con), lambda n: (AS_OF + dt.timedelta(n)).date()
    level = program_of("retail_care").pain_points.levels[0]
    assert (level.level, level.solve_within) == ("high", "1mo")
    told = []
    for n, score, trend, solved in (
        (0, 0.5, "new", False), (5, 0.5, "worse", False), (10, 0.4, "better", False),
        (30, 0.3, "better", False), (31, 0.3, "better", False), (40, 0.3, "same", False),
        (45, 0.3, "better", True), (50, 0.5, "new", False),
    ):  # fmt: skip
        con.execute("update run.context set as_of_date = ?, as_of_utc = ?",
                    [AS_OF + dt.timedelta(n)] * 2)  # fmt: skip
        con.execute("delete from intermediate.int_pain_points")
        for kind in ("rolling", "quarter"):
            con.execute(
                "insert into intermediate.int_pain_points (period_type, pain_point, touchpoint, "
                "class, cases, score, level, trend, is_solved) "
                "values (?, 'late_delivery', 'delivery', 'process', 3, ?, 'high', ?, ?)",
                [kind, score, trend, solved],
            )
        models.run("fct_pain_point_findings", "rpt_pain_points")
        con.execute("delete from run.previous_pain_point_findings")
        con.execute(
            "insert into run.previous_pain_point_findings by name "
            "from marts.fct_pain_point_findings"
        )
        found = con.execute(
            "select state, found_on, due_on from marts.rpt_pain_points order by period_type desc"
        ).fetchall()
        assert found[1] == (None, None, None)  # quarters have no state
        told.append(found[0])
    first = day(0), dt.date(2026, 7, 1)
    assert told == [
        ("open", *first), ("open", *first), ("improving", *first), ("improving", *first),
        ("overdue", *first), ("overdue", *first), ("solved", None, None),
        ("open", day(50), dt.date(2026, 8, 21)),
    ]  # fmt: skip


# -- what is published ------------------------------------------------------------------------


def test_no_customers_words_are_published(company: Company) -> None:
    """Every text of every published table against every phrase the sample's customers write."""
    phrases = sorted(
        piece
        for what in ("ticket", "comment")
        for of in WORDS[what].values()
        for language in ("zh", "en")
        for text in of[language]
        for piece in text.split("{order}")
        if len(piece) >= (5 if language == "zh" else 15)
    )
    assert len(phrases) > 100
    con = open_published(company.settings)
    columns = con.execute(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "where data_type = 'VARCHAR' and database_name = current_database() and not internal"
    ).fetchall()
    assert {"fct_pain_point_cases", "rpt_pain_points"} <= {table for _, table, _ in columns}
    for schema, table, column in columns:
        told = con.execute(
            f'select "{column}" from (select distinct "{column}" from "{schema}"."{table}") '
            f'where list_bool_or(list_transform(?, lambda p: contains("{column}", p)))',
            [phrases],
        ).fetchall()
        assert told == [], (schema, table, column)
