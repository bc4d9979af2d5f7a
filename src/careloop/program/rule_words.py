"""Care rules in words, in English and Chinese."""

from careloop.program.base import Channel, Text, split_duration
from careloop.program.channels import SPOKEN
from careloop.program.codes import UNITS, duration_text
from careloop.program.conditions import Condition
from careloop.program.contact import Cap
from careloop.program.model import Program
from careloop.program.rule_tables import DEFAULT_EXPIRY
from careloop.program.rules import Audience, Rule

# What ids mean: (English, Chinese).
WORDS: dict[str, tuple[str, str]] = {
    "birthday": ("birthday", "生日"),
    "registration": ("registration anniversary", "注册周年"),
    "first_purchase": ("first-purchase anniversary", "首购周年"),
    "membership": ("membership anniversary", "会员周年"),
    "company": ("company anniversary", "司庆"),
    "cooperation": ("cooperation anniversary", "合作周年"),
    "registered": ("registration", "注册"),
    "first_order": ("the first order", "首单"),
    "last_order": ("the last order", "最近一次下单"),
    "last_interaction": ("the last interaction", "最近一次互动"),
    "order_paid": ("an order is paid", "订单支付"),
    "order_preparing": ("an order is being prepared", "订单备货"),
    "order_shipped": ("an order is shipped", "订单发货"),
    "order_delivered": ("an order is delivered", "订单签收"),
    "order_completed": ("an order is completed", "订单完成"),
    "delivery_late": ("a delivery is late", "配送超时"),
    "delivery_lost": ("a delivery seems lost", "包裹疑似丢失"),
    "delivery_stalled": ("an order stops moving", "订单停滞不动"),
    "cart_abandoned": ("a cart is abandoned", "购物车放弃"),
    "ticket_opened": ("a ticket is opened", "工单提交"),
    "ticket_overdue": ("a ticket is overdue", "工单超时"),
    "low_score": ("a low score is given", "打低分"),
    "incident": ("an outage", "故障事件"),
    "ticket_solved": ("a ticket is solved", "工单解决"),
    "points_expiring": ("points are about to expire", "积分即将到期"),
    "replacement_due": ("a product is due for replacement", "商品到更换期"),
    "referral_converted": ("a referral buys", "转介绍成交"),
    "returned": ("the order was returned or cancelled", "订单已退货或取消"),
    "delivered": ("it has been delivered", "已签收"),
    "advanced": ("it has gone on to a later state", "已进入后续状态"),
    "ticket_open": ("a ticket is open", "有未解决工单"),
    "ticket_answered": ("the ticket has been answered", "工单已答复"),
    "ordered": ("the customer has ordered since", "此后已下单"),
    "contacted": ("a person has been in contact since", "此后已有人工联系"),
    "answered": ("the customer has answered a survey since", "此后已答复问卷"),
    "filter_kinds": ("kind", "类型"),
    "filter_urgencies": ("urgency", "紧急程度"),
    "filter_touchpoints": ("touchpoint", "触点"),
    "urgent": ("urgent", "紧急"),
    "general": ("general", "一般"),
    "complaint": ("complaint", "投诉"),
    "enquiry": ("enquiry", "咨询"),
    "fault": ("fault", "故障"),
    "return": ("return", "退换"),
    "suggestion": ("suggestion", "建议"),
    "csat": ("satisfaction", "满意度"),
    "ces": ("effort", "费力度"),
    "nps": ("recommendation", "推荐意愿"),
    "segments": ("segment", "分层"),
    "stages": ("stage", "阶段"),
    "tiers": ("tier", "等级"),
    "tags": ("tag", "标签"),
    "channels": ("prefers", "偏好渠道"),
    "alert_levels": ("alert level", "预警等级"),
    "low": ("low", "低"),
    "medium": ("medium", "中"),
    "high": ("high", "高"),
    "service": ("service", "服务"),
    "care": ("care", "关怀"),
    "marketing": ("marketing", "营销"),
    "survey": ("survey", "调查"),
    "pre_sale": ("before the sale", "售前"),
    "in_sale": ("during the sale", "售中"),
    "after_sale": ("after the sale", "售后"),
    "long_term": ("long term", "长期"),
    "automatic": ("automatic", "自动"),
    "account_manager": ("account manager", "客户经理"),
    "sales_rep": ("sales rep", "销售代表"),
    "service_role": ("service", "客服"),
    "win_back_team": ("win-back team", "挽回专员组"),
    "response_group": ("response group", "应急小组"),
    "supervisor": ("supervisor", "主管"),
    "department_head": ("department head", "部门负责人"),
    "order": ("an order", "下单"),
    "interaction": ("an interaction", "互动"),
    "survey_answer": ("an answer to a survey", "答复问卷"),
    "login": ("a log-in", "登录"),
    "visit": ("a visit", "访问"),
    "app": ("app", "App"),
    "push": ("push", "推送"),
    "mini_program": ("mini program", "小程序"),
    "wecom": ("WeCom", "企业微信"),
    "community": ("community", "社群"),
    "live": ("live", "直播"),
    "article": ("article", "图文"),
    "sms": ("SMS", "短信"),
    "email": ("e-mail", "邮件"),
    "call": ("call", "电话"),
    "online": ("online", "在线"),
    "visit_channel": ("visit", "上门"),
}


