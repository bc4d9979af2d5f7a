"""Every KPI of kpis.yml in pandas, from its words alone: nothing is shared with the SQL.

Most KPIs are rows with a moment; a row counts in every period its moment lies in. Times are
naive UTC, days are local dates of the program's zone. Where the words leave a choice, the
function says which one was taken.
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
Series = pd.Series
UNKNOWN = "(unknown)"
WHO = ["customer_id", "owner_id", "touchpoint", "is_core"]
COLUMNS = [*WHO, "numerator", "denominator"]
DIMENSIONS = ("segment", "stage", "tier", "region", "owner", "touchpoint")
WEEK = pd.Timedelta(days=7)
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """A period: local days first to end (exclusive), and the same in UTC, cut at as_of."""

    kind: str
    first: pd.Timestamp
    end: pd.Timestamp
    starts_at: pd.Timestamp
    ends_at: pd.Timestamp
    seen_until: pd.Timestamp

    def has(self, moments: Series) -> Series:
        """Whether UTC moments lie in what is seen of the period; unknown ones don't."""
        return (moments >= self.starts_at) & (moments < self.seen_until)


class Books:
    """What a run knew: tables of the warehouse and of the marts (attached as `marts`)."""

    def __init__(self, con: duckdb.DuckDBPyConnection, program: Program) -> None:
        self.con, self.program = con, program
        self.zone = ZoneInfo(program.zone)
        as_of = con.execute("select as_of_utc, as_of_date from run.context").fetchall()[0]
        self.as_of, self.today = pd.Timestamp(as_of[0]), pd.Timestamp(as_of[1])
        self._tables: dict[str, Frame] = {}

    def __call__(self, table: str, columns: str = "*") -> Frame:
        """A table by name, read once; unknown texts are missing values also where all are."""
        key = f"select {columns} from {table}"
        if key not in self._tables:
            relation = self.con.sql(key)
            types = zip(relation.columns, relation.types, strict=True)
            texts = dict.fromkeys((name for name, kind in types if kind == "VARCHAR"), "str")
            self._tables[key] = relation.df().astype(texts)
        return self._tables[key]

    # -- time ---------------------------------------------------------------------------------

    def midnight(self, days: Any) -> Any:
        """UTC of the local midnights that begin days (one, or a series)."""
        days = days.dt if isinstance(days, Series) else days
        utc = days.tz_localize(self.zone)
        utc = utc.dt if isinstance(utc, Series) else utc
        naive = utc.tz_convert("UTC")
        return (naive.dt if isinstance(naive, Series) else naive).tz_localize(None)

    def day(self, moments: Series) -> Series:
        """Local days of UTC moments."""
        local = moments.dt.tz_localize("UTC").dt.tz_convert(self.zone)
        return local.dt.tz_localize(None).dt.normalize()

    def span(self, kind: str, first: pd.Timestamp, end: pd.Timestamp) -> Span:
        ends_at = self.midnight(end)
        return Span(kind, first, end, self.midnight(first), ends_at, min(ends_at, self.as_of))

    # -- entities, as far as seen -------------------------------------------------------------

    @cached_property
    def orders(self) -> Frame:
        """Counted orders: neither cancelled nor returned by as_of."""
        orders = self("staging.stg_orders", "order_id, customer_id, ordered_at, status")
        orders = orders[~orders["status"].isin(["cancelled", "returned"])]
        return orders.assign(at=orders["ordered_at"])

    @cached_property
    def first_order_at(self) -> Series:
        return self.orders.groupby("customer_id")["at"].min()

    @cached_property
    def interactions(self) -> Frame:
        return self("staging.stg_interactions", "customer_id, occurred_at as at, kind")

    @cached_property
    def deliveries(self) -> Frame:
        """Messages and tasks; a task is done as the register of follow-ups says."""
        register = self("marts.register_follow_ups")
        done = register[register["origin"] == "careloop"][["task_id", "done_at"]]
        found = self("marts.fct_care_deliveries").merge(
            done.rename(columns={"task_id": "message_id"}), on="message_id", how="left"
        )
        is_task, is_sent = found["kind"] == "task", found["sent_at"].notna()
        reached = np.where(is_task, found["done_at"].notna(), is_sent & ~found["is_bounced"])
        return found.assign(is_task=is_task, is_reached=reached)

    @cached_property
    def made(self) -> Frame:
        """Messages at the moment they were sent, and tasks at that they were done."""
        found = self.deliveries
        found = found.assign(at=found["sent_at"].mask(found["is_task"], found["done_at"]))
        return found[found["at"].notna()]

    @cached_property
    def answers(self) -> Frame:
        """Answers with a score, as a share of its scale, and the touchpoint they are about; those
        on a ticket belong to its owner."""
        found = self("staging.stg_surveys")
        found = found[found["answered_at"].notna() & found["score"].notna()]
        is_nps = found["kind"] == "nps"
        low = found["scale_min"].fillna(Series(np.where(is_nps, 0.0, np.nan), found.index))
        high = found["scale_max"].fillna(Series(np.where(is_nps, 10.0, np.nan), found.index))
        share = ((found["score"] - low) / (high - low).replace(0, np.nan)).round(9)
        names = {t.id: t.id for t in self.program.touchpoints}
        for touchpoint in self.program.touchpoints:
            names |= dict.fromkeys(getattr(touchpoint, "aspects", ()), touchpoint.id)
        of_ticket = self.tickets.set_index("ticket_id")
        touchpoint = lookup(found["ticket_id"], of_ticket["touchpoint"])
        found = found.assign(
            at=found["answered_at"],
            share=share,
            touchpoint=touchpoint.fillna(lookup(found["aspect"], Series(names, dtype="str"))),
            owner_id=lookup(found["ticket_id"], of_ticket["owner_id"]),
        )
        return found[share.notna()]

    @cached_property
    def tickets(self) -> Frame:
        """solved_at: when a ticket that stands solved was solved last."""
        times = self("staging.stg_tickets", "ticket_id, automatic_response_at, handed_over_at")
        solved = self("intermediate.int_ticket_outcomes", "ticket_id, solved_at")
        found = self("marts.fct_tickets").merge(times, on="ticket_id").merge(solved, on="ticket_id")
        return found.assign(at=found["opened_at"])

    @cached_property
    def clocks(self) -> Frame:
        targets = self("marts.dim_sla_targets").set_index("target_key")
        found = self("marts.fct_ticket_clocks")
        stops, starts = (lookup(found["target_key"], targets[c]) for c in ("stops", "starts"))
        return found.assign(at=found["opened_at"], stops=stops, starts=starts)

    @cached_property
    def customers(self) -> Frame:
        """Customers known at as_of."""
        return self("marts.dim_customers")


