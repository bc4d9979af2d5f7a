"""Program packs: content, checks, conditions, calendar, tables, commands."""

import json
import re
import shutil
from datetime import date, datetime, time
from pathlib import Path

import duckdb
import pytest
import typer
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from careloop.cli import program as commands
from careloop.errors import ProgramError
from careloop.program import load_program, write_program_tables
from careloop.program.base import duration_seconds, split_duration
from careloop.program.calendar import calendar_days, occasion_days, work_intervals
from careloop.program.conditions import Condition, condition_sql, condition_text, reason_sql
from careloop.program.kpis import KPIS
from careloop.program.load import InvalidProgram, copy_program, program_names
from careloop.program.measures import MEASURES
from careloop.program.reference import reference_markdown
from careloop.program.tables import _OTHER_LISTS, LISTS

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "programs"
PACKS = ("b2b_service", "key_account", "online_crm", "retail_care", "service_desk")


@pytest.fixture(scope="module")
def packs():
    return {name: load_program(name, PROGRAMS) for name in PACKS}


@pytest.fixture(scope="module")
def settings_of(packs):
    """program.settings of each pack as a dictionary."""
    result = {}
    for name, pack in packs.items():
        con = duckdb.connect()
        write_program_tables(con, pack, date(2026, 1, 1), date(2026, 1, 31))
        result[name] = dict(con.execute("select key, value from program.settings").fetchall())
    return result


