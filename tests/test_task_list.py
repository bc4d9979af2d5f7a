"""The follow-up list: what is on it, what a file of it looks like, and that a task is done once."""

import csv
import json
import shutil
import sqlite3
import stat
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from openpyxl import load_workbook
from sqlalchemy import insert
from typer.testing import CliRunner

from careloop.access_log import accesses
from careloop.cli.main import app
from careloop.clock import now
from careloop.errors import CareloopError, SettingsError
from careloop.ledger.database import open_ledger
from careloop.ledger.tables import messages
from careloop.program.load import load_program
from careloop.settings import Settings, load_settings
from careloop.task_list.files import write
from careloop.task_list.table import revealed, rows
from careloop.task_list.tasks import mark_done, read_tasks
from test_sources import Crm

NOW = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
ZONE = "Asia/Shanghai"
# message_id's first letter, customer, rule, channel, kind, due, role, staff, state
TASKS = [
    ("a", "C1", "birthday_core", "call", "task", "2026-11-03 09:00:00", "account_manager", "S1", "sent"),
    ("b", "C2", "lost_delivery", "call", "task", "2026-11-01 16:30:00", "service", None, "sent"),
    ("c", "C1", "consult_offer", "wecom", "task", None, "account_manager", "S1", "sent"),
    ("d", "C2", "consult_offer", "wecom", "task", "2026-11-02 09:00:00", "account_manager", "S1", "sent"),
    ("e", "C2", "consult_offer", "wecom", "task", "2026-11-02 09:00:00", "service", "S1", "planned"),
    ("f", "C2", "consult_offer", "wecom", "send", "2026-11-02 09:00:00", "service", "S1", "sent"),
    ("1", "C2", "consult_offer", "wecom", "task", "2026-11-02 09:00:00", "service", "S1", "expired"),
]  # fmt: skip


def name(letter: str) -> str:
    return letter * 32


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Crm:
    crm = Crm(tmp_path_factory.mktemp("team"))
    mapping = (crm.folder / "source.yml").read_text("utf-8")
    mapping += "  contacts:\n    file: contacts*.csv\n  staff:\n    file: staff*.csv\n"
    crm.put("source.yml", mapping)
    crm.put(
        "contacts.csv",
        "customer_id,name,company_name,phone\n"
        "C1,王小明,示例公司,+86 138 0000 0001\n"
        'C2,"=HYPERLINK(""http://x"")",,13800000002\n',
    )
    crm.put("staff.csv", "staff_id,name,role\nS1,萧诗涵,account_manager\n")
    assert not crm.load().refused
    return crm


@pytest.fixture
def team(crm: Crm, tmp_path: Path) -> SimpleNamespace:
    home = shutil.copytree(crm.settings.home, tmp_path / "home")
    settings = load_settings(home=home)
    with open_ledger(settings) as ledger, ledger.write() as con:
        for order, (letter, customer, rule, channel, kind, due, role, staff, state) in enumerate(
            TASKS
        ):
            row = {
                "message_id": name(letter),
                "decision_key": name(letter),
                "customer_id": customer,
                "rule": rule,
                "rule_version": "1",
                "occasion": "once",
                "purpose": "care",
                "channel": channel,
                "kind": kind,
                "is_cap_exempt": False,
                "due_at": datetime.fromisoformat(due) if due else None,
                "owner_role": role,
                "owner_id": staff,
                "offer": "lost_coupon" if letter == "b" else None,
                "pack": "retail_care",
                "pack_hash": "1",
                "as_of": datetime(2026, 11, 1),
                "locale": "zh-CN",
                "template": rule,
                "about": json.dumps({"order_id": "O1", "days_late": 3}) if letter == "b" else None,
                "priority": 1,
                "order_no": order,
                "route": "task" if kind == "task" else channel,
                "state": state,
                "state_at": datetime(2026, 11, 1),
                "next_attempt_at": datetime(2026, 11, 1),
            }
            con.execute(insert(messages).values(row))
    return SimpleNamespace(settings=settings, pack=load_program("retail_care"))


def letters(settings: Settings, **options) -> str:
    return "".join(task.task[0] for task in read_tasks(settings, NOW, ZONE, **options))


