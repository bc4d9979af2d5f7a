"""The foundation of the customer table (measures, RFM, segment, stage) in polars."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

AHEAD = timedelta(hours=8)
WINDOWS = {"short": 30, "medium": 90, "long": 365}
RATES = {"USD": "7.1", "EUR": "7.8", "GBP": "9.2", "HKD": "0.91", "JPY": "0.047"}
KNOWN = [
    "customer_type", "region", "industry", "sex", "locale", "source_channel", "service_package",
    "account_manager_id", "is_strategic", "registered_at", "cooperation_start_on",
    "member_since", "member_tier",
]  # fmt: skip


def customers(lake: Path, as_of: datetime, target: Path) -> None:
    """Write the customer table of ``lake`` as of ``as_of`` (UTC) to ``target``."""
    now = pl.lit(as_of).cast(pl.Datetime("us"))
    today = pl.lit((as_of + AHEAD).date())
    since = {name: pl.lit(as_of - timedelta(days=days)) for name, days in WINDOWS.items()}
    orders = _orders(_scan(lake, "orders"), now, since)
    profile = (
        _people(_scan(lake, "customers"))
        .join(orders, on="customer_id", how="left")
        .join(_ranked(orders), on="customer_id", how="left")
        .join(_interactions(_scan(lake, "interactions"), now, since), on="customer_id", how="left")
        .join(_tickets(_scan(lake, "tickets"), now, since), on="customer_id", how="left")
        .join(_answers(_scan(lake, "surveys"), now), on="customer_id", how="left")
        .join(_consents(_scan(lake, "consents"), now), on="customer_id", how="left")
        .filter(
            pl.col("registered_at").is_null()
            | (pl.col("registered_at") <= now)
            | pl.col("orders_placed").is_not_null()
            | pl.col("first_interaction_at").is_not_null()
            | pl.col("last_ticket_at").is_not_null()
        )
    )
    _placed(_measured(profile, now, today)).collect(engine="streaming").write_parquet(target)


def _scan(lake: Path, entity: str) -> pl.LazyFrame:
    return pl.scan_parquet(f"{lake}/{entity}/*/rows.parquet")


def _count(condition: pl.Expr) -> pl.Expr:
    return condition.sum().cast(pl.Int32)


def _orders(orders: pl.LazyFrame, now: pl.Expr, since: dict[str, pl.Expr]) -> pl.LazyFrame:
    status, at = pl.col("status"), pl.col("ordered_at")
    later = (
        pl.when(status.is_in(["cancelled", "returned"])).then(pl.col("cancelled_at") > now)
        .when(status.is_in(["delivered", "completed"])).then(pl.col("delivered_at") > now)
        .when(status == "shipped").then(pl.col("shipped_at") > now)
        .when(status.is_in(["paid", "preparing"])).then(pl.col("paid_at") > now)
        .otherwise(status.is_null())
        .fill_null(False)
    )  # fmt: skip
    out = (
        pl.when(later)
        .then(pl.col("cancelled_at") <= now)
        .otherwise(status.is_in(["cancelled", "returned"]))
    )
    late = (
        pl.when(pl.col("delivered_at") <= now)
        .then(pl.col("delivered_at") > pl.col("promised_at"))
        .when(pl.col("counts") & (pl.col("promised_at") < now))
        .then(True)
    )
    money = pl.Decimal(18, 4)
    rate = (
        pl.col("currency")
        .fill_null("CNY")
        .replace_strict({"CNY": 1.0, **{k: float(v) for k, v in RATES.items()}}, default=None)
    )
    counts, spend = pl.col("counts"), pl.col("spend")
    return (
        orders.filter(at <= now)
        .with_columns(counts=~out.fill_null(False))
        .with_columns(
            late=late,
            spend=pl.when(pl.col("currency").fill_null("CNY") == "CNY")
            .then(pl.col("amount"))
            .otherwise((pl.col("amount").cast(pl.Float64) * rate).round(4).cast(money)),
        )
        .group_by("customer_id")
        .agg(
            pl.len().alias("orders_placed"),
            _count(counts).alias("orders_total"),
            *[_count(counts & (at >= moment)).alias(f"orders_{n}") for n, moment in since.items()],
            spend.filter(counts).sum().alias("spend_total"),
            *[
                spend.filter(counts & (at >= moment)).sum().alias(f"spend_{n}")
                for n, moment in since.items()
            ],
            at.filter(counts).min().alias("first_order_at"),
            at.filter(counts).max().alias("last_order_at"),
            pl.col("late").count().alias("deliveries_due"),
            pl.col("late").sum().alias("deliveries_late"),
        )
    )


def _ranked(orders: pl.LazyFrame) -> pl.LazyFrame:
    def share(value: pl.Expr) -> pl.Expr:
        return value.rank("max") / pl.len()

    def score(value: pl.Expr) -> pl.Expr:
        return (1 + (value.rank("min") - 1).cast(pl.Int64) * 5 // pl.len()).cast(pl.Int32)

    last_on = (pl.col("last_order_at") + AHEAD).dt.date()
    return orders.filter(pl.col("orders_total") > 0).select(
        "customer_id",
        spend_rank=share(pl.col("spend_total")),
        spend_long_rank=share(pl.col("spend_long")),
        frequency_rank=share(pl.col("orders_total")),
        recency_rank=share(last_on),
        r_score=score(last_on),
        f_score=score(pl.col("orders_long")),
        m_score=score(pl.col("spend_long")),
    )


def _interactions(rows: pl.LazyFrame, now: pl.Expr, since: dict[str, pl.Expr]) -> pl.LazyFrame:
    at, login = pl.col("occurred_at"), pl.col("kind") == "login"
    return (
        rows.filter(at <= now)
        .group_by("customer_id")
        .agg(
            pl.len().alias("interactions_total"),
            *[_count(at >= moment).alias(f"interactions_{n}") for n, moment in since.items()],
            _count(login & (at >= since["short"])).alias("logins_short"),
            _count(login & (at >= since["medium"])).alias("logins_medium"),
            at.min().alias("first_interaction_at"),
            at.max().alias("last_interaction_at"),
        )
        .with_columns(interaction_rank=pl.col("interactions_total").rank("max") / pl.len())
        .drop("interactions_total")
    )


def _tickets(rows: pl.LazyFrame, now: pl.Expr, since: dict[str, pl.Expr]) -> pl.LazyFrame:
    at, complaint = pl.col("opened_at"), pl.col("kind") == "complaint"
    still_open = (pl.col("resolved_at") > now).fill_null(True) & (
        pl.col("closed_at") > now
    ).fill_null(True)
    return (
        rows.filter((at <= now) & pl.col("customer_id").is_not_null())
        .group_by("customer_id")
        .agg(
            _count(at >= since["medium"]).alias("tickets_medium"),
            _count(at >= since["long"]).alias("tickets_long"),
            _count(complaint & (at >= since["medium"])).alias("complaints_medium"),
            _count(complaint & (at >= since["long"])).alias("complaints_long"),
            _count(still_open).alias("open_tickets"),
            at.max().alias("last_ticket_at"),
        )
    )


def _answers(rows: pl.LazyFrame, now: pl.Expr) -> pl.LazyFrame:
    score, low, high = pl.col("score"), pl.col("scale_min"), pl.col("scale_max")
    span = high - low
    wide = high.fill_null(10) - low.fill_null(0)
    value = (
        pl.when(pl.col("kind") == "csat")
        .then((score - low) / pl.when(span != 0).then(span))
        .otherwise(10 * (score - low.fill_null(0)) / pl.when(wide != 0).then(wide))
    )
    latest = (
        rows.filter(
            pl.col("kind").is_in(["csat", "nps"])
            & pl.col("customer_id").is_not_null()
            & score.is_not_null()
            & (pl.col("answered_at") <= now)
            & (pl.coalesce("asked_at", "answered_at") <= now)
        )
        .select("customer_id", "kind", "answered_at", value=value)
        .group_by("customer_id", "kind", "answered_at")
        .agg(pl.col("value").sum().alias("total"), pl.col("value").count().alias("answers"))
        .group_by("customer_id", "kind")
        .agg(
            pl.col("total").sort_by("answered_at").last(),
            pl.col("answers").sort_by("answered_at").last(),
        )
        .with_columns(mean=(pl.col("total") / pl.col("answers")).round(4))
    )
    return latest.group_by("customer_id").agg(
        pl.col("mean").filter(pl.col("kind") == "csat").first().alias("last_satisfaction"),
        pl.col("mean").filter(pl.col("kind") == "nps").first().alias("nps_last"),
    )


def _consents(rows: pl.LazyFrame, now: pl.Expr) -> pl.LazyFrame:
    return (
        rows.filter((pl.col("changed_at") <= now) & (pl.col("purpose") == "marketing"))
        .group_by("customer_id", "channel")
        .agg(pl.col("granted").sort_by("changed_at").last())
        .group_by("customer_id")
        .agg(pl.col("granted").any(ignore_nulls=False).alias("has_consent_marketing"))
    )


def _people(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Of each column the latest known value, whichever source it comes from."""
    rank = pl.col("updated_at").dt.epoch("s").fill_null(0) * 1_000_000 + pl.col("_batch")
    return (
        rows.select("customer_id", *KNOWN, rank=rank, source=pl.col("_source"))
        .sort("rank")
        .group_by("customer_id")
        .agg(
            pl.col("source").unique().sort().str.join("+"),
            *[pl.col(column).drop_nulls().last() for column in KNOWN],
        )
    )


