"""`python -m benchmarks.mail --messages 100000`: dispatch against a bare smtplib loop.

Mails for as many customers go to a mail server that takes everything, a process of its own:
once by `careloop.care.send_due` as the flow calls it (claims, consent read again from the lake,
texts rendered from the lake's contacts, two states in the ledger for each message), and once by
`smtplib.SMTP.sendmail` in a loop over one connection, given the finished bytes. Both must have
sent the same bytes in the same order. Each runs in a process of its own.
"""

import argparse
import json
import os
import shutil
import smtplib
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import select

from benchmarks.measure import ROOT, Timer, peak_mb
from benchmarks.sink import Sink
from careloop.care import send_due
from careloop.channels.mail import compose, mail_address
from careloop.channels.options import SmtpOptions
from careloop.ingest.run import ingest
from careloop.ledger.database import open_ledger
from careloop.ledger.messages import M, Message
from careloop.messages.batch import Renderer
from careloop.plan import plan
from careloop.program.load import load_program
from careloop.settings import Settings, load_settings

PROGRAM = "retail_care"
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
NOON = AS_OF + timedelta(hours=12)
SECRET = "a secret for benchmarks only"
FROM = "care@shop.example"

SOURCE = """
name: crm
zone: UTC
entities:
  customers:
    file: customers.parquet
    columns:
      customer_id: id
      customer_type: "'person'"
      registered_at: made_at
      sex: sex
      locale: locale
      updated_at: made_at
  contacts:
    file: contacts.parquet
    columns: {customer_id: id, name: name, phone: phone, email: email, updated_at: made_at}
  orders:
    file: customers.parquet
    columns:
      order_id: id
      customer_id: id
      ordered_at: made_at
      status: "'completed'"
      amount: "100"
      updated_at: made_at
  consents:
    file: consents.parquet
    columns:
      customer_id: id
      purpose: purpose
      channel: channel
      changed_at: made_at
      granted: granted
"""
PEOPLE = """
create temp table people as
select
    'C' || i as id, timestamp '2025-03-01' + to_minutes(i % 100000) as made_at,
    case when i % 2 = 0 then 'female' else 'male' end as sex,
    case when i % 3 = 0 then 'en' else 'zh-CN' end as locale,
    case
        when i % 3 = 0 then 'Sam Carter ' || chr(65 + (i % 26)::integer)
        else '王小' || chr(20000 + (i % 5000)::integer)
    end as name,
    '1380' || lpad(i::varchar, 7, '0') as phone, 'c' || i || '@mail.example' as email
from range({count}) as t(i)
"""
CONSENTS = """
select id, purpose, channel, made_at, true as granted
from people
cross join (values ('marketing'), ('care')) as p (purpose)
cross join (values ('email'), ('sms')) as c (channel)
"""
# Three templates of the pack: with and without an offer, care and marketing.
DECISIONS = """
create table fct_care_decisions as
select
    md5(rule || '|C' || i || '|' || occasion) as decision_key, 'C' || i as customer_id, rule,
    'abcd1234' as rule_version, occasion, date '2026-11-01' as came_up_on,
    null::timestamp as occurred_at, purpose, 'send' as kind, 'send' as outcome,
    null::varchar as gate, null::varchar as gate_reason, null::date as eligible_on,
    'email' as channel, rule as template, case when i % 3 = 0 then 'en' else 'zh-CN' end as locale,
    offer, null::date as offer_until, null::varchar as owner_role, null::varchar as owner_id,
    null::timestamp as due_at, timestamp '2026-11-01 08:00:00' as not_before,
    timestamp '2026-11-03' as expires_at, date '2026-11-01' as contact_on, priority,
    row_number() over (order by priority desc, i) as order_no, 'treated' as arm,
    null::varchar as holdout_scope, 0.05::double as holdout_share, true as reached_holdout,
    false as is_cap_exempt, null::varchar as cap_group, about, '{{}}' as gates,
    'core' as segment, 'active' as stage, 'low' as churn_level,
    timestamp '2026-11-01' as as_of, date '2026-11-01' as as_of_on, 'f00f00f00f00' as pack_hash
from range({count}) as t(i)
inner join (values
    (
        0, 'birthday', 'birthday:2026', 'care', 'birthday_coupon', 80,
        '{{"occasion_on":"2026-11-01","years":35}}'
    ),
    (1, 'useful_content', 'turn:2026-11-01', 'care', null, 15, '{{}}'),
    (
        2, 'double_11', 'double_11:2026-11-11', 'marketing', null, 45,
        '{{"occasion_on":"2026-11-11"}}'
    )
) as r (number, rule, occasion, purpose, offer, priority, about) on i % 3 = number
"""


def settings_of(home: Path, port: int) -> Settings:
    """An installation that sends e-mails to ``port`` of this machine."""
    email = {"type": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}
    email |= {"from_address": FROM, "from_name": "Shop", "messages_per_connection": 10**9}
    return load_settings(
        home=home,
        program=PROGRAM,
        sources=[home / "crm"],
        channels={"email": email},
        public_url="https://care.shop.example",
        shop_url="https://shop.example",
    )


