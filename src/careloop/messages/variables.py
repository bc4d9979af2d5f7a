"""The closed list of what a template may say, and when it is there to be said."""

from dataclasses import dataclass

from careloop.program.base import Text
from careloop.program.rules import Rule

DELIVERY = ("delivery_late", "delivery_lost")
ORDER = (
    "order_paid",
    "order_preparing",
    "order_shipped",
    "order_delivered",
    "order_completed",
    "first_order",
    "last_order",
    *DELIVERY,
    "delivery_stalled",
)
TICKET = ("ticket_opened", "ticket_overdue", "ticket_solved", "incident")
ANNIVERSARIES = ("registration", "first_purchase", "membership", "company", "cooperation")


@dataclass(frozen=True)
class Variable:
    """One name a template may use.

    triggers: those that bring it, as ``trigger_of`` names them; every trigger if empty.
    can_be_empty: a template must ask ``{% if name %}`` before it uses it.
    """

    name: str
    about: Text
    example: Text
    triggers: tuple[str, ...] = ()
    can_be_empty: bool = False
    personal: bool = False


def _variable(
    name: str,
    about: tuple[str, str],
    example: tuple[str, str] | str,
    triggers: tuple[str, ...] = (),
    *,
    can_be_empty: bool = False,
    personal: bool = False,
) -> Variable:
    en, zh = (example, example) if isinstance(example, str) else example
    return Variable(
        name,
        Text(en=about[0], zh=about[1]),
        Text(en=en, zh=zh),
        triggers,
        can_be_empty,
        personal,
    )