def _measured(profile: pl.LazyFrame, now: pl.Expr, today: pl.Expr) -> pl.LazyFrame:
    def day(moment: pl.Expr) -> pl.Expr:
        return (moment + AHEAD).dt.date()

    def days(earlier: str) -> pl.Expr:
        return (today - pl.col(earlier)).dt.total_days().cast(pl.Int32)

    def seen(column: str, limit: pl.Expr) -> pl.Expr:
        return pl.when(pl.col(column) <= limit).then(pl.col(column))

    at = pl.col
    joined = (at("member_since") <= now).fill_null(True)
    counts = [
        "orders_total", "orders_short", "orders_medium", "orders_long", "interactions_short",
        "interactions_medium", "interactions_long", "logins_short", "logins_medium",
        "tickets_medium", "tickets_long", "complaints_medium", "complaints_long", "open_tickets",
    ]  # fmt: skip
    spends = ["spend_total", "spend_short", "spend_medium", "spend_long"]
    activity = pl.max_horizontal("last_order_at", "last_interaction_at", "last_ticket_at")
    gap = (day(at("last_order_at")) - day(at("first_order_at"))).dt.total_days()
    gaps = at("orders_total") - 1
    return (
        profile.with_columns(
            registered_at=seen("registered_at", now),
            is_strategic=at("is_strategic").fill_null(False),
            member_tier=pl.when(joined).then(at("member_tier")),
            first_order_on=day(at("first_order_at")),
            last_order_on=day(at("last_order_at")),
            last_interaction_on=day(at("last_interaction_at")),
            last_activity_on=day(activity),
            returned_share=(at("orders_placed") - at("orders_total")) / at("orders_placed"),
            late_delivery_share=at("deliveries_late")
            / pl.when(at("deliveries_due") > 0).then(at("deliveries_due")),
            average_order_value=at("spend_total").cast(pl.Float64)
            / pl.when(at("orders_total") > 0).then(at("orders_total")),
            average_order_interval_days=gap / pl.when(gaps > 0).then(gaps),
            **{name: at(name).fill_null(0) for name in counts},
            **{name: at(name).fill_null(0) for name in spends},
            rfm_sum=at("r_score") + at("f_score") + at("m_score"),
        )
        .with_columns(
            registered_on=day(at("registered_at")),
            is_member=(at("member_since") <= now).fill_null(False)
            | at("member_tier").is_not_null(),
            known_since=day(pl.coalesce("registered_at", "first_order_at", "first_interaction_at")),
            days_since_first_order=days("first_order_on"),
            days_since_last_order=days("last_order_on"),
            days_since_last_interaction=days("last_interaction_on"),
            days_since_last_activity=days("last_activity_on"),
        )
        .with_columns(
            tenure_days=days("known_since"),
            cooperation_since=pl.coalesce(seen("cooperation_start_on", today), "known_since"),
            interval_ratio=at("days_since_last_order")
            / pl.when(at("average_order_interval_days") != 0).then(
                at("average_order_interval_days")
            ),
        )
        .with_columns(cooperation_days=days("cooperation_since"))
    )