def lookup(keys: Series, values: Series) -> Series:
    """The value of each key; unknown where there is none."""
    return values.reindex(keys).set_axis(keys.index)


def rows(found: Frame, numerator: Any, denominator: Any = 1) -> Frame:
    """What a KPI counts; columns of WHO that `found` hasn't are unknown."""
    result = found.reindex(columns=[*WHO, "at"])
    for name, values in {"numerator": numerator, "denominator": denominator}.items():
        result[name] = np.asarray(values, float) if np.ndim(values) else float(values)
    return result


def seconds(lengths: Series) -> Series:
    return lengths / pd.Timedelta(seconds=1)


Rows = Callable[[Books], Frame]
RowsOfSpan = Callable[[Books, Span], Frame]
BY_ROW: dict[str, Rows] = {}
BY_CUSTOMER: dict[str, Rows] = {}
BY_SPAN: dict[str, RowsOfSpan] = {}


def each(function: Rows) -> Rows:
    """A KPI whose rows count in each period that their moment `at` lies in."""
    BY_ROW[function.__name__] = function
    return function


def customers(function: Rows) -> Rows:
    """The same, but a customer counts once a period, by the largest numerator."""
    BY_CUSTOMER[function.__name__] = function
    return function


def spans_alone(function: RowsOfSpan) -> RowsOfSpan:
    """A KPI whose denominator goes by what was when the period began, or ended."""
    BY_SPAN[function.__name__] = function
    return function


# -- care -------------------------------------------------------------------------------------


def _planned(b: Books) -> Frame:
    found = b.deliveries[b.deliveries["state"] != "cancelled"]
    return found.assign(at=b.midnight(found["contact_on"]))


@customers
def care_reach_rate(b: Books) -> Frame:
    found = _planned(b)
    return rows(found, found["is_reached"])


@customers
def targeted_reach_rate(b: Books) -> Frame:
    found = _planned(b)
    found = found[found["purpose"] == "marketing"]
    return rows(found, found["is_reached"])


