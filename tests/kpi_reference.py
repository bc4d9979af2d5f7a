"""Every KPI of kpis.yml in pandas, from its words alone: nothing is shared with the SQL.

A KPI is a function of the books and a period; it gives rows with customer, owner, touchpoint,
is_core, numerator and denominator. Times are naive UTC, days are local dates of the program's
zone. Where the words leave a choice, the function says which one was taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd

from careloop.program.kpis import KPIS
from careloop.program.model import Program

Frame = pd.DataFrame
UNKNOWN = "(unknown)"
DIMENSIONS = ("segment", "stage", "tier", "region", "owner")
COLUMNS = ["customer_id", "owner_id", "touchpoint", "is_core", "numerator", "denominator"]
WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Span:
    """A period: local days first to end (exclusive), and the same in UTC, cut at as_of."""

    kind: str
    first: pd.Timestamp
    end: pd.Timestamp
    starts_at: pd.Timestamp
    ends_at: pd.Timestamp
    seen_until: pd.Timestamp
    seen_days_end: pd.Timestamp
    whole_days_end: pd.Timestamp

    def has(self, moments: pd.Series) -> pd.Series:
        """Whether UTC moments lie in what is seen of the period; unknown ones don't."""
        return (moments >= self.starts_at) & (moments < self.seen_until)

    def has_day(self, days: pd.Series) -> pd.Series:
        """Whether local days lie in it that have begun by as_of."""
        return (days >= self.first) & (days < self.seen_days_end)

    def has_ended(self, last_days: pd.Series) -> pd.Series:
        """Whether the end of these local days lies in it: the last day does, and is over."""
        return (last_days >= self.first) & (last_days < self.whole_days_end)


