"""Whether the data suit the model at all, and whether a fit is good enough to be used.

SOURCES. The models assume that customers are free to order and to leave unseen, at random times
(Fader & Hardie 2009, "Probability Models for Customer-Base Analysis", Journal of Interactive
Marketing 23(1), 61-69). The days between random orders have a coefficient of variation about 1;
those of a subscription nearly 0.
"""

import math
from dataclasses import dataclass

from careloop.value.bg_nbd import BgNbd
from careloop.value.gamma_gamma import GammaGamma
from careloop.value.holdout import Scores
from careloop.value.rules import ValueRules

Reason = tuple[str, str]


@dataclass(frozen=True)
class Verdict:
    """``status`` is accepted, rejected or not_applicable; ``why`` says why not, in English and
    Chinese. ``fallback`` is what to use when there is no model at all."""

    status: str
    why: tuple[Reason, ...]
    fallback: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, in English."""
        return tuple(en for en, _ in self.why)


@dataclass(frozen=True)
class Buyers:
    """Customers with an order, those with a second order day, and how regularly a sample of the
    latter orders: the median coefficient of variation of the days between, if known."""

    customers: int
    repeaters: int
    sampled: int = 0
    interval_variation: float | None = None


def suits(buyers: Buyers, rules: ValueRules) -> Verdict | None:
    """The verdict not_applicable, or None where the data suit the model.

    Of subscriptions the past spend goes on, so the pack's fallback holds; of single purchases
    nothing does, so their value stays unknown.
    """
    if not buyers.customers:
        return _not_applicable(("nobody has ordered anything yet", "还没有人下单"), "unknown")
    if buyers.repeaters < rules.min_repeat_share * buyers.customers or not buyers.repeaters:
        return _not_applicable(
            (
                f"{buyers.repeaters:,} of {buyers.customers:,} customers with an order came back "
                "on another day: with single purchases there are no repeat orders to predict",
                f"{buyers.customers:,} 位下单客户中只有 {buyers.repeaters:,} 位在另一天再次下单："
                "一次性购买没有可预测的复购",
            ),
            "unknown",
        )
    variation = buyers.interval_variation
    enough = buyers.sampled >= rules.min_sampled_customers
    if enough and variation is not None and variation < rules.min_interval_variation:
        return _not_applicable(
            (
                f"orders come as regularly as a subscription's: the days between them vary by "
                f"{variation:.2f} of their mean, below {rules.min_interval_variation:g} (median "
                f"of {buyers.sampled:,} customers; at random it is about 1), and a model of "
                "customers who leave unseen does not fit a contract",
                f"下单像订阅一样规律：间隔天数的变异系数为 {variation:.2f}，低于 "
                f"{rules.min_interval_variation:g}（{buyers.sampled:,} 位客户的中位数；"
                "随机下单时约为 1），不适用客户悄然离开的模型",
            ),
            rules.fallback,
        )
    return None


def _not_applicable(reason: Reason, fallback: str) -> Verdict:
    return Verdict("not_applicable", (reason,), fallback)


def judge(
    buyers: Buyers,
    model: BgNbd | None,
    spend: GammaGamma | None,
    scores: Scores | None,
    rules: ValueRules,
) -> Verdict:
    """Accepted, or rejected with every reason. What is None was not worth fitting."""
    reasons: list[Reason] = []
    if buyers.repeaters < rules.min_repeat_customers:
        reasons.append(
            (
                f"{buyers.repeaters:,} customers with a repeat order are fewer than the "
                f"{rules.min_repeat_customers:,} it takes",
                f"复购客户 {buyers.repeaters:,} 位，少于所需的 {rules.min_repeat_customers:,} 位",
            )
        )
    elif model is None or not model.converged:
        reasons.append(
            ("the fit of the orders found no best parameters", "下单次数的拟合未找到最优参数")
        )
    if not reasons:
        reasons += _spend(spend) + _holdout(scores, rules)
    return Verdict("rejected" if reasons else "accepted", tuple(reasons), rules.fallback)


def _spend(spend: GammaGamma | None) -> list[Reason]:
    if spend is None or not spend.converged:
        return [
            (
                "the fit of the order values found no best parameters",
                "订单金额的拟合未找到最优参数",
            )
        ]
    if not spend.has_mean:
        return [
            (
                f"order values are too unequal to have a mean (q {spend.q:.2f} is not above 1)",
                f"订单金额过于悬殊，均值不存在（q 为 {spend.q:.2f}，不大于 1）",
            )
        ]
    return []


def _holdout(scores: Scores | None, rules: ValueRules) -> list[Reason]:
    if scores is None:
        return [
            (
                "the fit up to the holdout found no best parameters",
                "验证期前的拟合未找到最优参数",
            )
        ]
    reasons: list[Reason] = []
    error, correlation = scores.total_error, scores.correlation
    if math.isnan(error):
        reasons.append(
            (
                "nobody ordered in the holdout, so nothing could be checked",
                "验证期无人下单，无从检验",
            )
        )
    elif abs(error) > rules.max_total_error:
        reasons.append(
            (
                f"in the holdout {scores.predicted:,.0f} orders were predicted and "
                f"{scores.actual:,.0f} came: {error:+.1%} is beyond {rules.max_total_error:.0%}",
                f"验证期预测 {scores.predicted:,.0f} 单、实际 {scores.actual:,.0f} 单，"
                f"误差 {error:+.1%} 超过 {rules.max_total_error:.0%}",
            )
        )
    if not math.isnan(error) and not correlation >= rules.min_correlation:
        en, zh = ("unknown", "未知") if math.isnan(correlation) else (f"{correlation:.2f}",) * 2
        reasons.append(
            (
                f"in the holdout the correlation of predicted and actual orders per customer is "
                f"{en}, below {rules.min_correlation:g}",
                f"验证期逐客户预测与实际订单的相关系数为 {zh}，低于 {rules.min_correlation:g}",
            )
        )
    return reasons
