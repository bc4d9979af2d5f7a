"""Messages: strict templates, the right file, polite and safe texts, signed links, preview."""

import json
import re
import shutil
from collections import Counter
from datetime import date, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from careloop.channels.base import Rendered
from careloop.cli.main import app
from careloop.errors import ProgramError, SettingsError
from careloop.messages import (
    VARIABLES,
    Renderer,
    RenderProblem,
    check,
    check_all,
    render,
    render_batch,
    sign,
    unsubscribe_url,
    verify,
)
from careloop.messages.batch import _people_sql, address_on
from careloop.messages.files import locate, normal_locale
from careloop.messages.links import SECRET, gaps, survey_url
from careloop.messages.polite import (
    called,
    clean_name,
    greeting,
    moment,
    money,
    offer_value,
    valid_until,
)
from careloop.messages.rendering import RenderError
from careloop.messages.values import Person, example_values, is_task, values
from careloop.messages.variables import trigger_of, variables_markdown
from careloop.program.base import Text
from careloop.program.care import Offer
from careloop.program.load import load_program, program_names
from careloop.settings import PROJECT_ROOT, Settings

PACKS = ("b2b_service", "key_account", "online_crm", "retail_care", "service_desk")
PROGRAMS = PROJECT_ROOT / "programs"
MESSAGE = {
    "message_id": "ab" * 16,
    "decision_key": "cd" * 16,
    "customer_id": "C1",
    "rule": "birthday",
    "template": "birthday",
    "channel": "email",
    "purpose": "care",
    "kind": "send",
    "locale": "en",
    "offer": "birthday_coupon",
    "occasion": "birthday:2026",
    "about": '{"occasion_on": "2026-11-01"}',
    "contact_on": date(2026, 11, 1),
}
EMAIL = Person(name="Chloe Carter", sex="female", email="chloe@example.com")


@cache
def pack(name: str = "retail_care"):
    return load_program(PROGRAMS / name)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "correct horse battery staple")


@pytest.fixture
def own(tmp_path: Path):
    """A copy of retail_care with one more folder for what is shared; `load` after changes."""
    shutil.copytree(PROGRAMS / "retail_care", tmp_path / "retail_care")
    shutil.copytree(PROGRAMS / "_common", tmp_path / "_common")

    class Own:
        folder = tmp_path / "retail_care" / "messages"
        common = tmp_path / "_common" / "messages"

        def write(self, name: str, text: str) -> None:
            (self.folder / name).write_text(text, "utf-8")

        def problems(self) -> list[str]:
            return [str(p) for p in check(load_program(tmp_path / "retail_care", tmp_path))]

        def load(self):
            return load_program(tmp_path / "retail_care", tmp_path)

    return Own()


# -- every text of every pack ----------------------------------------------------------------


def test_all_packs_are_covered() -> None:
    assert tuple(program_names(PROGRAMS)) == PACKS
    assert all(pack(name).rules for name in PACKS)


@pytest.mark.parametrize("name", PACKS)
def test_every_message_of_a_pack_is_right(name: str) -> None:
    assert check_all(pack(name)) == []


@cache
def all_texts() -> list[tuple[str, str, str, str, object]]:
    """Pack, rule, channel, locale and content of everything, with example values."""
    found = []
    for name in PACKS:
        program = pack(name)
        for rule in program.rules:
            for channel in rule.channels:
                for locale in program.locales:
                    known = example_values(program, rule, channel, locale)
                    task = is_task(rule, channel)
                    content = render(
                        program,
                        rule.template,
                        channel,
                        locale,
                        known,
                        purpose=rule.purpose,
                        task=task,
                    )
                    found.append((name, rule.id, channel, locale, content))
    return found