@each
def care_satisfaction(b: Books) -> Frame:
    messages, follow_ups = b.deliveries, b("staging.stg_follow_ups")
    touches = pd.concat([
        messages[~messages["is_task"]][["customer_id", "sent_at"]].rename(columns={"sent_at": "touched_at"}),
        messages[messages["is_task"]][["customer_id", "done_at"]].rename(columns={"done_at": "touched_at"}),
        follow_ups[["customer_id", "done_at"]].rename(columns={"done_at": "touched_at"}),
    ]).dropna()  # fmt: skip
    answers = b.answers[(b.answers["kind"] == "csat") & b.answers["customer_id"].notna()]
    found = pd.merge_asof(
        answers.sort_values("at"), touches.sort_values("touched_at"),
        left_on="at", right_on="touched_at", by="customer_id", tolerance=b.program.operation.care_answer_days * DAY,
    )  # fmt: skip
    found = found[found["touched_at"].notna()]
    return rows(found.drop(columns=["touchpoint", "owner_id"]), 1 + 4 * found["share"])


@each
def channel_fit(b: Books) -> Frame:
    people = b.customers[b.customers["preferred_channel_basis"].isin(["observed", "stated"])]
    preferred = people.set_index("customer_id")["preferred_channel"]
    preferred = lookup(b.made["customer_id"], preferred)
    chosen = ~b.made["is_task"] & preferred.notna()
    return rows(b.made[chosen], (b.made["channel"] == preferred)[chosen])


@each
def content_open_rate(b: Books) -> Frame:
    found = b.made[~b.made["is_task"]]
    channels = set(found[found["is_opened"]]["channel"])
    found = found[found["channel"].isin(channels) & ~found["is_bounced"]]
    return rows(found, found["is_opened"] | found["is_clicked"])


@each
def conversion_rate(b: Books) -> Frame:
    found = b.made[b.made["conversion"] != "not_counted"]
    found = found[found["counted_until"] < b.as_of]
    return rows(found, found["conversion"] == "converted")


def _greeted(b: Books, anniversary: str) -> Frame:
    rules = b("program.rules", "rule, conversion_within")
    found = b.made[b.made["occasion"].str.startswith(f"{anniversary}:")]
    found = found.merge(rules, on="rule", how="left")
    default = f"{b.program.uplift.window_days}d"
    pairs = zip(found["at"], found["conversion_within"].fillna(default), strict=True)
    until = Series([at + _duration(text) for at, text in pairs], found.index, dtype=object)
    found = found.assign(until=pd.to_datetime(until), began_at=found["at"])
    found = found[found["until"] < b.as_of]
    bought = found[["message_id", "customer_id", "began_at", "until"]].merge(
        b.orders, on="customer_id"
    )
    within = (bought["ordered_at"] > bought["began_at"]) & (bought["ordered_at"] <= bought["until"])
    return rows(found, found["message_id"].isin(set(bought[within]["message_id"])))


def _duration(text: str) -> pd.Timedelta | pd.DateOffset:
    unit = text.lstrip("0123456789")
    n = int(text[: -len(unit)])
    months = {"mo": 1, "q": 3, "y": 12}.get(unit)
    lengths = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return pd.DateOffset(months=months * n) if months else pd.Timedelta(seconds=lengths[unit] * n)


@each
def birthday_conversion(b: Books) -> Frame:
    return _greeted(b, "birthday")


@each
def membership_anniversary_conversion(b: Books) -> Frame:
    return _greeted(b, "membership")


@each
def occasion_participation(b: Books) -> Frame:
    """Its days are the occasion's ± occasion_days, over when the last of them is; of who had
    bought before the first of them."""
    around = b.program.operation.occasion_days * DAY
    days = b("program.occasion_days")
    days = days[(days["kind"] == "business") & (days["date"] + around < b.today)]["date"]
    found = [rows(Frame({"customer_id": [], "at": []}), [])]
    for day in days:
        first, end = b.midnight(day - around), b.midnight(day + around + DAY)
        before = b.first_order_at[b.first_order_at < first].index
        within = b.orders[(b.orders["at"] >= first) & (b.orders["at"] < end)]["customer_id"]
        people = Frame({"customer_id": before, "at": b.midnight(day + around)})
        found.append(rows(people, before.isin(set(within))))
    return pd.concat(found)


# -- loyalty ----------------------------------------------------------------------------------


