"""One customer on one page, in both languages, without personal data unless it is revealed."""

import json
import os
import re
import shutil
from pathlib import Path

import duckdb
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from careloop.access_log import accesses, log_file
from careloop.cli.main import app
from careloop.contract import entities
from careloop.customer_page.page import read_page, sections
from careloop.customer_page.render import words_of
from careloop.customer_page.words import words
from careloop.errors import CareloopError, SettingsError
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.settings import PROJECT_ROOT, Settings
from careloop.warehouse import rows_of
from conftest import DAYS, Company, run

LOCALES = ("en", "zh-CN")
# Rows of what the sample may leave empty for somebody, so that every section has something to show.
ROWS = {
    "fct_customer_next_products": "1 as rank, 'P1001' as product_id, 'P1002' as "
    "because_of_product_id, 0.2 as confidence, 2.0 as lift, '12 % of those who bought it' as "
    "reason_en, '购买过的客户中有 12%' as reason_zh",
    "fct_replacements_due": "'P1001' as product_id, 30 as replacement_days, "
    "date '2026-10-05' as last_bought_on, date '2026-11-04' as due_on, 3 as days_until, "
    "'due' as state",
    "fct_customer_alerts": "unnest(['open', 'closed']) as alert_key, 'rhythm_broken' as signal, "
    "'Unusually long' as signal_title_en, '异常长时间' as signal_title_zh, date '2026-10-30' as "
    "onset_on, date '2026-10-30' as last_seen_on, if(alert_key = 'open', null, date '2026-10-31') "
    "as closed_on, if(alert_key = 'open', null, 'cleared') as close_reason, alert_key = 'open' as "
    "is_open, 61 as observed, 10.5 as expected_low, 40 as expected_high, 0.0123 as likelihood, "
    "9 as points, 'no orders for 61 days; 10.5 to 40 expected after 9 intervals in 200 days; "
    "likelihood 1.23 %' as evidence, timestamp '2026-10-29 16:00:00' as as_of",
    "fct_tickets": "'T1' as ticket_id, timestamp '2026-10-30 01:00:00' as opened_at, "
    "date '2026-10-30' as opened_on, 'complaint' as kind, 'S9' as owner_id, true as is_open",
    "fct_follow_ups": "'F1' as follow_up_id, timestamp '2026-11-30 01:00:00' as planned_at, "
    "date '2026-11-30' as planned_on, 'planned' as state, 'call' as method, 0 as days_late",
}
ALERTED = (
    "churn_level = 'medium', churn_level_since = date '2026-10-30', churn_points = 9, "
    "open_alerts = 1, churn_action = 'win_back_plan', churn_owner = 'service', "
    "churn_offer = 'exclusive', points_expiring = 12, points_next_expiry_on = date '2026-11-20'"
)


@pytest.fixture(scope="module")
def customer(company: Company) -> str:
    """Somebody of whom there is much to tell."""
    there = " ".join(
        f"and customer_id in (select customer_id from {table})"
        for table in ("fct_orders", "fct_points", "fct_customer_channels", "fct_customer_tiers")
    )
    return company.one(
        f"select customer_id from fct_follow_ups where state = 'done' {there} "
        "order by customer_id limit 1"
    )


