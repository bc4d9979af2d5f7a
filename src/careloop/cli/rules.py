"""`careloop rules`: list, read and check care rules, and see what comes up for a customer."""

from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.clock import start_of_day
from careloop.errors import ProgramError, SettingsError
from careloop.messages import check as check_messages
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.rule_warnings import rule_warnings
from careloop.program.rule_words import RuleWords
from careloop.program.rules import Rule
from careloop.rules_ahead.ahead import Coming, audience_fits, coming, unforeseen
from careloop.rules_ahead.facts import Facts, holds, read_facts
from careloop.settings import load_settings

LOCALES = ("en", "zh-CN")
Locale = Annotated[
    str | None,
    typer.Option("--locale", help="en or zh-CN. Default: the program's first locale"),
]


def register(app: typer.Typer) -> None:
    """Adds the group `rules` to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="List, read and check care rules. Example: careloop rules list",
    )
    for name, command in (("list", list_), ("show", show), ("check", check), ("next", next_)):
        group.command(name)(command)
    app.add_typer(group, name="rules")


def list_(program: ProgramName = None, locale: Locale = None, as_json: JsonFlag = False) -> None:
    """List the care rules of a program, the highest priority first within each part of the journey.

    Example: careloop rules list --program key_account
    """
    pack = _pack(program)
    words = _words(pack, locale)
    rules = sorted(pack.rules, key=lambda rule: (_PHASES.index(rule.phase), -rule.priority))
    if as_json:
        print_json([_data(rule, words) for rule in rules])
        return
    both = words.both
    columns = [both("rule", "规则"), both("when", "触发"), both("for", "对象")]
    columns += [both("purpose", "目的"), both("channels", "渠道"), both("by", "执行")]
    columns += [both("prio.", "优先")]
    rows = [
        [
            f"{rule.id if rule.active else f'({rule.id})'}\n{words.text(rule.title)}",
            words.trigger(rule, short=True),
            words.audience(rule.audience),
            words.word(rule.purpose),
            words.names([words.channel(channel) for channel in rule.channels]),
            words.role(rule.who),
            rule.priority,
        ]
        for rule in rules
    ]
    print_table(columns, rows, tight=True)
    resting = sum(not rule.active for rule in rules)
    note = f", {resting} of them resting (in brackets)" if resting else ""
    console().print(f"{len(rules)} rules{note}. One of them: careloop rules show RULE")


def show(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    program: ProgramName = None,
    locale: Locale = None,
    as_json: JsonFlag = False,
) -> None:
    """Say in words all a rule does: when, for whom, how, and what may hold it back.

    Example: careloop rules show birthday --locale en
    """
    pack = _pack(program)
    rule = _rule(pack, rule_id)
    words = _words(pack, locale)
    if as_json:
        print_json({**_data(rule, words), "in_words": dict(words.rows(rule))})
        return
    title = f"{words.text(rule.title)} ({pack.name}, {rule.version})"
    print_table([rule.id, title], words.rows(rule), whole=[rule.id])


def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[PACK]", help="Name or path; the chosen if left out.")
    ] = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Check the rules of a pack and their messages; 4 as exit code says that something is wrong.

    Wrong are unknown keys, segments, measures, offers, occasions, tags, tiers, and missing or
    wrong messages. Warned of is what is allowed and yet can't work or contradicts the pack.

    Example: careloop rules check retail_care
    """
    pack = _pack(name or program)
    found = _message_problems(pack)
    problems = [str(problem) for problem in found if not problem.is_warning]
    warnings = rule_warnings(pack, start_of_day(pack.zone).date())
    warnings += [(problem.file, problem.message) for problem in found if problem.is_warning]
    if as_json:
        print_json(
            {
                "ok": not problems,
                "name": pack.name,
                "hash": pack.hash,
                "rules": len(pack.rules),
                "problems": problems,
                "warnings": [{"about": about, "warning": text} for about, text in warnings],
            }
        )
    elif warnings:
        print_table(["rule or key", "warning"], warnings)
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise ProgramError(f"the messages of {pack.name} have {count}:{lines}")
    if not as_json:
        console().print(f"{pack.name}: {len(pack.rules)} rules, OK, hash {pack.hash}")