@customers
def repurchase_rate(b: Books) -> Frame:
    return rows(b.orders, b.orders["at"] > lookup(b.orders["customer_id"], b.first_order_at))


@each
def retention_12m(b: Books) -> Frame:
    """A month ends in the period that its last day is in."""
    first_month = b.day(b.first_order_at).dt.to_period("M")
    month = b.day(b.orders["at"]).dt.to_period("M")
    first = lookup(b.orders["customer_id"], first_month)
    age = month.astype("int64") - first.astype("int64")
    retained = set(b.orders[(age >= 1) & (age <= 12)]["customer_id"])
    last_day = (first_month + 12).dt.end_time.dt.normalize()
    people = Frame({"customer_id": last_day.index, "at": b.midnight(last_day).to_numpy()})
    people = people[(last_day < b.today).to_numpy()]
    return rows(people, people["customer_id"].isin(retained))


def _newcomers(b: Books) -> tuple[Frame, Series]:
    """After registration: later than its moment."""
    people = b("staging.stg_customers", "customer_id, registered_at").dropna()
    first_day = b.midnight(b.day(b.first_order_at).min()) if len(b.orders) else pd.NaT
    began_at = b.interactions["at"].min() if len(b.interactions) else first_day
    people = people[people["registered_at"] >= began_at]
    registered = people.set_index("customer_id")["registered_at"]
    did = pd.concat([b.orders[["customer_id", "at"]], b.interactions[["customer_id", "at"]]])
    since = did["at"] - lookup(did["customer_id"], registered)
    active = set(did[(since > 0 * DAY) & (since <= WEEK)]["customer_id"])
    people = people.assign(at=people["registered_at"] + WEEK)
    return people, people["customer_id"].isin(active)


@each
def activation_7d(b: Books) -> Frame:
    return rows(*_newcomers(b))


@each
def new_customer_loss_7d(b: Books) -> Frame:
    people, is_active = _newcomers(b)
    return rows(people, ~is_active)


def _returners(b: Books, p: Span, activity: Frame, days: int) -> Frame:
    """Of a period of which nothing is seen yet nothing is said."""
    if p.starts_at >= p.seen_until:
        return rows(Frame({"customer_id": []}), [])
    last = activity[activity["at"] < p.starts_at].groupby("customer_id")["at"].max()
    asleep = last[last < b.midnight(p.first - days * DAY)].index
    back = set(activity[p.has(activity["at"])]["customer_id"])
    return rows(Frame({"customer_id": asleep}), asleep.isin(back))


@spans_alone
def wake_up_rate(b: Books, p: Span) -> Frame:
    activity = b.orders[["customer_id", "at"]]
    if b.program.activity.dormant_measure != "days_since_last_order":
        more = [frame[["customer_id", "at"]] for frame in (b.interactions, b.tickets)]
        activity = pd.concat([activity, *more])
    return _returners(b, p, activity, b.program.activity.dormant_days)


@spans_alone
def win_back_rate(b: Books, p: Span) -> Frame:
    return _returners(b, p, b.orders, b.program.activity.lost_days)


@spans_alone
def community_activity(b: Books, p: Span) -> Frame:
    """Of a period of which nothing is seen yet nothing is said."""
    operation = b.program.operation
    seen = b.interactions[b.interactions["kind"].isin(operation.community_kinds)]
    if p.starts_at >= p.seen_until:
        return rows(Frame({"customer_id": []}), [])
    since = b.midnight(p.first - operation.community_days * DAY)
    members = seen[(seen["at"] >= since) & (seen["at"] < p.seen_until)][["customer_id"]]
    members = members.drop_duplicates()
    return rows(members, members["customer_id"].isin(set(seen[p.has(seen["at"])]["customer_id"])))


@each
def dispute_rate(b: Books) -> Frame:
    orders = b("staging.stg_orders", "order_id, customer_id, ordered_at as at")
    disputes = b.tickets[b.tickets["kind"].isin(["complaint", "return"])]["order_id"]
    return rows(orders, orders["order_id"].isin(set(disputes.dropna())))


@each
def delivery_on_time_rate(b: Books) -> Frame:
    orders = b("marts.fct_orders", "customer_id, promised_at as at, is_late")
    orders = orders[orders["is_late"].notna()]
    return rows(orders, ~orders["is_late"].astype(bool))


# -- voice of the customer --------------------------------------------------------------------