def test_texts_are_in_their_language_and_complete() -> None:
    url = re.compile(r"https?://\S+")
    for name, rule, channel, locale, content in all_texts():
        where = (name, rule, channel, locale)
        whole = f"{content.subject or ''}\n{content.text}"
        assert not re.search(r"\{\{|\{%|None|•|undefined", whole), where
        plain = url.sub("", whole)
        chinese = re.findall(r"[\u4e00-\u9fff]", plain)
        if locale == "zh-CN":
            assert len(chinese) >= 10, where
            # No English sentence: never three words in a row.
            assert not re.search(r"[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}", plain), where
            assert not re.search(r"[\u4e00-\u9fff][,;!?]|,[\u4e00-\u9fff]", plain), where
        else:
            assert not chinese, (where, chinese)
            assert not re.search(r"[，。；：！？（）「」【】]", plain), where


def test_texts_promise_nothing_the_law_forbids() -> None:
    """Absolute claims are forbidden in Chinese advertising."""
    forbidden = re.compile(
        r"最(?!后|近|希望|着急|常|大的期望|差|好，)|第一(?!次|份|时间)|国家级|顶级|绝对|100%|永久|仅此一次"
    )
    found = [
        (n, r, c) for n, r, c, lo, t in all_texts() if lo == "zh-CN" and forbidden.search(t.text)
    ]
    assert found == []


def test_marketing_sms_say_how_to_opt_out_and_service_ones_do_not() -> None:
    for name, rule_id, channel, locale, content in all_texts():
        rule = next(r for r in pack(name).rules if r.id == rule_id)
        if channel != "sms" or is_task(rule, channel):
            continue
        opt_out = "拒收请回复R" if locale == "zh-CN" else "Reply R to opt out."
        promoted = rule.purpose == "marketing" or (rule.purpose != "service" and rule.offer)
        assert content.text.endswith(opt_out) == bool(promoted), (name, rule_id)
        assert "\n" not in content.text
        assert content.subject is None
        if locale == "zh-CN":
            assert content.text.startswith("【蓝鸟生活】")