class RuleWords:
    """Reads rules of a program out. lang: en or zh."""

    def __init__(self, program: Program, lang: str) -> None:
        self.program = program
        self.zh = lang == "zh"
        loyalty = program.loyalty
        self._titles: dict[str, dict[str, Text]] = {
            "segments": {s.id: s.title for s in program.segments},
            "stages": {s.id: s.title for s in program.stages},
            "tiers": {t.id: t.title for t in loyalty.tiers} if loyalty else {},
            "tags": {t.id: t.title for t in program.tags.definitions},
            "occasions": {o.id: o.title for o in program.calendar.occasions},
            "offers": {o.id: o.title for o in program.offers},
        }

    def both(self, en: str, zh: str) -> str:
        """The text in the language."""
        return zh if self.zh else en

    def text(self, text: Text) -> str:
        """A title of the pack in the language."""
        return self.both(text.en, text.zh)

    def word(self, name: str) -> str:
        """What an id of the rules means."""
        return WORDS[name][self.zh] if name in WORDS else name

    def title(self, kind: str, name: str) -> str:
        """The title of something of the pack: segments, stages, tiers, tags, occasions, offers."""
        title = self._titles[kind].get(name)
        return self.text(title) if title else name

    def channel(self, name: Channel) -> str:
        return self.word("visit_channel" if name == "visit" else name)

    def role(self, name: str) -> str:
        return self.word("service_role" if name == "service" else name)

    def duration(self, value: str) -> str:
        """``3wd`` as ``3 working days``."""
        return duration_text(value, "zh" if self.zh else "en")

    def names(self, names: list[str]) -> str:
        return self.both(", ", "、").join(names)

    def trigger(self, rule: Rule, *, short: bool = False) -> str:
        """When the rule comes up; short: without what calls it off."""
        trigger = rule.trigger
        if trigger.anniversary:
            what = self.word(trigger.anniversary.of)
            return self._before(trigger.anniversary.days_before, what)
        if trigger.occasion:
            what = self.title("occasions", trigger.occasion.name)
            return self._before(trigger.occasion.days_before, what)
        if trigger.event:
            return self._event(rule, short)
        if trigger.entered:
            entered = trigger.entered
            kind = next(k for k in type(entered).model_fields if getattr(entered, k))
            what = self._members(kind, getattr(entered, kind))
            return self.both(f"on entering {what}", f"进入{what}时")
        if trigger.cadence:
            amount, unit = split_duration(trigger.cadence.every)
            (one, _), zh = UNITS[unit]
            if amount == 1:
                return self.both(f"every {one}", f"每{zh.removeprefix('个')}一次")
            every = self.duration(trigger.cadence.every)
            return self.both(f"every {every}", f"每 {every}一次")
        condition = trigger.condition
        if condition is None:
            raise ValueError(f"{rule.id} has no trigger")
        again = condition.again_after
        text = self.condition(condition.when)
        if again is None:
            return self.both(f"once while {text}", f"当{text}时，仅一次")
        after = self.duration(again)
        return self.both(f"while {text}, again after {after}", f"当{text}时，{after}后可再次")

    def _before(self, days: int, what: str) -> str:
        if not days:
            return self.both(f"on the day: {what}", f"{what}当天")
        many = self.duration(f"{days}d")
        return self.both(f"{many} before: {what}", f"{what}前 {many}")

    def _event(self, rule: Rule, short: bool) -> str:
        event = rule.trigger.event
        if event is None:
            return ""
        what, until = self.word(event.name) + self._tickets(rule), self.duration(event.until)
        if event.after:
            after = self.duration(event.after)
            text = self.both(f"{after} to {until} after {what}", f"{what}后 {after}至 {until}")
        else:
            text = self.both(f"within {until} after {what}", f"{what}后 {until}内")
        if event.unless and not short:
            reasons = self.both(" or ", "或").join(self.word(name) for name in event.unless)
            text += self.both(f", unless {reasons}", f"（{reasons}则不做）")
        return text

    def _tickets(self, rule: Rule) -> str:
        """Which tickets or surveys the event is narrowed down to."""
        event = rule.trigger.event
        if event is None or not event.filters:
            return ""
        named = {"touchpoints": {t.id: self.text(t.title) for t in self.program.touchpoints}}
        parts = [
            self.word(f"filter_{name}")
            + " "
            + self.both(" or ", " 或 ").join(
                named.get(name, {}).get(value, self.word(value)) for value in given
            )
            for name, given in event.filters.items()
        ]
        text = self.both("; ", "；").join(parts)
        return self.both(f" ({text})", f"（{text}）")

    def audience(self, audience: Audience) -> str:
        """Whom the rule is for."""
        parts = [
            self._members(kind, values)
            for kind in ("segments", "stages", "tiers", "alert_levels", "tags", "channels")
            if (values := getattr(audience, kind))
        ]
        if audience.when:
            parts.append(self.condition(audience.when))
        return self.both("; ", "；").join(parts) or self.both("everyone", "所有客户")

    def _members(self, kind: str, values: list[str]) -> str:
        names = [self.member(kind, value) for value in values]
        if self.zh:
            return self.word(kind) + "或".join(f"「{name}」" for name in names)
        return f"{self.word(kind)} {' or '.join(names)}"

    def member(self, kind: str, value: str) -> str:
        """The title of a member of an audience: of its segments, stages, tiers, tags, channels or
        alert levels."""
        if kind == "alert_levels":
            return self.word(value)
        if kind == "channels":
            return self.channel(value)  # type: ignore[arg-type]
        name, _, wanted = value.partition("=")
        return self.title(kind, name) + (f" = {wanted}" if wanted else "")

    def condition(self, condition: Condition) -> str:
        """A condition; measures by their names in English, by what they mean in Chinese."""
        if condition.measure is not None:
            return self._leaf(condition)
        if condition.not_ is not None:
            return self.both(
                f"not ({self.condition(condition.not_)})", f"非（{self.condition(condition.not_)}）"
            )
        word = self.both(" and ", " 且 ") if condition.all else self.both(" or ", " 或 ")
        children = condition.all or condition.any or []
        texts = [self.condition(child) for child in children]
        return word.join(
            f"({text})" if child.measure is None and len(children) > 1 else text
            for child, text in zip(children, texts, strict=True)
        )

    def _leaf(self, leaf: Condition) -> str:
        measure, operation, value = leaf.leaf()
        name = self.both(measure.name, measure.about_zh)
        signs = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<", "equals": "="}
        if operation == "is_known":
            return f"{name} " + self.both(
                "is known" if value else "is unknown", "已知" if value else "未知"
            )
        if operation == "one_of":
            return f"{name} = {self.both(' or ', ' 或 ').join(map(str, value))}"
        if isinstance(value, bool):
            return f"{name} = {self.both(str(value).lower(), '是' if value else '否')}"
        return (
            f"{name} {signs[operation]} {value:g}"
            if not isinstance(value, str)
            else (f"{name} {signs[operation]} {value}")
        )

    def who(self, rule: Rule) -> str:
        """Who does it, and until when."""
        text = self.role(rule.who)
        if rule.act_within:
            within = self.duration(rule.act_within)
            text += self.both(f", within {within}", f"，{within}内")
        return text

    def caps(self, rule: Rule) -> list[str]:
        """The caps that count the rule's messages."""
        caps = self.program.caps
        if rule.purpose in caps.exempt_purposes:
            return []
        return [self._cap(cap) for cap in caps.limits if _counts(cap, rule)]

    def _cap(self, cap: Cap) -> str:
        per = self.duration(cap.per)
        text = self.both(f"at most {cap.most} in {per}", f"{per}内至多 {cap.most} 次")
        of = self.counted(cap)
        return text + (f" ({self.names(of)})" if of else "")

    def counted(self, cap: Cap) -> list[str]:
        """What a cap counts; nothing if it is everything."""
        of = [self.word(p) for p in cap.purposes] + [self.channel(c) for c in cap.channels]
        return [*of, *cap.groups]

    def quiet_hours(self, rule: Rule) -> str:
        """When the rule's messages wait or are dropped."""
        quiet = self.program.quiet_hours
        if rule.purpose in quiet.exempt_purposes:
            return self.both("none: sent at any time", "无：随时发送")
        channels = [c for c in rule.channels if not quiet.channels or c in quiet.channels]
        if not channels:
            return self.both("none on these channels", "这些渠道无限制")
        action = {
            "hold": self.both("waits for the end", "顺延到结束"),
            "drop": self.both("dropped", "不再发送"),
        }
        text = f"{quiet.starts}–{quiet.ends}: {action[quiet.action]}"
        if len(channels) < len(rule.channels):
            text += f" ({self.names([self.channel(c) for c in channels])})"
        working = [self.channel(c) for c in rule.channels if c in quiet.working_days_only]
        if working:
            text += self.both("; on working days only: ", "；仅工作日：") + self.names(working)
        return text

    def consent(self, rule: Rule) -> str:
        """What the customer must have agreed to, and what a complaint mutes."""
        policy = getattr(self.program.consent, rule.purpose)
        text = {
            "opt_in": self.both("needs a yes", "须客户同意"),
            "opt_out": self.both("unless refused", "未拒绝即可"),
        }[policy]
        if rule.purpose in self.program.consent.complaint_mutes:
            text += self.both("; muted while a complaint is open", "；投诉未结时暂停")
        return text

    def freshness(self, rule: Rule) -> str:
        """How old the data may be."""
        limits = [
            f"{limit.entity} {self.duration(limit.max_age)}"
            for limit in self.program.data.freshness
            if rule.purpose in limit.blocks
        ]
        return self.names(limits) or self.both("no limit", "不限")

    def holdout(self, rule: Rule) -> str:
        """The shares of customers left alone."""
        holdout = self.program.holdout
        if rule.purpose in holdout.exempt_purposes:
            return self.both("none", "无")
        return self.both(
            f"program {holdout.share:.0%}, rule {rule.holdout:.0%}",
            f"方案 {holdout.share:.0%}，本规则 {rule.holdout:.0%}",
        )

    def expiry(self, rule: Rule) -> str:
        """How long it is worth doing."""
        if rule.trigger.event:
            until = self.duration(rule.trigger.event.until)
            return self.both(f"{until} after the event", f"事件后 {until}")
        after = self.duration(rule.expires_after or DEFAULT_EXPIRY)
        return self.both(f"{after} after it came up", f"出现后 {after}")

    def rows(self, rule: Rule) -> list[tuple[str, str]]:
        """Everything about a rule, as label and text."""
        none = "–"
        spoken = [self.channel(c) for c in rule.channels if c in SPOKEN]
        channels = self.names([self.channel(c) for c in rule.channels])
        if spoken and rule.who == "automatic":
            channels += self.both(
                f" ({self.names(spoken)}: a task for a person)",
                f"（{self.names(spoken)}：转人工任务）",
            )
        offer = next((o for o in self.program.offers if o.id == rule.offer), None)
        conversion = rule.conversion
        found = [
            ("When", "触发", self.trigger(rule)),
            ("For whom", "对象", self.audience(rule.audience)),
            (
                "About",
                "内容对象",
                self.both("the next best product, if there is one", "推荐商品，有则触发")
                if rule.about
                else none,
            ),
            ("Part of the journey", "旅程", self.word(rule.phase)),
            ("Purpose", "目的", self.word(rule.purpose)),
            ("Channels", "渠道", channels),
            ("Message", "模板", rule.template),
            (
                "Offer",
                "权益",
                self.both(
                    f"{self.text(offer.title)}, valid {self.duration(offer.valid)}",
                    f"{self.text(offer.title)}，有效期 {self.duration(offer.valid)}",
                )
                if offer
                else none,
            ),
            ("By", "执行人", self.who(rule)),
            ("Expires", "过期", self.expiry(rule)),
            ("Priority", "优先级", str(rule.priority)),
            ("Caps", "频次上限", self.both("; ", "；").join(self.caps(rule))
             or self.both("none: neither blocked nor counted", "无：不受限也不计数")),
            ("Quiet hours", "免打扰", self.quiet_hours(rule)),
            ("Consent", "授权", self.consent(rule)),
            ("Data at most old", "数据时效", self.freshness(rule)),
            ("Least time between", "最短间隔",
             self.duration(rule.cooldown) if rule.cooldown else none),
            ("Left alone to compare", "对照留白", self.holdout(rule)),
            (
                "Success",
                "转化",
                self.both(
                    f"{self.word(conversion.event)} within {self.duration(conversion.within)}",
                    f"{self.duration(conversion.within)}内{self.word(conversion.event)}",
                )
                if conversion
                else none,
            ),
        ]  # fmt: skip
        if rule.starts_on or rule.ends_on:
            found.append(("Days", "使用期", f"{rule.starts_on or '…'} – {rule.ends_on or '…'}"))
        if not rule.active:
            found.append(("State", "状态", self.both("resting", "停用")))
        return [(self.both(en, zh), text) for en, zh, text in found]


def _counts(cap: Cap, rule: Rule) -> bool:
    """Whether a cap counts at least some of the rule's messages."""
    return (
        (not cap.purposes or rule.purpose in cap.purposes)
        and (not cap.channels or any(c in cap.channels for c in rule.channels))
        and (not cap.groups or rule.cap_group in cap.groups)
    )