def _answers(b: Books, *kinds: str) -> Frame:
    return b.answers[b.answers["kind"].isin(kinds)]


@each
def satisfaction(b: Books) -> Frame:
    found = _answers(b, "csat")
    return rows(found, 100 * found["share"])


@each
def satisfied_share(b: Books) -> Frame:
    found, operation = _answers(b, "csat"), b.program.operation
    score = 1 + found["share"] * (operation.satisfaction_scale_max - 1)
    return rows(found, score.round(6) >= operation.satisfied_from)


@each
def touchpoint_satisfaction(b: Books) -> Frame:
    found = _answers(b, "csat")
    found = found[found["touchpoint"].notna()]
    return rows(found, 100 * found["share"])


@each
def nps(b: Books) -> Frame:
    found = _answers(b, "nps")
    score = (10 * found["share"]).round(6)
    return rows(found, 100 * ((score >= 9).astype(int) - (score <= 6).astype(int)))


@each
def negative_feedback_rate(b: Books) -> Frame:
    answers = _answers(b, "csat", "nps")
    limits = {low.kind: low.at_most for low in b.program.closed_loop.low_scores}
    is_low = answers["share"] <= lookup(answers["kind"], Series(limits, dtype=float))
    return pd.concat([rows(answers, is_low), rows(b.tickets, b.tickets["kind"] == "complaint")])


@customers
def complaint_rate(b: Books) -> Frame:
    people = [f[["customer_id", "at"]] for f in (b.tickets, b.orders, b.interactions)]
    is_complaint = b.tickets["kind"] == "complaint"
    return pd.concat([rows(people[0], is_complaint), *(rows(p, 0) for p in people[1:])])


# -- service ----------------------------------------------------------------------------------


@each
def first_contact_resolution(b: Books) -> Frame:
    found = b.tickets[b.tickets["is_first_contact_resolved"].notna()]
    return rows(found, found["is_first_contact_resolved"].astype(bool))


@each
def complaints_on_time(b: Books) -> Frame:
    """One clock a ticket: the one for closed where there is one, else the one for solved."""
    clocks = b.clocks[(b.clocks["kind"] == "complaint")]
    found = clocks[clocks["stops"].isin(["solved", "closed"])]
    found = found.sort_values(["stops", "started_at", "target_key"]).drop_duplicates("ticket_id")
    found = found[found["state"].isin(["met", "breached"])]
    return rows(found.assign(at=found["due_at"]), found["state"] == "met")


@each
def sla_on_time_rate(b: Books) -> Frame:
    found = b.clocks[b.clocks["state"].isin(["met", "breached"])]
    return rows(found, found["state"] == "met")


@each
def resolution_rate(b: Books) -> Frame:
    return rows(b.tickets, b.tickets["solved_at"].notna())


@each
def automatic_resolution_rate(b: Books) -> Frame:
    found = b.tickets[b.tickets["automatic_response_at"].notna()]
    alone = found["first_response_at"].isna() & found["handed_over_at"].isna()
    return rows(found, found["solved_at"].notna() & alone)


@each
def handover_success_rate(b: Books) -> Frame:
    found = b.tickets[b.tickets["handed_over_at"].notna()]
    found = found.assign(at=found["handed_over_at"])
    return rows(found, found["first_response_at"] >= found["handed_over_at"])


@each
def automatic_response_minutes(b: Books) -> Frame:
    found = b.tickets[b.tickets["automatic_response_at"].notna()]
    return rows(found, seconds(found["automatic_response_at"] - found["opened_at"]) / 60)


@each
def first_response_minutes(b: Books) -> Frame:
    found = b.tickets[b.tickets["first_response_at"].notna()]
    clocks = b.clocks[(b.clocks["stops"] == "first_response") & b.clocks["elapsed_seconds"].notna()]
    clocks = clocks.sort_values("starts").drop_duplicates("ticket_id").set_index("ticket_id")
    asked_at = found["handed_over_at"].where(found["handed_over_at"] <= found["first_response_at"])
    real = found["first_response_at"] - asked_at.fillna(found["opened_at"])
    elapsed = lookup(found["ticket_id"], clocks["elapsed_seconds"]).fillna(seconds(real))
    return rows(found, elapsed / 60)


@each
def resolution_hours(b: Books) -> Frame:
    found = b.tickets[b.tickets["solved_at"].notna()]
    found = found.assign(at=found["solved_at"])
    return rows(found, seconds(found["at"] - found["opened_at"]) / 3600)