# Every figure of the five programs, as (setting, value).
FIGURES = {
    "retail_care": {
        "goals.targets.reach.value": "0.9",
        "goals.targets.satisfaction.value": "4.2",
        "operation.satisfaction_scale_max": "5",
        "goals.targets.consult_satisfaction.change": "0.3",
        "goals.targets.payment_satisfaction.change": "0.3",
        "goals.targets.after_sale_satisfaction.change": "0.3",
        "goals.targets.after_sale_satisfaction.within": "6mo",
        "goals.targets.repurchase.change": "0.25",
        "goals.targets.repurchase.within": "1y",
        "goals.targets.retention.value": "0.6",
        "goals.targets.core_share.change": "0.15",
        "goals.targets.core_share.segment": "core",
        "goals.targets.nps.direction": "above",
        "goals.targets.nps.value": "50.0",
        "goals.targets.nps.within": "2y",
        "goals.targets.negative_feedback.change": "-0.4",
        "segments.core.expected_share": "0.1",
        "segments.potential.expected_share": "0.3",
        "segments.new.expected_share": "0.4",
        "segments.dormant.expected_share": "0.2",
        "offers.return_discount.value": "0.2",
        "activity.dormant_measure": "days_since_last_order",
        "activity.dormant_days": "90",
        "sla.clocks.complaint_answer.target": "24h",
        "sla.clocks.enquiry_answer.target": "24h",
        "sla.clocks.complex_solved.target": "7d",
        "sla.clocks.consult_answer.target": "10m",
        "sla.clocks.consult_answer.clock": "business",
        "late_delivery.late_offer": "late_coupon",
        "health.bands.red_at_most": "50.0",
        "health.bands.yellow_at_most": "75.0",
    },
    "key_account": {
        "activity.dormant_measure": "days_since_last_interaction",
        "activity.dormant_days": "30",
        "churn.order_by": "value",
        "sla.clocks.churn_call.target": "24h",
        "churn.levels.0.action": "care_message",
        "churn.levels.0.owner": "automatic",
        "churn.levels.1.action": "win_back_plan",
        "churn.levels.2.action": "win_back_plan",
        "churn.levels.2.notify": "account_manager",
        "emergency.respond_within": "30m",
        "sla.clocks.outage_response.target": "30m",
        "loyalty.referrals.steps.0.from_count": "1",
        "loyalty.referrals.steps.0.reward_share": "0.05",
        "loyalty.referrals.steps.1.from_count": "10",
        "loyalty.referrals.steps.1.reward_share": "0.08",
        "loyalty.points.campaigns.spring_double.factor": "2.0",
        "calibration.every": "1q",
        "goals.targets.repurchase_by_owner.by_owner": "true",
        "goals.targets.nps_by_owner.by_owner": "true",
    },
    "online_crm": {
        "goals.targets.problems_identified.value": "0.95",
        "goals.targets.core_problems_identified.value": "0.98",
        "goals.targets.core_problems_identified.core_only": "true",
        "goals.targets.profile_complete.value": "0.9",
        "goals.targets.response_time.change": "-0.7",
        "goals.targets.repurchase.change": "0.3",
        "goals.targets.satisfaction.change": "0.5",
        "goals.targets.ltv.change": "0.4",
        "goals.targets.coverage.value": "1.0",
        "goals.targets.channel_fit.value": "0.9",
        "channel_preference.fit_target": "0.9",
        "goals.targets.tags_complete.value": "0.9",
        "tags.completeness_target": "0.9",
        "tags.max_refresh_days": "7",
        "goals.targets.targeted_reach.change": "0.4",
        "goals.targets.activation.kpi": "activation_7d",
        "goals.targets.activation.value": "0.6",
        "goals.targets.active_repurchase.change": "0.3",
        "goals.targets.active_repurchase.every": "month",
        "goals.targets.wake_up.change": "0.25",
        "findings.0.fix_within": "1mo",
        "findings.0.rules.new_loss.kpi": "new_customer_loss_7d",
        "findings.0.rules.new_loss.value": "0.4",
        "findings.0.rules.slow_response.value": "1440.0",
        "findings.0.rules.repurchase_low.against_benchmark": "-0.2",
        "findings.1.fix_within": "3mo",
        "goals.targets.automatic_solved.value": "0.8",
        "sla.clocks.automatic_answer.target": "10s",
        "goals.targets.handover.value": "0.95",
        "sla.clocks.human_answer.target": "3m",
        "goals.targets.human_answer.value": "3.0",
        "goals.targets.after_sale_cycle.baseline_value": "7.0",
        "goals.targets.after_sale_cycle.value": "3.0",
        "sla.clocks.after_sale_solved.target": "3d",
        "sla.clocks.survey_asked.target": "24h",
        "goals.targets.put_right.value": "0.9",
        "goals.targets.disputes.change": "-0.6",
        "goals.targets.content_open.change": "0.35",
        "goals.targets.community.value": "0.4",
        "goals.targets.birthday_conversion.change": "0.3",
        "goals.targets.anniversary_conversion.change": "0.3",
        "goals.targets.occasion_participation.change": "0.5",
        "calendar.occasions.618.fixed.month": "6",
        "calendar.occasions.double_11.fixed.day": "11",
    },
    "b2b_service": {
        "goals.targets.satisfaction.value": "0.9",
        "goals.targets.satisfaction.every": "quarter",
        "goals.targets.complaints_on_time.value": "1.0",
        "goals.targets.repurchase.change": "0.15",
        "goals.watched.0.every": "month",
        "stages.new.when.at_most": "90",
        "sla.clocks.first_deal_call.target": "3wd",
        "sla.clocks.new_enquiry.target": "24h",
        "segments.high_value.when.any.0.measure": "is_strategic",
        "segments.high_value.when.any.1.all.0.above": "0.9",
        "sla.clocks.urgent_response.target": "2h",
        "sla.clocks.urgent_solved.target": "24h",
        "sla.clocks.general_closed.target": "48h",
        "sla.clocks.general_closed.stops": "closed",
        "sla.recorded_only.0": "suggestion",
        "sla.escalation.supervisor.to": "supervisor",
        "sla.escalation.supervisor.tell_customer": "true",
        "sla.clocks.call_back.target": "24h",
        "sla.knowledge_base": "true",
        "operation.satisfaction_scale_max": "5",
        "operation.review_every": "quarter",
        "confidentiality.log_access": "true",
    },
    "service_desk": {
        "sla.clocks.automatic_answer.target": "2m",
        "goals.targets.automatic_answer.value": "2.0",
        "sla.clocks.human_answer.target": "30m",
        "goals.targets.human_answer.value": "30.0",
        "goals.targets.fcr.value": "0.9",
        "goals.targets.fcr_month_9.value": "0.85",
        "goals.targets.fcr_month_9.within": "9mo",
        "goals.targets.satisfaction.value": "88.0",
        "goals.targets.core_pain_points.value": "0.95",
        "goals.targets.ltv.change": "0.25",
        "goals.targets.ltv.stretch": "0.3",
        "sla.clocks.feedback_acknowledged.target": "1h",
        "sla.clocks.feedback_solved.target": "24h",
        "sla.clocks.fault_answer.target": "24h",
        "sla.corrections.0.clock": "human_answer",
        "sla.corrections.0.over": "30m",
        "operation.response_statistics_every": "week",
        "operation.quality_sample_every": "day",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("pack", "key", "value"),
    [(pack, key, value) for pack, figures in FIGURES.items() for key, value in figures.items()],
)
def test_every_figure_of_the_programs_is_a_setting(settings_of, pack, key, value):
    assert settings_of[pack].get(key) == value


def test_five_packs_are_there():
    assert set(PACKS) <= set(program_names(PROGRAMS))


def test_registers_have_exactly_the_columns_asked_for(packs):
    headings = {r.id: [c.id for c in r.columns] for r in packs["b2b_service"].registers.lists}
    assert headings == {
        "customers_and_tags": ["customer_id", "company", "industry", "contact", "position",
                               "contact_details", "cooperation_start", "tags", "history",
                               "last_interaction"],
        "follow_ups": ["customer", "time", "method", "by", "content", "feedback", "item", "owner",
                       "due"],
        "tickets": ["ticket_id", "customer", "description", "type", "submitted", "responded",
                    "owner", "progress", "result", "confirmation", "archived"],
        "satisfaction": ["customer", "time", "method", "attitude", "speed", "efficiency",
                         "advice", "done"],
    }  # fmt: skip


def test_dynamic_tags_are_refreshed_weekly(packs):
    for pack in packs.values():
        assert pack.tags.max_refresh_days == 7
        assert all(t.refresh_days for t in pack.tags.definitions if t.kind == "dynamic")


# ---------------------------------------------------------------------------------- identity


def _copy(tmp_path: Path, name: str = "retail_care") -> Path:
    folder = tmp_path / name
    shutil.copytree(PROGRAMS / name, folder)
    return folder


def test_hash_is_stable_and_ignores_comments(tmp_path, packs):
    folder = _copy(tmp_path)
    file = folder / "program.yml"
    file.write_text("# a comment\n\n" + file.read_text("utf-8"), "utf-8")
    first = load_program(folder).hash
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert first == packs["retail_care"].hash == load_program(file).hash


def test_hash_changes_with_values_rules_and_messages(tmp_path):
    folder = _copy(tmp_path)
    seen = [load_program(folder).hash]
    file = folder / "program.yml"
    file.write_text(file.read_text("utf-8").replace("target: 10m", "target: 11m"), "utf-8")
    seen.append(load_program(folder).hash)
    rules = folder / "rules.yml"
    rules.write_text(rules.read_text("utf-8").replace("priority: 60", "priority: 61", 1), "utf-8")
    seen.append(load_program(folder).hash)
    (folder / "messages").mkdir(exist_ok=True)
    (folder / "messages" / "hello.sms.en.j2").write_text("Hello", "utf-8")
    seen.append(load_program(folder).hash)
    (folder / "messages" / "hello.sms.en.j2").write_text("Hello!", "utf-8")
    seen.append(load_program(folder).hash)
    assert len(set(seen)) == len(seen)


def test_copy_renames_and_refuses_to_overwrite(tmp_path):
    _copy(tmp_path)
    folder = copy_program("retail_care", "my_shop", tmp_path)
    assert load_program("my_shop", tmp_path).name == "my_shop"
    assert folder == tmp_path / "my_shop"
    with pytest.raises(ProgramError, match="is there already"):
        copy_program("retail_care", "my_shop", tmp_path)
    with pytest.raises(ProgramError, match="cannot be the name"):
        copy_program("retail_care", "../evil", tmp_path)


def test_unknown_pack_names_the_nearest():
    with pytest.raises(ProgramError, match="did you mean retail_care") as caught:
        load_program("retail_car", PROGRAMS)
    assert "service_desk" in caught.value.hint


# ------------------------------------------------------------------------------- broken packs

# Text replaced in retail_care, path of the problem, part of the message, something allowed.
BROKEN = [
    ("measure: spend_rank, at_least: 0.8}", "measure: spend_rnk, at_least: 0.8}",
     "segments[0].when.all[0].measure", "did you mean spend_rank", "spend_rank"),
    ("measure: orders_long, at_least: 3}", "measure: orders_long, atleast: 3}",
     "segments[0].when.all[1].atleast", "did you mean at_least", "at_least"),
    ("measure: orders_long, at_least: 3}", "measure: orders_long}",
     "segments[0].when.all[1]", "exactly one operation", "at_least"),
    ("measure: orders_long, at_least: 3}", "measure: orders_long, at_least: 3, at_most: 5}",
     "segments[0].when.all[1]", "exactly one operation", "at_most"),
    ("measure: orders_long, at_least: 3}", "measure: orders_long, at_least: three}",
     "segments[0].when.all[1].at_least", "three", None),
    ("measure: orders_long, at_least: 3}", "measure: region, at_least: 3}",
     "segments[0].when.all[1].at_least", "does not fit region, which is text", "one_of"),
    ("measure: orders_long, at_least: 3}", "measure: region, one_of: [north, 3]}",
     "segments[0].when.all[1].one_of[1]", "must be a text like region", None),
    ("measure: orders_long, at_least: 3}", "measure: is_member, equals: 1}",
     "segments[0].when.all[1].equals", "must be a boolean", None),
    ("measure: orders_long, at_least: 3}", "measure: orders_long, at_least: 3, all: []}",
     "segments[0].when.all[1].all", "must have at least 1 item", None),
    ("  - id: potential\n", "  - id: core\n", "segments[2].id", "used twice", None),
    ("expected_share: 0.40", "expected_share: 0.90", "segments", "add up to more than 1", None),
    ("expected_share: 0.40", "expected_share: 0.20", "segments", "add up to less than 1", None),
    ("expected_share: 0.40", "expected_share: 40", "segments[3].expected_share",
     "less than or equal to 1", None),
    ("expected_share: 0.40", "expected_share: 0.40\n    when: {measure: orders_total, above: 0}",
     "segments[3].when", "everyone else", None),
    ("zone: Asia/Shanghai", "zone: Asia/Shangai", "zone", "did you mean Asia/Shanghai",
     "Asia/Shanghai"),
    ("  country: CN", "  country: China", "calendar.country", "not a known country", "CN"),
    ("mon: 09:00-18:00", "mon: 18:00-09:00", "calendar.hours.mon", "end before they begin", None),
    ("mon: 09:00-18:00", "monday: 09:00-18:00", "calendar.hours.monday", "", "mon"),
    ("breaks: [12:00-13:00]", "breaks: [12:00-13:00, 12:30-14:00]", "calendar.breaks[1]",
     "overlaps", None),
    ("target: 10m", "target: 10 minutes", "sla.clocks[0].target", "not a duration", "m (minute)"),
    ("target: 10m, clock: business", "target: 3wd, clock: calendar", "sla.clocks[0].clock",
     "cannot count working days", "business"),
    ("touchpoints: [consult], target", "touchpoints: [consulting], target",
     "sla.clocks[0].touchpoints[0]", "did you mean consult", "after_sale"),
    ("valid: 30d, segments: [dormant]}", "valid: 30d, segments: [dorment]}",
     "offers[0].segments[0]", "is no segment of this pack", "dormant"),
    ("act_within: 24h, offer: exclusive}", "act_within: 24h, offer: exclusiv}",
     "churn.levels[1].offer", "did you mean exclusive", "return_discount"),
    ("late_offer: late_coupon", "late_offer: late", "late_delivery.late_offer", "is no offer",
     "late_coupon"),
    ("measure: interval_ratio, worst: 3, best: 1, weight: 20", "measure: interval_ratio, worst: 3,"
     " best: 1, weight: 0", "health.components[0].weight", "greater than 0", None),
    ("id: rhythm, aspect: activity", "id: rhythm, aspect: activeness",
     "health.components[0].aspect", "is not allowed", "engagement"),
    ("keep_days: 92", "keep_days: 60", "health.history.keep_days", "90", None),
    ("yellow_at_most: 75", "yellow_at_most: 40", "health.bands.yellow_at_most",
     "above red_at_most", None),
    ("kpi: care_reach_rate, direction: at_least", "kpi: care_reach, direction: at_least",
     "goals.targets[0].kpi", "did you mean care_reach_rate", "nps"),
    ("kpi: care_reach_rate, direction: at_least", "kpi: care_reach_rate, direction: at_most",
     "goals.targets[0].direction", "higher is better", "at_least"),
    ("direction: at_least, value: 0.90", "direction: at_least, value: 90",
     "goals.targets[0].value", "outside 0 to 1 (share)", None),
    ("change: -0.40, baseline", "change: 0.40, baseline", "goals.targets[9].change",
     "wrong way", None),
    ("change: -0.40, baseline: start_quarter", "change: -0.40", "goals.targets[9].baseline",
     "is needed for a change", None),
    ("bins: 5", "bins: five", "rfm.bins", "whole number", None),
    ("method: quantile", "method: quantiles", "rfm.method", "did you mean quantile", "bands"),
    ("method: quantile", "method: bands", "rfm.bands", "is needed", None),
    ("lost_days: &lost_days 365", "lost_days: &lost_days 30", "activity.lost_days",
     "more than dormant_days", None),
    ("entity: tickets, max_age", "entity: ticket, max_age", "data.freshness[3].entity",
     "did you mean tickets", "tickets"),
    ("\ncurrency: CNY", "\ncurrency: yuan", "currency", "match pattern", None),
    ("\ncurrency: CNY", "", "currency", "is missing", None),
    ("\ncurrency: CNY", "\ncurrency: CNY\ncurency: CNY", "curency", "did you mean currency",
     "currency"),
    ("\ncurrency: CNY", "\ncurrency: CNY\ncurrency: USD", "currency", "written twice", None),
    ("bins: 5", "bins: 5\n  bins: 4", "rfm.bins", "written twice", None),
    ("refresh_days: 7}", "refresh_days: 30}", "tags.definitions[4].refresh_days",
     "longer than max_refresh_days", None),
    ("breaks: [12:00-13:00]", "breaks: 12:00-13:00", "calendar.breaks", "must be a list", None),
    ("calendar:\n", "calendar: none\nkalender:\n", "calendar", "a part with keys", None),
    ("short_days: 30, medium_days: 90", "short_days: 90, medium_days: 30", "profile.windows",
     "must grow", None),
    ("{USD: 7.1", "{CNY: 2, USD: 7.1", "exchange_rates.CNY", "must be 1", None),
    ("fixed: {month: 6, day: 18}", "fixed: {month: 6, day: 31}",
     "calendar.occasions[8].fixed.day", "not in month 6", None),
    ("complete_fields: [customer_type", "complete_fields: [custmer_type",
     "profile.complete_fields[0]", "did you mean customer_type", "birthday"),
    ("name: retail_care", "name: shop", "name", "name of the pack's folder", "retail_care"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "message", "allowed"), BROKEN)
def test_broken_pack_names_path_value_and_what_is_allowed(
    tmp_path, old, new, path, message, allowed
):
    file = _copy(tmp_path) / "program.yml"
    text = file.read_text("utf-8")
    assert old in text
    before = text[: text.index(old)].count("\n") + 1
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InvalidProgram) as caught:
        load_program("retail_care", tmp_path)
    problems = {p.path: p for p in caught.value.problems}
    assert path in problems, str(caught.value)
    problem = problems[path]
    assert message in str(problem)
    assert caught.value.exit_code == 4
    if allowed is not None:
        assert allowed in problem.allowed
    if path not in ("segments", "name") and "missing" not in message and "needed" not in message:
        assert before <= problem.line <= before + 2