VARIABLES: tuple[Variable, ...] = (
    # -- the customer -----------------------------------------------------------------------
    _variable(
        "greeting",
        (
            "Salutation with its punctuation, the first line of a message",
            "称呼语，含标点，作为首行",
        ),
        ("Dear Ms Carter,", "王女士，您好："),
        personal=True,
    ),
    _variable(
        "called",
        ("The customer within a sentence, politely", "句中对客户的尊称"),
        ("Ms Carter", "王女士"),
        personal=True,
    ),
    _variable(
        "name",
        ("Full name", "姓名"),
        ("Chloe Carter", "王芳"),
        can_be_empty=True,
        personal=True,
    ),
    _variable(
        "company",
        ("Name of the customer's company", "客户企业名称"),
        ("Northwind Ltd", "远景电子商务有限公司"),
        can_be_empty=True,
        personal=True,
    ),
    _variable(
        "contact_person",
        ("Whom to speak to in the customer's company", "客户企业联系人"),
        ("Sam Reed", "周强"),
        can_be_empty=True,
        personal=True,
    ),
    _variable(
        "position",
        ("That person's position", "联系人职位"),
        ("Head of purchasing", "采购经理"),
        can_be_empty=True,
        personal=True,
    ),
    _variable("customer_id", ("The customer's id in the CRM", "客户编号"), "C1000042"),
    _variable(
        "speaks",
        (
            "Language the customer is written to in, for whoever calls",
            "客户使用的语言，供联系人参考",
        ),
        ("English", "中文"),
    ),
    _variable(
        "segment", ("Title of the segment", "客户分层"), ("Core", "核心客户"), can_be_empty=True
    ),
    _variable(
        "stage",
        ("Title of the lifecycle stage", "生命周期阶段"),
        ("Stable", "稳定期"),
        can_be_empty=True,
    ),
    # -- who writes and who acts -----------------------------------------------------------
    _variable(
        "sender",
        ("The company that writes: setting sender_name", "发送方名称：设置项 sender_name"),
        ("Bluebird", "蓝鸟生活"),
    ),
    _variable(
        "owner",
        ("Name of the person who does the task", "任务负责人姓名"),
        ("Alex Morgan", "陈静"),
        can_be_empty=True,
        personal=True,
    ),
    _variable(
        "due",
        (
            "Local day and time until which a task is to be done; empty without a task",
            "任务完成期限（当地时间）；非任务为空",
        ),
        ("10 November 2026, 18:00", "2026年11月10日 18:00"),
        can_be_empty=True,
    ),
    # -- the offer ---------------------------------------------------------------------------
    _variable(
        "offer_title",
        (
            "Title of the rule's offer; empty without one, as all of the offer",
            "权益名称；规则无权益时为空，下同",
        ),
        ("20 % off on return", "回归 8 折"),
        can_be_empty=True,
    ),
    _variable(
        "offer_value",
        ("What it is worth", "权益内容"),
        ("20 % off", "8 折"),
        can_be_empty=True,
    ),
    _variable(
        "offer_min_spend",
        ("Least spend for it", "使用门槛"),
        ("CNY 300", "300 元"),
        can_be_empty=True,
    ),
    _variable(
        "offer_until",
        ("Last day of it", "有效期截止日"),
        ("30 November 2026", "2026年11月30日"),
        can_be_empty=True,
    ),
    # -- what it is about --------------------------------------------------------------------
    _variable("order_id", ("Order id", "订单编号"), "O20261101-88", ORDER),
    _variable(
        "order_amount",
        ("Amount of the order with its currency", "订单金额（含币种）"),
        ("CNY 128.50", "128.50 元"),
        ORDER,
        can_be_empty=True,
    ),
    _variable(
        "promised_on",
        ("Day the delivery was promised for", "承诺送达日"),
        ("5 November 2026", "2026年11月5日"),
        ("order_paid", "order_preparing", "order_shipped", *DELIVERY, "delivery_stalled"),
        can_be_empty=True,
    ),
    _variable("days_late", ("Days since that day", "已延迟天数"), "2", DELIVERY, can_be_empty=True),
    _variable(
        "product",
        ("Name of the product", "商品名称"),
        ("Water filter U608", "净水滤芯 U608"),
        ("cart_abandoned", "replacement_due", "next_product"),
        can_be_empty=True,
    ),
    _variable(
        "replace_on",
        ("Day the product is usually used up or worn out", "商品通常需要更换的日期"),
        ("20 November 2026", "2026年11月20日"),
        ("replacement_due",),
        can_be_empty=True,
    ),
    _variable(
        "moved_on",
        ("Day the order last moved", "订单最近一次有进展的日期"),
        ("2 November 2026", "2026年11月2日"),
        ("delivery_stalled",),
        can_be_empty=True,
    ),
    _variable(
        "ticket_id",
        ("Ticket id; of an outage the customer's own", "工单编号；故障事件中为客户自己的工单"),
        "T20261101-7",
        TICKET,
    ),
    _variable(
        "answer_due",
        (
            "Until when a person answers, by the clock that runs; empty if that is over, and so "
            "for the next two",
            "人工答复时限，按正在运行的时钟；已过则为空，下两项同",
        ),
        ("by tomorrow 10:00", "明天 10:00 前"),
        ("ticket_opened",),
        can_be_empty=True,
    ),
    _variable(
        "solution_due",
        ("Until when it is solved", "解决时限"),
        ("by Thursday, 5 November, 15:00", "11月5日（周四）15:00 前"),
        ("ticket_opened",),
        can_be_empty=True,
    ),
    _variable(
        "new_due",
        ("The new time for an overdue ticket", "超时工单的新时限"),
        ("by tomorrow 15:00", "明天 15:00 前"),
        ("ticket_overdue",),
        can_be_empty=True,
    ),
    _variable(
        "clock",
        ("Title of the promise that was missed, for an employee", "超时的承诺名称，供员工参考"),
        ("Complex case solved", "复杂问题解决"),
        ("ticket_overdue",),
        can_be_empty=True,
    ),
    _variable(
        "escalated_to",
        ("Who sees to an overdue ticket now", "超时工单现在由谁跟进"),
        ("supervisor", "主管"),
        ("ticket_overdue",),
        can_be_empty=True,
    ),
    _variable(
        "why",
        (
            "Why it is overdue, as a sentence; empty unless it is recorded",
            "超时原因（一句话）；无记录则为空",
        ),
        (
            "It is a complex case and takes longer to look into.",
            "这个问题比较复杂，核实和处理需要更多时间。",
        ),
        ("ticket_overdue",),
        can_be_empty=True,
    ),
    _variable(
        "score",
        ("The low score and the best one there is", "低分与满分"),
        ("2 of 5", "2 分（满分 5 分）"),
        ("low_score",),
        can_be_empty=True,
    ),
    _variable(
        "score_about",
        ("What was scored: the ticket or the order", "评价对象：工单或订单"),
        ("ticket T20261101-7", "工单 T20261101-7"),
        ("low_score",),
        can_be_empty=True,
    ),
    _variable(
        "incident_id", ("When the outage began", "故障开始时间"), "2026-11-01 10:20", ("incident",)
    ),
    _variable(
        "occasion",
        ("Title of the festival or business date", "节日或活动名称"),
        ("Mid-Autumn Festival", "中秋节"),
        ("occasion",),
    ),
    _variable(
        "occasion_on",
        ("Its day, or that of the anniversary", "节日、活动或周年当天的日期"),
        ("25 September 2026", "2026年9月25日"),
        ("occasion", "birthday", *ANNIVERSARIES),
    ),
    _variable(
        "years",
        ("Years that are remembered on an anniversary", "周年数"),
        "3",
        ANNIVERSARIES,
    ),
    _variable(
        "points",
        ("Points that expire", "即将到期的积分"),
        "1,200",
        ("points_expiring",),
    ),
    _variable(
        "expires_on",
        ("Last day they can be used", "积分到期日"),
        ("31 December 2026", "2026年12月31日"),
        ("points_expiring",),
    ),
    _variable(
        "tier",
        ("Title of the loyalty tier that was reached", "新达到的会员等级"),
        ("Gold", "金卡"),
        ("entered tiers",),
    ),
    _variable(
        "tier_gets",
        ("What the tier brings, in one line", "该等级的权益"),
        ("points, priority service", "积分、优先服务"),
        ("entered tiers",),
        can_be_empty=True,
    ),
    # -- links -------------------------------------------------------------------------------
    _variable(
        "survey_url",
        (
            "The questionnaire, setting survey_url, with a sign of the message",
            "问卷链接，来自设置项 survey_url",
        ),
        "https://survey.example.com/q?m=abc",
        can_be_empty=True,
    ),
    _variable(
        "shop_url",
        ("Where to order: setting shop_url", "下单地址：设置项 shop_url"),
        "https://shop.example.com",
        can_be_empty=True,
    ),
    _variable(
        "unsubscribe_url",
        (
            "One-click unsubscribing; the e-mail's footer has it anyway",
            "一键退订链接；邮件页脚已自带",
        ),
        "https://care.example.com/u/abc",
        can_be_empty=True,
    ),
)