@each
def after_sale_cycle_days(b: Books) -> Frame:
    found = b.tickets.assign(at=b.tickets["solved_at"])
    found = found[(found["touchpoint"] == "after_sale") | (found["kind"] == "return")]
    found = found[found["at"].notna()]
    return rows(found, seconds(found["at"] - found["opened_at"]) / 86400)


@each
def problem_identification_rate(b: Books) -> Frame:
    """As the report has it, what no rule matches counts among the core ones, too."""
    cases = b("marts.fct_pain_point_cases")
    cases = cases.merge(b("marts.fct_cases", "case_id, owner_id"), on="case_id", how="left")
    cases = cases[(cases["case_kind"] == "low_score") | (cases["kind"] == "complaint")]
    classed = cases["matched_by"].notna()
    is_core = cases["is_core"].fillna(False).astype(bool) | ~classed
    return rows(cases.assign(at=b.midnight(cases["opened_on"]), is_core=is_core), classed)


def _findings(b: Books, table: str) -> Frame:
    days = ["found_on", "due_on", "left_on"]
    found = b(table)
    return found.assign(**{name: pd.to_datetime(found[name]) for name in days})


@spans_alone
def pain_points_solved_rate(b: Books, p: Span) -> Frame:
    found = _findings(b, "marts.fct_pain_point_findings")
    found = found[(found["found_on"] < p.end) & ~(found["left_on"] < p.first)]
    return rows(found, found["left_on"] < p.end)


@each
def rectification_rate(b: Books) -> Frame:
    """KPI findings as the run before left them, and not later ones if this run is a replay."""
    before = _findings(b, "run.previous_kpi_findings")
    found = pd.concat([_findings(b, "marts.fct_pain_point_findings"), before])
    in_time = found["left_on"] <= found["due_on"]
    found = found.assign(in_time=in_time)[in_time | (found["due_on"] < b.today)]
    day = found["left_on"].where(found["in_time"], found["due_on"])
    return rows(found.assign(at=b.midnight(day)), found["in_time"])


# -- state: what holds today -----------------------------------------------------------------


@spans_alone
def core_segment_share(b: Books, _: Span) -> Frame:
    targets = [t.segment for t in b.program.goals.targets if t.kpi == "core_segment_share"]
    best = next(filter(None, targets), b.program.segments[0].id)
    return rows(b.customers[["customer_id"]], b.customers["segment"] == best)


@spans_alone
def segment_coverage(b: Books, _: Span) -> Frame:
    return rows(b.customers[["customer_id"]], b.customers["segment"].notna())


@spans_alone
def ltv(b: Books, _: Span) -> Frame:
    found = b.customers[b.customers["predicted_value"].notna()]
    return rows(found[["customer_id"]], found["spend_total"] + found["predicted_value"])


@spans_alone
def profile_completeness(b: Books, _: Span) -> Frame:
    fields = b.program.profile.complete_fields
    found = b("staging.stg_customers")
    found = found[found["customer_id"].isin(b.customers["customer_id"])]
    return rows(found[["customer_id"]], found[fields].notna().sum(axis=1), len(fields))


@spans_alone
def tag_completeness(b: Books, _: Span) -> Frame:
    found = b("intermediate.int_customer_tag_summary")
    found = found[found["applicable_tags"] > 0]
    return rows(found[["customer_id"]], found["filled_tags"], found["applicable_tags"])


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


def _of_spans(found: Frame, spans: list[Span]) -> Frame:
    """The rows in every span they lie in; column span is its number."""
    moments = found["at"].to_numpy("datetime64[us]")
    inside = [
        np.flatnonzero((moments >= p.starts_at.to_datetime64()) & (moments < p.seen_until.to_datetime64()))
        for p in spans
    ]  # fmt: skip
    result = found.take(np.concatenate(inside))
    return result.assign(span=np.repeat(np.arange(len(spans)), [len(i) for i in inside]))