class Strict(HTMLParser):
    """Notes what is open, and everything a mail must not load."""

    VOID = ("meta", "br", "img", "link", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()
        self.lang = ""

    def handle_starttag(self, tag, attrs) -> None:
        self.seen[tag] += 1
        known = dict(attrs)
        self.lang = known.get("lang") or self.lang
        if "src" in known or tag in ("img", "link", "script", "iframe", "form"):
            self.wrong.append(f"{tag} {known}")
        if len(known) != len(attrs):
            self.wrong.append(f"an attribute twice in {tag}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def parsed(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    parser.close()
    return parser


def test_html_is_well_formed_and_loads_nothing() -> None:
    pages = [(w, c.html) for *w, c in all_texts() if c.html]
    assert len(pages) > 60
    for where, html in pages:
        found = parsed(html)
        assert found.wrong == [], where
        assert found.open == [], where
        assert found.lang == where[3]
        assert found.seen["title"] == found.seen["body"] == 1
        assert html.startswith("<!DOCTYPE html>")
        assert "url(" not in html
        assert "@import" not in html
        assert "@font-face" not in html
        assert "font-size:16px" in html
        assert "max-width:600px" in html
        if where[3] == "zh-CN":
            assert "PingFang SC" in html


def test_rendering_is_deterministic() -> None:
    before = all_texts()
    all_texts.cache_clear()
    assert all_texts() == before


def test_only_marketing_and_care_mails_have_the_way_out() -> None:
    seen = Counter()
    for name, rule_id, channel, _, content in all_texts():
        rule = next(r for r in pack(name).rules if r.id == rule_id)
        if channel != "email" or is_task(rule, channel):
            continue
        has = "https://care.example.com/u/" in content.html
        assert has == (rule.purpose != "service"), (name, rule_id)
        assert has == ("https://care.example.com/u/" in content.text)
        seen[has] += 1
    assert set(seen) == {True, False}


def test_what_an_employee_is_told_has_a_title_and_is_as_written() -> None:
    """On whatever channel: nothing a customer's message gets is added."""
    seen = Counter()
    for name, rule_id, channel, locale, content in all_texts():
        rule = next(r for r in pack(name).rules if r.id == rule_id)
        if not is_task(rule, channel):
            continue
        seen[channel] += 1
        assert content.subject
        assert content.html is None
        marks = ("要说：", "按顺序谈：", "要问：") if locale == "zh-CN" else ("Say: ", "Ask: ")
        assert any(mark in content.text for mark in marks)
        assert content.text.count("\n\n") >= 3
        assert not re.search("【|拒收|Reply R|蓝鸟|Bluebird", content.text)
    assert {"sms", "email", "call", "wecom", "visit"} <= set(seen)


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    named = " ".join(gaps(Settings(), pack()))
    assert "sender_name" in named
    assert "public_url" in named
    assert "double_11" in named
    open_url = Settings(sender_name="x", public_url="https://a.example")
    assert [SECRET in gap for gap in gaps(open_url, pack())] == [True]
    with pytest.raises(SettingsError, match=SECRET):
        Renderer(open_url, pack())
    monkeypatch.setenv(SECRET, "correct horse battery staple")
    assert gaps(open_url, pack()) == []


# -- strictness: each mistake is named with its file and line ----------------------------------

BODY = "Subject: Hello\n\nFirst line\n\n"
MISTAKES = {
    "unknown variable": ("Subject: x\n\n\n{{ custmer }}\n", "line 4: custmer is no variable"),
    "unknown in subject": ("Subject: {{ oops }}\n\ntext\n", "line 1: oops is no variable"),
    "unknown in html": (
        "Subject: x\n\ntext\n--- html ---\n<p>{{ oops }}</p>\n",
        "line 5: oops is no",
    ),
    "not of this trigger": (BODY + "{{ order_id }}\n", "line 5: order_id does not exist for rule"),
    "can be empty": (BODY + "\n{{ shop_url }}\n", "line 6: shop_url can be empty"),
    "empty in a filter": (BODY + "{{ shop_url | upper }}\n", "line 5: shop_url can be empty"),
    "empty in a sum": (BODY + "{{ 'x' ~ shop_url }}\n", "line 5: shop_url can be empty"),
    "attribute": (BODY + "{{ called.missing }}\n", "line 5: "),
    "escape from the sandbox": (BODY + "{{ called.__class__.__mro__ }}\n", "line 5: "),
    "syntax": (BODY + "{% if called %}\n", "line "),
    "unknown filter": (BODY + "{{ called | shout }}\n", "line 5: No filter named 'shout'"),
    "include": (BODY + "{% include 'x' %}\n", "line 5: "),
    "a function": (BODY + "{{ range(3) }}\n", "line 5: range is no variable"),
    "html in a text": (BODY + "{{ called | safe }}\n", "line 5: No filter named 'safe'"),
    "no subject": ("text only\n", "line 1: must begin with `Subject: …`"),
    "empty subject": (
        "Subject: {{ shop_url if false else '' }}\n\ntext\n",
        "line 1: has an empty subject",
    ),
    "no text": ("Subject: x\n\n", "line 2: the text is empty"),
    "braces left": (BODY + "{{ '{{' }} called }}\n", "leaves braces in the text"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_named(own, what: str) -> None:
    text, expected = MISTAKES[what]
    own.write("birthday.any.en.j2", text)
    problems = own.problems()
    assert problems, what
    assert all("retail_care/messages/birthday.any.en.j2" in p for p in problems)
    assert any(expected in p for p in problems), problems


def test_an_unknown_variable_comes_with_the_allowed_ones(own) -> None:
    own.write("birthday.any.en.j2", "Subject: x\n\n{{ nam }}\n")
    [problem] = check(own.load())
    assert problem.line == 3
    assert problem.allowed == tuple(v.name for v in VARIABLES)


def test_missing_files_are_named(own) -> None:
    (own.common / "order_paid.any.en.j2").unlink()
    (own.common / "late_delivery.call.zh-CN.j2").unlink()
    found = own.problems()
    assert found == [
        "retail_care/messages/late_delivery.call.zh-CN.j2: is missing: late_delivery needs it for call",
        "retail_care/messages/order_paid.any.en.j2: is missing: order_paid needs it for wecom, sms, email",
    ]


def test_a_text_is_for_customers_or_for_employees(own) -> None:
    rules = own.folder.parent / "rules.yml"
    text = rules.read_text("utf-8").replace("template: consult_offer", "template: useful_content")
    rules.write_text(text, "utf-8")
    assert any("is told to an employee by consult_offer" in p for p in own.problems())


def test_strays_and_long_sms_are_only_noted(own) -> None:
    own.write("nobody.any.en.j2", "Subject: x\n\ntext\n")
    own.write("birthday.sms.en.j2", "long " * 120)
    found = check_all(own.load())
    assert check(own.load()) == []
    assert [p.is_warning for p in found] == [True, True]
    assert "characters as an SMS" in str(found[0])
    assert "is used by no rule" in str(found[1])


def test_wrong_names_are_refused(own) -> None:
    own.write("birthday.fax.en.j2", "Subject: x\n\ntext\n")
    own.write("birthday.en.j2", "Subject: x\n\ntext\n")
    found = own.problems()
    assert any("fax is no channel" in p for p in found)
    assert any("is not the name of a message" in p for p in found)


def test_not_utf8_is_named(own) -> None:
    (own.folder / "birthday.any.zh-CN.j2").write_bytes("Subject: 生日\n\n快乐".encode("gb18030"))
    assert any("is not saved as UTF-8" in p for p in own.problems())


def test_program_check_fails_on_a_wrong_message(own) -> None:
    own.write("birthday.any.en.j2", "Subject: x\n\n{{ nam }}\n")
    with pytest.raises(ProgramError, match=r"birthday\.any\.en\.j2, line 3: nam is no variable"):
        CliRunner().invoke(
            app, ["program", "check", str(own.folder.parent)], catch_exceptions=False
        )


def test_a_shared_message_changes_the_hash_of_the_pack(own) -> None:
    before = own.load().hash
    file = own.common / "birthday.any.en.j2"
    file.write_text(file.read_text("utf-8").replace("good year", "great year"), "utf-8")
    assert own.load().hash != before


# -- which file ----------------------------------------------------------------------------------


def test_locale_falls_back(own) -> None:
    program = own.load()

    def used(locale: str | None) -> str:
        return locate(program, "birthday", "sms", locale)[1]

    assert used("en") == used("en-GB") == used("EN_us") == "en"
    assert used("zh-CN") == used("zh-TW") == used("zh") == used("zh_cn") == "zh-CN"
    assert used("fr") == used("fr-FR") == used(None) == used("") == used("not a locale") == "zh-CN"
    own.write("birthday.any.fr.j2", "Subject: x\n\nBonjour\n")
    assert used("fr-FR") == "fr"
    assert normal_locale(" Pt_br ") == "pt-BR"


def test_the_nearest_folder_and_then_the_channel_wins(own) -> None:
    def used(channel: str) -> str:
        path, _ = locate(own.load(), "late_delivery", channel, "en")
        return "/".join(path.parts[-3:])

    assert used("call") == "_common/messages/late_delivery.call.en.j2"
    assert used("email") == "_common/messages/late_delivery.any.en.j2"
    (own.common / "late_delivery.email.en.j2").write_text("Subject: x\n\ny\n")
    assert used("email") == "_common/messages/late_delivery.email.en.j2"
    own.write("late_delivery.any.en.j2", "Subject: x\n\ny\n")
    assert used("email") == "retail_care/messages/late_delivery.any.en.j2"
    # What a customer reads is never read out by an employee.
    assert used("call") == "_common/messages/late_delivery.call.en.j2"


def test_a_missing_message_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"nowhere\.sms\.en\.j2: is missing"):
        render(pack(), "nowhere", "sms", "en", {})


# -- what stands in it ---------------------------------------------------------------------------

NAMES = [
    ("王芳", "female", "zh-CN", "王女士"),
    ("王小明", "male", "zh-CN", "王先生"),
    ("欧阳娜", "female", "zh-CN", "欧阳女士"),
    ("欧阳", "male", "zh-CN", "欧先生"),
    ("司马光", "male", "zh-CN", "司马先生"),
    ("阿依古丽·买买提", "female", "zh-CN", "阿依古丽·买买提"),
    ("王芳", None, "zh-CN", "王芳"),
    ("王芳", "other", "zh-CN", "王芳"),
    ("王芳", "female", "en", "王芳"),
    ("Chloe Carter", "female", "en", "Ms Carter"),
    ("Chloe Carter", "female", "zh-CN", "Chloe Carter女士"),
    ("Sam Reed", "male", "en", "Mr Reed"),
    ("Sam Reed", None, "en", "Sam Reed"),
    ("Sting", "male", "en", "Sting"),
    (None, "female", "en", None),
]


@pytest.mark.parametrize(("name", "sex", "locale", "expected"), NAMES)
def test_polite_forms(name, sex, locale, expected) -> None:
    assert called(name, sex, None, locale) == expected


def test_greetings() -> None:
    assert greeting("王女士", "zh-CN") == "王女士，您好："
    assert greeting(None, "zh-CN") == "您好："
    assert greeting("Ms Carter", "en") == "Dear Ms Carter,"
    assert greeting(None, "en") == "Hello,"
    assert called(None, None, "远景公司", "zh-CN") == "远景公司"


OFFERS = [
    ("discount_share", 0.2, "8 折", "20 % off"),
    ("discount_share", 0.15, "85 折", "15 % off"),
    ("discount_share", 0.03, "97 折", "3 % off"),
    ("discount_share", 0.1, "9 折", "10 % off"),
    ("amount", 20, "20 元", "CNY 20"),
    ("amount", 12.5, "12.50 元", "CNY 12.50"),
    ("points", 1500, "1,500 积分", "1,500 points"),
    ("gift", None, "礼", "Gift"),
]


@pytest.mark.parametrize(("kind", "worth", "zh", "en"), OFFERS)
def test_offers_in_words(kind, worth, zh, en) -> None:
    offer = Offer(id="o", title=Text(en="Gift", zh="礼"), kind=kind, value=worth, valid="30d")
    assert offer_value(offer, "CNY", "zh-CN") == zh
    assert offer_value(offer, "CNY", "en") == en


def test_last_days_of_offers() -> None:
    def until(valid: str, start: date = date(2026, 1, 31), begins: date | None = None):
        offer = Offer(
            id="o", title=Text(en="G", zh="礼"), kind="gift", valid=valid, starts_on=begins
        )
        return valid_until(offer, start)

    assert until("30d") == date(2026, 3, 2)
    assert until("1mo") == date(2026, 2, 28)
    assert until("1mo", date(2028, 1, 31)) == date(2028, 2, 29)
    assert until("1y", date(2028, 2, 29)) == date(2029, 2, 28)
    assert until("1q", date(2026, 11, 30)) == date(2027, 2, 28)
    assert until("2w") == date(2026, 2, 14)
    assert until("7d", begins=date(2026, 2, 10)) == date(2026, 2, 17)


def test_money_in_words() -> None:
    assert money("128.5", "CNY", "zh-CN") == "128.50 元"
    assert money(1200, "USD", "zh-CN") == "USD 1,200"
    assert money(None, "CNY", "en") is None


def test_a_deadline_at_midnight_is_the_end_of_the_day() -> None:
    assert moment(datetime(2026, 11, 2, 16), "Asia/Shanghai", "zh-CN") == "2026年11月2日 24:00"
    assert moment("2026-11-02 10:30:00", "Asia/Shanghai", "en") == "2 November 2026, 18:30"
    assert moment(None, "Asia/Shanghai", "en") is None


def filled(person: Person, **changes) -> tuple:
    settings = Settings(sender_name="Bluebird")
    message = {**MESSAGE, **changes}
    locale = message["locale"]
    known = values(settings, pack(), message, person, locale)
    content = render(
        pack(), message["template"], message["channel"], locale, known, purpose=message["purpose"]
    )
    return content, known


def test_a_hostile_name_stays_text() -> None:
    content, _ = filled(Person(name="<b onclick=x>{{ 7*7 }}</b>"))
    assert "&lt;b onclick=x&gt;{{ 7*7 }}&lt;/b&gt;" in content.html
    assert "<b onclick" not in content.html
    assert parsed(content.html).wrong == []


def test_a_name_with_line_ends_makes_no_header() -> None:
    person = Person(name="Eve\r\nBcc: all@example.com", contact_person="x\u2028\u202ey")
    content, known = filled(person)
    assert not re.search(r"[\r\x00-\x09\x0b-\x1f]", content.text)
    assert "\n" not in known["called"]
    assert "\u202e" not in str(known["contact_person"])
    task, _ = filled(
        Person(name="Eve\r\nBcc: x"), template="core_contact", rule="core_contact", channel="call"
    )
    assert task.subject == "Monthly contact with Eve Bcc: x"


@pytest.mark.parametrize(
    "name",
    ["Win at http://evil.example", "www.evil.example", "x" * 61, "a@b.cn", "加微信 evil.com"],
)
def test_an_advertisement_is_no_name(name: str) -> None:
    assert clean_name(name) is None
    content, _ = filled(Person(name=name))
    assert content.text.startswith("Hello,")
    assert "evil" not in content.html


def test_empty_values_leave_no_trace() -> None:
    content, _ = filled(Person(), offer=None)
    assert content.text.startswith("Hello,\n\nHappy birthday!")
    assert "None" not in content.text


def test_an_order_without_what_it_is_about_is_refused_not_sent() -> None:
    with pytest.raises(RenderError, match="order_id can be empty"):
        filled(EMAIL, template="order_paid", rule="order_paid", about="{}")


def test_a_payload_in_words() -> None:
    about = {
        "order_id": "O1",
        "order_amount": 88,
        "currency": "USD",
        "promised_on": "2026-11-05",
        "days_late": 2,
    }
    content, known = filled(
        EMAIL,
        template="late_delivery",
        about=json.dumps(about),
        offer="late_coupon",
        purpose="service",
    )
    assert known["order_amount"] == "USD 88"
    assert known["promised_on"] == "5 November 2026"
    assert "Coupon of 10" in content.text
    assert "30 January 2027" in content.text
    _, festival = filled(EMAIL, occasion="spring_festival:2027-02-06", about=None)
    assert (festival["occasion"], festival["occasion_on"]) == ("Spring Festival", "6 February 2027")


def test_a_link_and_a_button() -> None:
    _, known = filled(EMAIL)
    known = {**known, "shop_url": "https://shop.example.com/a?b=1&c=<2>"}
    content = render(pack(), "wake_up", "email", "en", known, purpose="marketing")
    assert 'href="https://shop.example.com/a?b=1&amp;c=&lt;2&gt;"' in content.html
    assert ">Have a look</a>" in content.html
    assert "Have a look: https://shop.example.com" in content.text


# -- links ---------------------------------------------------------------------------------------


def test_links_are_signed(secret, monkeypatch: pytest.MonkeyPatch) -> None:
    for message_id in ("ab" * 16, "M-1", "00" * 16, "ABCD"):
        token = sign(message_id)
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)
        assert verify(token) == message_id
    token = sign("ab" * 16)
    body, _, signature = token.partition(".")
    for forged in (
        "",
        ".",
        body,
        f"{body}.",
        f"{body}.AAAA",
        f"{sign('ac' * 16).split('.')[0]}.{signature}",
    ):
        assert verify(forged) is None
    assert verify(token + "é") is None
    assert verify("a" * 5000) is None
    monkeypatch.setenv(SECRET, "a new secret, longer,correct horse battery staple")
    monkeypatch.setenv(SECRET, "another new secret 1,correct horse battery staple")
    assert verify(token) == "ab" * 16
    assert sign("ab" * 16) != token
    monkeypatch.setenv(SECRET, "another new secret 1")
    assert verify(token) is None


def test_links_need_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    with pytest.raises(SettingsError, match=SECRET):
        sign("ab" * 16)
    monkeypatch.setenv(SECRET, "short")
    with pytest.raises(SettingsError, match="5 characters"):
        sign("ab" * 16)


def test_unsubscribe_links(secret) -> None:
    settings = Settings(public_url="https://care.example.com/")
    url = unsubscribe_url(settings, MESSAGE)
    assert url.startswith("https://care.example.com/u/")
    assert verify(url.rpartition("/")[2]) == MESSAGE["message_id"]
    assert unsubscribe_url(settings, {**MESSAGE, "purpose": "service"}) is None
    assert unsubscribe_url(Settings(), MESSAGE) is None
    survey = survey_url(Settings(survey_url="https://s.example.com/q?a=1"), MESSAGE)
    assert survey.startswith("https://s.example.com/q?a=1&m=")


# -- from the ledger -------------------------------------------------------------------------------


def customers(company) -> list[tuple]:
    """Customers of the sample with what they can be written on."""
    with duckdb.connect() as con:
        from careloop.contract import entities
        from careloop.lake.batches import Lake
        from careloop.lake.relations import current

        lake = Lake(company.settings.lake)
        return con.execute(
            f"select customer_id, email, phone, wecom_id from ({current(lake, entities()['contacts'])}) order by 1"
        ).fetchall()


def test_a_batch_is_rendered_with_the_customers_own_data(company, secret) -> None:
    settings = company.settings.model_copy(update={"public_url": "https://care.example.com"})
    rows = customers(company)
    batch = [
        {
            **MESSAGE,
            "customer_id": c,
            "message_id": f"{i:032x}",
            "channel": channel,
            "owner_id": None,
        }
        for i, (c, channel) in enumerate((r[0], ch) for r in rows for ch in ("email", "sms"))
    ]
    batch.append({**MESSAGE, "customer_id": "nobody", "message_id": "f" * 32})
    batch.append(
        {
            **MESSAGE,
            "customer_id": rows[0][0],
            "message_id": "e" * 32,
            "template": "gone",
            "channel": "community",
        }
    )
    done = render_batch(settings, pack(), batch)
    assert list(done) == [m["message_id"] for m in batch]
    assert done["f" * 32].reason == "the customer is no longer known"
    assert "there is no such message" in done["e" * 32].reason
    known = {r[0]: r for r in rows}
    for message in batch[:-2]:
        result = done[message["message_id"]]
        email, phone = known[message["customer_id"]][1:3]
        right = address_on(message["channel"], Person(email=email, phone=phone))
        if right is None:
            assert result == RenderProblem(
                message["message_id"], f"no address on {message['channel']}"
            )
            continue
        assert isinstance(result, Rendered)
        assert result.address == right
        assert verify(result.unsubscribe_url.rpartition("/")[2]) == message["message_id"]
        assert (result.html is None) == (message["channel"] == "sms")
    assert Counter(type(r) for r in done.values())[Rendered] > 400


def test_a_task_is_told_to_its_owner_in_the_programs_language(company) -> None:
    customer = customers(company)[0][0]
    owner = company.one(
        "select account_manager_id from dim_customers where account_manager_id is not null order by 1 limit 1"
    )
    message = {
        **MESSAGE,
        "customer_id": customer,
        "rule": "core_welcome",
        "template": "core_welcome",
        "channel": "call",
        "kind": "task",
        "owner_id": owner,
        "due_at": datetime(2026, 11, 4, 10),
    }
    done = render_batch(company.settings, pack(), [message])[MESSAGE["message_id"]]
    assert isinstance(done, Rendered)
    assert done.locale == "zh-CN"
    assert "客户语言：英文" in done.text
    assert "2026年11月4日 18:00" in done.text
    assert re.search("我是您的专属客户经理[\u4e00-\u9fff]{2,4}，", done.text)
    assert done.due_at == "2026-11-04 10:00:00"


def test_nobody_is_named_where_others_read_along(company) -> None:
    customer = customers(company)[0][0]
    message = {**MESSAGE, "customer_id": customer, "channel": "community", "locale": "zh-CN"}
    done = render_batch(company.settings, pack(), [message])[MESSAGE["message_id"]]
    assert done.text.startswith("您好：")
    assert done.address is None


def test_personal_data_is_read_in_one_query_for_the_batch_only(company) -> None:
    from careloop.lake.batches import Lake

    assert _people_sql(Lake(company.settings.lake)).count(";") == 0
    with Renderer(company.settings, pack()) as renderer:
        found = renderer.people([(customers(company)[0][0], None), ("' or 1=1 --", None)])
    assert len(found) == 1


# -- preview -------------------------------------------------------------------------------------


def preview(company, *args: str):
    return CliRunner().invoke(
        app,
        ["preview", *args, "--home", str(company.settings.home), "--json"],
        catch_exceptions=False,
    )


def test_preview_hides_personal_data(company, tmp_path: Path) -> None:
    person = next(r for r in customers(company) if r[1])
    file = tmp_path / "a.html"
    result = preview(
        company, "birthday", "--customer", person[0], "--channel", "email", "--output", str(file)
    )
    shown = json.loads(result.output)
    assert shown["to"] == "hidden"
    assert "•••" in shown["text"]
    assert person[1] not in result.output
    assert file.read_text("utf-8") == shown["html"]
    log = company.settings.home / "access_log.jsonl"
    before = log.read_text() if log.exists() else ""
    shown = json.loads(
        preview(
            company,
            "birthday",
            "--customer",
            person[0],
            "--channel",
            "email",
            "--reveal",
            "--reason",
            "a test",
        ).output
    )
    assert shown["to"] == person[1]
    assert "•••" not in shown["text"]
    added = log.read_text().removeprefix(before).splitlines()
    assert len(added) == 1
    assert json.loads(added[0])["why"] == "a test"


def test_preview_with_examples(company) -> None:
    shown = json.loads(
        preview(company, "wake_up", "--examples", "--channel", "sms", "--locale", "en").output
    )
    assert shown["text"].startswith("Bluebird: Dear Ms Carter,")
    assert shown["kind"] == "send"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["birthday"], "give --customer ID or --examples"),
        (["birthday", "--examples", "--channel", "visit"], "does not use visit"),
        (["brithday", "--examples"], "did you mean birthday"),
        (["birthday", "--examples", "--reveal"], "--reveal needs --reason"),
        (["birthday", "--customer", "nobody"], "there is no customer nobody"),
        (["birthday", "--examples", "--channel", "sms", "--open"], "has no HTML"),
    ],
)
def test_preview_says_what_is_wrong(company, args, expected) -> None:
    with pytest.raises((SettingsError, ProgramError), match=re.escape(expected)):
        preview(company, *args)


# -- documentation -------------------------------------------------------------------------------


def test_every_variable_is_documented_once_and_used() -> None:
    page = (PROJECT_ROOT / "docs" / "messages.md").read_text("utf-8")
    assert variables_markdown() in page, "put variables_markdown() into docs/messages.md"
    names = [v.name for v in VARIABLES]
    assert len(set(names)) == len(names)
    known = {t for name in PACKS for rule in pack(name).rules for t in trigger_of(rule)}
    assert {t for v in VARIABLES for t in v.triggers} - known <= {"last_order", "cooperation"}