def make(home: Path, messages: int, customers: int) -> None:
    """A lake of ``customers`` and a ledger in which ``messages`` e-mails are planned."""
    shutil.rmtree(home, ignore_errors=True)
    (home / "crm").mkdir(parents=True)
    (home / "crm" / "source.yml").write_text(SOURCE, "utf-8")
    with duckdb.connect() as con:
        con.execute(PEOPLE.format(count=customers))
        for name in ("customers", "contacts"):
            con.execute(f"copy people to '{home}/crm/{name}.parquet' (format parquet)")
        con.execute(f"copy ({CONSENTS}) to '{home}/crm/consents.parquet' (format parquet)")
    settings, program = settings_of(home, 25), load_program(PROGRAM)
    ingest(settings, f"{AS_OF:%Y-%m-%dT%H:%M:%S}", lambda _: None).raise_if_refused()
    settings.published.mkdir(parents=True)
    version = settings.published / "marts-20261101T0000-0123456789.duckdb"
    with duckdb.connect(str(version)) as con:
        con.execute(DECISIONS.format(count=messages))
    with open_ledger(settings) as ledger:
        plan(settings, program, version, AS_OF, ledger)


def write_mails(home: Path) -> dict[str, Any]:
    """Every mail as careloop will send it into ``home/mails``, for the loop."""
    settings, program = settings_of(home, 25), load_program(PROGRAM)
    options = SmtpOptions(**settings.channels["email"])
    with open_ledger(settings) as ledger, ledger.read() as con:
        columns = [M[name] for name in Message.__slots__]
        found = con.execute(select(*columns).order_by(M.priority.desc(), M.as_of, M.order_no))
        with Renderer(settings, program) as renderer, (home / "mails").open("wb") as file:
            for part in found.partitions(5_000):
                rendered = renderer.render([asdict(Message(*row)) for row in part])
                for mail in rendered.values():
                    for text in (mail_address(mail).encode(), compose(mail, options, NOON)):
                        file.write(struct.pack("<I", len(text)) + text)
    return {}


def mails(home: Path) -> Iterator[tuple[str, bytes]]:
    """Recipient and bytes of each mail."""
    with (home / "mails").open("rb") as file:
        while head := file.read(4):
            recipient = file.read(struct.unpack("<I", head)[0]).decode()
            yield recipient, file.read(struct.unpack("<I", file.read(4))[0])


def loop(home: Path, port: int) -> dict[str, Any]:
    """What a script does: one connection, sendmail for each."""
    count = 0
    with Timer() as timer, smtplib.SMTP("127.0.0.1", port) as server:
        for recipient, data in mails(home):
            server.sendmail(FROM, [recipient], data)
            count += 1
    return {"seconds": timer.seconds, "cpu": timer.cpu, "sent": count}


def dispatch(home: Path, port: int) -> dict[str, Any]:
    """What `careloop dispatch` does."""
    program = load_program(PROGRAM)
    with Timer() as timer:
        summary = send_due(settings_of(home, port), program, lambda: NOON, routes=["email"])
    return {"seconds": timer.seconds, "cpu": timer.cpu, "sent": summary.of("sent")}


STEPS = {"mails": lambda home, _: write_mails(home), "loop": loop, "dispatch": dispatch}


def in_process(step: str, home: Path, port: int) -> dict[str, Any]:
    """One step in a fresh process, with its peak memory."""
    env = {**os.environ, "CARELOOP_LINK_SECRET": SECRET}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command = [sys.executable, "-m", "benchmarks.mail", "--step", step]
    command += ["--data", str(home), "--port", str(port)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(home: Path, messages: int, customers: int) -> dict[str, dict[str, Any]]:
    """The loop, dispatch, the loop again; the faster loop counts."""
    make(home, messages, customers)
    in_process("mails", home, 0)
    results = {}
    with Sink() as sink:
        came = []
        for name in ("loop", "dispatch", "loop"):
            load = os.getloadavg()[0]
            result = in_process(name, home, sink.port)
            came.append(sink.received())
            assert result["sent"] == messages == came[-1]["messages"], (result, came[-1])
            rate = messages / result["seconds"]
            tell = f"{name}: {rate:,.0f} messages/s, {result['seconds']:.1f} s, "
            tell += f"{result['cpu']:.1f} CPU s, {result['peak_mb']:,.0f} MB (load {load:.1f})"
            print(tell, flush=True)
            if name not in results or result["seconds"] < results[name]["seconds"]:
                results[name] = result
        assert came[0] == came[1] == came[2], came
    print(f"the same {came[0]['bytes'] / 1e6:,.0f} MB in the same order")
    return results


def main() -> None:
    """Measure a tenth and all of the messages, and print the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mail", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument(
        "--customers", type=int, help="in the lake; as many as messages if not said"
    )
    parser.add_argument("--data", type=Path, default=Path("data/benchmarks/mail"))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        result = STEPS[options.step](options.data, options.port)
        print(json.dumps({**result, "peak_mb": peak_mb()}), flush=True)
        return
    for messages in (options.messages // 10, options.messages):
        customers = options.customers or messages
        print(f"{messages:,} messages, {customers:,} customers in the lake")
        results = measure(options.data, messages, customers)
        ratio = results["loop"]["seconds"] / results["dispatch"]["seconds"]
        print(f"dispatch reaches {ratio:.2f} of the loop\n")
    shutil.rmtree(options.data)


if __name__ == "__main__":
    main()