NAMES = tuple(variable.name for variable in VARIABLES)


def trigger_of(rule: Rule) -> tuple[str, ...]:
    """What brings a rule up, in the words of ``Variable.triggers``."""
    trigger = rule.trigger
    found = [trigger.kind]
    if trigger.event:
        found = [trigger.event.name]
    elif trigger.anniversary:
        found = [trigger.anniversary.of]
    elif trigger.entered:
        lists = ("segments", "stages", "tiers", "alert_levels")
        found = [f"entered {name}" for name in lists if getattr(trigger.entered, name)]
    return (*found, *([rule.about] if rule.about else []))


def available(rule: Rule) -> tuple[Variable, ...]:
    """The variables that exist for a rule."""
    triggers = trigger_of(rule)
    return tuple(v for v in VARIABLES if not v.triggers or set(v.triggers) & set(triggers))


def variables_markdown() -> str:
    """The table of docs/messages.md."""
    lines = [
        "| variable | meaning | 含义 | example | exists for | can be empty | personal |",
        "|---|---|---|---|---|---|---|",
    ]
    for v in VARIABLES:
        examples = " · ".join(dict.fromkeys([v.example.en, v.example.zh]))
        triggers = ", ".join(v.triggers) or "every rule"
        yes = ["yes" if flag else "" for flag in (v.can_be_empty, v.personal)]
        lines.append(
            f"| `{v.name}` | {v.about.en} | {v.about.zh} | {examples} | {triggers} | "
            f"{yes[0]} | {yes[1]} |"
        )
    return "\n".join(lines) + "\n"