def next_(
    customer: Annotated[str, typer.Option("--customer", help="The customer's id in the CRM.")],
    days: Annotated[int, typer.Option("--days", min=0, max=1100, help="How far ahead.")] = 90,
    everything: Annotated[
        bool, typer.Option("--all", help="Also rules whose audience does not fit today.")
    ] = False,
    program: ProgramName = None,
    locale: Locale = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """List what comes up for one customer: anniversaries, festivals, turns, windows of events.

    It looks ahead from the published version and assumes that nothing new happens. Whether a
    message goes out is decided on the day: consent, caps and the rest may hold it back.

    Example: careloop rules next --customer C1000042 --days 60
    """
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    words = _words(pack, locale)
    facts = read_facts(settings, pack, customer.strip())
    found = coming(pack, facts, days)
    waiting = [_waiting(rule, facts, words) for rule in unforeseen(pack)]
    if as_json:
        print_json(
            {
                "customer_id": facts.customer_id,
                "as_of_on": facts.as_of_on,
                "coming": [asdict(item) for item in found],
                "unforeseen": waiting,
            }
        )
        return
    _show_coming(
        [item for item in found if everything or item.fits is not False],
        pack,
        words,
        f"{facts.customer_id}: {facts.as_of_on} + {words.duration(f'{days}d') if days else 0}",
    )
    shown = [row for row in waiting if everything or row["fits"] is not False]
    if shown:
        print_table(
            [words.both("rule", "规则"), words.both("on no known day", "时间未定"), ""],
            [[row["rule"], row["when"], row["state"]] for row in shown],
            tight=True,
        )
    if hidden := sum(item.fits is False for item in found) * (not everything):
        console().print(f"{hidden} more of rules whose audience does not fit today: --all")


def _show_coming(found: list[Coming], pack: Program, words: RuleWords, title: str) -> None:
    both = words.both
    titles = {rule.id: words.text(rule.title) for rule in pack.rules}
    columns = [both("from", "自"), both("to", "至"), both("rule", "规则")]
    columns += [both("occasion", "事由"), both("fits today", "今日符合")]
    rows = [
        [
            item.first_on,
            item.last_on,
            f"{item.rule}\n{titles[item.rule]}",
            item.occasion,
            _state(item.fits, item.why_not, words)
            + (f"; {_IF_NOT[item.if_not][words.zh]}" if item.if_not else ""),
        ]
        for item in found
    ]
    if not rows:
        console().print(f"{title}: {both('nothing', '无')}")
        return
    print_table(columns, rows, title=title, tight=True, whole=columns[:2])


_PHASES = ("pre_sale", "in_sale", "after_sale", "long_term")
_IF_NOT = {
    "ordered": ("if nothing is bought before", "若此前未下单"),
    "delivered": ("if not delivered before", "若此前未签收"),
    "interacted": ("if no interaction before", "若此前无互动"),
    "moved": ("if nothing changes before", "若此前无新进展"),
}


def _pack(name: str | None) -> Program:
    return load_program(name or load_settings().program)


def _words(pack: Program, locale: str | None) -> RuleWords:
    if locale not in (None, "zh", *LOCALES):
        raise SettingsError(
            f"rules are not read out in {locale}", f"--locale: {', '.join(LOCALES)}"
        )
    return RuleWords(pack, "zh" if (locale or pack.locales[0]).startswith("zh") else "en")


def _rule(pack: Program, rule_id: str) -> Rule:
    found = next((rule for rule in pack.rules if rule.id == rule_id), None)
    if found:
        return found
    names = [rule.id for rule in pack.rules]
    close = get_close_matches(rule_id, names, n=1)
    raise ProgramError(
        f"{pack.name} has no rule {rule_id!r}" + (f"; did you mean {close[0]}?" if close else ""),
        f"its rules: {', '.join(names) or 'none'}",
    )


def _data(rule: Rule, words: RuleWords) -> dict[str, Any]:
    return {
        "version": rule.version,
        **rule.model_dump(mode="json", by_alias=True, exclude_none=True),
        "when": words.trigger(rule),
        "for": words.audience(rule.audience),
    }


def _message_problems(pack: Program) -> list[Any]:
    """What the messages themselves have wrong."""
    return list(check_messages(pack))


def _waiting(rule: Rule, facts: Facts, words: RuleWords) -> dict[str, Any]:
    """A rule that waits for a change; of a condition also whether it holds today."""
    fits, why_not = audience_fits(rule, facts)
    if fits and rule.trigger.condition:
        fits = holds(facts, rule.trigger.condition.when)
        why_not = "when"
    return {
        "rule": rule.id,
        "when": words.trigger(rule),
        "fits": fits,
        "state": _state(fits, why_not, words),
    }


def _state(fits: bool | None, why_not: str | None, words: RuleWords) -> str:
    if fits:
        return words.both("yes", "是")
    if fits is None:
        return words.both("can't be said", "无法判断")
    what = {"when": ("condition", "条件"), "about": ("no product", "无推荐商品")}.get(
        why_not or "", (words.word(why_not or ""), words.word(why_not or ""))
    )
    return words.both(f"no: {what[0]}", f"否：{what[1]}")