def test_correction_of_an_unknown_clock_is_refused(tmp_path):
    file = _copy(tmp_path, "service_desk") / "program.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("{clock: human_answer", "{clock: human_anwser"), "utf-8")
    with pytest.raises(
        ProgramError, match=r"sla.corrections\[0\].clock.*did you mean human_answer"
    ):
        load_program(file)


def test_every_problem_is_listed_at_once(tmp_path):
    file = _copy(tmp_path) / "program.yml"
    text = file.read_text("utf-8")
    for old, new in (("zone: Asia/Shanghai", "zone: Moon"), ("bins: 5", "bins: 50"),
                     ("target: 10m", "target: soon")):  # fmt: skip
        text = text.replace(old, new, 1)
    file.write_text(text, "utf-8")
    with pytest.raises(ProgramError, match="3 problems"):
        load_program(file)


@pytest.mark.parametrize(
    "content",
    ["", "- a\n- b\n", "name: [unclosed", "a: &x\n  b: *x\n", "\tname: x", "name: \x00",
     "? [a, b]\n: 1\n"],
)  # fmt: skip
def test_what_is_no_pack_at_all_is_a_plain_error(tmp_path, content):
    (tmp_path / "program.yml").write_text(content, "utf-8")
    with pytest.raises(ProgramError):
        load_program(tmp_path)


def test_wrong_encoding_is_a_plain_error(tmp_path):
    (tmp_path / "program.yml").write_bytes("title: 客户".encode("gb18030"))
    with pytest.raises(ProgramError, match="UTF-8"):
        load_program(tmp_path)


# -------------------------------------------------------------------------------- conditions

# Few measures, so that conditions and customers meet.
USED = {
    "orders_long": "bigint",
    "spend_rank": "double",
    "region": "varchar",
    "is_member": "boolean",
}
numbers = st.sampled_from([0, 1, 2, 3, 0.5, 0.25, -1, 1e-07, 10**12])
texts = st.sampled_from(["", "north", "it's", "a\\b", "\\", "%_", "北京"])
written = texts.filter(bool)


def _leaf():
    number = st.builds(
        lambda m, op, v: {"measure": m, op: v},
        st.sampled_from(["orders_long", "spend_rank"]),
        st.sampled_from(["at_least", "above", "at_most", "below", "equals"]),
        numbers,
    )
    several = st.builds(
        lambda v: {"measure": "orders_long", "one_of": v}, st.lists(numbers, min_size=1, max_size=3)
    )
    text = st.one_of(
        st.builds(lambda v: {"measure": "region", "equals": v}, written),
        st.builds(
            lambda v: {"measure": "region", "one_of": v}, st.lists(written, min_size=1, max_size=3)
        ),
    )
    flag = st.builds(lambda v: {"measure": "is_member", "equals": v}, st.booleans())
    known = st.builds(
        lambda m, v: {"measure": m, "is_known": v}, st.sampled_from(list(USED)), st.booleans()
    )
    return st.one_of(number, several, text, flag, known)


trees = st.recursive(
    _leaf(),
    lambda child: st.one_of(
        st.builds(lambda c: {"all": c}, st.lists(child, min_size=1, max_size=3)),
        st.builds(lambda c: {"any": c}, st.lists(child, min_size=1, max_size=3)),
        st.builds(lambda c: {"not": c}, child),
    ),
    max_leaves=6,
)
customers = st.fixed_dictionaries(
    {
        "orders_long": st.one_of(st.none(), st.sampled_from([0, 1, 2, 3, 10**12])),
        "spend_rank": st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0, 1e-07])),
        "region": st.one_of(st.none(), texts),
        "is_member": st.one_of(st.none(), st.booleans()),
    }
)


