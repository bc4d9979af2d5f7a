"""Care rules: what the five programs ask for, checks, words, dates, what comes up next."""

import hashlib
import json
import shutil
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from careloop.cli import rules as commands
from careloop.errors import ProgramError
from careloop.program import load_program
from careloop.program.base import rough_days
from careloop.program.dates import (
    WorkDays,
    anniversaries,
    day_after,
    day_before,
    day_window,
    deadline,
    event_window,
    moment_after,
    start_of,
    turn_start,
    turns,
    utc_of,
)
from careloop.program.load import InvalidProgram
from careloop.program.rule_warnings import rule_warnings
from careloop.program.rule_words import WORDS, RuleWords
from careloop.program.rules import Rule
from careloop.rules_ahead.ahead import Coming, coming, unforeseen
from careloop.rules_ahead.facts import Facts, read_facts

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
PACKS = ("b2b_service", "key_account", "online_crm", "retail_care", "service_desk")
TODAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def packs():
    return {name: load_program(name, PROGRAMS) for name in PACKS}


def flat(value, path=""):
    """A rule as dotted paths and values; lists whole."""
    if isinstance(value, dict):
        return {
            key: text
            for name, item in value.items()
            for key, text in flat(item, f"{path}.{name}".lstrip(".")).items()
        }
    return {path: value}


