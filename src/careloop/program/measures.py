"""The measures a condition may use: exactly the columns of ``int_customer_profile``.

All are as of the run's ``as_of`` in the program's zone. Money is in the program's currency.
The short, medium and long windows are set in ``profile.windows``.
"""

from dataclasses import dataclass
from typing import Literal

MeasureType = Literal["text", "boolean", "days", "count", "money", "ratio", "score", "number"]


@dataclass(frozen=True)
class Measure:
    """One measure. unit: what a value counts; nullable: unknown for some customers."""

    name: str
    type: MeasureType
    unit: str
    about_en: str
    about_zh: str
    nullable: bool = True


def _m(name: str, type_: MeasureType, unit: str, en: str, zh: str, null: bool = True) -> Measure:
    return Measure(name, type_, unit, en, zh, null)


def _windowed(name: str, type_: MeasureType, unit: str, en: str, zh: str, *windows: str):
    words = {"short": "短期", "medium": "中期", "long": "长期"}
    for window in windows:
        yield _m(
            f"{name}_{window}",
            type_,
            unit,
            f"{en} in the {window} window",
            f"{words[window]}窗口内{zh}",
            False,
        )


_ALL: tuple[Measure, ...] = (
    _m("customer_type", "text", "", "person or company", "个人或企业"),
    _m("region", "text", "", "Province, state or sales region", "省份、州或销售区域"),
    _m("industry", "text", "", "Industry of a company", "企业所属行业"),
    _m("sex", "text", "", "Sex as recorded", "登记的性别"),
    _m("member_tier", "text", "", "Membership tier as the CRM has it", "CRM 中的会员等级"),
    _m("service_package", "text", "", "Service package", "服务套餐"),
    _m("source_channel", "text", "", "Where the customer came from", "客户来源渠道"),
    _m("locale", "text", "", "Language of messages", "消息语言"),
    _m("is_strategic", "boolean", "", "Marked as a strategic account", "战略客户"),
    _m("is_member", "boolean", "", "Has a membership", "会员"),
    _m(
        "has_consent_marketing", "boolean", "", "Agreed to marketing on a channel", "已同意营销触达"
    ),
    _m(
        "tenure_days",
        "days",
        "days",
        "Days since registration, else first order, else first interaction",
        "注册（否则首单、否则首次互动）至今天数",
    ),
    _m(
        "cooperation_days",
        "days",
        "days",
        "Days since cooperation began, else tenure_days",
        "合作开始至今天数（未知时同 tenure_days）",
    ),
    _m("days_since_first_order", "days", "days", "Days since the first order", "首单至今天数"),
    _m("days_since_last_order", "days", "days", "Days since the last order", "末单至今天数"),
    _m(
        "days_since_last_interaction",
        "days",
        "days",
        "Days since the last interaction",
        "最近互动至今天数",
    ),
    _m(
        "days_since_last_activity",
        "days",
        "days",
        "Days since the latest order, interaction or ticket",
        "最近订单、互动或工单至今天数",
    ),
    _m("orders_total", "count", "orders", "Orders ever", "累计订单数", False),
    *_windowed("orders", "count", "orders", "Orders", "订单数", "short", "medium", "long"),
    *_windowed(
        "interactions",
        "count",
        "interactions",
        "Interactions",
        "互动次数",
        "short",
        "medium",
        "long",
    ),
    *_windowed("logins", "count", "log-ins", "Log-ins", "登录次数", "short", "medium"),
    *_windowed("visits", "count", "visits", "Visits", "访问次数", "short", "medium", "long"),
    *_windowed(
        "engagements",
        "count",
        "interactions",
        "Answers to what the company sent or published",
        "对推送与内容的响应次数",
        "medium",
    ),
    *_windowed("dwell_minutes", "number", "minutes", "Time spent", "停留时长", "short"),
    _m(
        "interaction_change",
        "number",
        "times",
        "Recent rate of interactions over the customer's own usual rate",
        "近期互动频率与该客户自身常态之比",
    ),
    _m(
        "visit_change",
        "number",
        "times",
        "Recent rate of visits over the customer's own usual rate",
        "近期访问频率与该客户自身常态之比",
    ),
    _m(
        "order_change",
        "number",
        "times",
        "Recent rate of orders over the customer's own usual rate",
        "近期下单频率与该客户自身常态之比",
    ),
    *_windowed("tickets", "count", "tickets", "Tickets", "工单数", "medium", "long"),
    *_windowed("complaints", "count", "complaints", "Complaints", "投诉数", "medium", "long"),
    _m("open_tickets", "count", "tickets", "Tickets not yet solved", "未解决工单数", False),
    _m(
        "resolved_share",
        "ratio",
        "share of tickets",
        "Tickets of the long window that are solved",
        "长期窗口内工单的解决占比",
    ),
    _m(
        "first_response_hours",
        "number",
        "hours",
        "Average time until the customer's tickets were answered, long window",
        "长期窗口内工单平均首次响应时长",
    ),
    _m(
        "resolution_hours",
        "number",
        "hours",
        "Average time until the customer's tickets were solved, long window",
        "长期窗口内工单平均解决时长",
    ),
    _m("spend_total", "money", "currency", "Spent ever", "累计消费", False),
    *_windowed("spend", "money", "currency", "Spent", "消费额", "short", "medium", "long"),
    _m("average_order_value", "money", "currency", "Average order value", "平均订单金额"),
    _m(
        "spend_rank",
        "ratio",
        "share of buyers",
        "Share of buyers who spent as much or less",
        "累计消费不高于该客户的购买者占比",
    ),
    _m(
        "frequency_rank",
        "ratio",
        "share of buyers",
        "Share of buyers with as many or fewer orders",
        "订单数不高于该客户的购买者占比",
    ),
    _m(
        "recency_rank",
        "ratio",
        "share of buyers",
        "Share of buyers whose last order is as old or older",
        "末单不晚于该客户的购买者占比",
    ),
    _m(
        "interaction_rank",
        "ratio",
        "share of interacting customers",
        "Share of interacting customers with as many or fewer interactions",
        "互动次数不高于该客户的互动客户占比",
    ),
    _m(
        "spend_long_rank",
        "ratio",
        "share of buyers",
        "Share of buyers who spent as much or less in the long window",
        "长期窗口消费不高于该客户的购买者占比",
    ),
    _m(
        "returned_share",
        "ratio",
        "share of orders",
        "Returned or cancelled orders of all",
        "退货或取消订单占比",
    ),
    _m(
        "discounted_share",
        "ratio",
        "share of orders",
        "Orders bought with a discount",
        "使用折扣的订单占比",
    ),
    _m(
        "late_delivery_share",
        "ratio",
        "share of deliveries",
        "Late deliveries of all",
        "延迟交付占比",
    ),
    _m("r_score", "score", "bins", "RFM recency score, 1 to rfm.bins", "RFM 最近购买得分"),
    _m("f_score", "score", "bins", "RFM frequency score, 1 to rfm.bins", "RFM 购买频次得分"),
    _m("m_score", "score", "bins", "RFM monetary score, 1 to rfm.bins", "RFM 消费金额得分"),
    _m("rfm_sum", "score", "bins", "Sum of the three RFM scores", "RFM 三项得分之和"),
    _m(
        "last_satisfaction",
        "ratio",
        "share of the scale",
        "Last answered satisfaction, 0 to 1",
        "最近一次满意度（0 到 1）",
    ),
    _m(
        "p_alive",
        "ratio",
        "chance",
        "Chance that the customer still buys here",
        "客户仍会购买的概率",
    ),
    _m(
        "expected_orders",
        "number",
        "orders",
        "Order days expected within the horizon",
        "预测期内预计下单天数",
    ),
    _m(
        "predicted_value",
        "money",
        "currency",
        "Value of the orders expected within the horizon",
        "预测期内预计消费价值",
    ),
    _m(
        "predicted_value_rank",
        "ratio",
        "share of buyers",
        "Share of buyers with at most this predicted value",
        "预测价值不高于该客户的购买者占比",
    ),
    _m(
        "is_high_potential",
        "boolean",
        "",
        "Predicted to be worth much and has not spent much yet",
        "高潜力：预测价值高而目前消费不高",
    ),
    _m(
        "churn_risk",
        "ratio",
        "chance",
        "Chance of no order within the churn horizon",
        "流失观察期内不再下单的概率",
    ),
    _m(
        "satisfaction_long",
        "ratio",
        "share of the scale",
        "Average satisfaction in the long window, 0 to 1",
        "长期窗口内平均满意度（0 到 1）",
    ),
    _m(
        "answer_hours",
        "number",
        "hours",
        "Average time the customer took to answer surveys, long window",
        "长期窗口内客户答复问卷的平均时长",
    ),
    _m(
        "answered_share",
        "ratio",
        "share of surveys",
        "Surveys of the long window the customer answered",
        "长期窗口内客户答复的问卷占比",
    ),
    _m("age_years", "count", "years", "Age", "年龄"),
    _m(
        "nps_last",
        "number",
        "0 to 10",
        "Last answer to would-you-recommend",
        "最近一次推荐意愿评分",
    ),
    _m(
        "average_order_interval_days",
        "number",
        "days",
        "Average days between orders",
        "平均下单间隔天数",
    ),
    _m(
        "interval_ratio",
        "number",
        "times",
        "Days since the last order over the usual interval",
        "距末单天数与平均间隔之比",
    ),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
