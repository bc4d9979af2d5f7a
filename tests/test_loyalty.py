"""Loyalty: tiers, points and referrals against plain Python, and on a company over months."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import DAYS, Company

from careloop.program.load import load_program
from careloop.settings import PROJECT_ROOT
from careloop.transform.prepare import CARRIED

PROGRAM = load_program("retail_care", PROJECT_ROOT / "programs")
TODAY = dt.date.fromisoformat(DAYS[-1])
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ENTRIES = """create table warehouse.intermediate.int_point_entries (
    customer_id varchar, entered_on date, reason varchar, points bigint, expires_on date)"""


class Models:
    """SQL of the company's last run, for tables made here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.con = duckdb.connect()
        self.con.execute("set threads = 1; attach ':memory:' as warehouse")
        for schema in ("intermediate", "staging", "run", "program"):
            self.con.execute(f"create schema warehouse.{schema}")

    def sql(self, name: str, day: dt.date = TODAY) -> str:
        """A model as compiled for the last run, with another local day for as_of."""
        text = next(self.folder.rglob(f"{name}.sql")).read_text("utf-8")
        before = TODAY - dt.timedelta(days=1)
        eve = day - dt.timedelta(days=1)
        assert str(TODAY) in text or str(before) in text
        marked = text.replace(str(TODAY), "{day}").replace(str(before), "{eve}")
        return marked.replace("{day}", str(day)).replace("{eve}", str(eve))

    def build(self, name: str, day: dt.date = TODAY) -> None:
        self.con.execute(
            f"create or replace table warehouse.intermediate.{name} as {self.sql(name, day)}"
        )

    def rows(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def models(company: Company) -> Models:
    return Models(company.settings.build / "target" / "compiled")


# -- points: the reference keeps every lot apart, day by day ------------------------------------


@dataclass
class Entry:
    """One row of a ledger; days count from TODAY."""

    customer: str
    day: int
    points: int
    expires: int | None = None
    reason: str = "purchase"


NEVER = 10**6


def ends(entry: Entry) -> int:
    """The first day on which its points are gone."""
    return NEVER if entry.expires is None else max(entry.expires, entry.day) + 1


def lost_by_day(entries: list[Entry], until: int = 0) -> dict[int, int]:
    """Points lost at the start of each day, lot by lot: first expiring, first used."""
    lots: list[list[int]] = []
    lost: dict[int, int] = defaultdict(int)
    days = {e.day for e in entries} | {ends(e) for e in entries if e.points > 0}
    for day in sorted(d for d in days if d <= until):
        for lot in lots:
            if lot[0] == day:
                lost[day] += lot[1]
                lot[1] = 0
        lots += [[ends(e), e.points] for e in entries if e.day == day and e.points > 0]
        used = -sum(e.points for e in entries if e.day == day and e.points < 0)
        for lot in sorted(lots):
            taken = min(lot[1], used) if lot[0] > day else 0
            lot[1] -= taken
            used -= taken
    return {day: points for day, points in lost.items() if points}


def affordable(entries: list[Entry]) -> list[Entry]:
    """The ledger without the uses that a strict account would have refused."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (e.day, e.points < 0)):
        so_far = [e for e in kept if e.customer == entry.customer]
        left = sum(e.points for e in so_far) - sum(lost_by_day(so_far, entry.day).values())
        if entry.points > 0 or left >= -entry.points:
            kept.append(entry)
    return kept


def expiries(models: Models, entries: list[Entry]) -> dict[str, dict[int, int]]:
    """What the model finds for those ledgers, by customer and day."""
    models.con.execute("drop table if exists warehouse.intermediate.int_point_entries")
    models.con.execute(ENTRIES)
    day = lambda n: None if n is None else TODAY + dt.timedelta(days=n)  # noqa: E731
    for e in entries:
        models.con.execute(
            "insert into warehouse.intermediate.int_point_entries values (?, ?, ?, ?, ?)",
            [e.customer, day(e.day), e.reason, e.points, day(e.expires)],
        )
    models.build("int_point_expiries")
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for customer, on, points in models.rows("from warehouse.intermediate.int_point_expiries"):
        assert (on - TODAY).days not in found[customer]
        found[customer][(on - TODAY).days] = points
    return found


customers = st.sampled_from("abcd")
past = st.integers(-60, 0)
points = st.integers(1, 30)
earned = st.builds(Entry, customers, past, points)
used = st.builds(lambda c, d, p: Entry(c, d, -p, None, "redeem"), customers, past, points)


@FEW
@given(entries=st.lists(earned | used, min_size=1, max_size=40), lasts=st.integers(0, 40))
def test_points_expire_as_if_every_lot_were_kept_apart(
    models: Models, entries: list[Entry], lasts: int
) -> None:
    for entry in entries:
        entry.expires = entry.day + lasts if entry.points > 0 else None
    ledger = affordable(entries)
    found = expiries(models, ledger)
    for customer in "abcd":
        mine = [e for e in ledger if e.customer == customer]
        assert found[customer] == lost_by_day(mine), mine
    check_balances(models, ledger, found)


def check_balances(models: Models, ledger: list[Entry], found: dict[str, dict[int, int]]) -> None:
    """Balance, what expires soon and when, against the ledger played on without any use."""
    models.build("int_customer_points")
    within = int(PROGRAM.loyalty.points.expiring_within.removesuffix("d"))
    rows = models.rows(
        "select customer_id, balance, expiring, next_expiry_on, redeemable, worth "
        "from warehouse.intermediate.int_customer_points"
    )
    assert {row[0] for row in rows} == {e.customer for e in ledger}
    for customer, balance, expiring, next_on, redeemable, worth in rows:
        mine = [e for e in ledger if e.customer == customer]
        assert balance == sum(e.points for e in mine) - sum(found[customer].values()) >= 0
        coming = {d: n for d, n in lost_by_day(mine, 10**5).items() if d > 0}
        assert expiring == sum(n for d, n in coming.items() if d <= within)
        last = TODAY + dt.timedelta(days=min(coming) - 1) if coming else None
        assert next_on == last
        assert redeemable == (balance if balance >= PROGRAM.loyalty.points.min_redeem else 0)
        assert float(worth) == pytest.approx(balance * PROGRAM.loyalty.points.value, abs=0.005)


@st.composite
def any_ledger(draw: st.DrawFn) -> list[Entry]:
    entries = draw(st.lists(earned | used, min_size=1, max_size=40))
    for entry in entries:
        if entry.points > 0:
            entry.expires = draw(st.none() | st.integers(-70, 40))
    return entries


@FEW
@given(entries=any_ledger())
def test_no_expiry_makes_a_balance_negative(models: Models, entries: list[Entry]) -> None:
    """Whatever order lots expire in, and whatever the CRM allowed."""
    found = expiries(models, entries)
    for customer in "abcd":
        mine = [e for e in entries if e.customer == customer]
        lots = [e for e in mine if e.points > 0 and ends(e) <= 0]
        assert all(n > 0 for n in found[customer].values())
        assert sum(found[customer].values()) <= sum(e.points for e in lots)
        before = sum(e.points for e in mine)
        assert before - sum(found[customer].values()) >= min(0, before)
        for day in range(-60, 1):
            balance = sum(e.points for e in mine if e.day <= day)
            lost = sum(n for d, n in found[customer].items() if d <= day)
            assert balance - lost >= min(0, balance)


def test_a_crm_that_writes_off_itself_is_left_to_it(models: Models) -> None:
    ledger = [Entry("a", -60, 10, -30), Entry("a", -50, 10, -20), Entry("b", -60, 5, -30)]
    assert expiries(models, ledger) == {"a": {-29: 10, -19: 10}, "b": {-29: 5}}
    own = Entry("a", -29, -10, None, "expire")
    assert expiries(models, [*ledger, own]) == {}


# -- tiers: the reference walks one customer through every day ----------------------------------

LIMITS = [(tier.id, tier.min_spend) for tier in PROGRAM.loyalty.tiers]
NAMES = [None, *(name for name, _ in LIMITS)]


def a_year_later(day: dt.date) -> dt.date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def earned_place(spend: float) -> int:
    return max(i + 1 for i, (_, limit) in enumerate(LIMITS) if spend >= limit)


@dataclass
class Standing:
    """A customer's tier: place, since when, and until when kept (None while it is earned)."""

    place: int
    since: dt.date
    until: dt.date | None = None

    def on(self, day: dt.date, earned: int) -> None:
        """The next run; between two runs the tier was earned if it was at the first."""
        if earned >= self.place:
            self.since = day if earned > self.place else self.since
            self.place, self.until = earned, None
            return
        self.until = self.until or a_year_later(day - dt.timedelta(days=1))
        while self.place > earned and self.until and self.until < day:
            self.place, self.since = self.place - 1, self.until + dt.timedelta(days=1)
            self.until = a_year_later(self.since) if self.place > earned else None


def prepare_tiers(models: Models, crm: dict[str, str | None]) -> None:
    con = models.con
    con.execute(
        "create or replace table warehouse.program.tiers as select * from "
        "(values (1, 'regular'), (2, 'silver'), (3, 'gold')) as t (position, id)"
    )
    columns = CARRIED["customer_tier_changes"][1]
    con.execute(f"create or replace table warehouse.run.previous_customer_tier_changes ({columns})")
    con.execute(
        "create or replace table warehouse.intermediate.int_customer_interactions "
        "(customer_id varchar, interactions_long bigint)"
    )
    con.execute(
        "create or replace table warehouse.intermediate.int_customer_profile (customer_id varchar)"
    )
    con.execute(
        "create or replace table warehouse.staging.stg_customers "
        "(customer_id varchar, member_tier varchar, member_since timestamp)"
    )
    for name, tier in crm.items():
        con.execute("insert into warehouse.intermediate.int_customer_profile values (?)", [name])
        con.execute("insert into warehouse.staging.stg_customers values (?, ?, null)", [name, tier])


def run_tiers(models: Models, day: dt.date, spends: dict[str, float]) -> dict[str, tuple]:
    """One run: the tiers of the day, and the changes carried to the next."""
    models.con.execute(
        "create or replace table warehouse.intermediate.int_customer_orders "
        "(customer_id varchar, spend_long decimal(18, 4))"
    )
    for name, spend in spends.items():
        models.con.execute(
            "insert into warehouse.intermediate.int_customer_orders values (?, ?)", [name, spend]
        )
    models.build("int_customer_tier_walk", day)
    models.build("int_customer_tier_changes", day)
    models.con.execute("delete from warehouse.run.previous_customer_tier_changes")
    models.con.execute(
        "insert into warehouse.run.previous_customer_tier_changes by name "
        "from warehouse.intermediate.int_customer_tier_changes"
    )
    rows = models.rows(
        "select customer_id, tier, tier_since, kept_until "
        "from warehouse.intermediate.int_customer_tier_walk"
    )
    assert len(rows) == len(spends)
    return {row[0]: row[1:] for row in rows}


spends = st.sampled_from((0.0, 999.99, 1000.0, 4999.99, 5000.0))
runs = st.lists(st.tuples(st.sampled_from((1, 1, 30, 200, 366, 800)), spends, spends), max_size=8)


@settings(FEW, max_examples=20)
@given(runs=runs, crm=st.sampled_from((None, "silver", "gold", "unheard_of")))
def test_tiers_walk_as_a_customer_would_count(models: Models, runs: list, crm: str | None) -> None:
    prepare_tiers(models, {"a": crm, "b": None})
    standing: dict[str, Standing] = {}
    day = dt.date(2020, 2, 28)
    for days, *amounts in [(1, 0.0, 5000.0), *runs]:
        day += dt.timedelta(days=days)
        spent = dict(zip("ab", amounts, strict=True))
        # A run that is repeated changes nothing.
        found = run_tiers(models, day, spent)
        assert run_tiers(models, day, spent) == found
        for name, spend in spent.items():
            earned = earned_place(spend)
            if name not in standing:
                start = NAMES.index(crm) if name == "a" and crm in NAMES else 0
                until = a_year_later(day) if start > earned else None
                standing[name] = Standing(max(start, earned), day, until)
            else:
                standing[name].on(day, earned)
            mine = standing[name]
            assert found[name] == (NAMES[mine.place], mine.since, mine.until), (name, day)
    log = models.rows(
        "select customer_id, change_no, from_tier, tier, changed_on "
        "from warehouse.run.previous_customer_tier_changes order by all"
    )
    for (one, no, _, tier, on), (other, next_no, came_from, _, later) in pairwise(log):
        if one == other:
            assert (next_no, came_from) == (no + 1, tier)
            assert later > on
        else:
            assert next_no == 1


# -- a company over five months ----------------------------------------------------------------


def test_every_customer_has_one_tier_not_below_the_earned(company: Company) -> None:
    places = "(select position from (values ('regular', 1), ('silver', 2), ('gold', 3)) "
    places += "as t (id, position) where id = earned_tier)"
    assert company.one("select count(*) = count(distinct customer_id) from fct_customer_tiers")
    assert company.one(
        "select count(*) from fct_customer_tiers full join dim_customers using (customer_id) "
        "where fct_customer_tiers.as_of is null or dim_customers.segment is null"
    ) == 0  # fmt: skip
    assert (
        company.one(f"select count(*) from fct_customer_tiers where tier_position < {places}") == 0
    )
    spread = dict(company.rows("select tier, count(*) from fct_customer_tiers group by all"))
    assert set(spread) == {"regular", "silver", "gold"}
    kept = company.one("select count(*) from fct_customer_tiers where not is_earned")
    assert 0 < kept < 400


def test_tier_history_ends_where_the_customer_is(company: Company) -> None:
    wrong = company.rows(
        "select t.customer_id from fct_customer_tiers t join ("
        "select * from fct_customer_tier_changes "
        "qualify row_number() over (partition by customer_id order by change_no desc) = 1"
        ") c using (customer_id) where t.tier is distinct from c.tier "
        "or t.tier_since is distinct from c.tier_since or (c.kept_until is null) <> t.is_earned"
    )
    assert not wrong
    seen = company.one("select count(distinct as_of) from fct_customer_tier_changes")
    assert seen == len(DAYS)
    assert company.one(
        "select count(*) from fct_customer_tier_changes where reason = 'no longer earned'"
    )


def test_balances_are_the_sum_of_entries(company: Company) -> None:
    warehouse = str(company.settings.warehouse)
    with duckdb.connect(warehouse, read_only=True) as con:
        balances = dict(
            con.execute(
                "select customer_id, balance from intermediate.int_customer_points"
            ).fetchall()
        )
        crm = con.execute("select count(*), sum(points) from staging.stg_points").fetchall()[0]
    entries = dict(company.rows("select customer_id, sum(points) from fct_points group by 1"))
    assert balances == entries
    assert min(balances.values()) >= 0
    counted = company.rows("select count(*), sum(points) from fct_points where origin = 'crm'")
    assert counted[0] == crm
    assert crm[0] > 100
    assert company.one("select count(*) = count(distinct entry_id) from fct_points")
    # The sample's CRM writes expired points off itself, hours after they expired.
    own = company.rows("select entered_on from fct_points where origin = 'expiry'")
    assert all(day == TODAY for (day,) in own)