class Books:
    """What a run knew: tables of the warehouse and of the marts (attached as `marts`)."""

    def __init__(self, con: duckdb.DuckDBPyConnection, program: Program) -> None:
        self.con, self.program = con, program
        self.zone = ZoneInfo(program.zone)
        as_of = con.execute("select as_of_utc, as_of_date from run.context").fetchall()[0]
        self.as_of, self.today = pd.Timestamp(as_of[0]), pd.Timestamp(as_of[1])
        self._tables: dict[str, Frame] = {}

    def __call__(self, table: str, columns: str = "*") -> Frame:
        """A table by name, read once."""
        key = f"select {columns} from {table}"
        if key not in self._tables:
            relation = self.con.sql(key)
            types = zip(relation.columns, relation.types, strict=True)
            texts = dict.fromkeys((name for name, kind in types if kind == "VARCHAR"), "str")
            self._tables[key] = relation.df().astype(texts)
        return self._tables[key]

    # -- time ---------------------------------------------------------------------------------

    def midnight(self, day: pd.Timestamp) -> pd.Timestamp:
        """UTC of the local midnight that begins a day."""
        return day.tz_localize(self.zone).tz_convert("UTC").tz_localize(None)

    def day(self, moments: pd.Series) -> pd.Series:
        """Local days of UTC moments."""
        local = moments.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        return local.dt.tz_localize(None).dt.normalize()

    def span(self, kind: str, first: pd.Timestamp, end: pd.Timestamp) -> Span:
        starts_at, ends_at = self.midnight(first), self.midnight(end)
        began = self.today + pd.Timedelta(days=int(self.midnight(self.today) < self.as_of))
        return Span(
            kind, first, end, starts_at, ends_at, min(ends_at, self.as_of),
            min(end, began), min(end, self.today),
        )  # fmt: skip

    # -- entities, as far as seen -------------------------------------------------------------

    @cached_property
    def orders(self) -> Frame:
        """Counted orders: neither cancelled nor returned by as_of."""
        orders = self("staging.stg_orders", "order_id, customer_id, ordered_at, status")
        return orders[~orders["status"].isin(["cancelled", "returned"])]

    @cached_property
    def first_order_at(self) -> pd.Series:
        return self.orders.groupby("customer_id")["ordered_at"].min()

    @cached_property
    def interactions(self) -> Frame:
        return self("staging.stg_interactions", "customer_id, occurred_at, kind")

    @cached_property
    def deliveries(self) -> Frame:
        """Messages and tasks, with whether a task is done (by the register of follow-ups)."""
        register = self("marts.register_follow_ups")
        done = register[register["origin"] == "careloop"][["task_id", "done_at"]]
        found = self("marts.fct_care_deliveries").merge(
            done.rename(columns={"task_id": "message_id"}), on="message_id", how="left"
        )
        found["is_task"] = found["kind"] == "task"
        found["is_sent"] = found["sent_at"].notna()
        found["is_reached"] = np.where(
            found["is_task"], found["done_at"].notna(), found["is_sent"] & ~found["is_bounced"]
        )
        return found

    @cached_property
    def answers(self) -> Frame:
        """Answers with a score, as a share of its scale, and the touchpoint they are about."""
        found = self("staging.stg_surveys")
        found = found[found["answered_at"].notna() & found["score"].notna()].copy()
        is_nps = found["kind"] == "nps"
        low = found["scale_min"].fillna(pd.Series(np.where(is_nps, 0.0, np.nan), found.index))
        high = found["scale_max"].fillna(pd.Series(np.where(is_nps, 10.0, np.nan), found.index))
        found["share"] = ((found["score"] - low) / (high - low).replace(0, np.nan)).round(9)
        found = found[found["share"].notna()]
        tickets = self.tickets.set_index("ticket_id")
        names = {t.id: t.id for t in self.program.touchpoints}
        for touchpoint in self.program.touchpoints:
            names |= dict.fromkeys(getattr(touchpoint, "aspects", ()), touchpoint.id)
        of_aspect = pd.Series(names, dtype="str")
        found["touchpoint"] = at(found["ticket_id"], tickets["touchpoint"]).fillna(
            at(found["aspect"], of_aspect)
        )
        return found

    @cached_property
    def tickets(self) -> Frame:
        return self("marts.fct_tickets").merge(
            self("staging.stg_tickets", "ticket_id, automatic_response_at, handed_over_at"),
            on="ticket_id",
        )

    @cached_property
    def clocks(self) -> Frame:
        targets = self("marts.dim_sla_targets").set_index("target_key")
        found = self("marts.fct_ticket_clocks").copy()
        for column in ("starts", "stops"):
            found[column] = at(found["target_key"], targets[column])
        return found

    @cached_property
    def customers(self) -> Frame:
        """Customers known at as_of."""
        return self("marts.dim_customers")

    def rows(self, found: Frame, numerator: Any, denominator: Any = 1) -> Frame:
        """Facts of rows that have columns of COLUMNS; what is missing is unknown."""
        result = found.reindex(columns=COLUMNS[:4])
        result["numerator"] = np.asarray(numerator, float) if np.ndim(numerator) else numerator
        result["denominator"] = (
            np.asarray(denominator, float) if np.ndim(denominator) else denominator
        )
        return result

    def people(self, all_of_them: Any, some: Any) -> Frame:
        """Facts of customers: the denominator, and which of them are in the numerator."""
        ids = pd.Series(all_of_them, dtype="str").dropna().drop_duplicates()
        return self.rows(Frame({"customer_id": ids}), ids.isin(set(some)))


def at(keys: pd.Series, values: pd.Series) -> pd.Series:
    """The value of each key; unknown where there is none."""
    return values.reindex(keys).set_axis(keys.index)


Reference = Callable[[Books, Span], Frame]
REFERENCES: dict[str, Reference] = {}


def kpi(name: str) -> Callable[[Reference], Reference]:
    """Registers what a KPI is."""

    def register(function: Reference) -> Reference:
        REFERENCES[name] = function
        return function

    return register


# -- care -------------------------------------------------------------------------------------


