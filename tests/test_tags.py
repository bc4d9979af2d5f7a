"""Tags and preferences: rules of packs, and the marts against a plain reference."""

import datetime as dt
import shutil
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from careloop.program import load_program
from careloop.program.conditions import Condition, judged_sql
from careloop.program.load import InvalidProgram, program_names
from careloop.program.tag_sql import needed_entity, tag_inputs, tag_rule
from careloop.settings import PROJECT_ROOT
from conftest import DAYS, Company

PROGRAMS = PROJECT_ROOT / "programs"
PACKS = program_names(PROGRAMS)
DAY = dt.date.fromisoformat(DAYS[-1])


# ------------------------------------------------------------------------------ mistakes in packs

# Text replaced in retail_care, path of the problem, part of the message, something allowed.
BROKEN = [
    ("measure: age_years", "measure: age", "tags.definitions[2].measure", "is not a measure",
     "age_years"),
    ("measure: age_years", "measure: region", "tags.definitions[2].measure",
     "is text: only numbers have bands", "age_years"),
    ("{from: 45, id: age_45_59", "{from: 60, id: age_45_59", "tags.definitions[2].bands[1].from",
     "must be lower than that of the band before (60)", None),
    ("{from: 45, id: age_45_59", "{id: age_45_59", "tags.definitions[2].bands[1]",
     "only the last band may lack it", None),
    ("id: age_45_59, title: {en: 45 to 59, zh: 45–59 岁}", "id: age_45_59",
     "tags.definitions[2].bands[1].title", "is missing", None),
    ("title: {en: Age, zh: 年龄段}", "title: {en: Age}", "tags.definitions[2].title.zh",
     "is missing", None),
    ("column: customers.region", "column: customers.birthday", "tags.definitions[1].column",
     "is not a column a tag can be copied from", "customers.region"),
    ("column: customers.region", "column: contacts.email", "tags.definitions[1].column",
     "is not a column a tag can be copied from", "customers.interests"),
    ("column: customers.region", "contains: [north]", "tags.definitions[1]",
     "needs exactly one of these keys", "most"),
    ("column: customers.region", "column: customers.region, window_days: 9",
     "tags.definitions[1].window_days", "does not go with `column`", "contains"),
    ("window_days: 365, min_events: 3, ", "min_events: 3, ",
     "tags.definitions[4].window_days", "is needed with `most: category`", None),
    ("most: channel, min_share: 0.4", "most: channel, min_events: 3",
     "tags.definitions[10].min_events", "does not go with `most: channel`", "min_share"),
    ("most: channel, min_share: 0.4", "most: category, min_events: 3, window_days: 9",
     "tags.definitions[10].most", "is the rule of favourite_category already", None),
    ("most: channel", "most: colour", "tags.definitions[10].most", "is not allowed", "channel"),
    ("id: late_deliveries", "id: overall", "tags.definitions[9].id", "name of the line", None),
    ("fallback: [wecom, sms", "fallback: [visit, sms", "channel_preference.fallback[0]",
     "is not one of channels", "wecom"),
    ("counts_as: {app: push}", "counts_as: {app: visit}", "channel_preference.counts_as.app",
     "is not one of channels", "push"),
    ('from: "12:00", until: "14:00"', 'from: "11:00", until: "14:00"',
     "channel_preference.contact_times.dayparts[1].from", "is before morning ends", None),
    ('from: "12:00", until: "14:00"', 'from: "12:00", until: "12:00"',
     "channel_preference.contact_times.dayparts[1].until", "is not after from", None),
    ('from: "12:00", until: "14:00"', 'from: "12:00", until: "25:00"',
     "channel_preference.contact_times.dayparts[1].until", "is not a time of day", None),
    ("fallback: evening", "fallback: night", "channel_preference.contact_times.fallback",
     "is no part of the day", "evening"),
    ("{reply: 3, call: 3", "{reply: 0, call: 3", "channel_preference.weights.reply",
     "greater than or equal", None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "message", "allowed"), BROKEN)
def test_a_mistake_is_named_with_its_path(
    tmp_path: Path, old: str, new: str, path: str, message: str, allowed: str | None
) -> None:
    folder = tmp_path / "retail_care"
    shutil.copytree(PROGRAMS / "retail_care", folder)
    file = folder / "program.yml"
    text = file.read_text("utf-8")
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InvalidProgram) as caught:
        load_program(folder)
    found = {p.path: p for p in caught.value.problems}
    assert path in found, list(found)
    assert message in found[path].message
    assert found[path].line
    assert allowed is None or allowed in found[path].allowed


