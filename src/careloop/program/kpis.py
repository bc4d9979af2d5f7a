"""The KPIs a pack may set targets for: name, unit, which way is better, and meaning.

unit: share (0..1), score_5 (1..5), score_100 (0..100), nps (-100..100), minutes, hours,
days, money, count. Values in packs are in this unit; relative changes are shares of the
baseline (0.25 is +25 %).
"""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "score_5", "score_100", "nps", "minutes", "hours", "days", "money", "count"]
Better = Literal["higher", "lower"]

# Least and most a value of a unit can be.
LIMITS: dict[str, tuple[float, float]] = {
    "share": (0, 1),
    "score_5": (1, 5),
    "score_100": (0, 100),
    "nps": (-100, 100),
    **dict.fromkeys(("minutes", "hours", "days", "money", "count"), (0, float("inf"))),
}


@dataclass(frozen=True)
class Kpi:
    """One KPI. better: the direction of improvement."""

    name: str
    unit: Unit
    better: Better
    about_en: str
    about_zh: str


_ALL = (
    Kpi(
        "care_reach_rate",
        "share",
        "higher",
        "Customers reached of those care was due for",
        "关怀触达率",
    ),
    Kpi(
        "targeted_reach_rate",
        "share",
        "higher",
        "Reached customers of those a campaign aimed at",
        "精准触达率",
    ),
    Kpi(
        "care_satisfaction",
        "score_5",
        "higher",
        "Mean satisfaction with care, 1 to 5",
        "关怀满意度",
    ),
    Kpi(
        "satisfaction",
        "score_100",
        "higher",
        "Mean satisfaction on a scale of 100",
        "客户满意度（百分制）",
    ),
    Kpi("satisfied_share", "share", "higher", "Satisfied answers of all answers", "满意率"),
    Kpi(
        "touchpoint_satisfaction",
        "score_100",
        "higher",
        "Mean satisfaction at a touchpoint",
        "关键触点满意度",
    ),
    Kpi("nps", "nps", "higher", "Promoters minus detractors in percent", "净推荐值"),
    Kpi(
        "negative_feedback_rate",
        "share",
        "lower",
        "Complaints and bad ratings of all feedback",
        "负面反馈率",
    ),
    Kpi(
        "complaint_rate",
        "share",
        "lower",
        "Customers with a complaint of active customers",
        "投诉率",
    ),
    Kpi("dispute_rate", "share", "lower", "Orders with a dispute of all orders", "纠纷率"),
    Kpi("repurchase_rate", "share", "higher", "Buyers who bought again of all buyers", "复购率"),
    Kpi("retention_12m", "share", "higher", "Buyers still buying 12 months later", "12 个月留存率"),
    Kpi(
        "core_segment_share",
        "share",
        "higher",
        "Customers in the pack's best segment",
        "核心客户占比",
    ),
    Kpi("segment_coverage", "share", "higher", "Customers who are in a segment", "分层覆盖率"),
    Kpi("ltv", "money", "higher", "Mean predicted lifetime value per customer", "客户生命周期价值"),
    Kpi(
        "new_customer_loss_7d",
        "share",
        "lower",
        "New customers lost within 7 days",
        "新客 7 天流失率",
    ),
    Kpi("activation_7d", "share", "higher", "New customers active within 7 days", "7 天激活率"),
    Kpi("wake_up_rate", "share", "higher", "Dormant customers active again", "沉睡唤醒率"),
    Kpi(
        "profile_completeness",
        "share",
        "higher",
        "Filled profile fields of those wanted",
        "画像完整度",
    ),
    Kpi("tag_completeness", "share", "higher", "Customers with every expected tag", "标签完整度"),
    Kpi(
        "channel_fit",
        "share",
        "higher",
        "Contacts on the customer's preferred channel",
        "渠道匹配度",
    ),
    Kpi(
        "problem_identification_rate",
        "share",
        "higher",
        "Problems classed of all raised",
        "问题识别率",
    ),
    Kpi(
        "pain_points_solved_rate",
        "share",
        "higher",
        "Pain points solved of all found",
        "痛点解决率",
    ),
    Kpi("rectification_rate", "share", "higher", "Problems put right of those found", "问题整改率"),
    Kpi(
        "first_contact_resolution",
        "share",
        "higher",
        "Tickets solved at the first contact",
        "一次性解决率",
    ),
    Kpi(
        "complaints_on_time",
        "share",
        "higher",
        "Complaints handled by their deadline",
        "投诉处理及时率",
    ),
    Kpi(
        "automatic_resolution_rate",
        "share",
        "higher",
        "Enquiries solved by automatic answers",
        "自动解决率",
    ),
    Kpi(
        "handover_success_rate",
        "share",
        "higher",
        "Hand-overs to a person that succeed",
        "转人工成功率",
    ),
    Kpi("resolution_rate", "share", "higher", "Tickets solved of those opened", "问题解决率"),
    Kpi(
        "automatic_response_minutes",
        "minutes",
        "lower",
        "Minutes to the automatic answer",
        "自动首次响应分钟",
    ),
    Kpi(
        "first_response_minutes",
        "minutes",
        "lower",
        "Minutes to the first human answer",
        "人工首次响应分钟",
    ),
    Kpi("resolution_hours", "hours", "lower", "Hours until solved", "解决时长"),
    Kpi(
        "after_sale_cycle_days",
        "days",
        "lower",
        "Days from an after-sale request to its end",
        "售后周期",
    ),
    Kpi("content_open_rate", "share", "higher", "Opened contents of those sent", "内容打开率"),
    Kpi("community_activity", "share", "higher", "Members active in the community", "社群活跃度"),
    Kpi(
        "birthday_conversion",
        "share",
        "higher",
        "Buyers among those greeted at a birthday",
        "生日关怀转化率",
    ),
    Kpi(
        "membership_anniversary_conversion",
        "share",
        "higher",
        "Buyers among those greeted at a membership anniversary",
        "会员周年转化率",
    ),
    Kpi(
        "occasion_participation",
        "share",
        "higher",
        "Customers who take part in an occasion",
        "节点活动参与率",
    ),
)

KPIS: dict[str, Kpi] = {kpi.name: kpi for kpi in _ALL}