def _reach(b: Books, planned: Frame) -> Frame:
    return b.people(planned["customer_id"], planned[planned["is_reached"]]["customer_id"])


def _planned(b: Books, p: Span) -> Frame:
    found = b.deliveries
    return found[p.has_day(found["contact_on"]) & (found["state"] != "cancelled")]


@kpi("care_reach_rate")
def care_reach_rate(b: Books, p: Span) -> Frame:
    return _reach(b, _planned(b, p))


@kpi("targeted_reach_rate")
def targeted_reach_rate(b: Books, p: Span) -> Frame:
    planned = _planned(b, p)
    return _reach(b, planned[planned["purpose"] == "marketing"])


@kpi("care_satisfaction")
def care_satisfaction(b: Books, p: Span) -> Frame:
    """Answers after a touch in the days (of 24 h) before them."""
    messages, follow_ups = b.deliveries, b("staging.stg_follow_ups")
    touches = pd.concat([
        messages[~messages["is_task"]][["customer_id", "sent_at"]].rename(columns={"sent_at": "at"}),
        messages[messages["is_task"]][["customer_id", "done_at"]].rename(columns={"done_at": "at"}),
        follow_ups[["customer_id", "done_at"]].rename(columns={"done_at": "at"}),
    ]).dropna()  # fmt: skip
    touches["at"] = pd.to_datetime(touches["at"]).astype("datetime64[us]")
    answers = b.answers
    answers = answers[(answers["kind"] == "csat") & p.has(answers["answered_at"])]
    answers = answers[answers["customer_id"].notna()].sort_values("answered_at")
    days = pd.Timedelta(days=b.program.operation.care_answer_days)
    found = pd.merge_asof(
        answers.astype({"answered_at": "datetime64[us]"}), touches.sort_values("at"),
        left_on="answered_at", right_on="at", by="customer_id", tolerance=days,
        allow_exact_matches=False,
    )  # fmt: skip
    found = found[found["at"].notna()]
    return b.rows(found, 1 + 4 * found["share"])


@kpi("channel_fit")
def channel_fit(b: Books, p: Span) -> Frame:
    """The preferred channel is the one most responded on: rank 1 of fct_customer_channels."""
    ranks = b("marts.fct_customer_channels")
    preferred = ranks[ranks["channel_rank"] == 1].set_index("customer_id")["channel"]
    found = b.deliveries
    found = found[~found["is_task"] & p.has(found["sent_at"])]
    found = found.assign(preferred=at(found["customer_id"], preferred))
    found = found[found["preferred"].notna()]
    return b.rows(found, found["channel"] == found["preferred"])


@kpi("content_open_rate")
def content_open_rate(b: Books, p: Span) -> Frame:
    every = b.deliveries[~b.deliveries["is_task"]]
    is_read = every["is_opened"] | every["is_clicked"]
    channels = set(every[every["is_opened"]]["channel"])
    chosen = every["channel"].isin(channels) & ~every["is_bounced"] & p.has(every["sent_at"])
    return b.rows(every[chosen], is_read[chosen])


@kpi("conversion_rate")
def conversion_rate(b: Books, p: Span) -> Frame:
    """No longer open: the window is over, so that early converts don't stand alone."""
    found = b.deliveries
    counted = found["conversion"] != "not_counted"
    found = found[counted & p.has(found["sent_at"]) & (found["counted_until"] <= b.as_of)]
    return b.rows(found, found["conversion"] == "converted")


