"""Care rules that achieve nothing, do harm, or tire customers.

A rule does harm where the whole interval of its uplift lies below 0: it rests (``active: false``).
It is of no use where the interval includes 0 and ends below ``calibration.min_uplift``, so that any
gain worth while is ruled out. It tires customers where the interval of the share of its messages
that made them unsubscribe or complain lies above ``calibration.max_fatigue``. Regular contact then
comes less often; other rules wait longer before they come up again, where they do wait.

SOURCE of ruling out by an interval: D. J. Schuirmann, A comparison of the two one-sided tests
procedure and the power approach, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987).
"""

from math import ceil

from careloop.calibrate.contact import COUNTED, SENT, Answers
from careloop.calibrate.draft import Draft
from careloop.calibrate.edit import Change
from careloop.calibrate.marts import Marts, Row
from careloop.calibrate.model import Column, Finding, Promise, Words
from careloop.calibrate.say import Given, Percent, Points, say
from careloop.program.base import split_duration
from careloop.program.load import RULES
from careloop.program.rules import Rule

UPLIFT = "rpt_care_uplift"
DELIVERIES = "fct_care_deliveries"
# Verdicts that rest on a comparison that may be trusted.
SOUND = ("more", "fewer", "no_difference")

_UPLIFT = f"""
select experiment as rule, verdict, treated_customers, holdout_customers, conversion_event,
    rate_difference, rate_difference_low, rate_difference_high
from {UPLIFT} where experiment_kind = 'rule' and period = 'all'
"""
_ANSWERS = f"select rule, {COUNTED} {SENT} group by rule"


def rules(marts: Marts) -> tuple[list[Draft], list[Finding]]:
    """Proposals for rules, and a table of what came back on each."""
    uplifts = {r["rule"]: r for r in marts.rows(_UPLIFT)} if marts.has(UPLIFT) else {}
    answers = (
        {r["rule"]: Answers.of(r) for r in marts.rows(_ANSWERS)} if marts.has(DELIVERIES) else {}
    )
    drafts, findings, rows = [], [], []
    for rule in marts.program.rules:
        uplift, answer = uplifts.get(rule.id), answers.get(rule.id, Answers())
        if uplift or answer.messages:
            rows.append(_row(rule, uplift, answer))
        if not rule.active:
            continue
        found = _judge(marts, rule, uplift, answer)
        drafts += [found] if isinstance(found, Draft) else []
        findings += [found] if isinstance(found, Finding) else []
    if rows:
        findings.append(_table(rows, uplifts))
    return drafts, findings


def rule_answers(marts: Marts, rule: str) -> Answers:
    """What came back on the messages of a rule in the period."""
    sql = f"select {COUNTED} {SENT} and rule = $rule"
    return Answers.of(marts.rows(sql, {"rule": rule})[0])


def _judge(marts: Marts, rule: Rule, uplift: Row | None, answer: Answers) -> Draft | Finding | None:
    limits, confidence = marts.program.calibration, marts.program.uplift.confidence
    title = Words(rule.title.en, rule.title.zh)
    if uplift and uplift["verdict"] in SOUND:
        low, high = uplift["rate_difference_low"], uplift["rate_difference_high"]
        figures = {k: v for k, v in uplift.items() if k != "rule"} | {"answers": vars(answer)}
        cases = min(uplift["treated_customers"], uplift["holdout_customers"])
        told = say(
            "uplift_evidence",
            value=Points(uplift["rate_difference"]),
            low=Points(low),
            high=Points(high),
            treated=uplift["treated_customers"],
            holdout=uplift["holdout_customers"],
            least=Points(limits.min_uplift),
        )
        if uplift["verdict"] == "fewer":
            return _rest(rule, title, told, figures, cases, answer)
        if uplift["verdict"] == "no_difference" and high < limits.min_uplift:
            return _rarer(rule, title, told, figures, cases, answer, "useless", limits)
    if answer.messages >= limits.min_cases:
        low, high = answer.interval(confidence)
        if low > limits.max_fatigue:
            told = say(
                "fatigue_evidence",
                tired=answer.tired,
                messages=answer.messages,
                share=Percent(answer.fatigue),
                low=Percent(low),
                high=Percent(high),
                limit=Given(limits.max_fatigue),
            )
            figures = {"answers": vars(answer), "low": round(low, 6), "high": round(high, 6)}
            return _rarer(rule, title, told, figures, answer.messages, answer, "tiring", limits)
    return None