def _holds(tree: dict, customer: dict) -> bool:
    """The meaning of a condition, written independently of its SQL."""
    if "all" in tree:
        return all(_holds(child, customer) for child in tree["all"])
    if "any" in tree:
        return any(_holds(child, customer) for child in tree["any"])
    if "not" in tree:
        return not _holds(tree["not"], customer)
    value = customer[tree["measure"]]
    if "is_known" in tree:
        return (value is not None) == tree["is_known"]
    if value is None:
        return False
    compare = {
        "at_least": lambda limit: value >= limit, "above": lambda limit: value > limit,
        "at_most": lambda limit: value <= limit, "below": lambda limit: value < limit,
        "equals": lambda limit: value == limit, "one_of": lambda limits: value in limits,
    }  # fmt: skip
    operation = next(key for key in tree if key != "measure")
    return compare[operation](tree[operation])


@pytest.fixture(scope="module")
def con():
    connection = duckdb.connect()
    columns = ", ".join(f"{name} {kind}" for name, kind in USED.items())
    connection.execute(f"create table c ({columns})")
    return connection


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees, rows=st.lists(customers, min_size=1, max_size=4))
def test_condition_sql_means_what_the_condition_says(con, tree, rows):
    con.execute("delete from c")
    con.executemany(
        "insert into c values (?, ?, ?, ?)", [[row[name] for name in USED] for row in rows]
    )
    condition = Condition.model_validate(tree)
    sql, reason = condition_sql(condition), reason_sql(condition)
    got = con.execute(f"select {sql}, case when {sql} then {reason} end from c").fetchall()
    assert [row[0] for row in got] == [_holds(tree, row) for row in rows]
    assert all((row[1] is not None) == row[0] for row in got), "a reason exactly where it holds"
    assert condition_text(condition)