def _greeted(b: Books, p: Span, anniversary: str) -> Frame:
    rules = b("program.rules", "rule, trigger, trigger_name, conversion_within")
    rules = rules[(rules["trigger"] == "anniversary") & (rules["trigger_name"] == anniversary)]
    found = b.deliveries[p.has(b.deliveries["sent_at"])].merge(rules, on="rule")
    length = _duration(f"{b.program.uplift.window_days}d")
    found["until"] = [
        sent_at + (_duration(within) or length)
        for sent_at, within in zip(found["sent_at"], found["conversion_within"], strict=True)
    ]
    found["until"] = pd.to_datetime(found["until"])
    found = found[found["until"] <= b.as_of]
    bought = found[["message_id", "customer_id", "sent_at", "until"]].merge(
        b.orders[["customer_id", "ordered_at"]], on="customer_id"
    )
    bought = bought[
        (bought["ordered_at"] > bought["sent_at"]) & (bought["ordered_at"] <= bought["until"])
    ]
    return b.rows(found, found["message_id"].isin(set(bought["message_id"])))


def _duration(text: Any) -> pd.Timedelta | pd.DateOffset | None:
    if not isinstance(text, str):
        return None
    unit = text.lstrip("0123456789")
    n = int(text[: -len(unit)])
    months = {"mo": 1, "q": 3, "y": 12}.get(unit)
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return pd.DateOffset(months=months * n) if months else pd.Timedelta(seconds=seconds[unit] * n)


@kpi("birthday_conversion")
def birthday_conversion(b: Books, p: Span) -> Frame:
    return _greeted(b, p, "birthday")


@kpi("membership_anniversary_conversion")
def membership_anniversary_conversion(b: Books, p: Span) -> Frame:
    return _greeted(b, p, "membership")


@kpi("occasion_participation")
def occasion_participation(b: Books, p: Span) -> Frame:
    """Its days are the occasion's ± occasion_days; who bought before the first of them."""
    around = pd.Timedelta(days=b.program.operation.occasion_days)
    days = b("program.occasion_days")
    days = days[days["kind"] == "business"]
    days = days[p.has_ended(days["date"] + around)]
    found = []
    orders = b.orders
    for day in days["date"]:
        first, end = b.midnight(day - around), b.midnight(day + around + pd.Timedelta(days=1))
        before = b.first_order_at[b.first_order_at < first].index
        within = orders[(orders["ordered_at"] >= first) & (orders["ordered_at"] < end)]
        found.append(b.people(before, within["customer_id"]))
    return pd.concat(found) if found else b.people([], [])


# -- loyalty ----------------------------------------------------------------------------------


@kpi("repurchase_rate")
def repurchase_rate(b: Books, p: Span) -> Frame:
    bought = b.orders[p.has(b.orders["ordered_at"])]
    again = bought["ordered_at"] > at(bought["customer_id"], b.first_order_at)
    return b.people(bought["customer_id"], bought[again]["customer_id"])


@kpi("retention_12m")
def retention_12m(b: Books, p: Span) -> Frame:
    first_month = b.day(b.first_order_at).dt.to_period("M")
    last_days = (first_month + 12).dt.end_time.dt.normalize()
    due = first_month[p.has_ended(last_days)]
    orders = b.orders[b.orders["customer_id"].isin(due.index)]
    month = b.day(orders["ordered_at"]).dt.to_period("M")
    age = month.astype("int64") - at(orders["customer_id"], due.astype("int64"))
    return b.people(due.index, orders[(age >= 1) & (age <= 12)]["customer_id"])


def _newcomers(b: Books, p: Span) -> tuple[pd.Index, set[str]]:
    registered = b("staging.stg_customers", "customer_id, registered_at").dropna()
    registered = registered.set_index("customer_id")["registered_at"]
    registered = registered[p.has(registered + WEEK)]
    did = pd.concat([
        b.orders[["customer_id", "ordered_at"]].rename(columns={"ordered_at": "at"}),
        b.interactions[b.interactions["kind"] != "delivered"][["customer_id", "occurred_at"]]
        .rename(columns={"occurred_at": "at"}),
    ])  # fmt: skip
    since = did["at"] - at(did["customer_id"], registered)
    active = did[(since > pd.Timedelta(0)) & (since <= WEEK)]["customer_id"]
    return registered.index, set(active)


@kpi("activation_7d")
def activation_7d(b: Books, p: Span) -> Frame:
    return b.people(*_newcomers(b, p))