def test_midnight_ends_a_daypart(tmp_path: Path) -> None:
    folder = tmp_path / "retail_care"
    shutil.copytree(PROGRAMS / "retail_care", folder)
    file = folder / "program.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace('until: "21:00"', 'until: "24:00"'), "utf-8")
    assert load_program(folder).channel_preference.contact_times.dayparts[-1].until_ == "24:00"


@pytest.mark.parametrize("pack", PACKS)
def test_packs_have_the_tags_of_their_program(pack: str) -> None:
    wanted = {
        "retail_care": {"interests", "favourite_category", "spending_power", "region", "sex"},
        "key_account": {"product_preference", "service_sensitive", "likely_need", "industry"},
        "online_crm": {"sex", "age_band", "region", "spending_power", "purchase_preference",
                       "interaction_frequency", "after_sale_demand", "content_form"},
        "b2b_service": {"value_high", "value_potential", "stage_new", "stage_stable",
                        "stage_churn_risk", "price_sensitive", "service_first", "technical"},
        "service_desk": {"after_sale_demand", "complained", "service_first"},
    }  # fmt: skip
    tags = {tag.id for tag in load_program(pack, PROGRAMS).tags.definitions}
    assert wanted.get(pack, set()) | {"preferred_channel"} <= tags


# ----------------------------------------------------------------------------------- rules as SQL


def _settled(tree: dict, row: dict) -> bool | None:
    """Whether a condition holds, None where what is known does not settle it."""
    if "not" in tree:
        inner = _settled(tree["not"], row)
        return None if inner is None else not inner
    if "all" in tree or "any" in tree:
        decisive = "any" in tree
        answers = [_settled(child, row) for child in tree.get("all") or tree["any"]]
        return decisive if decisive in answers else None if None in answers else not decisive
    value = row[tree["measure"]]
    if "is_known" in tree:
        return (value is not None) == tree["is_known"]
    return None if value is None else value >= tree["at_least"]


def _trees(depth: int) -> Iterator[dict]:
    yield {"measure": "orders_long", "at_least": 2}
    yield {"measure": "spend_rank", "at_least": 0.5}
    yield {"measure": "spend_rank", "is_known": False}
    if depth:
        children = list(_trees(depth - 1))
        for child in children:
            yield {"not": child}
        for first, second in pairwise(children):
            yield {"all": [first, second]}
            yield {"any": [first, second]}


def test_a_condition_is_judged_when_what_is_known_settles_it() -> None:
    rows = [
        {"orders_long": orders, "spend_rank": rank}
        for orders in (None, 1, 2)
        for rank in (None, 0.4, 0.5)
    ]
    with duckdb.connect() as con:
        con.execute("create table c (orders_long bigint, spend_rank double)")
        con.executemany("insert into c values (?, ?)", [list(row.values()) for row in rows])
        trees = list(_trees(2))
        assert len(trees) > 20
        for tree in trees:
            sql = judged_sql(Condition.model_validate(tree))
            got = [value for (value,) in con.execute(f"select {sql} from c").fetchall()]
            assert got == [_settled(tree, row) is not None for row in rows], tree


@pytest.mark.parametrize("pack", PACKS)
def test_rules_of_packs_are_sql_over_their_inputs(pack: str) -> None:
    """On a customer of whom nothing is known: no tag, no evidence, nothing judged."""
    program = load_program(pack, PROGRAMS)
    columns = {"customer_type": "varchar", "customer_updated_on": "date", "evaluated_on": "date"}
    for kind, name, _ in tag_inputs(program.tags):
        if kind == "measure":
            columns[name] = "boolean" if name.startswith("is_") else "double"
        elif kind == "column":
            columns[f"customers_{name}"] = "varchar"
        else:
            columns |= {f"{name}_{c}": "double" for c in ("events", "all_events", "share")}
            columns |= {f"{name}_value": "varchar", f"{name}_last_on": "date"}
    columns |= {"service_package": "varchar"}
    with duckdb.connect() as con:
        con.execute(f"create table c ({', '.join(f'{k} {v}' for k, v in columns.items())})")
        con.execute("insert into c (customer_type) values (null)")
        for tag in program.tags.definitions:
            rule = tag_rule(tag, program.channel_preference)
            sql = f"select {rule.value}, {rule.filled}, {rule.evidence_on} from c"
            value, filled, _ = con.execute(sql).fetchall()[0]
            assert (value, filled) == (None, False), tag.id


def test_counts_need_their_entity() -> None:
    assert needed_entity("tickets_long") == needed_entity("complaints_medium") == "tickets"
    assert needed_entity("dwell_minutes_short") == needed_entity("logins_short") == "interactions"
    assert needed_entity("orders_long") is needed_entity("spend_long_rank") is None