def _rest(
    rule: Rule, title: Words, told: Words, figures: dict, cases: int, answer: Answers
) -> Draft:
    return Draft(
        f"rules.{rule.id}.active",
        "rules",
        say("rest_title", name=title),
        Change(RULES, ("rules", rule.id, "active"), rule.active, False),
        told,
        figures,
        cases,
        effect=say("rest_effect", messages=answer.messages, customers=answer.customers),
        promises=[Promise(f"rule_messages:{rule.id}", float(answer.messages), 0.0, 0.0, "less")],
    )


def _rarer(
    rule: Rule,
    title: Words,
    told: Words,
    figures: dict,
    cases: int,
    answer: Answers,
    why: str,
    limits,
) -> Draft | Finding:
    """The rule's contact at greater distances, where it has one to be changed."""
    keys, now = _distance(rule)
    if keys is None or now is None:
        text = say(f"{why}_rule", name=title, evidence=told)
        return Finding(f"rules.{rule.id}", "rules", text, "bad")
    amount, unit = split_duration(now)
    longer = max(amount + 1, ceil(round(amount * (1 + limits.max_threshold_change), 6)))
    new = f"{longer}{unit}"
    fewer = round(answer.messages * (1 - amount / longer)) if "cadence" in keys else None
    expected = answer.messages - (fewer or 0)
    draft = Draft(
        ".".join(map(str, ("rules", rule.id, *keys))),
        "rules",
        say(f"{why}_title", name=title, old=now, new=new),
        Change(RULES, ("rules", rule.id, *keys), now, new),
        told,
        figures,
        cases,
        effect=say("rarer_effect", now=answer.messages, then=expected)
        if fewer
        else say("rarer_some", now=answer.messages),
        promises=[
            Promise(
                f"rule_messages:{rule.id}",
                float(answer.messages),
                float(expected),
                float(expected),
                "less",
            )
        ],
    )
    if why == "useless":
        draft.caveats.append(say("only_conversion"))
    else:
        draft.caveats.append(say("not_causal"))
    return draft


def _distance(rule: Rule) -> tuple[tuple[str, ...] | None, str | None]:
    """Where the rule says how far apart its contacts are."""
    if rule.trigger.cadence is not None:
        return ("trigger", "cadence", "every"), rule.trigger.cadence.every
    if rule.cooldown is not None:
        return ("cooldown",), rule.cooldown
    return None, None


def _row(rule: Rule, uplift: Row | None, answer: Answers) -> Row:
    some = answer.messages > 0
    return {
        "rule": Words(rule.title.en, rule.title.zh),
        "messages": answer.messages,
        "opened": answer.opened / answer.messages if some else None,
        "answered": answer.answered / answer.messages if some else None,
        "converted": answer.converted / answer.judged if answer.judged else None,
        "tired": answer.fatigue if some else None,
        "uplift": uplift["rate_difference"] if uplift else None,
        "low": uplift["rate_difference_low"] if uplift else None,
        "high": uplift["rate_difference_high"] if uplift else None,
    }


def _table(rows: list[Row], uplifts: dict[str, Row]) -> Finding:
    columns = (
        Column("rule", say("column_rule")),
        Column("messages", say("column_messages"), "number"),
        Column("opened", say("column_opened"), "share", 1),
        Column("answered", say("column_answered"), "share", 1),
        Column("converted", say("column_converted"), "share", 1),
        Column("tired", say("column_tired"), "share", 2),
        Column("uplift", say("column_uplift"), "share", 1),
        Column("low", say("column_low"), "share", 1),
        Column("high", say("column_high"), "share", 1),
    )
    sound = [u for u in uplifts.values() if u["verdict"] in SOUND]
    text = say(
        "rules_text",
        rules=len(rows),
        compared=len(sound),
        more=sum(u["verdict"] == "more" for u in sound),
        none=sum(u["verdict"] == "no_difference" for u in sound),
        fewer=sum(u["verdict"] == "fewer" for u in sound),
    )
    title = say("rules_title")
    return Finding("rules.answers", "rules", text, "info", title, columns, tuple(rows))
