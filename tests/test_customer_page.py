"""One customer on one page, in both languages, without personal data unless it is revealed."""

import json
import os
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
from careloop.settings import Settings
from conftest import DAYS, Company

LOCALES = ("en", "zh-CN")
# Rows of tables that the sample leaves empty for somebody, or that other models write.
ROWS = {
    "fct_customer_next_products": "1 as rank, 'P1001' as product_id, 'P1002' as "
    "because_of_product_id, 0.2::double as confidence, 2.0::double as lift, "
    "'12 % of those who bought it' as reason_en, '购买过的客户中有 12%' as reason_zh",
    "fct_replacements_due": "'P1001' as product_id, 30 as replacement_days, "
    "date '2026-10-05' as last_bought_on, date '2026-11-04' as due_on, 3 as days_until, "
    "'due' as state",
    "fct_customer_health": "'satisfaction' as component, 'last_satisfaction' as measure, "
    "0.8::double as value, 80.0::double as score, 0.2::double as weight, 16.0::double as "
    "contribution",
    "fct_customer_alerts": "'silence' as signal, date '2026-10-30' as onset_on, 61 as observed, "
    "10 as expected_low, 40 as expected_high, 0.01::double as likelihood",
    "fct_customer_tags": "'favourite_category' as tag, 'tea' as value, '7 lines' as evidence, "
    "date '2026-10-30' as evidence_on",
    "fct_customer_channels": "'app' as channel, 0.4::double as share",
    "fct_customer_tiers": "'gold' as tier, date '2026-01-01' as tier_since, 'spend' as reason",
    "fct_points": "'e1' as entry_id, timestamp '2026-10-30 01:00:00' as entered_at, "
    "date '2026-10-30' as entered_on, 'purchase' as reason, 12 as points",
    "fct_tickets": "'T1' as ticket_id, timestamp '2026-10-30 01:00:00' as opened_at, "
    "date '2026-10-30' as opened_on, 'complaint' as kind, true as is_open",
    "fct_follow_ups": "'F1' as follow_up_id, timestamp '2026-11-30 01:00:00' as planned_at, "
    "date '2026-11-30' as planned_on, 'planned' as state, 'call' as method, 0 as days_late",
}


def run(settings: Settings, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--home", str(settings.home)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def customer(company: Company) -> str:
    """Somebody of whom contact details are known, with follow-ups done."""
    return company.one(
        "select customer_id from fct_follow_ups where state = 'done' "
        "and customer_id in (select customer_id from fct_orders) order by customer_id limit 1"
    )


@pytest.fixture(scope="module")
def full(company: Company, customer: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose published version has a row of this customer in every table of the page."""
    home = tmp_path_factory.mktemp("full")
    (home / "published").mkdir()
    version = home / "published" / "marts-full.duckdb"
    shutil.copy((company.settings.published / "marts.duckdb").resolve(), version)
    (home / "published" / "marts.duckdb").symlink_to(version.name)
    with duckdb.connect(str(version)) as con:
        there = {t for (t,) in con.execute("select table_name from duckdb_tables()").fetchall()}
        for table, row in ROWS.items():
            select = f"select '{customer}' as customer_id, {row}"
            verb = f"insert into {table} by name" if table in there else f"create table {table} as"
            con.execute(f"{verb} {select}")
        if "fct_referral_rewards" not in there:
            con.execute("create table fct_referral_rewards (referrer_id varchar, referred_id "
                        "varchar, nth integer, converted_on date)")  # fmt: skip
        con.execute(
            "insert into fct_referral_rewards by name select "
            f"'{customer}' as referrer_id, 'C2' as referred_id, 1 as nth, date '2026-10-01' as "
            "converted_on"
            + (", 'R1' as referral_id, now()::timestamp as converted_at"
               if "fct_referral_rewards" in there else "")
        )  # fmt: skip
        if not con.execute("select 1 from duckdb_columns() where table_name = 'dim_customers' "
                           "and column_name = 'health'").fetchall():  # fmt: skip
            con.execute("alter table dim_customers add column health double default 71")
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
    assert say.value("days_until", 1, {}) == "1 day"
    assert say.value("is_open", True, {}) == "yes"
    assert say.value("segment", "core", {"core": {"en": "Core", "zh": "核心"}}) == "Core"
    assert say.field("orders_long") == "orders in 365 days"


def contacts(company: Company) -> list[dict[str, str]]:
    entity = entities()["contacts"]
    with duckdb.connect() as con:
        cursor = con.execute(current(Lake(company.settings.lake), entity))
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


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