@pytest.fixture(scope="module")
def full(company: Company, customer: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose published version has a row of this customer in every section."""
    home = tmp_path_factory.mktemp("full")
    (home / "published").mkdir()
    version = home / "published" / "marts-full.duckdb"
    shutil.copy((company.settings.published / "marts.duckdb").resolve(), version)
    (home / "published" / "marts.duckdb").symlink_to(version.name)
    with duckdb.connect(str(version)) as con:
        for table, row in ROWS.items():
            con.execute(f"delete from {table} where customer_id = '{customer}'")
            con.execute(f"insert into {table} by name select '{customer}' as customer_id, {row}")
        con.execute(
            "insert into fct_follow_ups by name select 'F0' as follow_up_id, "
            f"'{customer}' as customer_id, timestamp '2026-10-01 02:00:00' as done_at, "
            "'call' as method, 'done' as state, 0 as days_late"
        )
        con.execute(
            "insert into fct_referral_rewards by name select 'R1' as referral_id, "
            f"'{customer}' as referrer_id, 'C2' as referred_id, 1 as nth, "
            "timestamp '2026-10-01' as converted_at, date '2026-10-01' as converted_on"
        )
        con.execute(f"update dim_customers set {ALERTED} where customer_id = '{customer}'")
    return Settings(home=home)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_section_is_there_in_both_languages(
    full: Settings, customer: str, locale: str
) -> None:
    text = run(full, "customer", customer, "--locale", locale)
    page = read_page(full, customer, None, locale)
    lang = locale[:2]
    assert [f.section.id for f in page.sections] == [s.id for s in sections()]
    for section in sections():
        assert f"\n{section.title[lang]}\n" in text, section.id
    assert max(cell_len(line) for line in text.splitlines()) <= 100
    other = {"en": "zh", "zh": "en"}[lang]
    assert not any(f"\n{section.title[other]}\n" in text for section in sections())


def test_every_field_has_a_name_in_both_languages(full: Settings, customer: str) -> None:
    known = words()["fields"]
    page = read_page(full, customer)
    missing = {c for f in page.sections for c in f.columns if c not in known}
    assert not missing
    guide = (PROJECT_ROOT / "docs" / "customer-page.md").read_text("utf-8")
    described = {found.section.id: f"| `{found.section.id}` |" in guide for found in page.sections}
    assert all(described.values()), described
    assert not [c for f in page.sections for c in f.columns if f"`{c}`" not in guide]
    for group in ("page", "fields", "units", "values"):
        for name, entry in words()[group].items():
            assert entry["en"], (group, name)
            assert entry["zh"], (group, name)


def test_the_programs_language_is_the_default(company: Company, customer: str) -> None:
    assert run(company.settings, "customer", customer) == run(
        company.settings, "customer", customer, "--locale", "zh-CN"
    )


def test_times_are_local_and_shares_per_cent(company: Company, customer: str) -> None:
    page = read_page(company.settings, customer)
    say = words_of(page, "en")
    orders = next(f for f in page.sections if f.section.id == "orders")
    at = orders.rows[0]["ordered_at"]
    local = company.one(f"select strftime(timestamp '{at}' + interval 8 hour, '%Y-%m-%d %H:%M')")
    assert say.value("ordered_at", at, {}) == local
    assert say.value("spend_rank", 0.973, {}) == "97 %"
    assert say.value("tenure_days", 1, {}) == "1 day"
    assert say.value("due_in_days", -1, {}) == "1 day late"
    assert say.value("due_in_days", 12, {}) == "in 12 days"
    assert say.value("likelihood", 0.00002, {}) == "< 0.01 %"
    assert say.value("is_open", True, {}) == "yes"
    assert say.value("segment", "core", {"core": {"en": "Core", "zh": "核心"}}) == "Core"
    assert say.field("orders_long") == "orders in 365 days"


def test_no_english_is_left_in_chinese_reasons(company: Company, customer: str) -> None:
    """Every reason and piece of evidence there is, of everybody."""
    say = words_of(read_page(company.settings, customer), "zh")
    columns = {
        "dim_customers": ("segment_reason", "stage_reason", "activity_reason", "value_note",
                          "preferred_channel_reason"),
        "fct_customer_tiers": ("reason",),
        "fct_customer_tags": ("evidence",),
        "fct_customer_alerts": ("evidence",),
        "fct_customer_health": ("measure",),
        "fct_customer_changes": ("reason",),
    }  # fmt: skip
    texts = {
        text
        for table, names in columns.items()
        for name in names
        for (text,) in company.rows(
            f"select distinct {name} from {table} where {name} is not null"
            # the page names the alerts of a level by their Chinese titles instead
            + (" and dimension <> 'churn_level'" if table == "fct_customer_changes" else "")
        )
    }
    assert len(texts) > 500
    left = {say.text(text) for text in texts if re.search("[a-z]{2,}", say.text(text))}
    assert not left
    assert say.text("orders_long ≥ 3 (5); is_member is false") == "近 365 天订单 ≥ 3 (5)；会员 为否"
    english = words_of(read_page(company.settings, customer), "en")
    assert english.text("orders_long ≥ 3 (5)") == "orders in 365 days ≥ 3 (5)"
    assert not [text for text in texts if re.search("[a-z]_[a-z]", english.text(text))]


def test_what_to_do_says_who_and_until_when(full: Settings, customer: str) -> None:
    found = next(
        f for f in read_page(full, customer, None, "en").sections if f.section.id == "to_do"
    )
    rows = [
        (row["what"], row["item"], str(row["due_on"]), row["due_in_days"], row["owner"])
        for row in found.rows
        if row["what"] != "tier_ends"
    ]
    product = found.rows[-1]["item"]
    assert rows == [
        ("alert_action", "win_back_plan", "2026-10-31", -1, "service"),
        ("open_ticket", "complaint", "None", None, "S9"),
        ("follow_up", "call", "2026-11-30", 29, None),
        ("replace", product, "2026-11-04", 3, None),
        ("points_expire", None, "2026-11-20", 19, None),
        ("recommend", product, "None", None, None),
    ]
    text = run(full, "customer", customer, "--locale", "zh-CN")
    assert re.search(
        r"处理预警 +挽回方案 +2026-10-31 +已逾期 1 天 +客服 +专属优惠", re.sub(r" {2,}", "  ", text)
    )
    assert re.search(r"积分到期 +12 分 +2026-11-20 +19 天后", text)


@pytest.mark.parametrize(
    ("within", "due"),
    [
        # The 30th is a Friday.
        ("1 wd", "2026-11-02"), ("3 wd", "2026-11-04"), ("1 mo", "2026-11-30"),
        ("1 y", "2027-10-30"), ("24 h", "2026-10-31"), ("1 h", "2026-10-30"),
    ],
)  # fmt: skip
def test_time_to_act_may_be_working_days_or_months(
    full: Settings, customer: str, tmp_path: Path, within: str, due: str
) -> None:
    amount, unit = within.split()
    (tmp_path / "published").mkdir()
    version = tmp_path / "published" / "marts.duckdb"
    shutil.copy((full.published / "marts.duckdb").resolve(), version)
    with duckdb.connect(str(version)) as con:
        con.execute(
            "update program.alert_levels set act_within_amount = ?, act_within_unit = ?, "
            "act_within_seconds = ?",
            [int(amount), unit, 3600 * int(amount) if unit == "h" else None],
        )
    page = read_page(Settings(home=tmp_path), customer)
    found = next(f for f in page.sections if f.section.id == "to_do")
    assert str(found.rows[0]["due_on"]) == due


def test_the_first_screen_answers_the_questions(full: Settings, customer: str) -> None:
    text = run(full, "customer", customer, "--locale", "en")
    places = [text.index(f"\n{title}\n") for title in (
        "Who this is", "What they are worth", "How they are doing", "What is wrong", "What to do",
        "Why there")]  # fmt: skip
    assert places == sorted(places)
    assert text[: places[-1]].count("\n") <= 62
    assert re.search(r"Satisfaction +[█░]{10} +\d+", text)
    assert re.search(r"61 +10\.5 – 40 +1\.23 % +9 +no orders for 61", text)
    assert "10.5 to 40" not in text[: places[-1]]


def contacts(company: Company) -> list[dict[str, str]]:
    entity = entities()["contacts"]
    with duckdb.connect() as con:
        return rows_of(con, current(Lake(company.settings.lake), entity))


def test_json_is_valid_and_has_no_personal_data(company: Company) -> None:
    """For thirty customers: no value of anybody's contact details is anywhere in it."""
    personal = {
        str(value)
        for row in contacts(company)
        for name, value in row.items()
        if name in ("name", "company_name", "phone", "email", "wecom_id", "push_token", "address")
        and value and len(str(value)) > 3
    }  # fmt: skip
    assert len(personal) > 1000
    ids = company.rows("select customer_id from dim_customers order by hash(customer_id) limit 30")
    for (customer_id,) in ids:
        text = run(company.settings, "customer", customer_id, "--json")
        data = json.loads(text)
        assert data["customer_id"] == customer_id
        assert {"profile", "standing", "history", "value"} <= set(data["sections"])
        profile = data["sections"]["profile"]
        title = company.one(
            f"select segment_title_zh from dim_customers where customer_id = '{customer_id}'"
        )
        assert profile["titles"]["segment"] == {profile["rows"]["segment"]: title}
        found = [value for value in personal if value in text]
        assert not found
    assert not log_file(company.settings).exists()


def test_an_older_version_is_an_older_page(company: Company, customer: str) -> None:
    names = sorted(
        p.stem.removeprefix("marts-") for p in company.settings.published.glob("marts-*")
    )
    data = json.loads(run(company.settings, "customer", customer, "--version", names[0], "--json"))
    assert data["as_of"].startswith(DAYS[0])


def test_reveal_shows_contacts_and_is_logged_first(
    company: Company, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = company.settings
    monkeypatch.setenv("CARELOOP_USER", "li.na")
    expected = {
        name: str(value)
        for row in contacts(company)
        if row["customer_id"] == customer
        for name, value in row.items()
        if value and name in entities()["contacts"].columns
        and name not in ("customer_id", "updated_at")
    }  # fmt: skip
    try:
        why = "calls back about T1"
        text = run(settings, "customer", customer, "--reveal", "--reason", why)
        data = json.loads(
            run(settings, "customer", customer, "--reveal", "--reason", "again", "--json")
        )
        assert data["contact"] == expected
        assert all(value in text for name, value in expected.items() if name == "phone")
        lines = [json.loads(x) for x in log_file(settings).read_text("utf-8").splitlines()]
        assert [(x["who"], x["customer_id"], x["why"]) for x in lines] == [
            ("li.na", customer, why), ("li.na", customer, "again")
        ]  # fmt: skip
        assert lines[0]["fields"] == list(expected)
        assert lines[0]["run_id"] == data["run_id"]
        assert log_file(settings).stat().st_mode & 0o077 == 0
        assert not any(value in json.dumps(lines) for value in expected.values())

        listed = json.loads(run(settings, "access-log", "--json"))
        assert listed == lines
        assert len(json.loads(run(settings, "access-log", "--who", "nobody", "--json"))) == 0
        assert len(json.loads(run(settings, "access-log", "--customer", customer, "--json"))) == 2
        assert json.loads(run(settings, "access-log", "--since", "2999-01-01", "--json")) == []
        assert "calls back" in run(settings, "access-log")
    finally:
        log_file(settings).unlink(missing_ok=True)


@pytest.mark.parametrize("reason", [(), ("--reason", "  ")])
def test_no_reason_shows_nothing_and_logs_nothing(
    company: Company, customer: str, reason: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError, match="only for a reason"):
        run(company.settings, "customer", customer, "--reveal", *reason)
    assert not log_file(company.settings).exists()


def test_what_cannot_be_logged_is_not_shown(
    company: Company, customer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> int:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full_disk)
    arguments = ["customer", customer, "--reveal", "--reason", "x"]
    result = CliRunner().invoke(app, [*arguments, "--home", str(company.settings.home)])
    log_file(company.settings).unlink(missing_ok=True)
    assert isinstance(result.exception, CareloopError)
    assert result.output == ""


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert accesses(settings) == []
    log_file(settings).write_text("{}\n")
    with pytest.raises(CareloopError, match=r"line 1 .* is damaged"):
        accesses(settings)


def test_an_unknown_customer_and_a_wrong_locale(company: Company, customer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        run(company.settings, "customer", customer[:-1] + "x")
    assert "did you mean" in str(caught.value)
    assert "careloop sql" in str(caught.value)
    with pytest.raises(SettingsError, match="no page in fr"):
        run(company.settings, "customer", customer, "--locale", "fr")
    with pytest.raises(SettingsError, match="--reason says why"):
        run(company.settings, "customer", customer, "--reason", "x")


def test_tickets_and_follow_ups_are_those_of_the_lake(company: Company) -> None:
    with duckdb.connect() as con:
        for entity, mart, key in (
            ("tickets", "fct_tickets", "ticket_id"), ("follow_ups", "fct_follow_ups", "follow_up_id")
        ):  # fmt: skip
            rows = current(Lake(company.settings.lake), entities()[entity])
            as_of = company.one("select as_of_utc from rpt_run")
            seen = f" where opened_at <= timestamp '{as_of}'" if entity == "tickets" else ""
            expected = con.execute(f"select {key} from ({rows}){seen} order by 1").fetchall()
            assert company.rows(f"select {key} from {mart} order by 1") == expected
            assert expected
    wrong = company.one(
        "select count(*) from fct_tickets where is_open <> (resolved_at is null and closed_at is "
        "null) or (response_hours is null) <> (first_response_at is null)"
    )
    assert wrong == 0
    day = company.one("select as_of_on from rpt_run")
    for state, done_on, due_on, planned_on in company.rows(
        "select state, done_on, due_on, planned_on from fct_follow_ups"
    ):
        expected_on = due_on or planned_on
        wanted = "done" if done_on else "overdue" if expected_on < day else "planned"
        assert state == wanted
