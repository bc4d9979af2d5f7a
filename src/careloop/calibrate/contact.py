"""Caps and channels by how customers answer, from the messages of the period.

A message is tiring if it made the customer unsubscribe or complain. For each cap the last message
it allows is compared with the earlier ones of the same customer within the cap's time: if the last
one tires more customers than ``calibration.max_fatigue`` for certain (the whole interval lies
above), one message fewer is proposed; if it surely tires fewer and is answered no worse, one more.

SOURCE: Wilson's and Newcombe's intervals, see careloop.statistics.uplift.
"""

from dataclasses import dataclass

from careloop.calibrate.draft import Draft
from careloop.calibrate.edit import Change
from careloop.calibrate.marts import Marts, Row
from careloop.calibrate.model import Column, Finding, Promise, Words
from careloop.calibrate.say import Given, Percent, say
from careloop.program.base import rough_days
from careloop.program.contact import Cap
from careloop.program.load import FILE
from careloop.program.model import Program
from careloop.statistics.uplift import Arm, rate_difference, wilson_interval

TABLE = "fct_care_deliveries"
MOST_SHOWN = 5

COUNTED = """
    count(*) as messages,
    count(*) filter (where is_opened) as opened,
    count(*) filter (where is_clicked or is_replied or is_answered) as answered,
    count(*) filter (where conversion in ('converted', 'not_converted')) as judged,
    count(*) filter (where conversion = 'converted') as converted,
    count(*) filter (where is_unsubscribed or is_complained) as tired,
    count(distinct customer_id) as customers
"""
SENT = f"""
    from {TABLE}
    where kind = 'send' and state = 'sent' and contact_on >= $first_day and contact_on < $until
"""
_FREQUENCY = f"""
with numbered as (
    select *, count(*) over (partition by customer_id, date_trunc('month', contact_on)) as of_month
    {SENT}
)
select least(of_month, {MOST_SHOWN}) as messages_a_month, {COUNTED}
from numbered group by all order by 1
"""
_CHANNELS = f"select channel, {COUNTED} {SENT} group by channel order by channel"


