"""`python -m benchmarks.ledger --rows 10000000`: planning a day on a large ledger and on none.

A year of messages to the customers of the sample company, three events and an exposure each, is
written into SQLite and its Parquet mirror (a fifth of --rows are messages). Then a day is planned
on both: the ledger's views in the warehouse, the care models by dbt, and the copy of the decisions
into the ledger. Needs what `python -m benchmarks.decisions --keep` leaves, or makes it.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.company import Company
from benchmarks.decisions import MODELS
from benchmarks.measure import ROOT, Timer, in_child, peak_mb
from benchmarks.pipeline import import_all
from careloop.ledger.database import ledger_file, open_ledger
from careloop.ledger.mirror import FILES, export, folder, write_ledger
from careloop.plan import plan
from careloop.refresh import program_of
from careloop.settings import Settings
from careloop.transform.dbt import DbtBuild
from careloop.warehouse import connect, literal

CHUNK = 50_000
NOW = datetime(2026, 10, 31, 16, 30, tzinfo=UTC)
# What looks back at every message of the ledger; not part of planning.
LOOKS_BACK = (
    "int_care_message_states",
    "int_care_responses",
    "int_care_exposures",
    "int_care_conversions",
    "int_care_outcomes",
    "int_care_uplift_groups",
    "int_care_uplift",
    "fct_care_deliveries",
    "rpt_care_uplift",
)

# Each customer now and then, over the year that ends with the day before.
MESSAGES = """
create temp table sent as
with drawn as (
    select
        i + 1 as seq, hash(i) as h,
        list_extract(ids, (hash(i) % len(ids) + 1)::bigint) as customer_id,
        date '2026-10-31' - ((({count} - i - 1) * 365) // {count})::integer as contact_on
    from range({count}) as t(i)
    cross join (select list(customer_id order by customer_id) as ids from marts.dim_customers)
)
select
    seq, md5(r.rule || '|' || customer_id || '|' || seq) as decision_key,
    left(sha256(decision_key || '|' || r.channel), 32) as message_id, customer_id, r.rule,
    'abcd1234' as rule_version, 'turn:' || contact_on as occasion, r.purpose, r.channel,
    'send' as kind, r.purpose = 'service' as is_cap_exempt, r.cap_group, contact_on,
    contact_on + interval 1 hour as not_before, contact_on + interval 3 days as expires_at,
    null::timestamp as due_at, null::varchar as owner_role, null::varchar as owner_id,
    null::varchar as offer, 'core' as segment, 'retail_care' as pack, 'f00f00f00f00' as pack_hash,
    contact_on - interval 8 hours as as_of
from drawn
inner join (values
    (0, 'useful_content', 'care', 'wecom', null),
    (1, 'recommendation', 'marketing', 'push', null),
    (2, 'order_shipped', 'service', 'sms', null),
    (3, 'points_expiring', 'care', 'email', null),
    (4, 'wake_up', 'marketing', 'sms', 'win_back'),
    (5, 'delivery_follow_up', 'survey', 'wecom', null)
) as r (number, rule, purpose, channel, cap_group) on (h >> 32) % 6 = r.number
"""
TABLES = {
    "messages": "select * from sent order by seq",
    "exposures": "select seq, decision_key, customer_id, rule, rule_version, occasion, "
    "'treated' as arm, null::varchar as holdout_scope, 0.05::double as holdout_share, segment, "
    "pack, pack_hash, as_of from sent order by seq",
    "events": "select 3 * (seq - 1) + number as seq, message_id, as_of + to_minutes(number * 30) "
    "as at_utc, state, null::varchar as reason, least(number - 1, 1)::integer as attempt from sent "
    "cross join (values (1, 'planned'), (2, 'sending'), (3, 'sent')) as e (number, state) "
    "order by 1",
}
# Columns of the database that the mirror leaves out.
MORE = {
    "messages": {
        "locale": "en", "template": "birthday", "about": "{}", "priority": 10, "route": "email",
        "state": "sent", "attempts": 1, "failures": 0,
    }
}  # fmt: skip


def make(settings: Settings, rows: int) -> None:
    """The large ledger and its mirror, in ``home/large``."""
    store = settings.home / "large"
    shutil.rmtree(store, ignore_errors=True)
    forget(settings)
    with open_ledger(settings) as ledger:
        export(ledger, settings)
    with connect(settings, settings.marts, read_only=True) as con:
        con.execute(MESSAGES.format(count=rows // 5))
        for name, sql in TABLES.items():
            fill(con, settings, name, sql)
    store.mkdir()
    for path in (ledger_file(settings), folder(settings)):
        path.rename(store / path.name)


def fill(con: duckdb.DuckDBPyConnection, settings: Settings, name: str, sql: str) -> None:
    """One table: its file of the mirror, and the same rows in SQLite."""
    names = [column.split()[0] for column in FILES[name].split(", ")]
    listed = ", ".join(names)
    count = con.execute(f"select count(*) from ({sql})").fetchall()[0][0]
    target = folder(settings) / name / f"{1:012d}-{count:012d}.parquet"
    target.parent.mkdir(exist_ok=True)
    con.execute(
        f"copy (select {listed} from ({sql})) to {literal(target)} "
        "(format parquet, compression zstd, row_group_size 50000)"
    )
    more = MORE.get(name, {})
    extra = {**more, "order_no": None, "state_at": None, "next_attempt_at": None} if more else {}
    texts = [
        f"strftime({c}, '%Y-%m-%d %H:%M:%S.000000')" if "timestamp" in kind else
        f"{c}::varchar" if kind == "date" else c
        for c, kind in (column.split() for column in FILES[name].split(", "))
    ]  # fmt: skip
    derived = {"order_no": "seq", "state_at": texts[-1], "next_attempt_at": texts[-1]}
    values = [derived[n] if n in derived else literal(v) for n, v in extra.items()]
    base = sqlite3.connect(ledger_file(settings), isolation_level=None)
    base.execute("pragma synchronous = off")
    base.execute("pragma cache_size = -400000")
    indexes = base.execute(
        "select name, sql from sqlite_master "
        "where type = 'index' and tbl_name = ? and sql is not null",
        [name],
    ).fetchall()
    for index, _ in indexes:
        base.execute(f"drop index {index}")
    columns = [*names, *extra]
    insert = f"insert into {name} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"
    found = con.execute(
        f"select {', '.join([*texts, *values])} from read_parquet({literal(target)})"
    )
    base.execute("begin")
    while part := found.fetchmany(CHUNK):
        base.executemany(insert, part)
    base.execute("commit")
    for _, create in indexes:
        base.execute(create)
    assert base.execute(f"select max(seq) from {name}").fetchone()[0] == count
    base.close()


def forget(settings: Settings) -> None:
    """No ledger is there."""
    for suffix in ("", "-wal", "-shm"):
        path = ledger_file(settings)
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.rmtree(folder(settings), ignore_errors=True)


def take(settings: Settings, which: str) -> None:
    """Put the ledger in place: a copy of the large one, or an empty one."""
    forget(settings)
    if which == "large":
        store = settings.home / "large"
        shutil.copyfile(store / ledger_file(settings).name, ledger_file(settings))
        shutil.copytree(store / folder(settings).name, folder(settings))
    else:
        open_ledger(settings).close()


def day(company: Company) -> dict[str, Any]:
    """Plan the day on the ledger that is there; seconds of its parts."""
    import_all()
    settings = company.settings
    program = program_of(settings)
    DbtBuild(settings, ["int_care_days"]).run().raise_if_failed()  # dbt has parsed
    with Timer() as views, connect(settings, settings.warehouse) as con:
        con.execute("drop schema ledger cascade")
        write_ledger(con, settings)
    build = DbtBuild(settings, [*MODELS, "--exclude-resource-type", "test"])
    with Timer() as models:
        build.run()
    build.raise_if_failed()
    settings.published.mkdir(exist_ok=True)
    version = settings.published / "marts-20261101T0000-0123456789.duckdb"
    version.unlink(missing_ok=True)
    os.link(settings.marts, version)
    with open_ledger(settings) as ledger, Timer() as planning:
        planned = plan(settings, program, version, NOW, ledger)
    version.unlink()
    nodes = {node.name: round(node.seconds, 2) for node in build.nodes}
    return {
        "ledger": views.seconds,
        "models": round(sum(nodes.values()), 2),
        "plan": planning.seconds,
        "cpu": round(views.cpu + models.cpu + planning.cpu, 1),
        "planned": planned.planned,
        "nodes": nodes,
    }


def looking_back(company: Company) -> dict[str, Any]:
    """The models that follow up on every message there ever was."""
    import_all()
    build = DbtBuild(company.settings, [*LOOKS_BACK, "--exclude-resource-type", "test"])
    build.run().raise_if_failed()
    nodes = {node.name: round(node.seconds, 2) for node in build.nodes}
    return {"models": round(sum(nodes.values()), 2), "nodes": nodes}


STEPS = {"day": day, "back": looking_back}


def in_process(step: str, company: Company) -> dict[str, Any]:
    """A step in a fresh process, with its peak memory."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", "benchmarks.ledger", "--step", step]
    command += ["--customers", str(company.customers), "--data", str(company.root.parent)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the ledger, plan on both, print the difference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=2, help="days planned on each, in turn")
    parser.add_argument("--data", type=Path, default=Path("data/benchmarks"), help="working folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    company = Company.under(options.data, options.customers)
    if options.step:
        print(json.dumps({**STEPS[options.step](company), "peak_mb": peak_mb()}), flush=True)
        return
    company.make()
    if not company.settings.marts.exists():
        print(f"refresh: {in_child('care warehouse', company).seconds:.1f} s", flush=True)
    with Timer() as timer:
        make(company.settings, options.rows)
    size = (company.home / "large" / "ledger.db").stat().st_size
    print(f"{options.rows:,} rows made in {timer.seconds:.0f} s, {size >> 20:,} MB", flush=True)
    best: dict[str, float] = {}
    for _ in range(options.repeat):
        for which in ("empty", "large"):
            take(company.settings, which)
            result = in_process("day", company)
            whole = result["ledger"] + result["models"] + result["plan"]
            best[which] = min(best.get(which, whole), whole)
            print(f"{which}: {whole:.2f} s {result} (load {os.getloadavg()[0]:.1f})", flush=True)
    print(f"large / empty: {best['large'] / best['empty']:.2f}")
    print(f"looking back: {in_process('back', company)}")
    shutil.rmtree(company.home / "large")
    forget(company.settings)


if __name__ == "__main__":
    main()