def _reason(con, tree: dict, customer: dict) -> str:
    con.execute("delete from c")
    con.execute("insert into c values (?, ?, ?, ?)", [customer.get(name) for name in USED])
    return con.execute(f"select {reason_sql(Condition.model_validate(tree))} from c").fetchall()[0][
        0
    ]


def test_reason_shows_the_customers_values(con):
    rank = {"measure": "spend_rank", "at_least": 0.9}
    orders = {"measure": "orders_long", "at_least": 2}
    region = {"measure": "region", "one_of": ["it's", "north"]}
    who = {"spend_rank": 0.9712, "orders_long": 5, "region": "it's"}
    assert (
        _reason(con, {"all": [rank, orders]}, who) == "spend_rank ≥ 0.9 (0.97); orders_long ≥ 2 (5)"
    )
    assert (
        _reason(con, {"any": [rank, orders]}, {**who, "spend_rank": 0.1}) == "orders_long ≥ 2 (5)"
    )
    assert _reason(con, region, who) == "region is it's or north (it's)"
    assert _reason(con, {"not": rank}, {}) == "not (spend_rank ≥ 0.9) (unknown)"
    assert (
        _reason(con, {"not": {"any": [rank, orders]}}, {"orders_long": 1})
        == "not (spend_rank ≥ 0.9 or orders_long ≥ 2) (spend_rank unknown, orders_long 1)"
    )
    assert con.execute(f"select {reason_sql(None)}").fetchall() == [("no other rule applies",)]


def test_condition_text_brackets_what_would_be_ambiguous():
    tree = {
        "all": [
            {
                "any": [
                    {"measure": "orders_total", "above": 1},
                    {"measure": "is_member", "equals": True},
                ]
            },
            {"not": {"measure": "region", "is_known": True}},
        ]
    }
    text = condition_text(Condition.model_validate(tree))
    assert text == "(orders_total > 1 or is_member) and not (region is known)"


def test_every_customer_is_in_exactly_one_segment_and_stage(packs):
    """Also customers of whom nothing is known, and each rule's SQL runs on typed columns."""
    kinds = {"text": "varchar", "boolean": "boolean", "days": "integer", "count": "bigint",
             "money": "decimal(18,4)", "ratio": "double", "score": "integer",
             "number": "double"}  # fmt: skip
    columns = ", ".join(
        f"cast({'null' if m.nullable else 0} as {kinds[m.type]}) as {m.name}"
        for m in MEASURES.values()
    )
    for pack in packs.values():
        for rules in (pack.segments, pack.stages, pack.activity.levels):
            case = " ".join(f"when {condition_sql(r.when)} then '{r.id}'" for r in rules)
            reason = " ".join(
                f"when {condition_sql(r.when)} then {reason_sql(r.when)}" for r in rules
            )
            row = duckdb.sql(
                f"select case {case} end, case {reason} end from (select {columns})"
            ).fetchall()[0]
            assert row[0] in {r.id for r in rules}
            assert row[1]