# What the five programs say, as rule → (path, value).
FIGURES = {
    "retail_care": {
        "recommendation": {"about": "next_product", "purpose": "marketing"},
        "consult_offer": {"audience.stages": ["prospect"], "who": "service"},
        "order_paid": {"trigger.event.name": "order_paid", "purpose": "service"},
        "order_preparing": {"trigger.event.name": "order_preparing"},
        "order_shipped": {"trigger.event.name": "order_shipped"},
        "late_delivery": {"trigger.event.name": "delivery_late", "offer": "late_coupon"},
        "lost_delivery": {"trigger.event.name": "delivery_lost", "offer": "lost_coupon"},
        "delivery_follow_up": {
            "trigger.event.name": "order_delivered", "trigger.event.after": "3d",
            "trigger.event.until": "7d", "purpose": "survey",
        },
        "welcome": {"trigger.event.name": "first_order", "offer": "welcome_pack"},
        "birthday": {"trigger.anniversary.of": "birthday", "offer": "birthday_coupon"},
        "birthday_core": {"offer": "birthday_box", "who": "account_manager"},
        "membership_anniversary": {"trigger.anniversary.of": "membership"},
        "spring_festival": {"trigger.occasion.name": "spring_festival"},
        "mid_autumn": {"trigger.occasion.name": "mid_autumn"},
        "maintenance": {"trigger.event.name": "replacement_due", "offer": "free_maintenance"},
        "wake_up": {
            "trigger.event.name": "last_order", "trigger.event.after": "3mo",
            "offer": "return_discount",
        },
        "wake_up_call": {"channels": ["call"], "who": "service"},
        "win_back_low": {"trigger.entered.alert_levels": ["low"], "who": "automatic"},
        "win_back_medium": {"trigger.entered.alert_levels": ["medium"], "act_within": "24h"},
        "win_back_high": {"trigger.entered.alert_levels": ["high"], "act_within": "24h"},
        "new_products_first": {"audience.segments": ["core"], "trigger.occasion.name": "launch"},
        "core_interview": {"trigger.cadence.every": "6mo", "audience.segments": ["core"]},
        "potential_survey": {"trigger.cadence.every": "6mo", "purpose": "survey"},
        "repurchase_incentive": {"offer": "spend_and_get"},
        "exclusive_offer": {"offer": "exclusive"},
    },
    "key_account": {
        "first_benefit": {"offer": "first_order", "audience.stages": ["new"]},
        "trial_pack": {"offer": "trial_pack", "audience.stages": ["new"]},
        "abandoned_cart": {"trigger.event.name": "cart_abandoned", "offer": "cart_coupon"},
        "complaints_call": {
            "audience.when.measure": "complaints_medium", "audience.when.at_least": 2,
            "channels": ["call"], "who": "win_back_team", "act_within": "24h",
            "offer": "compensation",
        },
        "win_back": {"trigger.event.name": "last_interaction", "trigger.event.after": "30d"},
        "win_back_low": {"trigger.entered.alert_levels": ["low"], "who": "automatic"},
        "win_back_plan": {
            "trigger.entered.alert_levels": ["medium", "high"], "who": "win_back_team",
            "act_within": "24h",
        },
        "high_value_contact": {
            "trigger.cadence.every": "1w", "audience.segments": ["high_value"],
            "who": "account_manager",
        },
        "middle_contact": {"trigger.cadence.every": "1mo", "expires_after": "1q"},
        "basic_content": {"trigger.cadence.every": "1q", "who": "automatic"},
        "basic_survey": {"trigger.cadence.every": "1q", "purpose": "survey"},
        "spring_festival": {"trigger.occasion.name": "spring_festival"},
        "mid_autumn": {"trigger.occasion.name": "mid_autumn"},
        "birthday": {"trigger.anniversary.of": "birthday"},
        "first_purchase_anniversary": {"trigger.anniversary.of": "first_purchase"},
        "registration_anniversary": {"trigger.anniversary.of": "registration"},
        "tier_reached": {"trigger.entered.tiers": ["gold", "platinum", "diamond"]},
        "referral_thanks": {"trigger.event.name": "referral_converted"},
        "double_points_spring": {"trigger.occasion.days_before": 7},
    },
    "online_crm": {
        "onboarding": {"offer": "first_order", "trigger.event.until": "7d"},
        "recommendation": {"about": "next_product", "audience.stages": ["active"]},
        "satisfaction": {
            "trigger.event.name": "order_completed", "trigger.event.until": "24h",
            "purpose": "survey",
        },
        "solved_questionnaire": {"trigger.event.until": "24h"},
        "birthday": {"trigger.anniversary.of": "birthday", "offer": "birthday"},
        "membership_anniversary": {"trigger.anniversary.of": "membership"},
        "occasion_618": {"trigger.occasion.name": "618"},
        "occasion_double_11": {"trigger.occasion.name": "double_11"},
        "launch": {"trigger.occasion.name": "launch"},
        "wake_up": {"trigger.event.after": "30d", "audience.stages": ["dormant"]},
        "wake_up_call": {"trigger.event.after": "37d", "channels": ["call"]},
        "win_back_plan": {"act_within": "24h", "who": "service"},
        "content": {"trigger.cadence.every": "1w"},
        "survey": {"trigger.cadence.every": "1q"},
    },
    "b2b_service": {
        "first_deal_call": {
            "trigger.event.name": "first_order", "act_within": "3wd", "who": "sales_rep",
            "channels": ["call"], "audience.stages": ["new"],
        },
        "quick_start": {"trigger.event.name": "first_order", "trigger.event.until": "3wd"},
        "weekly_tip": {"trigger.cadence.every": "1w", "audience.stages": ["new"]},
        "solution_call_back": {
            "trigger.event.name": "ticket_solved", "act_within": "24h", "channels": ["call"],
        },
        "company_anniversary": {"trigger.anniversary.of": "company"},
        "spring_festival": {"audience.stages": ["stable"]},
        "quarterly_survey": {"trigger.cadence.every": "1q", "audience.stages": ["stable"]},
        "salon": {"trigger.cadence.every": "6mo", "audience.stages": ["stable"]},
        "high_value_contact": {"trigger.cadence.every": "1mo"},
        "high_value_visit": {"trigger.cadence.every": "1y", "channels": ["visit"]},
    },
    "service_desk": {
        "guide": {"trigger.event.name": "first_order", "trigger.event.until": "3d"},
        "feature_updates": {"trigger.cadence.every": "1mo"},
        "one_to_one": {"audience.segments": ["high_value"], "trigger.event.until": "7d"},
        "high_value_contact": {"trigger.cadence.every": "1q"},
        "order_delivered": {"trigger.event.name": "order_delivered", "purpose": "service"},
        "late_delivery": {"offer": "late_coupon", "purpose": "service"},
        "result_told": {"trigger.event.name": "ticket_solved", "trigger.event.until": "24h"},
        "recheck": {"trigger.event.after": "14d", "purpose": "survey"},
        "win_back_medium": {"who": "service", "act_within": "24h"},
        "win_back_high": {"who": "supervisor", "act_within": "8h"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("pack", "rule"), [(pack, rule) for pack, rules in FIGURES.items() for rule in rules]
)
def test_every_care_of_the_programs_is_a_rule(packs, pack, rule):
    found = {r.id: flat(r.model_dump(mode="json", exclude_none=True)) for r in packs[pack].rules}
    assert rule in found
    for path, value in FIGURES[pack][rule].items():
        assert found[rule].get(path) == value, path


@pytest.mark.parametrize("pack", PACKS)
def test_rules_fit_the_rest_of_their_pack(packs, pack):
    """No rule that never comes up, no offer for others, no other owner than churn.levels names,
    every order state told, nobody's win-back without the common cap."""
    assert rule_warnings(packs[pack], TODAY) == []


def test_churn_levels_are_answered_by_every_pack(packs):
    for pack in packs.values():
        answered = {
            level
            for rule in pack.rules
            if rule.trigger.entered
            for level in rule.trigger.entered.alert_levels
        }
        assert answered == {level.level for level in pack.churn.levels}


# ------------------------------------------------------------------------------ broken rules

# Text replaced in retail_care's rules, path of the problem, part of the message, what is allowed.
BROKEN = [
    ("    purpose: care\n", "    porpose: care\n", "rules[0].porpose", "did you mean purpose",
     "purpose"),
    ("    template: consult_offer\n", "", "rules[0].template", "is missing", None),
    ("stages: [prospect]", "stages: [prospects]", "rules[0].audience.stages[0]",
     "did you mean prospect", "lost"),
    ("segments: [core, potential, new]}", "segments: [core, potental]}",
     "rules[1].audience.segments[1]", "did you mean potential", "dormant"),
    ("measure: spend_rank", "measure: spend_rnk", "rules[21].audience.when.measure",
     "did you mean spend_rank", "spend_rank"),
    ("offer: spend_and_get", "offer: spend_get", "rules[2].offer", "did you mean spend_and_get",
     "exclusive"),
    ("name: mid_autumn", "name: mid_autum", "rules[15].trigger.occasion.name",
     "did you mean mid_autumn", "618"),
    ("tiers: [silver, gold]", "tiers: [silver, golden]", "rules[26].trigger.entered.tiers[1]",
     "did you mean gold", "regular"),
    ("audience: {stages: [prospect]}", "audience: {tags: [spending_powr=high]}",
     "rules[0].audience.tags[0]", "did you mean spending_power", "region"),
    ("audience: {stages: [prospect]}", "audience: {tags: [spending_power=huge]}",
     "rules[0].audience.tags[0]", "is no value of spending_power", "spending_power=high"),
    ("channels: [wecom, call]", "channels: [wechat, call]", "rules[0].channels[0]",
     "is not allowed", "wecom"),
    ("name: registered", "name: register", "rules[0].trigger.event.name", "did you mean registered",
     "order_paid"),
    ("unless: [ordered, contacted]", "unless: [orderd]", "rules[0].trigger.event.unless[0]",
     "did you mean ordered", "ticket_open"),
    ("cadence: {every: 2w}", "cadence: {every: 48h}", "rules[1].trigger.cadence.every",
     "whole days of the calendar", "w (week)"),
    ("cadence: {every: 2w}", "cadence: {every: 2w}, anniversary: {of: birthday}",
     "rules[1].trigger", "exactly one", "cadence"),
    ("entered: {segments: [potential]}", "entered: {}", "rules[2].trigger.entered",
     "exactly one", "tiers"),
    ("after: 3d, until: 7d", "after: 8d, until: 7d", "rules[8].trigger.event.until",
     "is before `after`", None),
    ("    act_within: 1wd\n", "    act_within: soon\n", "rules[0].act_within", "not a duration",
     "wd (working day)"),
    ("    act_within: 1wd\n", "    act_within: 1wd\n    expires_after: 2d\n",
     "rules[0].expires_after", "use `until`", None),
    ("id: recommendation", "id: consult_offer", "rules[1].id", "used twice", None),
    ("priority: 60", "priority: 600", "rules[0].priority", "less than or equal to 100", None),
    ("who: service", "who: servise", "rules[0].who", "did you mean service", "sales_rep"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "message", "allowed"), BROKEN)
def test_broken_rule_names_path_line_and_what_is_allowed(
    tmp_path, old, new, path, message, allowed
):
    shutil.copytree(PROGRAMS / "retail_care", tmp_path / "retail_care")
    file = tmp_path / "retail_care" / "rules.yml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InvalidProgram) as caught:
        load_program("retail_care", tmp_path)
    problems = {p.path: p for p in caught.value.problems}
    assert path in problems, str(caught.value)
    assert message in str(problems[path])
    assert "rules.yml" in str(caught.value)
    assert caught.value.exit_code == 4
    if allowed is not None:
        assert allowed in problems[path].allowed
    if "missing" not in message:
        line = text[: text.index(old)].count("\n") + 1
        assert line - 2 <= problems[path].line <= line + 3


def changed(packs, name, **update):
    """The pack with one rule changed."""
    pack = packs["retail_care"].model_copy()
    pack._rules = tuple(
        rule.model_copy(update=update) if rule.id == name else rule
        for rule in packs["retail_care"].rules
    )
    return pack


@pytest.mark.parametrize(
    ("rule", "update", "warning"),
    [
        ("birthday", {"ends_on": date(2026, 10, 1)}, "never comes up again"),
        ("wake_up", {"offer": "birthday_box"}, "not for segments dormant"),
        ("birthday", {"offer": "return_discount"}, "not for segments new, potential"),
        ("late_delivery", {"offer": "exclusive"}, "the rule gives exclusive"),
        ("order_paid", {"active": False}, "no rule follows order_paid"),
        ("order_paid", {"holdout": 0.1}, "holdout has no effect"),
        ("win_back_high", {"who": "service"}, "churn.levels names account_manager for high"),
        ("win_back_high", {"act_within": "7d"}, "churn.levels says 24h"),
        ("wake_up", {"cap_group": "wakeup"}, "no cap names its cap_group wakeup"),
        ("birthday", {"act_within": "1d"}, "nobody has to act"),
        ("spring_festival", {"channels": ["call"]}, "has no working day"),
    ],
)
def test_warnings(packs, rule, update, warning):
    found = [text for _, text in rule_warnings(changed(packs, rule, **update), TODAY)]
    assert any(warning in text for text in found), found


def test_an_occasion_without_days_to_come_is_warned_of(packs):
    later = rule_warnings(packs["retail_care"], date(2028, 1, 1))
    assert [rule for rule, text in later if "no day of launch is left" in text] == [
        "new_products_first"
    ]


def test_a_pack_without_products_or_points_has_rules_that_never_come_up(packs):
    pack = packs["retail_care"].model_copy(update={"next_product": None, "loyalty": None})
    pack._rules = packs["retail_care"].rules
    never = {rule for rule, text in rule_warnings(pack, TODAY) if "never comes up" in text}
    assert never == {"recommendation", "maintenance", "points_expiring"}


# ------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("of", "first", "last", "expected"),
    [
        ("2000-02-29", "2026-01-01", "2028-12-31", ["2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2000-02-29", "2100-01-01", "2100-12-31", ["2100-02-28"]),  # no leap year
        ("2000-02-28", "2028-01-01", "2028-12-31", ["2028-02-28"]),
        ("1999-12-31", "2026-12-31", "2027-01-01", ["2026-12-31"]),
        ("2026-03-01", "2026-01-01", "2026-12-31", []),  # the day itself is none
        ("2027-03-01", "2026-01-01", "2027-12-31", []),
    ],
)
def test_anniversaries(of, first, last, expected):
    days = anniversaries(*map(date.fromisoformat, (of, first, last)))
    assert [str(day) for day, _ in days] == expected


def test_a_birthday_of_an_unknown_year_is_kept():
    found = list(anniversaries(date(2026, 5, 4), TODAY, date(2027, 6, 1), any_year=True))
    assert found == [(date(2027, 5, 4), 1)]
    found = anniversaries(date(2026, 12, 4), TODAY, date(2026, 12, 31), any_year=True)
    assert list(found) == [(date(2026, 12, 4), 0)]


@pytest.fixture(scope="module")
def work(packs):
    return WorkDays(packs["b2b_service"].calendar)


@pytest.mark.parametrize(
    ("day", "duration", "expected"),
    [
        # Saturday 14 February 2026 is worked for the Spring Festival, 15 to 23 February is free.
        ("2026-02-13", "1wd", "2026-02-14"),
        ("2026-02-13", "3wd", "2026-02-25"),
        ("2026-02-18", "3wd", "2026-02-26"),
        ("2026-09-18", "1wd", "2026-09-20"),  # Sunday worked before the National Day
        ("2026-09-30", "1wd", "2026-10-08"),
        ("2026-11-06", "3wd", "2026-11-11"),  # over a weekend
        ("2025-12-31", "1wd", "2026-01-04"),  # a year's end, and a Sunday worked
        ("2026-01-31", "1mo", "2026-02-28"),
        ("2028-01-31", "1mo", "2028-02-29"),
        ("2026-11-30", "1q", "2027-02-28"),
        ("2028-02-29", "1y", "2029-02-28"),
        ("2026-12-31", "1d", "2027-01-01"),
        ("2026-02-25", "1w", "2026-03-04"),
    ],
)
def test_days_after(work, day, duration, expected):
    assert str(day_after(date.fromisoformat(day), duration, work)) == expected


def test_days_before():
    assert day_before(date(2026, 3, 31), "1mo") == date(2026, 2, 28)
    assert day_before(date(2026, 1, 3), "7d") == date(2025, 12, 27)
    for duration in ("3wd", "2h"):
        with pytest.raises(ValueError, match="not in days"):
            day_before(TODAY, duration)


def test_three_working_days_end_with_working_time(work):
    signed = utc_of(datetime(2026, 2, 13, 15, 0), "Asia/Shanghai")
    assert deadline(signed, "3wd", "Asia/Shanghai", work) == datetime(2026, 2, 25, 10, 0)


def test_follow_up_three_to_seven_days_after_delivery(work):
    """The example of docs/program-packs.md."""
    delivered = utc_of(datetime(2027, 3, 3, 14, 0), "Asia/Shanghai")
    window = event_window(delivered, "3d", "7d", "Asia/Shanghai", work)
    assert window.came_up_on == date(2027, 3, 6)
    assert window.opens == utc_of(datetime(2027, 3, 6), "Asia/Shanghai")
    assert window.expires == utc_of(datetime(2027, 3, 11), "Asia/Shanghai")


def test_hours_count_exactly(work):
    left = datetime(2026, 11, 1, 15, 30)  # 23:30 in Shanghai
    window = event_window(left, "2h", "24h", "Asia/Shanghai", work)
    assert window.came_up_on == date(2026, 11, 2)
    assert window.opens == datetime(2026, 11, 1, 17, 30)
    assert window.expires == datetime(2026, 11, 2, 15, 30)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 11, 1), 25),
        ("America/Havana", date(2026, 3, 8), 23),  # midnight itself is skipped
        ("Asia/Shanghai", date(2026, 3, 29), 24),
        ("Pacific/Apia", date(2026, 11, 1), 24),
    ],
)
def test_a_day_lasts_as_long_as_daylight_saving_lets_it(work, zone, day, hours):
    window = day_window(day, "1d", zone, work)
    tomorrow = start_of(day + timedelta(days=1), zone)
    assert tomorrow - window.opens == timedelta(hours=hours)
    assert window.expires == tomorrow