def test_words_are_found_whatever_their_capitals() -> None:
    program = load_program("b2b_service", PROGRAMS)
    tag = next(t for t in program.tags.definitions if t.id == "technical")
    tag = tag.model_copy(update={"contains": ["it's", "技术"]})
    rule = tag_rule(tag, program.channel_preference)
    with duckdb.connect() as con:
        for text, value in (("ask: IT'S", "yes"), ("工业技术", "yes"), ("its", None), (None, None)):
            row = con.execute(
                f"select {rule.value}, {rule.evidence} from (select ?::varchar customers_interests)",
                [text],
            ).fetchall()[0]
            assert row[0] == value
            assert (row[1] is not None) == (value is not None)


# ------------------------------------------------------------ the marts against a plain reference


class Reference:
    """Preferred channels and favourites of the sample company, one customer at a time."""

    def __init__(self, company: Company) -> None:
        self.program = load_program("retail_care", PROGRAMS)
        self.preference = self.program.channel_preference
        self.zone = ZoneInfo(self.program.zone)
        self.con = duckdb.connect(str(company.settings.warehouse), read_only=True)
        midnight = dt.datetime.combine(DAY, dt.time(), self.zone)
        self.as_of = midnight.astimezone(dt.UTC).replace(tzinfo=None)

    def local(self, at: dt.datetime) -> dt.datetime:
        return at.replace(tzinfo=dt.UTC).astimezone(self.zone)

    def in_window(self, at: dt.datetime | None, days: int) -> bool:
        return bool(at) and at <= self.as_of and (DAY - self.local(at).date()).days <= days

    def rows(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()

    def responses(self) -> dict[str, list[tuple[str, str, dt.datetime]]]:
        """Channel, kind and time of each response, by customer."""
        chosen = self.preference
        events = self.rows("select customer_id, channel, kind, occurred_at from raw.interactions")
        events += self.rows(
            "select customer_id, method, method, done_at from raw.follow_ups "
            "where feedback is not null"
        )
        found = defaultdict(list)
        for customer, channel, kind, at in events:
            channel = chosen.counts_as.get(channel, channel)
            counts = channel in chosen.channels and kind in chosen.weights
            if counts and self.in_window(at, chosen.window_days):
                found[customer].append((channel, kind, at))
        return found

    def channels(self) -> dict[str, list[tuple]]:
        """Channel, responses, score, share and last local day, best first, by customer."""
        result = {}
        for customer, events in self.responses().items():
            total = sum(self.preference.weights[kind] for _, kind, _ in events)
            scored = []
            for channel in {channel for channel, _, _ in events}:
                mine = [(kind, at) for name, kind, at in events if name == channel]
                score = sum(self.preference.weights[kind] for kind, _ in mine)
                last = max(at for _, at in mine)
                place = self.preference.channels.index(channel)
                scored.append(((-score, -len(mine), -last.timestamp(), place),
                               (channel, len(mine), score, score / total,
                                self.local(last).date())))  # fmt: skip
            result[customer] = [row for _, row in sorted(scored)]
        return result

    def daypart(self, customer: str) -> str | None:
        """The part of the day with the highest score; None with too few responses."""
        times = self.preference.contact_times
        found: dict[str, list] = defaultdict(lambda: [0.0, 0, 0.0])
        for _, kind, at in self.responses().get(customer, []):
            clock = f"{self.local(at):%H:%M}"
            for part in times.dayparts:
                if part.from_ <= clock < part.until_:
                    entry = found[part.id]
                    entry[0] += self.preference.weights[kind]
                    entry[1] += 1
                    entry[2] = max(entry[2], at.timestamp())
        if sum(entry[1] for entry in found.values()) < times.min_events:
            return None
        return max(found, key=lambda part: found[part])

    def favourites(self) -> dict[str, tuple]:
        """Category bought most in the window, lines with it, lines in all, by customer."""
        tag = next(t for t in self.program.tags.definitions if t.most == "category")
        bought = defaultdict(lambda: defaultdict(list))
        for customer, category, at, status in self.rows(
            "select customer_id, category, ordered_at, status from staging.stg_orders "
            "join raw.order_lines using (order_id) join raw.products using (product_id)"
        ):
            kept = status not in ("cancelled", "returned") and category is not None
            if kept and self.in_window(at, tag.window_days):
                bought[customer][category].append(self.local(at).date())
        result = {}
        for customer, mine in bought.items():
            best = max(mine, key=lambda c: (len(mine[c]), max(mine[c]), c))
            result[customer] = (best, len(mine[best]), sum(map(len, mine.values())))
        return result


@pytest.fixture(scope="module")
def reference(company: Company) -> Iterator[Reference]:
    reference = Reference(company)
    yield reference
    reference.con.close()


def test_channels_are_what_the_reference_counts(company: Company, reference: Reference) -> None:
    found = defaultdict(list)
    for customer, rank, *row in company.rows(
        "select customer_id, channel_rank, channel, responses, score::double, share, "
        "last_response_on from fct_customer_channels order by customer_id, channel_rank"
    ):
        found[customer].append(tuple(row))
        assert rank == len(found[customer])
    expected = reference.channels()
    assert len(expected) > 100
    assert found.keys() == expected.keys()
    for customer, rows in expected.items():
        for got, wanted in zip(found[customer], rows, strict=True):
            assert got[:3] == wanted[:3], customer
            assert got[3] == pytest.approx(wanted[3])
            assert got[4] == wanted[4]


def test_preferences_follow_from_responses_and_wishes(reference: Reference) -> None:
    chosen, channels = reference.preference, reference.channels()
    wishes = dict(reference.rows("select customer_id, preferred_channel from raw.customers"))
    basis = defaultdict(int)
    for customer, channel, because, time_because in reference.rows(
        "select customer_id, preferred_channel, preferred_channel_basis, "
        "preferred_time_basis from intermediate.int_customer_preferences"
    ):
        rows = channels.get(customer, [])
        wish = chosen.counts_as.get(wishes[customer], wishes[customer])
        if sum(row[1] for row in rows) >= chosen.min_events:
            assert (channel, because) == (rows[0][0], "observed")
        elif wish in chosen.channels:
            assert (channel, because) == (wish, "stated")
        else:
            assert (channel, because) == (chosen.fallback[0], "fallback")
        basis[because] += 1
        basis[f"time {time_because}"] += 1
    assert len(basis) == 6, dict(basis)


def test_times_of_day_are_what_the_reference_counts(reference: Reference) -> None:
    found = dict(
        reference.rows(
            "select customer_id, preferred_daypart from intermediate.int_customer_preferences "
            "where preferred_time_basis = 'observed'"
        )
    )
    responses = reference.responses()
    reference.responses = lambda: responses  # counted once
    expected = {c: part for c in responses if (part := reference.daypart(c))}
    assert len(expected) > 50
    assert found == expected


def test_favourites_are_what_the_reference_counts(reference: Reference) -> None:
    found = {
        customer: tuple(row)
        for customer, *row in reference.rows(
            "select customer_id, value, events, all_events from intermediate.int_customer_most "
            "where kind = 'category'"
        )
    }
    expected = reference.favourites()
    assert len(expected) > 100
    assert found == expected


def test_tags_summary_and_completeness_agree(company: Company, reference: Reference) -> None:
    counted = dict(company.rows("select tag, count(*) from fct_customer_tags group by tag"))
    lines = {
        row[0]: row[1:]
        for row in company.rows(
            "select tag, customers, filled, tagged, completeness, is_met, is_fresh, "
            "oldest_evaluation_on from rpt_tag_completeness"
        )
    }
    overall = lines.pop("overall")
    assert counted == {tag: line[2] for tag, line in lines.items() if line[2]}
    assert overall[:3] == tuple(sum(line[i] for line in lines.values()) for i in range(3))
    summed = reference.rows(
        "select sum(applicable_tags), sum(filled_tags), sum(tag_count), "
        "bool_and(tag_count <= filled_tags and filled_tags <= applicable_tags) "
        "from intermediate.int_customer_tag_summary"
    )[0]
    assert summed == (*overall[:3], True)
    for customers, filled, tagged, completeness, _, is_fresh, evaluated_on in lines.values():
        assert tagged <= filled <= customers
        assert completeness == pytest.approx(filled / customers)
        assert is_fresh
        assert evaluated_on == DAY
    companies = company.one("select count(*) from dim_customers where customer_type = 'company'")
    everyone = company.one("select count(*) from dim_customers")
    assert companies > 0
    assert (lines["sex"][0], lines["region"][0]) == (everyone - companies, everyone)


def test_static_tags_are_copied_and_dated(company: Company, reference: Reference) -> None:
    recorded = {
        row[0]: row[1:]
        for row in reference.rows(
            "select customer_id, trim(interests), updated_at from raw.customers "
            "where trim(interests) <> ''"
        )
    }
    tags = company.rows(
        "select customer_id, value, evidence_on, expires_on from fct_customer_tags "
        "where tag = 'interests'"
    )
    assert len(tags) > 100
    for customer, value, evidence_on, expires_on in tags:
        interests, updated_at = recorded[customer]
        assert (value, expires_on) == (interests, None)
        if updated_at and updated_at <= reference.as_of:
            assert evidence_on == reference.local(updated_at).date()
        else:
            assert evidence_on is None or evidence_on <= DAY