@pytest.mark.parametrize(
    ("pack", "customer", "segment", "stage"),
    [
        ("retail_care", {}, "new", "prospect"),
        ("retail_care", {"tenure_days": 200}, "dormant", "prospect"),
        ("retail_care", {"orders_total": 1, "orders_long": 1, "days_since_first_order": 3,
          "days_since_last_order": 3, "spend_rank": 0.3}, "new", "new"),
        ("retail_care", {"orders_total": 9, "orders_long": 6, "days_since_first_order": 800,
          "days_since_last_order": 9, "spend_rank": 0.95, "interaction_rank": 0.9,
          "interactions_medium": 9}, "core", "active"),
        ("retail_care", {"orders_total": 2, "orders_long": 2, "days_since_first_order": 200,
          "days_since_last_order": 60, "spend_rank": 0.5, "interactions_medium": 2},
         "potential", "active"),
        ("retail_care", {"orders_total": 9, "orders_long": 6, "days_since_first_order": 800,
          "days_since_last_order": 91, "spend_rank": 0.95}, "dormant", "dormant"),
        ("key_account", {}, "basic", "dormant"),
        ("key_account", {"tenure_days": 5}, "basic", "new"),
        ("key_account", {"tenure_days": 400, "days_since_last_interaction": 31,
          "days_since_last_activity": 31}, "basic", "dormant"),
        ("key_account", {"tenure_days": 400, "days_since_last_interaction": 30,
          "days_since_last_activity": 30}, "basic", "stable"),
        ("key_account", {"tenure_days": 400, "days_since_last_activity": 3, "complaints_medium": 2,
          "is_strategic": True}, "high_value", "churn_warning"),
        ("online_crm", {"tenure_days": 2}, "silent", "new"),
        ("online_crm", {"tenure_days": 31}, "silent", "dormant"),
        ("online_crm", {"tenure_days": 91}, "silent", "lost"),
        ("online_crm", {"tenure_days": 60, "days_since_last_activity": 2, "orders_total": 3,
          "orders_long": 3, "spend_long_rank": 0.9}, "high_value", "active"),
        ("b2b_service", {}, "potential", "prospect"),
        ("b2b_service", {"orders_total": 1, "orders_long": 1, "days_since_first_order": 90,
          "days_since_last_activity": 1}, "regular", "new"),
        ("b2b_service", {"orders_total": 5, "orders_long": 5, "days_since_first_order": 91,
          "days_since_last_activity": 1, "spend_long": 9, "spend_long_rank": 0.91},
         "high_value", "stable"),
        ("b2b_service", {"orders_total": 5, "days_since_first_order": 500,
          "days_since_last_activity": 91, "is_strategic": True}, "high_value",
         "churn_risk"),
        ("service_desk", {"tenure_days": 1}, "new", "consult"),
        ("service_desk", {"tenure_days": 99, "orders_total": 2, "open_tickets": 1}, "regular",
         "after_sale"),
        ("service_desk", {"tenure_days": 99, "orders_total": 2, "days_since_first_order": 61,
          "days_since_last_activity": 61}, "regular", "dormant"),
    ],
)  # fmt: skip
def test_typical_customers_land_where_the_program_says(packs, pack, customer, segment, stage):
    full = {m.name: None if m.nullable else 0 for m in MEASURES.values()} | customer

    def first(rules):
        dumped = [r.when.model_dump(exclude_none=True) if r.when else None for r in rules]
        return next(
            r.id for r, t in zip(rules, dumped, strict=True) if t is None or _holds(t, full)
        )

    assert (first(packs[pack].segments), first(packs[pack].stages)) == (segment, stage)


def test_measures_are_described_in_both_languages():
    for measure in MEASURES.values():
        assert measure.about_en
        assert re.search("[\u4e00-\u9fff]", measure.about_zh)


# ---------------------------------------------------------------------------------- calendar


@pytest.mark.parametrize(
    ("day", "works", "holiday", "make_up", "festival"),
    [
        ("2026-02-17", False, True, False, "spring_festival"),
        ("2026-02-14", True, False, True, None),
        ("2026-02-28", True, False, True, None),
        ("2026-02-23", False, True, False, None),
        ("2026-02-24", True, False, False, None),
        ("2026-09-25", False, True, False, "mid_autumn"),
        ("2026-09-20", True, False, True, None),
        ("2026-10-10", True, False, True, None),
        ("2025-01-26", True, False, True, None),
        ("2025-01-29", False, True, False, "spring_festival"),
        ("2025-10-06", False, True, False, "mid_autumn"),
        ("2026-04-05", False, True, False, "qingming"),
        ("2024-04-04", False, True, False, "qingming"),
        ("2026-06-18", True, False, False, "618"),
        ("2026-06-19", False, True, False, "dragon_boat"),
        ("2026-03-03", True, False, False, "lantern"),
        ("2026-08-19", True, False, False, "qixi"),
        ("2026-10-18", False, False, False, "double_ninth"),
        ("2026-11-11", True, False, False, "double_11"),
        ("2026-05-10", False, False, False, "mothers_day"),
        ("2026-01-01", False, True, False, "new_year"),
        # Nothing is published for 2040 yet: the statutory days and the lunar calendar hold.
        ("2040-02-12", False, True, False, "spring_festival"),
        ("2040-10-01", False, True, False, "national_day"),
    ],
)
def test_known_days(packs, day, works, holiday, make_up, festival):
    day = date.fromisoformat(day)
    (row,) = calendar_days(packs["retail_care"].calendar, day, day)
    assert (row.is_workday, row.is_holiday, row.is_make_up_day, row.festival) == (
        works, holiday, make_up, festival,
    )  # fmt: skip