def test_moments_after(work):
    at = datetime(2026, 1, 31, 12, 0)
    assert moment_after(at, "36h") == datetime(2026, 2, 2, 0, 0)
    assert moment_after(at, "10d") == datetime(2026, 2, 10, 12, 0)
    assert moment_after(at, "1mo") == datetime(2026, 2, 28, 12, 0)
    with pytest.raises(ValueError, match="working days"):
        moment_after(at, "1wd")
    with pytest.raises(ValueError, match="shorter than a day"):
        day_after(at.date(), "2h", work)


EVERY = st.builds(
    lambda n, unit: f"{n}{unit}", st.integers(1, 24), st.sampled_from(["d", "w", "mo", "q", "y"])
)
DAYS = st.dates(date(1975, 1, 1), date(2090, 12, 31))


def reference_turn(rule: str, customer: str, every: str, on: date) -> date:
    """The definition of a turn, by trying the days one after another."""
    digest = hashlib.md5(f"turn|{rule}|{customer}".encode()).hexdigest()
    number = int(digest[:8], 16)
    amount = int("".join(c for c in every if c.isdigit()))
    unit = every.lstrip("0123456789")
    day = on
    while True:
        if unit in ("d", "w"):
            length = amount * (7 if unit == "w" else 1)
            if (day - date(1970, 1, 1)).days % length == number % length:
                return day
        else:
            months = amount * {"mo": 1, "q": 3, "y": 12}[unit]
            month = (day.year * 12 + day.month - 1) // months * months
            first = date(month // 12, month % 12 + 1, 1)
            if day == first + timedelta(days=number % (28 * months)):
                return day
        day -= timedelta(days=1)


@given(every=EVERY, customer=st.text("ab0", max_size=4), on=DAYS)
def test_a_turn_begins_where_the_definition_says(every, customer, on):
    if rough_days(every) > 800:
        on = max(on, date(2040, 1, 1))
    assert turn_start("tip", customer, every, on) == reference_turn("tip", customer, every, on)


@given(every=EVERY, customer=st.text("ab0", max_size=4), first=DAYS, days=st.integers(0, 400))
def test_turns_follow_one_another(every, customer, first, days):
    last = first + timedelta(days=days)
    found = turns("tip", customer, every, first, last)
    assert found == sorted(set(found))
    assert all(first <= day <= last for day in found)
    for before, after in pairwise(found):
        assert turn_start("tip", customer, every, after - timedelta(days=1)) == before


def test_turns_are_spread_evenly():
    weekdays = Counter(turn_start("tip", f"C{i}", "1w", TODAY).weekday() for i in range(7000))
    assert len(weekdays) == 7
    assert all(880 < count < 1120 for count in weekdays.values())
    days = Counter(turn_start("tip", f"C{i}", "1mo", date(2026, 10, 31)).day for i in range(2800))
    assert sorted(days) == list(range(1, 29))


# ------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_reads_in_both_languages(packs, pack):
    for lang in ("en", "zh"):
        words = RuleWords(packs[pack], lang)
        for rule in packs[pack].rules:
            rows = dict(words.rows(rule))
            assert all(rows.values())
            assert len(rows) >= 18
            text = " ".join(rows.values()).replace(rule.template, "")
            # Raw ids where words are meant.
            assert not any(name in text for name in WORDS if "_" in name)


def test_words_of_a_trigger(packs):
    rules = {rule.id: rule for rule in packs["retail_care"].rules}
    en, zh = (RuleWords(packs["retail_care"], lang) for lang in ("en", "zh"))
    assert en.trigger(rules["wake_up"]) == (
        "3 months to 120 days after the last order, unless a ticket is open"
    )
    assert zh.trigger(rules["wake_up"]) == "最近一次下单后 3 个月至 120 天（有未解决工单则不做）"
    assert en.trigger(rules["spring_festival"]) == "1 day before: Spring Festival"
    assert zh.trigger(rules["useful_content"]) == "每月一次"
    assert en.audience(rules["birthday"].audience) == "segment Potential or New or Dormant"
    assert en.caps(rules["order_paid"]) == []
    assert "at most 4 in 1 month (SMS)" in en.caps(rules["birthday"])
    assert "needs a yes" in en.consent(rules["double_11"])


# -------------------------------------------------------------------------------- what is next


def rule(**trigger) -> Rule:
    body = {
        "id": "r", "title": {"en": "R", "zh": "R"}, "phase": "long_term", "purpose": "care",
        "channels": ["sms"], "template": "r", "trigger": trigger,
    }  # fmt: skip
    return Rule.model_validate(body)


def ahead(packs, facts: Facts, days: int, rule: Rule, **audience) -> list[Coming]:
    pack = packs["retail_care"].model_copy()
    pack._rules = (rule.model_copy(update={"audience": rule.audience.model_copy(update=audience)}),)
    return coming(pack, facts, days)


def facts(**known) -> Facts:
    """A customer as of midnight of 1 November 2026 in Shanghai."""
    return Facts("C1", datetime(2026, 10, 31, 16), TODAY, **known)


def order(order_id: str, **known):
    blank = dict.fromkeys(("paid_at", "shipped_at", "promised_at", "delivered_at", "cancelled_at",
                           "updated_at"))  # fmt: skip
    return {"order_id": order_id, "ordered_at": datetime(2026, 10, 1), "status": "shipped",
            **blank, **known}  # fmt: skip


def test_days_of_the_calendar_come_up(packs):
    found = ahead(packs, facts(), 100, rule(occasion={"name": "spring_festival", "days_before": 1}))
    assert [(c.occasion, str(c.first_on), str(c.last_on)) for c in found] == [
        ("spring_festival:2027-02-06", "2027-02-05", "2027-02-05")
    ]
    # A lunar year has one Spring Festival; of the days of a year none is missed.
    every = ahead(packs, facts(), 1100, rule(occasion={"name": "spring_festival"}))
    assert [c.occasion[-10:] for c in every] == ["2027-02-06", "2028-01-26", "2029-02-13"]


def test_anniversaries_come_up_and_last_until_they_expire(packs):
    born = facts(customer={"birthday": date(2000, 2, 29)})
    found = ahead(packs, born, 150, rule(anniversary={"of": "birthday", "days_before": 3}))
    assert [(c.occasion, str(c.came_up_on)) for c in found] == [("birthday:2027", "2027-02-25")]
    member = facts(customer={"member_since": datetime(2024, 10, 31, 17)})  # the 1st in Shanghai
    found = ahead(packs, member, 10, rule(anniversary={"of": "membership"}))
    assert [(c.occasion, str(c.came_up_on), str(c.last_on)) for c in found] == [
        ("membership:2026", "2026-11-01", "2026-11-01")
    ]
    nobody = facts(customer={"birthday": None})
    assert ahead(packs, nobody, 400, rule(anniversary={"of": "birthday"})) == []
    bought = facts(orders=[order("O1"), order("O0", ordered_at=datetime(2020, 1, 1),
                                              status="cancelled")])  # fmt: skip
    found = ahead(packs, bought, 366, rule(anniversary={"of": "first_purchase"}))
    assert [c.occasion for c in found] == ["first_purchase:2027"]


def test_of_the_turns_the_current_and_the_coming_ones(packs):
    weekly = rule(cadence={"every": "1w"}).model_copy(update={"expires_after": "6d"})
    found = ahead(packs, facts(), 20, weekly)
    first = turn_start("r", "C1", "1w", TODAY)
    assert [c.came_up_on for c in found] == [
        first + timedelta(weeks=n)
        for n in range(4)
        if first + timedelta(weeks=n) <= date(2026, 11, 21)
    ]
    assert found[0].first_on == TODAY


FOLLOW_UP = {"name": "order_delivered", "after": "3d", "until": "7d",
             "unless": ["returned", "ticket_open", "contacted", "answered", "ordered"]}  # fmt: skip


def test_windows_of_what_happened(packs):
    delivered = order("O1", status="delivered", delivered_at=datetime(2026, 10, 30, 3))
    known = facts(orders=[delivered])
    found = ahead(packs, known, 30, rule(event=FOLLOW_UP))
    assert [(c.occasion, str(c.first_on), str(c.last_on)) for c in found] == [
        ("order_delivered:O1", "2026-11-02", "2026-11-06")
    ]
    assert ahead(packs, known, 0, rule(event=FOLLOW_UP)) == []  # begins tomorrow


@pytest.mark.parametrize(
    "since",
    [
        {"orders": [order("O1", status="returned", delivered_at=datetime(2026, 10, 30, 3))]},
        {"tickets": [{"opened_at": datetime(2026, 10, 30), "resolved_at": None, "closed_at": None}]},
        {"follow_ups": [{"done_at": datetime(2026, 10, 31)}]},
        {"surveys": [{"answered_at": datetime(2026, 10, 31)}]},
        {"orders": [order("O1", status="delivered", delivered_at=datetime(2026, 10, 30, 3)),
                    order("O2", ordered_at=datetime(2026, 10, 31))]},
    ],
)  # fmt: skip
def test_unless_calls_off(packs, since):
    delivered = [order("O1", status="delivered", delivered_at=datetime(2026, 10, 30, 3))]
    found = ahead(packs, facts(**{"orders": delivered, **since}), 30, rule(event=FOLLOW_UP))
    assert [c.occasion for c in found if c.occasion.endswith("O1")] == []


def test_wake_up_comes_if_nothing_is_bought(packs):
    wake_up = rule(event={"name": "last_order", "after": "3mo", "until": "120d"})
    known = facts(orders=[order("O1", ordered_at=datetime(2026, 8, 30, 20)),  # the 31st
                          order("O2", ordered_at=datetime(2026, 9, 30), status="returned")])  # fmt: skip
    found = ahead(packs, known, 60, wake_up)
    assert [(c.occasion, str(c.first_on), c.if_not) for c in found] == [
        ("last_order:O1", "2026-11-30", "ordered")
    ]


def test_a_delivery_will_be_late_if_it_does_not_come(packs):
    late = rule(event={"name": "delivery_late", "until": "1d"})
    lost = rule(event={"name": "delivery_lost", "until": "1d"})
    known = facts(orders=[order("O1", promised_at=datetime(2026, 11, 3, 4))])
    found = ahead(packs, known, 30, late)
    assert [(c.occasion, str(c.first_on), c.if_not) for c in found] == [
        ("delivery_late:O1", "2026-11-03", "delivered")
    ]
    assert [str(c.first_on) for c in ahead(packs, known, 30, lost)] == ["2026-11-13"]
    # Shipped on 30 October without a promise: due by the end of the fifth day.
    known = facts(orders=[order("O1", shipped_at=datetime(2026, 10, 30, 4))])
    assert [str(c.first_on) for c in ahead(packs, known, 30, late)] == ["2026-11-05"]


def test_whom_it_fits_today(packs):
    profile = {"segment": "core", "stage": "active", "tier": "gold", "churn_level": None,
               "preferred_channel": "sms"}  # fmt: skip
    known = facts(profile=profile, tags={"region": {"North"}})
    cases = [
        ({"segments": ["core", "new"]}, True, None),
        ({"segments": ["new"]}, False, "segments"),
        ({"alert_levels": ["low"]}, False, "alert_levels"),
        ({"channels": ["sms"], "tiers": ["gold"]}, True, None),
        ({"tags": ["region=North"]}, True, None),
        ({"tags": ["region=South"]}, False, "tags"),
        ({"tags": ["region", "age_band"]}, False, "tags"),
    ]
    for audience, fits, why_not in cases:
        found = ahead(packs, known, 30, rule(occasion={"name": "double_11"}), **audience)
        assert [(c.fits, c.why_not) for c in found] == [(fits, why_not)]


def test_rules_out_of_use_and_resting_are_left_out(packs):
    eleven = rule(occasion={"name": "double_11"})
    for update in (
        {"active": False},
        {"ends_on": date(2026, 11, 10)},
        {"starts_on": date(2026, 11, 12)},
    ):
        assert ahead(packs, facts(), 30, eleven.model_copy(update=update)) == []


# ---------------------------------------------------------------------------------- commands


def run(*args: str):
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["rules", *args], catch_exceptions=True)