@kpi("new_customer_loss_7d")
def new_customer_loss_7d(b: Books, p: Span) -> Frame:
    registered, active = _newcomers(b, p)
    return b.people(registered, set(registered) - active)


def _returners(b: Books, p: Span, activity: Frame, days: int) -> Frame:
    before = activity[activity["at"] < p.starts_at].groupby("customer_id")["at"].max()
    limit = b.midnight(p.first - pd.Timedelta(days=days))
    return b.people(before[before < limit].index, activity[p.has(activity["at"])]["customer_id"])


@kpi("wake_up_rate")
def wake_up_rate(b: Books, p: Span) -> Frame:
    measure = b.program.activity.dormant_measure
    orders = b.orders.rename(columns={"ordered_at": "at"})[["customer_id", "at"]]
    talks = b.interactions.rename(columns={"occurred_at": "at"})[["customer_id", "at"]]
    activity = {
        "days_since_last_order": orders,
        "days_since_last_activity": pd.concat([orders, talks]),
    }[measure]
    return _returners(b, p, activity, b.program.activity.dormant_days)


@kpi("win_back_rate")
def win_back_rate(b: Books, p: Span) -> Frame:
    orders = b.orders.rename(columns={"ordered_at": "at"})
    return _returners(b, p, orders, b.program.activity.lost_days)


@kpi("community_activity")
def community_activity(b: Books, p: Span) -> Frame:
    operation = b.program.operation
    seen = b.interactions[b.interactions["kind"].isin(operation.community_kinds)]
    since = b.midnight(p.first - pd.Timedelta(days=operation.community_days))
    members = seen[(seen["occurred_at"] >= since) & (seen["occurred_at"] < p.seen_until)]
    return b.people(members["customer_id"], seen[p.has(seen["occurred_at"])]["customer_id"])


@kpi("dispute_rate")
def dispute_rate(b: Books, p: Span) -> Frame:
    orders = b("staging.stg_orders", "order_id, customer_id, ordered_at, status")
    orders = orders[p.has(orders["ordered_at"])]
    disputes = b.tickets[b.tickets["kind"].isin(["complaint", "return"])]["order_id"]
    return b.rows(orders, orders["order_id"].isin(set(disputes.dropna())))


@kpi("delivery_on_time_rate")
def delivery_on_time_rate(b: Books, p: Span) -> Frame:
    orders = b("marts.fct_orders", "order_id, customer_id, promised_at, is_late")
    orders = orders[p.has(orders["promised_at"]) & orders["is_late"].notna()]
    return b.rows(orders, ~orders["is_late"].astype(bool))


# -- voice of the customer --------------------------------------------------------------------


def _answers(b: Books, p: Span, *kinds: str) -> Frame:
    found = b.answers
    return found[found["kind"].isin(kinds) & p.has(found["answered_at"])]


@kpi("satisfaction")
def satisfaction(b: Books, p: Span) -> Frame:
    found = _answers(b, p, "csat")
    return b.rows(found, 100 * found["share"])


@kpi("satisfied_share")
def satisfied_share(b: Books, p: Span) -> Frame:
    found, operation = _answers(b, p, "csat"), b.program.operation
    score = 1 + found["share"] * (operation.satisfaction_scale_max - 1)
    return b.rows(found, score.round(6) >= operation.satisfied_from)


@kpi("touchpoint_satisfaction")
def touchpoint_satisfaction(b: Books, p: Span) -> Frame:
    found = _answers(b, p, "csat")
    found = found[found["touchpoint"].notna()]
    return b.rows(found, 100 * found["share"])


@kpi("nps")
def nps(b: Books, p: Span) -> Frame:
    found = _answers(b, p, "nps")
    score = (10 * found["share"]).round(6)
    return b.rows(found, 100 * ((score >= 9).astype(int) - (score <= 6).astype(int)))