def _occasions(pack, year: int, name: str) -> list[date]:
    return [day for day, o in occasion_days(pack.calendar, year) if o.id == name]


def test_leap_lunar_months_do_not_repeat_a_festival(packs):
    pack = packs["retail_care"]
    assert _occasions(pack, 2009, "dragon_boat") == [date(2009, 5, 28)]  # leap 5th month
    assert _occasions(pack, 2025, "qixi") == [date(2025, 8, 29)]  # after the leap 6th month
    assert _occasions(pack, 2023, "spring_festival") == [date(2023, 1, 22)]  # leap 2nd month
    assert _occasions(pack, 2020, "mid_autumn") == [date(2020, 10, 1)]  # leap 4th month


def test_two_occasions_on_a_day_are_both_kept(packs):
    con = duckdb.connect()
    write_program_tables(con, packs["retail_care"], date(2020, 10, 1), date(2020, 10, 1))
    names = con.execute("select occasion from program.occasion_days").fetchall()
    assert names == [("mid_autumn",), ("national_day",)]
    assert con.execute("select festival from program.calendar_days").fetchall() == [("mid_autumn",)]


def test_holiday_names_are_in_both_languages(packs):
    (day,) = calendar_days(packs["retail_care"].calendar, date(2026, 4, 5), date(2026, 4, 5))
    assert (day.holiday_en, day.holiday_zh) == ("Tomb-Sweeping Day", "清明节")


def test_work_intervals_leave_out_breaks_and_free_days(packs):
    calendar = packs["retail_care"].calendar
    saturday, sunday = calendar_days(calendar, date(2026, 2, 14), date(2026, 2, 15))
    spans = [
        (a.strftime("%H:%M"), b.strftime("%H:%M")) for a, b in work_intervals(calendar, saturday)
    ]
    assert spans == [("09:00", "12:00"), ("13:00", "18:00")]
    assert work_intervals(calendar, sunday) == []


def test_service_that_works_every_day_works_on_holidays(packs):
    calendar = packs["online_crm"].calendar
    (day,) = calendar_days(calendar, date(2026, 2, 17), date(2026, 2, 17))
    assert day.is_holiday
    at = datetime.combine(day.date, time())
    assert work_intervals(calendar, day) == [(at.replace(hour=9), at.replace(hour=22))]


def test_single_days_may_be_closed_and_opened(tmp_path):
    file = _copy(tmp_path) / "program.yml"
    text = file.read_text("utf-8").replace(
        "  closed_on_holidays: true",
        "  closed_days: [{day: 2026-03-02, title: {en: Stocktaking, zh: 盘点}}]\n"
        "  open_days: [{day: 2026-03-01, title: {en: Fair, zh: 展会}}]\n  closed_on_holidays: true",
    )
    file.write_text(text, "utf-8")
    days = calendar_days(load_program(file).calendar, date(2026, 3, 1), date(2026, 3, 2))
    assert [day.is_workday for day in days] == [True, False]


def test_other_countries_have_their_own_holidays(tmp_path):
    file = _copy(tmp_path) / "program.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("country: CN", "country: GB\n  subdivision: ENG"), "utf-8")
    (day,) = calendar_days(load_program(file).calendar, date(2010, 12, 27), date(2010, 12, 27))
    assert day.is_holiday
    assert not day.is_workday


def test_calendar_refuses_impossible_years(packs):
    with pytest.raises(ProgramError, match="1901 to 2099"):
        calendar_days(packs["retail_care"].calendar, date(1, 1, 1), date(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "parts", "seconds"),
    [("10s", (10, "s"), 10), ("3m", (3, "m"), 180), ("24h", (24, "h"), 86400),
     ("3wd", (3, "wd"), None), ("3mo", (3, "mo"), None), ("2w", (2, "w"), 1209600)],
)  # fmt: skip
def test_durations(text, parts, seconds):
    assert split_duration(text) == parts
    assert duration_seconds(text) == seconds


# ------------------------------------------------------------------------------------ tables


def _all_tables(pack) -> dict[str, list[tuple]]:
    con = duckdb.connect()
    write_program_tables(con, pack, date(2026, 1, 1), date(2026, 2, 28))
    names = con.execute(
        "select table_name from information_schema.tables where table_schema = 'program' order by 1"
    ).fetchall()
    return {name: con.execute(f'select * from program."{name}"').fetchall() for (name,) in names}


def test_tables_are_complete_and_the_same_every_time(packs):
    assert _all_tables(packs["b2b_service"]) == _all_tables(packs["b2b_service"])
    for pack in packs.values():
        tables = _all_tables(pack)
        assert len(tables["calendar_days"]) == 59
        assert [row[:2] for row in tables["segments"]] == [
            (i, s.id) for i, s in enumerate(pack.segments, 1)
        ]
        assert len(tables["kpi_targets"]) == len(pack.goals.targets)
        keys = [row[0] for row in tables["settings"]]
        assert len(keys) == len(set(keys)), "settings have one row per key"
        assert ("CNY", 1.0) in tables["exchange_rates"]


def test_writing_again_replaces_the_tables(packs):
    con = duckdb.connect()
    for name in ("online_crm", "retail_care"):
        write_program_tables(con, packs[name], date(2026, 1, 1), date(2026, 1, 2))
    rows = con.execute("select value from program.settings where key = 'name'").fetchall()
    assert rows == [("retail_care",)]