@pytest.mark.parametrize("pack", PACKS)
def test_list_fits_the_terminal(packs, pack):
    for locale in ("en", "zh-CN"):
        result = run("list", "--program", pack, "--locale", locale)
        assert result.exit_code == 0, result.output
        # A Chinese character takes two columns.
        widths = [sum(1 + (ord(c) > 0x2E7F) for c in line) for line in result.output.splitlines()]
        assert max(widths) <= 100
    data = json.loads(run("list", "--program", pack, "--json").output)
    assert {row["id"] for row in data} == {rule.id for rule in packs[pack].rules}


def test_show_says_all_of_it():
    result = run("show", "delivery_follow_up", "--program", "retail_care", "--locale", "en")
    for part in ("3 days to 7 days", "unless refused", "21:00–09:00", "at most 1 in 1 day"):
        assert part in result.output
    data = json.loads(run("show", "birthday", "--program", "retail_care", "--json").output)
    assert data["trigger"] == {"anniversary": {"of": "birthday", "days_before": 0}}
    assert data["in_words"]["触发"] == "生日当天"


def test_show_names_the_nearest_rule():
    error = run("show", "wake_up_cal", "--program", "retail_care").exception
    assert isinstance(error, ProgramError)
    assert "did you mean wake_up_call" in str(error)
    assert "consult_offer" in error.hint


