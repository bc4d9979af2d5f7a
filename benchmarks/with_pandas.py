"""The foundation of the customer table (measures, RFM, segment, stage) in pandas."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from benchmarks.tables import NEEDED

AHEAD = pd.Timedelta(hours=8)
WINDOWS = {"short": 30, "medium": 90, "long": 365}
RATES = {"CNY": 1.0, "USD": 7.1, "EUR": 7.8, "GBP": 9.2, "HKD": 0.91, "JPY": 0.047}
KNOWN = [
    "customer_type", "region", "industry", "sex", "locale", "source_channel", "service_package",
    "account_manager_id", "is_strategic", "registered_at", "cooperation_start_on",
    "member_since", "member_tier",
]  # fmt: skip


def customers(lake: Path, as_of: datetime, target: Path) -> None:
    """Write the customer table of ``lake`` as of ``as_of`` (UTC) to ``target``."""
    now = pd.Timestamp(as_of)
    since = {name: now - timedelta(days=days) for name, days in WINDOWS.items()}
    profile = _people(_read(lake, "customers"))
    orders = _orders(_read(lake, "orders"), now, since)
    for part in (
        orders,
        _ranked(orders),
        _interactions(_read(lake, "interactions"), now, since),
        _tickets(_read(lake, "tickets"), now, since),
        _answers(_read(lake, "surveys"), now),
        _consents(_read(lake, "consents"), now),
    ):
        profile = profile.join(part)
    known = profile["registered_at"].isna() | (profile["registered_at"] <= now)
    for column in ("orders_placed", "first_interaction_at", "last_ticket_at"):
        known |= profile[column].notna()
    profile = _placed(_measured(profile[known].copy(), now))
    profile.reset_index().to_parquet(target, index=False)


def _read(lake: Path, entity: str) -> pd.DataFrame:
    """The needed columns; money as float, for pandas has no decimal of its own."""
    files = sorted(str(path) for path in lake.glob(f"{entity}/*/rows.parquet"))
    table = ds.dataset(files).to_table(columns=NEEDED[entity].split(", "))
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(index, field.name, table[field.name].cast(pa.float64()))
    return table.to_pandas(split_blocks=True, self_destruct=True)


def _orders(orders: pd.DataFrame, now: pd.Timestamp, since: dict) -> pd.DataFrame:
    orders = orders[orders["ordered_at"] <= now]
    status = orders["status"]
    later = pd.Series(status.isna(), index=orders.index)
    for states, column in (
        (["cancelled", "returned"], "cancelled_at"),
        (["delivered", "completed"], "delivered_at"),
        (["shipped"], "shipped_at"),
        (["paid", "preparing"], "paid_at"),
    ):
        later |= status.isin(states) & (orders[column] > now)
    out = np.where(later, orders["cancelled_at"] <= now, status.isin(["cancelled", "returned"]))
    promised, delivered = orders["promised_at"], orders["delivered_at"]
    arrived = delivered <= now
    due = promised.notna() & (arrived | (~out & (promised < now)))
    late = due & np.where(arrived, delivered > promised, True)
    foreign = orders["currency"].notna() & (orders["currency"] != "CNY")
    spend = orders["amount"].copy()
    spend[foreign] = (
        spend[foreign] * orders["currency"][foreign].map(RATES).astype("float64")
    ).round(4)
    flat = pd.DataFrame(
        {
            "customer_id": orders["customer_id"],
            "orders_placed": 1,
            "orders_total": ~out,
            "spend_total": np.where(out, 0.0, spend),
            "first_order_at": orders["ordered_at"].mask(out),
            "last_order_at": orders["ordered_at"].mask(out),
            "deliveries_due": due,
            "deliveries_late": late,
        }
    )
    for name, moment in since.items():
        inside = ~out & (orders["ordered_at"] >= moment)
        flat[f"orders_{name}"] = inside
        flat[f"spend_{name}"] = np.where(inside, spend, 0.0)
    how = {column: "sum" for column in flat.columns if column != "customer_id"}
    how |= {"first_order_at": "min", "last_order_at": "max"}
    grouped = flat.groupby("customer_id", sort=False).agg(how)
    # Sums of floats differ in the last bits, which would break ties between equal amounts.
    spends = [column for column in grouped if column.startswith("spend_")]
    grouped[spends] = grouped[spends].round(4)
    return grouped


def _ranked(orders: pd.DataFrame) -> pd.DataFrame:
    buyers = orders[orders["orders_total"] > 0]
    last_on = (buyers["last_order_at"] + AHEAD).dt.normalize()

    def score(value: pd.Series) -> pd.Series:
        return (1 + (value.rank(method="min") - 1) * 5 // len(buyers)).astype("int32")

    return pd.DataFrame(
        {
            "spend_rank": buyers["spend_total"].rank(method="max", pct=True),
            "spend_long_rank": buyers["spend_long"].rank(method="max", pct=True),
            "frequency_rank": buyers["orders_total"].rank(method="max", pct=True),
            "recency_rank": last_on.rank(method="max", pct=True),
            "r_score": score(last_on),
            "f_score": score(buyers["orders_long"]),
            "m_score": score(buyers["spend_long"]),
        }
    )


def _interactions(rows: pd.DataFrame, now: pd.Timestamp, since: dict) -> pd.DataFrame:
    rows = rows[rows["occurred_at"] <= now]
    at, login = rows["occurred_at"], rows["kind"] == "login"
    flat = pd.DataFrame({"customer_id": rows["customer_id"], "total": 1})
    for name, moment in since.items():
        flat[f"interactions_{name}"] = at >= moment
    flat["logins_short"] = login & (at >= since["short"])
    flat["logins_medium"] = login & (at >= since["medium"])
    how = {column: "sum" for column in flat.columns if column != "customer_id"}
    flat["first_interaction_at"] = flat["last_interaction_at"] = at
    how |= {"first_interaction_at": "min", "last_interaction_at": "max"}
    grouped = flat.groupby("customer_id", sort=False).agg(how)
    grouped["interaction_rank"] = grouped.pop("total").rank(method="max", pct=True)
    return grouped


def _tickets(rows: pd.DataFrame, now: pd.Timestamp, since: dict) -> pd.DataFrame:
    rows = rows[(rows["opened_at"] <= now) & rows["customer_id"].notna()]
    at, complaint = rows["opened_at"], rows["kind"] == "complaint"
    still_open = ~(rows["resolved_at"] <= now) & ~(rows["closed_at"] <= now)
    flat = pd.DataFrame({"customer_id": rows["customer_id"], "open_tickets": still_open})
    for name in ("medium", "long"):
        flat[f"tickets_{name}"] = at >= since[name]
        flat[f"complaints_{name}"] = complaint & (at >= since[name])
    how = {column: "sum" for column in flat.columns if column != "customer_id"}
    flat["last_ticket_at"] = at
    return flat.groupby("customer_id", sort=False).agg(how | {"last_ticket_at": "max"})


def _answers(rows: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    asked = rows["asked_at"].fillna(rows["answered_at"])
    rows = rows[
        rows["kind"].isin(["csat", "nps"])
        & rows["customer_id"].notna()
        & rows["score"].notna()
        & (rows["answered_at"] <= now)
        & (asked <= now)
    ]
    low, high = rows["scale_min"], rows["scale_max"]
    wide = high.fillna(10) - low.fillna(0)
    satisfaction = (rows["score"] - low) / (high - low).replace(0, np.nan)
    recommended = 10 * (rows["score"] - low.fillna(0)) / wide.replace(0, np.nan)
    rows = rows.assign(value=satisfaction.where(rows["kind"] == "csat", recommended))
    latest = rows.groupby(["customer_id", "kind"])["answered_at"].transform("max")
    means = rows[rows["answered_at"] == latest].groupby(["customer_id", "kind"])["value"].mean()
    return (
        means.round(4)
        .unstack()
        .reindex(columns=["csat", "nps"])
        .rename(columns={"csat": "last_satisfaction", "nps": "nps_last"})
    )


def _consents(rows: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    rows = rows[(rows["changed_at"] <= now) & (rows["purpose"] == "marketing")]
    last = rows.sort_values("changed_at", kind="stable").drop_duplicates(
        ["customer_id", "channel"], keep="last"
    )
    granted = last.groupby("customer_id", sort=False)["granted"].any()
    return granted.rename("has_consent_marketing").to_frame()


def _people(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each column the latest known value, whichever source it comes from."""
    seconds = (rows["updated_at"] - pd.Timestamp(0)) // pd.Timedelta(seconds=1)
    rows = rows.assign(rank=seconds.fillna(0) * 1_000_000 + rows["_batch"]).sort_values("rank")
    people = rows.groupby("customer_id", sort=False)[KNOWN].last()
    pairs = rows[["customer_id", "_source"]].drop_duplicates().sort_values("_source")
    grouped = pairs.groupby("customer_id", sort=False)["_source"]
    # Nearly everybody has one source or two; joining lists of text by group would take longer.
    first, last = grouped.first(), grouped.last()
    people["source"] = first.where(first == last, first + "+" + last)
    return people