def _placed(profile: pl.LazyFrame) -> pl.LazyFrame:
    at = pl.col
    r, f, m = at("r_score"), at("f_score"), at("m_score")
    group = (
        pl.when(r.is_null()).then(None)
        .when((r >= 4) & (f >= 4) & (m >= 4)).then(pl.lit("champions"))
        .when((r >= 3) & (f >= 4)).then(pl.lit("loyal"))
        .when((r >= 3) & (m >= 4)).then(pl.lit("big_spenders"))
        .when((r >= 4) & (f <= 2)).then(pl.lit("recent"))
        .when((r <= 2) & (f >= 3)).then(pl.lit("at_risk"))
        .when(r <= 2).then(pl.lit("hibernating"))
        .otherwise(pl.lit("regular"))
    )  # fmt: skip
    quiet = at("days_since_last_order") > 90
    recent = at("days_since_last_order") <= 90
    core = (
        (at("spend_rank") >= 0.8)
        & (at("orders_long") >= 3)
        & recent
        & ((at("interaction_rank") >= 0.5) | at("interaction_rank").is_null())
    )
    dormant = (quiet | ((at("orders_total") == 0) & (at("tenure_days") > 90))) & (
        at("interactions_short") <= 1
    )
    potential = ((at("interactions_medium") >= 1) | recent) & (
        (at("orders_total") >= 2)
        | ((at("spend_rank") >= 0.4) & (at("days_since_first_order") > 30))
    )
    segment = (
        pl.when(core).then(pl.lit("core"))
        .when(dormant).then(pl.lit("dormant"))
        .when(potential).then(pl.lit("potential"))
        .otherwise(pl.lit("new"))
    )  # fmt: skip
    stage = (
        pl.when(at("days_since_last_order") > 365).then(pl.lit("lost"))
        .when(quiet).then(pl.lit("dormant"))
        .when((at("orders_total") == 1) & (at("days_since_first_order") <= 30)).then(pl.lit("new"))
        .when(at("orders_total") >= 1).then(pl.lit("active"))
        .otherwise(pl.lit("prospect"))
    )  # fmt: skip
    return profile.with_columns(rfm_group=group, segment=segment, stage=stage)