def test_unknown_locale_is_refused():
    error = run("list", "--program", "retail_care", "--locale", "fr").exception
    assert "not read out in fr" in str(error)


def test_check_shows_warnings(tmp_path):
    shutil.copytree(PROGRAMS / "retail_care", tmp_path / "shop")
    file = tmp_path / "shop" / "rules.yml"
    file.write_text(
        file.read_text("utf-8").replace("offer: return_discount", "offer: birthday_box"), "utf-8"
    )
    result = run("check", str(tmp_path / "shop"))
    assert "birthday_box is not for segments dormant" in " ".join(
        part.strip("│ ") for part in result.output.splitlines()
    ).replace("  ", " ")


def test_a_broken_rule_fails_the_check(tmp_path):
    shutil.copytree(PROGRAMS / "retail_care", tmp_path / "shop")
    file = tmp_path / "shop" / "rules.yml"
    data = yaml.safe_load(file.read_text("utf-8"))
    data["rules"][0]["audience"] = {"segments": ["nobody"]}
    file.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    error = run("check", str(tmp_path / "shop")).exception
    assert isinstance(error, ProgramError)
    assert "rules[0].audience.segments[0]" in str(error)
    assert error.exit_code == 4


# ------------------------------------------------------------------------ a published customer


def test_next_of_a_published_customer(company, packs):
    pack = packs["retail_care"]
    customer = company.one(
        "select customer_id from dim_customers where segment = 'core' order by 1 limit 1"
    )
    found = coming(pack, read_facts(company.settings, pack, customer), 365)
    by_rule = Counter(item.rule for item in found if item.fits)
    assert by_rule["double_11"] == 1
    assert by_rule["core_contact"] >= 12
    assert by_rule["birthday"] == 0  # core customers get the box
    known = company.rows(
        f"select last_order_on from dim_customers where customer_id = '{customer}'"
    )
    last = next(item for item in found if item.rule == "wake_up")
    assert last.fits is False  # not dormant today
    assert last.came_up_on == day_after(known[0][0], "3mo", WorkDays(pack.calendar))
    result = run("next", "--customer", customer, "--days", "30", "--program", "retail_care",
                 "--home", str(company.settings.home), "--locale", "en")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "double_11:2026-11-11" in result.output
    assert max(map(len, result.output.splitlines())) <= 100
    data = json.loads(
        run("next", "--customer", customer, "--home", str(company.settings.home), "--program",
            "retail_care", "--json").output
    )  # fmt: skip
    assert len(data["unforeseen"]) == len(unforeseen(pack))


def test_next_of_nobody_and_of_another_pack(company):
    home = ("--home", str(company.settings.home))
    error = run("next", "--customer", "nobody", "--program", "retail_care", *home).exception
    assert "there is no customer nobody" in str(error)
    error = run("next", "--customer", "x", "--program", "key_account", *home).exception
    assert "is of retail_care" in str(error)