def test_every_list_of_the_pack_has_a_table(packs):
    from careloop.program.base import Closed

    def lists(model, path=""):
        for name in type(model).model_fields:
            value, here = getattr(model, name), f"{path}.{name}".removeprefix(".")
            if isinstance(value, Closed):
                yield from lists(value, here)
            elif isinstance(value, list) and value and isinstance(value[0], Closed):
                yield here

    found = {path for pack in packs.values() for path in lists(pack)}
    assert {p for p in found if "[" not in p} <= set(LISTS.values()) | _OTHER_LISTS


def test_columns_promised_to_sql(packs):
    con = duckdb.connect()
    write_program_tables(con, packs["retail_care"], date(2026, 1, 1), date(2026, 1, 2))
    con.execute("select key, value from program.settings")
    con.execute("select position, segment, title_en, title_zh, expected_share, is_default,"
                " condition, condition_sql, reason_sql from program.segments")  # fmt: skip
    con.execute("select position, stage, title_en, title_zh, is_default, condition,"
                " condition_sql, reason_sql from program.stages")  # fmt: skip
    con.execute("select date, weekday, is_workday, is_holiday, is_make_up_day, holiday_en,"
                " holiday_zh, festival, festival_en, festival_zh"
                " from program.calendar_days")  # fmt: skip
    target = con.execute(
        "select target, target_amount, target_unit, target_seconds from program.sla_clocks"
    ).fetchall()[0]
    assert target == ("10m", 10, "m", 600)


def test_any_text_is_safe_in_tables(tmp_path):
    file = _copy(tmp_path) / "program.yml"
    nasty = "Robert'); drop schema program; -- \\ {{ x }} \" 中"
    quoted = yaml.safe_dump(nasty, width=999).strip()
    text = file.read_text("utf-8").replace(
        "title: {en: Core, zh: 核心客户}",
        f"title: {{en: {quoted}, zh: x}}",
        1,
    )
    text = text.replace("measure: spend_rank, at_least: 0.8}",
                        f"measure: region, equals: {quoted}}}", 1)  # fmt: skip
    file.write_text(text, "utf-8")
    con = duckdb.connect()
    write_program_tables(con, load_program(file), date(2026, 1, 1), date(2026, 1, 2))
    title, sql = con.execute(
        "select title_en, condition_sql from program.segments where segment = 'core'"
    ).fetchall()[0]
    assert title == nasty
    con.execute("create table c (region text, orders_long int, days_since_last_order int,"
                " interaction_rank double)")  # fmt: skip
    con.execute("insert into c values (?, 5, 1, 1)", [nasty])
    assert con.execute(f"select {sql} from c").fetchall() == [(True,)]


# ---------------------------------------------------------------------------------- commands


@pytest.fixture
def cli(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("CARELOOP_PROGRAM", raising=False)
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)
    return lambda *args: CliRunner().invoke(app, ["program", *args])


def test_list_marks_the_chosen_pack(cli, monkeypatch):
    monkeypatch.setenv("CARELOOP_PROGRAM", "key_account")
    rows = json.loads(cli("list", "--json").stdout)
    assert [row["name"] for row in rows if row["chosen"]] == ["key_account"]
    assert {row["name"] for row in rows} >= set(PACKS)
    assert "→" in cli("list").stdout


@pytest.mark.parametrize("pack", PACKS)
def test_show_is_readable_within_100_columns(cli, pack):
    from rich.cells import cell_len

    output = cli("show", pack).stdout
    assert max(cell_len(line.rstrip()) for line in output.splitlines()) <= 100
    for heading in ("Segments", "Lifecycle stages", "Service clocks", "KPI targets", "Caps"):
        assert heading in output


def test_show_as_json_has_the_hash(cli, packs):
    shown = json.loads(cli("show", "--json").stdout)
    assert (shown["name"], shown["hash"]) == ("retail_care", packs["retail_care"].hash)


def test_check_says_ok_with_the_hash_or_what_is_wrong(cli, tmp_path, packs):
    result = cli("check", "retail_care")
    assert result.exit_code == 0
    assert packs["retail_care"].hash in result.stdout
    file = _copy(tmp_path) / "program.yml"
    file.write_text(file.read_text("utf-8").replace("bins: 5", "bins: 0"), "utf-8")
    result = cli("check", str(tmp_path / "retail_care"))
    assert isinstance(result.exception, ProgramError)
    assert result.exception.exit_code == 4
    assert "rfm.bins" in str(result.exception)


def test_every_command_has_help_with_an_example(cli):
    for command in ("list", "show", "check", "copy", "schema", "kpis"):
        assert "Example: careloop program" in cli(command, "--help").stdout


# ------------------------------------------------------------------------------ documentation


def test_documentation_is_up_to_date():
    text = (ROOT / "docs" / "program-packs.md").read_text("utf-8")
    assert text.endswith(reference_markdown()), (
        "write docs/program-packs.md anew: replace what follows '## Every key' by the output of"
        " `careloop program schema`"
    )


def test_every_kpi_is_described_and_every_target_known(packs):
    for pack in packs.values():
        for target in pack.goals.targets:
            assert KPIS[target.kpi].about_zh


def test_a_pack_may_extend_another(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "program.yml").write_text(
        "extends: retail_care\nname: mine\ncurrency: CNY\nprofile: {windows: {short_days: 14}}\n"
    )
    base, own = load_program("retail_care"), load_program(mine)
    assert own.name == "mine"
    assert own.profile.windows.short_days == 14
    assert own.profile.windows.long_days == base.profile.windows.long_days
    assert own.segments == base.segments
    assert own.hash != base.hash
    (mine / "program.yml").write_text("extends: retail_care\nname: mine\nzone: Nowhere/Land\n")
    with pytest.raises(ProgramError, match="zone"):
        load_program(mine)
    (mine / "program.yml").write_text("extends: retail_core\nname: mine\n")
    with pytest.raises(ProgramError, match="did you mean retail_care"):
        load_program(mine)
