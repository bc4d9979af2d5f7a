"""What customers are told by the service: pack checks, words, variables, texts of all packs."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from careloop.messages.checks import check
from careloop.messages.polite import by_time
from careloop.messages.rendering import render
from careloop.messages.values import REASONS, Person, values
from careloop.program.load import load_program
from careloop.program.rule_checks import rule_mistakes
from careloop.program.rule_tables import rule_tables
from careloop.program.rule_words import RuleWords
from careloop.program.rules import EventTrigger, Rule, Rules
from careloop.program.sla import EscalationStep, Sla
from careloop.settings import PROJECT_ROOT, load_settings

PACKS = ("b2b_service", "key_account", "online_crm", "retail_care", "service_desk")
NOW = datetime(2026, 11, 2, 7)  # Monday 15:00 in Shanghai


@pytest.fixture(scope="module")
def packs() -> dict[str, Any]:
    return {name: load_program(name, PROJECT_ROOT / "programs") for name in PACKS}


def rule(**event: Any) -> Rule:
    return Rule.model_validate({
        "id": "r", "title": {"en": "r", "zh": "r"}, "phase": "after_sale", "purpose": "service",
        "trigger": {"event": {"until": "1d", **event}}, "channels": ["sms"], "template": "r",
    })  # fmt: skip


# -- the pack -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "filters", "refused"),
    [
        ("ticket_opened", {"kinds": ["complaint"], "urgencies": ["urgent"]}, None),
        ("ticket_overdue", {"touchpoints": ["consult"]}, None),
        ("ticket_solved", {"kinds": ["fault"]}, None),
        ("low_score", {"kinds": ["csat"]}, None),
        ("low_score", {"urgencies": ["urgent"]}, "urgencies"),
        ("order_paid", {"kinds": ["complaint"]}, "kinds"),
        ("incident", {"touchpoints": ["consult"]}, "touchpoints"),
    ],
)
def test_only_events_of_tickets_are_narrowed_down(
    event: str, filters: dict, refused: str | None
) -> None:
    if refused is None:
        assert EventTrigger.model_validate({"name": event, "until": "1h", **filters}).filters
        return
    with pytest.raises(ValidationError, match=f"does not fit {event}") as error:
        EventTrigger.model_validate({"name": event, "until": "1h", **filters})
    assert error.value.errors()[0]["loc"] == (refused,)


def test_a_touchpoint_has_to_be_one_of_the_pack(packs: dict[str, Any]) -> None:
    wrong = rule(name="ticket_opened", touchpoints=["consult", "moon"])
    (mistake,) = rule_mistakes(Rules(rules=[wrong]), packs["retail_care"])
    assert mistake.loc == ("rules", 0, "trigger", "event", "touchpoints", 1)
    assert mistake.value == "moon"
    assert "delivery" in mistake.allowed


def test_filters_are_in_the_tables_and_change_the_version(packs: dict[str, Any]) -> None:
    program = packs["retail_care"].model_copy()
    program._rules = (rule(name="ticket_opened", kinds=["fault", "return"], urgencies=["urgent"]),)
    assert sorted(rule_tables(program)["rule_lists"].rows) == [
        ("r", "kinds", 1, "fault"), ("r", "kinds", 2, "return"), ("r", "urgencies", 1, "urgent"),
    ]  # fmt: skip
    assert rule(name="ticket_opened", kinds=["fault"]).version != rule(name="ticket_opened").version


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"tell_customer": True}, "new_time"),
        ({"tell_customer": False, "new_time": "4h"}, "new_time"),
        ({"tell_customer": True, "new_time": "2d"}, "new_time"),
        ({"tell_customer": True, "new_time": "3wd"}, "new_time"),
        ({"tell_customer": True, "new_time": "90m"}, None),
        ({"tell_customer": False}, None),
    ],
)
def test_whoever_is_told_gets_a_new_time(step: dict, path: str | None) -> None:
    given = {"id": "s", "to": "supervisor", **step}
    if path is None:
        EscalationStep.model_validate(given)
        return
    with pytest.raises(ValidationError) as error:
        EscalationStep.model_validate(given)
    assert error.value.errors()[0]["loc"] == (path,)


def test_a_customer_is_told_at_one_step_only(packs: dict[str, Any]) -> None:
    sla = packs["b2b_service"].sla.model_dump(by_alias=True)
    sla["escalation"][1] |= {"tell_customer": True, "new_time": "8h"}
    with pytest.raises(ValidationError, match="told once") as error:
        Sla.model_validate(sla)
    assert error.value.errors()[0]["loc"] == ("escalation", 1, "tell_customer")


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_tells_its_customers(packs: dict[str, Any], pack: str) -> None:
    """A pack that promises to tell has the rule; the texts of all rules and languages are right."""
    program = packs[pack]
    found = {r.trigger.event.name: r for r in program.rules if r.trigger.event}
    for event in ("ticket_opened", "ticket_overdue", "delivery_stalled", "incident"):
        assert found[event].purpose == "service"
    assert any(step.tell_customer for step in program.sla.escalation)
    tell = next(step for step in program.emergency.steps if step.id == "tell")
    outage = found["incident"]
    assert outage.who in ("automatic", tell.who)
    assert outage.who == "automatic" or outage.act_within == tell.within
    lows = {r.trigger.event.kinds[0]: r.who for r in program.rules
            if r.trigger.event and r.trigger.event.name == "low_score"}  # fmt: skip
    assert lows == {low.kind: low.who for low in program.closed_loop.low_scores}
    assert check(program) == []


def test_rules_are_read_out_in_both_languages(packs: dict[str, Any]) -> None:
    program = packs["service_desk"]
    acknowledged = next(r for r in program.rules if r.id == "ticket_acknowledged")
    en, zh = (RuleWords(program, lang).trigger(acknowledged) for lang in ("en", "zh"))
    assert en == (
        "within 24 hours after a ticket is opened (kind complaint or suggestion), "
        "unless the ticket has been answered"
    )
    assert zh == "工单提交（类型 投诉 或 建议）后 24 小时内（工单已答复则不做）"


# -- times in words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "zh", "en"),
    [
        ("2026-11-02 07:00:00", None, None),
        ("2026-11-02 07:01:00", "今天 15:01 前", "by 15:01 today"),
        ("2026-11-02 16:00:00", "今天 24:00 前", "by 24:00 today"),
        ("2026-11-02 16:01:00", "明天 00:01 前", "by tomorrow 00:01"),
        ("2026-11-03 07:00:00", "明天 15:00 前", "by tomorrow 15:00"),
        ("2026-11-04 07:00:00", "后天 15:00 前", "by Wednesday, 4 November, 15:00"),
        ("2026-11-05 07:00:00", "11月5日（周四）15:00 前", "by Thursday, 5 November, 15:00"),
        (None, None, None),
    ],
)
def test_until_when(until: str | None, zh: str | None, en: str | None) -> None:
    zone = "Asia/Shanghai"
    assert by_time(until, zone, "zh-CN", NOW) == zh
    assert by_time(until, zone, "en", NOW) == en


def test_without_a_clock_the_date_is_told() -> None:
    assert by_time("2026-11-02 07:00:00", "Asia/Shanghai", "zh-CN") == "11月2日（周一）15:00 前"


# -- what a message says ---------------------------------------------------------------------------


def said(program: Any, rule_id: str, about: dict, locale: str, tmp_path: Path) -> str:
    found = next(r for r in program.rules if r.id == rule_id)
    message = {"customer_id": "C1", "message_id": "0" * 32, "occasion": "x", "about": about,
               "purpose": "service", "kind": "send"}  # fmt: skip
    known = values(load_settings(home=str(tmp_path)), program, message, Person(), locale, now=NOW)
    return render(program, found.template, found.channels[0], locale, known).text


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("locale", ["zh-CN", "en"])
def test_an_overdue_ticket_is_explained_only_as_recorded(
    packs: dict[str, Any], pack: str, locale: str, tmp_path: Path
) -> None:
    program, zh = packs[pack], locale == "zh-CN"
    step = next(step.id for step in program.sla.escalation if step.tell_customer)
    about = {"ticket_id": "T9", "step": step, "clock": "solved",
             "new_due_at": "2026-11-03 07:00:00"}  # fmt: skip
    sentences = [pair[zh] for pair in REASONS.values()]
    bare = said(program, "ticket_overdue", about, locale, tmp_path)
    assert ("明天 15:00 前" if zh else "by tomorrow 15:00") in bare
    assert ("抱歉" if zh else "sorry") in bare
    assert not any(sentence in bare for sentence in sentences)
    for why, pair in REASONS.items():
        text = said(program, "ticket_overdue", {**about, "why": why}, locale, tmp_path)
        assert pair[zh] in text
    late = said(program, "ticket_overdue", {**about, "new_due_at": "2026-11-02 06:00:00"}, locale,
                tmp_path)  # fmt: skip
    assert "14:00" not in late, "a time that is over is promised to nobody"


def test_an_outage_is_called_by_its_local_time(packs: dict[str, Any], tmp_path: Path) -> None:
    about = {"ticket_id": "T9", "incident_id": "2026-10-20T02:20:35Z"}
    text = said(packs["b2b_service"], "outage", about, "zh-CN", tmp_path)
    assert "2026-10-20 10:20 起" in text
    assert "02:20" not in text


def test_an_acknowledgement_says_until_when(packs: dict[str, Any], tmp_path: Path) -> None:
    about = {"ticket_id": "T9", "answer_due_at": "2026-11-02 08:00:00",
             "solution_due_at": "2026-11-05 07:00:00"}  # fmt: skip
    program = packs["retail_care"]
    both = said(program, "ticket_acknowledged", about, "zh-CN", tmp_path)
    assert "会有专人在今天 16:00 前答复您，并在11月5日（周四）15:00 前处理好。" in both
    none = said(program, "ticket_acknowledged", {"ticket_id": "T9"}, "zh-CN", tmp_path)
    assert "由专人答复您" in none