@kpi("negative_feedback_rate")
def negative_feedback_rate(b: Books, p: Span) -> Frame:
    answers = _answers(b, p, "csat", "nps")
    limits = {low.kind: low.at_most for low in b.program.closed_loop.low_scores}
    is_low = answers["share"] <= at(answers["kind"], pd.Series(limits, dtype=float))
    tickets = b.tickets[p.has(b.tickets["opened_at"])]
    return pd.concat([b.rows(answers, is_low), b.rows(tickets, tickets["kind"] == "complaint")])


@kpi("complaint_rate")
def complaint_rate(b: Books, p: Span) -> Frame:
    tickets = b.tickets[p.has(b.tickets["opened_at"])]
    active = pd.concat([
        b.orders[p.has(b.orders["ordered_at"])]["customer_id"],
        b.interactions[p.has(b.interactions["occurred_at"])]["customer_id"],
        tickets["customer_id"],
    ])  # fmt: skip
    return b.people(active, tickets[tickets["kind"] == "complaint"]["customer_id"])


# -- service ----------------------------------------------------------------------------------


def _opened(b: Books, p: Span) -> Frame:
    return b.tickets[p.has(b.tickets["opened_at"])]


@kpi("first_contact_resolution")
def first_contact_resolution(b: Books, p: Span) -> Frame:
    found = _opened(b, p)
    found = found[found["is_first_contact_resolved"].notna()]
    return b.rows(found, found["is_first_contact_resolved"].astype(bool))


@kpi("complaints_on_time")
def complaints_on_time(b: Books, p: Span) -> Frame:
    """One clock a ticket: the one for closed where there is one, else the one for solved."""
    clocks = b.clocks
    chosen = (clocks["kind"] == "complaint") & clocks["stops"].isin(["solved", "closed"])
    found = clocks[chosen].sort_values(["stops", "started_at", "target_key"])
    found = found.drop_duplicates("ticket_id")
    found = found[found["state"].isin(["met", "breached"]) & p.has(found["due_at"])]
    return b.rows(found, found["state"] == "met")


@kpi("sla_on_time_rate")
def sla_on_time_rate(b: Books, p: Span) -> Frame:
    found = b.clocks
    found = found[p.has(found["opened_at"]) & found["state"].isin(["met", "breached"])]
    return b.rows(found, found["state"] == "met")


@kpi("resolution_rate")
def resolution_rate(b: Books, p: Span) -> Frame:
    found = _opened(b, p)
    return b.rows(found, ~found["is_open"])


@kpi("automatic_resolution_rate")
def automatic_resolution_rate(b: Books, p: Span) -> Frame:
    found = _opened(b, p)
    found = found[found["automatic_response_at"].notna()]
    alone = found["first_response_at"].isna() & found["handed_over_at"].isna()
    return b.rows(found, ~found["is_open"] & alone)


@kpi("handover_success_rate")
def handover_success_rate(b: Books, p: Span) -> Frame:
    found = b.tickets[p.has(b.tickets["handed_over_at"])]
    return b.rows(found, found["first_response_at"] >= found["handed_over_at"])


@kpi("automatic_response_minutes")
def automatic_response_minutes(b: Books, p: Span) -> Frame:
    found = _opened(b, p)
    found = found[found["automatic_response_at"].notna()]
    return b.rows(found, _seconds(found["automatic_response_at"] - found["opened_at"]) / 60)


def _seconds(lengths: pd.Series) -> pd.Series:
    return lengths / pd.Timedelta(seconds=1)


@kpi("first_response_minutes")
def first_response_minutes(b: Books, p: Span) -> Frame:
    """Of two clocks the one from the hand-over: it is the answer a person was asked for."""
    found = _opened(b, p)
    found = found[found["first_response_at"].notna()].copy()
    clocks = b.clocks[b.clocks["stops"] == "first_response"]
    clocks = clocks[clocks["elapsed_seconds"].notna()]
    clocks = clocks.sort_values("starts").drop_duplicates("ticket_id").set_index("ticket_id")
    elapsed = at(found["ticket_id"], clocks["elapsed_seconds"])
    real = found["first_response_at"] - found["handed_over_at"].fillna(found["opened_at"])
    return b.rows(found, elapsed.fillna(_seconds(real)) / 60)