def run(settings: Settings, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["tasks", *arguments, "--home", str(settings.home)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_has_what_was_handed_to_people_by_owner_and_due_time(team) -> None:
    assert letters(team.settings) == "dacb"
    assert letters(team.settings, owner="service") == "b"
    assert letters(team.settings, owner="S1") == "dac"
    # 16:30 UTC is half past midnight of the next day in Shanghai.
    assert letters(team.settings, due_before=date(2026, 11, 2)) == ""
    assert letters(team.settings, due_before=date(2026, 11, 3)) == "db"
    states = {t.task[0]: t.state for t in read_tasks(team.settings, NOW, ZONE)}
    assert states == {"a": "open", "b": "late", "c": "open", "d": "open"}


def test_without_reveal_nothing_personal_and_titles_in_both_languages(team) -> None:
    tasks = read_tasks(team.settings, NOW, ZONE)
    chinese, english = (rows(tasks, team.pack, lang) for lang in ("zh", "en"))
    assert set(chinese[0]) & {"name", "phone", "company_name", "say", "owner_name"} == set()
    late = chinese[-1]
    assert (late["rule"], late["state"], late["owner_role"]) == ("包裹可能丢失告知", "逾期", "客服")
    assert late["due"] == datetime(2026, 11, 2, 0, 30)
    assert late["about"] == "days_late 3, order_id O1"
    assert english[-1]["rule"] == "Delivery may be lost"
    assert english[-1]["offer"] not in (None, "lost_coupon")
    assert accesses(team.settings) == []


def test_a_file_for_excel_opens_right_and_its_cells_are_no_formulas(team, tmp_path) -> None:
    target = tmp_path / "tasks.csv"
    run(
        team.settings,
        "export",
        "--output",
        str(target),
        "--reveal",
        "--reason",
        "calls",
        "--locale",
        "zh-CN",
    )
    data = target.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert "联系客户：订单 O1 可能丢失\n\n客户语言" in data.decode("utf-8-sig")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    table = list(csv.DictReader(StringIO(data.decode("utf-8-sig"))))
    assert [row["任务编号"] for row in table] == [letter * 12 for letter in "dacb"]
    assert table[0]["姓名"] == '\'=HYPERLINK("http://x")'
    assert (table[1]["姓名"], table[1]["电话"]) == ("王小明", "+86 138 0000 0001")
    assert (table[1]["员工"], table[3]["员工"]) == ("萧诗涵", "")
    assert table[3]["截止时间"] == "2026-11-02 00:30"
    log = accesses(team.settings)
    assert {entry.customer_id: entry.fields for entry in log} == {
        "C1": ("name", "company_name", "phone", "say"),
        "C2": ("name", "phone", "say"),
    }
    assert {entry.why for entry in log} == {"calls"}


def test_a_workbook_has_real_dates_and_what_to_say(team, tmp_path) -> None:
    tasks = read_tasks(team.settings, NOW, ZONE)
    asked = []

    def say(found):
        asked.extend(row["message_id"] for row in found)
        # Of a customer's two tasks one has nothing to say.
        return {
            row["message_id"]: f"您好 {row['customer_id']}"
            for row in found
            if row["message_id"] != name("c")
        }

    full = revealed(team.settings, tasks, rows(tasks, team.pack, "zh"), "visit", say)
    write(full, "zh", "xlsx", tmp_path / "tasks.xlsx")
    sheet = load_workbook(tmp_path / "tasks.xlsx")["回访清单"]
    head = [cell.value for cell in sheet[1]]
    second = dict(zip(head, [cell.value for cell in sheet[2]], strict=True))
    assert second["截止时间"] == datetime(2026, 11, 2, 17, 0)
    assert second["话术"] == "您好 C2"
    cell = sheet.cell(2, head.index("姓名") + 1)
    assert (cell.value, cell.data_type) == ('=HYPERLINK("http://x")', "s")
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref is not None
    assert asked == [name(letter) for letter in "dacb"]
    assert {entry.customer_id: entry.fields[-1] for entry in accesses(team.settings)} == {
        "C1": "say",
        "C2": "say",
    }


def test_no_reason_no_personal_data(team, tmp_path) -> None:
    target = tmp_path / "tasks.csv"
    with pytest.raises(SettingsError, match="reason"):
        run(team.settings, "export", "--output", str(target), "--reveal")
    with pytest.raises(SettingsError, match="add --reveal"):
        run(team.settings, "export", "--output", str(target), "--reason", "x")
    with pytest.raises(SettingsError, match="csv, xlsx"):
        run(team.settings, "export", "--output", str(tmp_path / "tasks.pdf"))
    with pytest.raises(SettingsError, match="can't be written"):
        run(team.settings, "export", "--output", str(tmp_path / "missing" / "tasks.csv"))
    assert not target.exists()
    (team.settings.home / "access_log.jsonl").mkdir()
    with pytest.raises(CareloopError, match="nothing is shown"):
        run(team.settings, "export", "--output", str(target), "--reveal", "--reason", "calls")
    assert not target.exists()
    run(team.settings, "export", "--output", str(target), "--format", "csv")
    assert "王小明" not in target.read_text("utf-8-sig")


def test_a_task_is_done_once_and_leaves_the_list(team) -> None:
    told = run(team.settings, "done", "aaaaaa", "--result", "reached", "--by", "S1")
    assert "done, reached" in told
    assert letters(team.settings) == "dcb"
    assert letters(team.settings, with_done=True) == "dacb"
    done = next(t for t in read_tasks(team.settings, NOW, ZONE, with_done=True) if t.task[0] == "a")
    assert (done.state, done.result) == ("done", "reached")
    assert "before" in run(team.settings, "done", name("a"), "--result", "reached", "--by", "S1")
    with pytest.raises(SettingsError, match="with the result reached"):
        mark_done(team.settings, name("a"), "declined", "S1", now())
    with sqlite3.connect(team.settings.home / "ledger.db") as con:
        found = con.execute(
            "select feedback_id, message_id, customer_id, kind, detail from feedback"
        ).fetchall()
    con.close()
    assert found == [
        (f"done:{name('a')}", name("a"), "C1", "done", '{"by": "S1", "result": "reached"}')
    ]


def test_what_the_crm_says_is_done_counts_once_however_often_it_says_so(team) -> None:
    with sqlite3.connect(team.settings.home / "ledger.db") as con:
        for number in range(2):
            con.execute(
                "insert into feedback (feedback_id, message_id, kind, at_utc, received_at) "
                "values (?, ?, ?, '2026-11-01 00:00:00.000000', '2026-11-01 00:00:00.000000')",
                (f"crm{number}", name("b"), "done"),
            )
    con.close()
    assert letters(team.settings) == "dac"
    assert letters(team.settings, with_done=True) == "dacb"
    done = read_tasks(team.settings, NOW, ZONE, with_done=True)[-1]
    assert (done.state, done.result) == ("done", None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("zzzzzz", "--result", "reached", "--by", "S1"), "names no task"),
        (("aaa", "--result", "reached", "--by", "S1"), "names no task"),
        (("eeeeee", "--result", "reached", "--by", "S1"), "not on the list"),
        (("aaaaaa", "--result", "fine", "--by", "S1"), "allowed: reached, not_reached"),
        (("aaaaaa", "--result", "reached", "--by", "S9"), "there is no staff S9"),
    ],
)
def test_what_is_not_done(team, arguments, told) -> None:
    with pytest.raises(SettingsError, match=told):
        run(team.settings, "done", *arguments)
    assert letters(team.settings) == "dacb"


def test_the_list_on_the_terminal_and_as_json(team, tmp_path) -> None:
    shown = run(team.settings, "list", "--locale", "en", "--owner", "service")
    assert "bbbbbbbb" in shown
    assert "11-02 00:30" in shown
    assert "dddddddd" not in shown
    found = json.loads(run(team.settings, "list", "--json", "--all"))
    assert [row["customer_id"] for row in found] == ["C2", "C1", "C1", "C2"]
    with pytest.raises(SettingsError, match="there is no ledger"):
        run(Settings(home=tmp_path / "empty"), "list")