@dataclass(frozen=True)
class Answers:
    """What came back on messages; counts."""

    messages: int = 0
    opened: int = 0
    answered: int = 0
    judged: int = 0
    converted: int = 0
    tired: int = 0
    customers: int = 0

    @classmethod
    def of(cls, row: Row) -> "Answers":
        return cls(**{name: int(row[name]) for name in cls.__dataclass_fields__})

    @property
    def fatigue(self) -> float:
        return self.tired / self.messages if self.messages else 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Of the share of tiring messages; needs a message."""
        return wilson_interval(self.tired, self.messages, confidence)


def contact(marts: Marts) -> tuple[list[Draft], list[Finding]]:
    """Proposals for caps, and what came back by frequency and channel."""
    if not marts.has(TABLE) or not marts.one(f"select count(*) {SENT}"):
        return [], [Finding("contact.none", "contact", say("no_messages"))]
    drafts = [d for cap in marts.program.caps.limits if (d := _judge(marts, cap)) is not None]
    frequency = _table(marts, "frequency", _FREQUENCY, "messages_a_month")
    channels = _table(marts, "channels", _CHANNELS, "channel")
    return drafts, [frequency, channels]


def by_place(marts: Marts, cap: Cap) -> tuple[Answers, Answers]:
    """Answers to the messages before the last one a cap allows, and to the last one."""
    program = marts.program
    conditions = ["true"]
    values: dict[str, object] = {"days": round(rough_days(cap.per)) - 1, "most": cap.most}
    for column, allowed in (("purpose", cap.purposes), ("channel", cap.channels)):
        if allowed:
            conditions.append(f"list_contains(${column}s, {column})")
            values[f"{column}s"] = list(allowed)
    if cap.groups:
        conditions.append("list_contains($rules, rule)")
        values["rules"] = _rules_of(program, cap.groups)
    if program.caps.exempt_purposes:
        conditions.append("not list_contains($exempt, purpose)")
        values["exempt"] = list(program.caps.exempt_purposes)
    # The first of the period come after messages of the time before it.
    sql = f"""
        with counted as (
            select *, count(*) over (
                partition by customer_id order by contact_on
                range between to_days($days) preceding and current row
            ) as place
            from {TABLE}
            where kind = 'send' and state = 'sent' and contact_on < $until
                and contact_on >= $first_day - to_days($days) and {" and ".join(conditions)}
        )
        select place >= $most as is_last, {COUNTED}
        from counted where contact_on >= $first_day group by is_last
    """
    found = {row["is_last"]: Answers.of(row) for row in marts.rows(sql, values)}
    return found.get(False, Answers()), found.get(True, Answers())


def _rules_of(program: Program, groups: list[str]) -> list[str]:
    return [rule.id for rule in program.rules if rule.cap_group in groups]


def cap_fatigue(marts: Marts, cap: Cap) -> float | None:
    """Share of the messages under a cap that tired customers; None without any."""
    early, last = by_place(marts, cap)
    messages = early.messages + last.messages
    return (early.tired + last.tired) / messages if messages else None


def _judge(marts: Marts, cap: Cap) -> Draft | None:
    rules, confidence = marts.program.calibration, marts.program.uplift.confidence
    early, last = by_place(marts, cap)
    # Nobody knows what a second message would do where only one is allowed.
    if min(early.messages, last.messages) < rules.min_cases:
        return None
    low, high = last.interval(confidence)
    less = low > rules.max_fatigue and last.fatigue > early.fatigue
    more = high < rules.max_fatigue and not _worse(last, early, confidence)
    if not less and not more:
        return None
    new = cap.most - 1 if less else cap.most + 1
    everything = (early.tired + last.tired) / (early.messages + last.messages)
    promised = early.fatigue if less else max(everything, rules.max_fatigue)
    title = Words(f"cap {cap.id}", f"频次上限 {cap.id}")
    draft = Draft(
        f"caps.{cap.id}.most",
        "contact",
        say("change_title", name=title, old=cap.most, new=new),
        Change(FILE, ("caps", "limits", cap.id, "most"), cap.most, new),
        say(
            "cap_less" if less else "cap_more",
            most=cap.most,
            per=cap.per,
            last=Percent(last.fatigue),
            low=Percent(low),
            high=Percent(high),
            messages=last.messages,
            early=Percent(early.fatigue),
            limit=Given(rules.max_fatigue),
            answered=Percent(last.answered / last.messages),
            answered_early=Percent(early.answered / early.messages),
        ),
        {
            "earlier": vars(early),
            "last": vars(last),
            "fatigue_low": round(low, 6),
            "fatigue_high": round(high, 6),
            "days": round(rough_days(cap.per)),
        },
        min(early.messages, last.messages),
        effect=say(
            "cap_less_effect" if less else "cap_more_effect",
            messages=last.messages,
            customers=last.customers,
            share=Percent(last.messages / (early.messages + last.messages)),
            promised=Percent(promised),
            now=Percent(everything),
        ),
        promises=[
            Promise(
                f"cap_fatigue:{cap.id}",
                round(everything, 6),
                round(promised, 6),
                round(promised, 6),
                "less",
            )
        ],
    )
    draft.caveats.append(say("not_causal"))
    if more:
        draft.doubt("beyond_data")
    return draft


def _worse(last: Answers, early: Answers, confidence: float) -> bool:
    """Whether the last message is surely answered less, or converts less, than earlier ones."""
    pairs = [(last.messages, last.answered, early.messages, early.answered)]
    if last.judged and early.judged:
        pairs.append((last.judged, last.converted, early.judged, early.converted))
    found = (rate_difference(Arm(a, b), Arm(c, d), confidence).high for a, b, c, d in pairs)
    return any(high is not None and high < 0 for high in found)


def _table(marts: Marts, name: str, sql: str, key: str) -> Finding:
    columns = (
        Column(key, say(f"column_{key}"), "text"),
        Column("customers", say("column_customers"), "number"),
        Column("messages", say("column_messages"), "number"),
        Column("opened", say("column_opened"), "share", 1),
        Column("answered", say("column_answered"), "share", 1),
        Column("converted", say("column_converted"), "share", 1),
        Column("tired", say("column_tired"), "share", 2),
    )
    rows = []
    for row in marts.rows(sql):
        found = Answers.of(row)
        shown = row[key]
        if key == "messages_a_month":
            shown = f"{shown}+" if shown == MOST_SHOWN else str(shown)
        rows.append(
            {
                key: shown,
                "customers": found.customers,
                "messages": found.messages,
                "opened": found.opened / found.messages,
                "answered": found.answered / found.messages,
                "converted": found.converted / found.judged if found.judged else None,
                "tired": found.fatigue,
            }
        )
    most = max(rows, key=lambda r: (r["tired"], r["messages"]))
    text = say(
        f"{name}_text",
        messages=sum(r["messages"] for r in rows),
        worst=most[key],
        tired=Percent(most["tired"]),
        of=most["messages"],
    )
    title = say(f"{name}_title")
    return Finding(f"contact.{name}", "contact", text, "info", title, columns, tuple(rows))