@kpi("resolution_hours")
def resolution_hours(b: Books, p: Span) -> Frame:
    found = b.tickets[p.has(b.tickets["resolved_at"])]
    return b.rows(found, _seconds(found["resolved_at"] - found["opened_at"]) / 3600)


@kpi("after_sale_cycle_days")
def after_sale_cycle_days(b: Books, p: Span) -> Frame:
    found = b.tickets.assign(ended_at=b.tickets["resolved_at"].fillna(b.tickets["closed_at"]))
    found = found[(found["touchpoint"] == "after_sale") | (found["kind"] == "return")]
    found = found[p.has(found["ended_at"])]
    return b.rows(found, _seconds(found["ended_at"] - found["opened_at"]) / 86400)


@kpi("problem_identification_rate")
def problem_identification_rate(b: Books, p: Span) -> Frame:
    """As the report has it, what no rule matches counts among the core ones, too."""
    cases = b("marts.fct_pain_point_cases").merge(
        b("marts.fct_cases", "case_id, owner_id"), on="case_id"
    )
    is_problem = (cases["case_kind"] == "low_score") | (cases["kind"] == "complaint")
    cases = cases[is_problem & p.has_day(cases["opened_on"])]
    classed = cases["matched_by"].notna()
    is_core = cases["is_core"].fillna(False).astype(bool) | ~classed
    return b.rows(cases.assign(is_core=is_core), classed)


def _findings(b: Books, table: str) -> Frame:
    found = b(f"marts.{table}").copy()
    for column in ("found_on", "due_on", "left_on"):
        found[column] = pd.to_datetime(found[column])
    return found


@kpi("pain_points_solved_rate")
def pain_points_solved_rate(b: Books, p: Span) -> Frame:
    """Left by the end of the period, or by as_of: not what came after it."""
    found = _findings(b, "fct_pain_point_findings")
    left_before = found["left_on"] < p.first
    found = found[(found["found_on"] < p.end) & ~left_before]
    return b.rows(found, found["left_on"] < p.end)


@kpi("rectification_rate")
def rectification_rate(b: Books, p: Span) -> Frame:
    found = pd.concat([
        _findings(b, "fct_pain_point_findings"), _findings(b, "fct_kpi_findings"),
    ])  # fmt: skip
    left_early = (found["left_on"] < found["due_on"]) & p.has_day(found["left_on"])
    found = found[p.has_day(found["due_on"]) | left_early]
    return b.rows(found, found["left_on"] <= found["due_on"])


# -- state: what holds today -----------------------------------------------------------------


@kpi("core_segment_share")
def core_segment_share(b: Books, p: Span) -> Frame:
    targets = [t.segment for t in b.program.goals.targets if t.kpi == "core_segment_share"]
    best = next(filter(None, targets), b.program.segments[0].id)
    return b.rows(b.customers, b.customers["segment"] == best)


@kpi("segment_coverage")
def segment_coverage(b: Books, p: Span) -> Frame:
    return b.rows(b.customers, b.customers["segment"].notna())


@kpi("ltv")
def ltv(b: Books, p: Span) -> Frame:
    found = b.customers[b.customers["predicted_value"].notna()]
    return b.rows(
        found, found["spend_total"].astype(float) + found["predicted_value"].astype(float)
    )


@kpi("profile_completeness")
def profile_completeness(b: Books, p: Span) -> Frame:
    fields = b.program.profile.complete_fields
    found = b("staging.stg_customers")
    found = found[found["customer_id"].isin(b.customers["customer_id"])]
    return b.rows(found, found[fields].notna().sum(axis=1), np.full(len(found), len(fields)))