def _measured(p: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    today = (now + AHEAD).normalize()

    def day(moment: pd.Series) -> pd.Series:
        return (moment + AHEAD).dt.normalize()

    def days(earlier: pd.Series) -> pd.Series:
        return (today - earlier).dt.days

    counts = [
        *(f"orders_{name}" for name in ("total", *WINDOWS)),
        *(f"interactions_{name}" for name in WINDOWS),
        *(f"spend_{name}" for name in ("total", *WINDOWS)),
        "logins_short", "logins_medium", "tickets_medium", "tickets_long", "complaints_medium",
        "complaints_long", "open_tickets",
    ]  # fmt: skip
    p[counts] = p[counts].fillna(0)
    p["registered_at"] = p["registered_at"].where(p["registered_at"] <= now)
    p["is_strategic"] = p["is_strategic"].eq(True)
    joined = ~(p["member_since"] > now)
    p["member_tier"] = p["member_tier"].where(joined)
    p["is_member"] = (p["member_since"] <= now) | p["member_tier"].notna()
    p["registered_on"] = day(p["registered_at"])
    p["first_order_on"] = day(p["first_order_at"])
    p["last_order_on"] = day(p["last_order_at"])
    p["last_interaction_on"] = day(p["last_interaction_at"])
    activity = p[["last_order_at", "last_interaction_at", "last_ticket_at"]].max(axis=1)
    p["last_activity_on"] = day(activity)
    since = p["registered_at"].fillna(p["first_order_at"]).fillna(p["first_interaction_at"])
    p["tenure_days"] = days(day(since))
    started = pd.to_datetime(p["cooperation_start_on"])
    p["cooperation_days"] = days(started.where(started <= today).fillna(day(since)))
    p["days_since_first_order"] = days(p["first_order_on"])
    for name in ("order", "interaction", "activity"):
        p[f"days_since_last_{name}"] = days(p[f"last_{name}_on"])
    orders = p["orders_total"].where(p["orders_total"] > 0)
    p["average_order_value"] = p["spend_total"] / orders
    gap = (p["last_order_on"] - p["first_order_on"]).dt.days
    p["average_order_interval_days"] = gap / (orders - 1).where(orders > 1)
    usual = p["average_order_interval_days"]
    p["interval_ratio"] = p["days_since_last_order"] / usual.where(usual != 0)
    p["returned_share"] = (p["orders_placed"] - p["orders_total"]) / p["orders_placed"]
    p["late_delivery_share"] = p["deliveries_late"] / p["deliveries_due"].where(
        p["deliveries_due"] > 0
    )
    p["rfm_sum"] = p["r_score"] + p["f_score"] + p["m_score"]
    return p


def _placed(p: pd.DataFrame) -> pd.DataFrame:
    r, f, m = p["r_score"], p["f_score"], p["m_score"]
    p["rfm_group"] = np.select(
        [
            r.isna(),
            (r >= 4) & (f >= 4) & (m >= 4),
            (r >= 3) & (f >= 4),
            (r >= 3) & (m >= 4),
            (r >= 4) & (f <= 2),
            (r <= 2) & (f >= 3),
            r <= 2,
        ],
        ["", "champions", "loyal", "big_spenders", "recent", "at_risk", "hibernating"],
        "regular",
    )
    p["rfm_group"] = p["rfm_group"].where(r.notna())
    quiet, recent = p["days_since_last_order"] > 90, p["days_since_last_order"] <= 90
    interacts = (p["interaction_rank"] >= 0.5) | p["interaction_rank"].isna()
    never = (p["orders_total"] == 0) & (p["tenure_days"] > 90)
    middle = (p["spend_rank"] >= 0.4) & (p["days_since_first_order"] > 30)
    p["segment"] = np.select(
        [
            (p["spend_rank"] >= 0.8) & (p["orders_long"] >= 3) & recent & interacts,
            (quiet | never) & (p["interactions_short"] <= 1),
            ((p["interactions_medium"] >= 1) | recent) & ((p["orders_total"] >= 2) | middle),
        ],
        ["core", "dormant", "potential"],
        "new",
    )
    p["stage"] = np.select(
        [
            p["days_since_last_order"] > 365,
            quiet,
            (p["orders_total"] == 1) & (p["days_since_first_order"] <= 30),
            p["orders_total"] >= 1,
        ],
        ["lost", "dormant", "new", "active"],
        "prospect",
    )
    return p