def _of_kpi(name: str, b: Books, spans: list[Span]) -> Frame:
    if name in BY_ROW:
        return _of_spans(BY_ROW[name](b), spans)
    if name in BY_CUSTOMER:
        found = BY_CUSTOMER[name](b)
        found = _of_spans(found[found["customer_id"].notna()], spans)
        most = found.groupby(["span", "customer_id"])["numerator"].max().reset_index()
        return rows(most, most["numerator"]).assign(span=most["span"])
    is_state = KPIS[name].is_state
    chosen = [(n, p) for n, p in enumerate(spans) if not is_state or p.first <= b.today < p.end]
    return pd.concat([BY_SPAN[name](b, p).assign(span=n) for n, p in chosen])


def facts(b: Books, spans: list[Span], names: list[str] | None = None) -> Frame:
    """What each KPI counts in each span: COLUMNS, kpi, period_type, period_start, starts_at."""
    found = []
    for name in names or KPIS:
        part = _of_kpi(name, b, spans).drop(columns="at")
        part = part.astype(dict.fromkeys(WHO[:3], "str") | {"is_core": object})
        found.append(part.assign(kpi=name))
    periods = Frame({
        "period_type": [p.kind for p in spans], "period_start": [p.first for p in spans],
        "starts_at": [p.starts_at for p in spans],
    })  # fmt: skip
    every = pd.concat(found, ignore_index=True)
    return every.merge(periods, left_on="span", right_index=True).drop(columns="span")


def with_standings(b: Books, found: Frame) -> Frame:
    """The rows with the customer's segment, stage and tier at the period's start, of a customer
    who came later the first ones; with today's region; and with the owner."""
    result = found.sort_values("starts_at").reset_index(drop=True)
    changes = b("marts.fct_customer_changes", "customer_id, dimension, to_value, as_of")
    changes = changes[changes["dimension"].isin(["segment", "stage", "tier"])]
    came_at = changes.groupby("customer_id")["as_of"].min()
    for dimension in ("segment", "stage", "tier"):
        own = changes[changes["dimension"] == dimension].sort_values("as_of")
        held = pd.merge_asof(
            result[["customer_id", "starts_at"]], own, by="customer_id",
            left_on="starts_at", right_on="as_of",
        )  # fmt: skip
        first = own[own["as_of"] == lookup(own["customer_id"], came_at)]
        first = first.set_index("customer_id")["to_value"]
        is_later = held["starts_at"] < lookup(held["customer_id"], came_at)
        result[dimension] = held["to_value"].where(~is_later, lookup(held["customer_id"], first))
    people = b.customers.set_index("customer_id")
    result["region"] = lookup(result["customer_id"], people["region"])
    managers = lookup(result["customer_id"], people["account_manager_id"])
    return result.assign(owner=result["owner_id"].fillna(managers))


def slices(found: Frame) -> Frame:
    """Numerator and denominator by KPI, period, slice kind and slice, of rows with standings;
    without the kinds in which a KPI knows no slice."""
    keys = ["kpi", "period_type", "period_start", "slice_kind", "slice"]
    is_core = found["is_core"].map({True: "core", False: "other"}).astype("str")
    columns = {"all": Series("(all)", found.index), "core": is_core}
    sums = []
    for kind, values in (columns | {d: found[d] for d in DIMENSIONS}).items():
        known = set(found[values.notna()]["kpi"])
        part = found.assign(slice_kind=kind, slice=values.fillna(UNKNOWN))
        part = part[part["kpi"].isin(known)]
        sums.append(part.groupby(keys)[["numerator", "denominator"]].sum())
    return pd.concat(sums).reset_index()


def every_slice(b: Books, periods: Frame) -> Frame:
    """The reference of rpt_kpis over periods (period_type, period_start, period_end), without
    what earlier runs recorded of state KPIs."""
    days = zip(periods["period_type"], periods["period_start"], periods["period_end"], strict=True)
    return slices(with_standings(b, facts(b, [b.span(*span) for span in days])))


def differences(expected: Frame, actual: Frame) -> Frame:
    """Rows of both whose sums differ; a row that one of them lacks counts as 0."""
    keys = ["kpi", "period_type", "period_start", "slice_kind", "slice"]
    sums = ["numerator", "denominator"]
    both = expected[keys + sums].merge(
        actual[keys + sums], on=keys, how="outer", suffixes=("", "_of_sql")
    )
    both = both.fillna(dict.fromkeys([*sums, *(f"{name}_of_sql" for name in sums)], 0.0))
    differ = [
        (both[name] - both[f"{name}_of_sql"]).abs() > 2e-6 * both["denominator"].clip(lower=1)
        for name in sums
    ]
    return both[differ[0] | differ[1]]