@kpi("tag_completeness")
def tag_completeness(b: Books, p: Span) -> Frame:
    found = b("intermediate.int_customer_tag_summary")
    found = found[found["applicable_tags"] > 0]
    return b.rows(found, found["filled_tags"], found["applicable_tags"])


# -- all of them ------------------------------------------------------------------------------


def expected_periods(b: Books) -> Iterator[tuple[str, pd.Timestamp, pd.Timestamp]]:
    """Kind, first local day and the day after the last of what must be there without baselines."""
    operation, today = b.program.operation, b.today
    month, quarter = today.to_period("M"), today.to_period("Q")
    for n in range(operation.kpi_months + 1):
        yield "month", (month - n).start_time, (month - n + 1).start_time
    for n in range(operation.kpi_quarters + 1):
        first, end = (quarter - n).start_time, (quarter - n + 1).start_time
        yield "quarter", first, end
        if end <= today:
            yield "year", end - pd.DateOffset(years=1), end


def facts(b: Books, spans: list[Span], names: list[str] | None = None) -> Frame:
    """Rows of every KPI and span with COLUMNS; kpi, period_type, period_start, starts_at."""
    found = []
    for name in names or KPIS:
        is_state = KPIS[name].is_state
        for p in spans:
            if is_state and not p.first <= b.today < p.end:
                continue
            rows = REFERENCES[name](b, p)
            if len(rows):
                keys = {"kpi": name, "period_type": p.kind, "period_start": p.first}
                rows = rows.astype({**dict.fromkeys(COLUMNS[:3], "str"), "is_core": object})
                found.append(rows.assign(**keys, starts_at=p.starts_at))
    return pd.concat(found, ignore_index=True)


def standings(b: Books) -> dict[str, Frame]:
    """Values of segment, stage and tier by customer: since when, in order of time."""
    changes = b("marts.fct_customer_changes", "customer_id, dimension, to_value, as_of")
    changes = changes.sort_values("as_of")
    return {d: changes[changes["dimension"] == d] for d in ("segment", "stage", "tier")}


def with_standings(b: Books, rows: Frame) -> Frame:
    """The rows with the customer's segment, stage, tier, region and owner at the period's start;
    of a customer who came later, the first ones; today's region and account manager."""
    result = rows.copy()
    for dimension, changes in standings(b).items():
        held = pd.merge_asof(
            result[["customer_id", "starts_at"]].reset_index()
            .astype({"starts_at": "datetime64[us]"}).sort_values("starts_at"),
            changes[["customer_id", "to_value", "as_of"]].astype({"as_of": "datetime64[us]"}),
            left_on="starts_at", right_on="as_of", by="customer_id",
        ).set_index("index")  # fmt: skip
        first = changes.drop_duplicates("customer_id").set_index("customer_id")["to_value"]
        came_later = held["as_of"].isna()
        value = held["to_value"].where(~came_later, at(held["customer_id"], first))
        result[dimension] = value.reindex(result.index)
    people = b("staging.stg_customers").set_index("customer_id")
    result["region"] = at(result["customer_id"], people["region"])
    result["owner"] = result["owner_id"].fillna(
        at(result["customer_id"], people["account_manager_id"])
    )
    return result


def slices(rows: Frame) -> Frame:
    """Numerator and denominator by KPI, period, slice kind and slice, of rows with standings."""
    keys = ["kpi", "period_type", "period_start", "slice_kind", "slice"]
    core = rows[rows["is_core"].fillna(False).astype(bool)]
    kinds = {
        "all": (rows, "(all)"),
        **{d: (rows, rows[d].fillna(UNKNOWN)) for d in (*DIMENSIONS, "touchpoint")},
        "core": (core, "core"),
    }
    found = [
        part.assign(slice_kind=kind, slice=value).groupby(keys)[["numerator", "denominator"]].sum()
        for kind, (part, value) in kinds.items()
    ]
    return pd.concat(found).reset_index()
