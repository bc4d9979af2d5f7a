"""`python -m benchmarks.clocks`: service clocks against the same clocks by hand.

Both start from the same warehouse of the pack service_desk, with tickets, their events, surveys and
messages made up in DuckDB (five events a ticket): careloop runs its models by dbt in one process,
the script `script/12_clocks.sql` on one connection. Then every row of fct_ticket_clocks and
fct_ticket_clock_events is compared.
"""

import argparse
import os
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.company import Company
from benchmarks.measure import Timer, in_child
from benchmarks.pipeline import import_all
from benchmarks.same import compare
from benchmarks.script import HERE
from careloop.program import load_program
from careloop.program.tables import write_program_tables
from careloop.run_info import RunInfo
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DbtBuild
from careloop.transform.prepare import CARRIED, prepare_warehouse
from careloop.warehouse import connect, literal

FILE = "clocks.duckdb"
PACK = "service_desk"
AS_OF = datetime(2026, 11, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
CALENDAR = (date(2023, 1, 1), date(2028, 12, 31))
STAGING = ("stg_tickets", "stg_ticket_events", "stg_surveys", "stg_follow_ups")
MODELS = (
    "int_sla_targets",
    "int_service_time",
    "int_service_hours",
    "int_worked_hours",
    "int_service_days",
    "int_ticket_statuses",
    "int_ticket_stops",
    "int_ticket_solutions",
    "int_ticket_customers",
    "int_ticket_clock_cases",
    "int_clock_cases",
    "int_clock_pauses",
    "int_clocks",
    "int_clock_events",
    "fct_ticket_clocks",
    "fct_ticket_clock_events",
)
MARTS = {"fct_ticket_clocks": "ticket_id", "fct_ticket_clock_events": "ticket_id"}
# What the models read of models that are not measured, and which does not come from {tickets}.
UPSTREAM = """
create schema intermediate;
create table intermediate.int_case_clock_cases (
    case_kind varchar, case_id varchar, customer_id varchar, owner_id varchar, department varchar,
    clock varchar, target_key varchar, cycle integer, started_at timestamp, stopped_at timestamp,
    ended_at timestamp
);
create table intermediate.int_customer_segments as
select
    'C' || i as customer_id, list_extract(['core', 'active', 'new'], (i % 3 + 1)::int) as segment,
    if(i % 2 = 0, 'new', 'grown') as stage
from range({customers}) as t(i);
create table intermediate.int_customer_loyalty as
select 'C' || i as customer_id, if(i % 5 = 0, 'gold', null) as tier
from range({customers}) as t(i);
"""
# All but a tenth of the customers were seen in two runs, and a third of them changed.
CHANGES = """
insert into marts.fct_customer_changes by name
select
    'C' || i || dimension || n as change_key, 'C' || i as customer_id, dimension,
    if(n = 0, null, dimension || '_0') as from_value, dimension || '_' || n as to_value,
    timestamp '2025-01-31 16:00:00' + to_days(n * 200 + (i % 90)::int) as as_of
from range({customers}) as t(i)
cross join (values ('segment'), ('stage')) as d (dimension)
cross join (values (0), (1)) as c (n)
where i % 10 <> 0 and (n = 0 or i % 3 = 0);
insert into marts.fct_customer_tier_changes by name
select
    'C' || i || n as change_key, 'C' || i as customer_id, n + 1 as change_no,
    if(n = 0, null, 'silver') as from_tier, if(n = 0, 'silver', 'gold') as tier,
    date '2025-02-01' + n * 100 as changed_on
from range({customers}) as t(i)
cross join (values (0), (1)) as c (n)
where i % 4 = 0;
"""
# Times of a ticket's events are a step apart and a little more; most tickets have five events.
EVENTS = """
create table raw.ticket_events as
with drawn as (
    select
        i, hash(i) as h,
        timestamp '2023-11-05' + to_seconds(((hash(i, 1) % 94000000)::bigint)) as opened_at
    from range({tickets}) as t(i)
),
planned as (
    select
        *,
        case
            when h % 20 < 10 then ['open', 'pending', 'open', 'solved', 'closed']
            when h % 20 < 14 then ['open', 'solved', 'closed']
            when h % 20 < 17
                then ['open', 'pending', 'open', 'on_hold', 'open', 'solved', 'closed']
            when h % 20 < 19 then ['open', 'pending', 'open', 'solved', 'open', 'solved', 'closed']
            else ['open', 'pending', 'open', 'pending', 'open']
        end as statuses,
        list_extract([300, 1800, 7200, 43200, 90000], ((h >> 8) % 5 + 1)::bigint) as step
    from drawn
)
select
    'T' || i as ticket_id,
    opened_at + to_seconds((n - 1) * step + if(n = 1, 0, (hash(i, n) % step)::bigint)) as "at",
    statuses[n] as status, if(statuses[n] in ('pending', 'solved'), 'S1', null) as actor_id,
    'bench' as _source, 1 as _batch
from planned, range(1, len(statuses) + 1) as r(n)
"""
TICKETS = """
insert into raw.tickets by name
with ends as (
    select
        ticket_id, min("at") as opened_at, max("at") filter (status = 'solved') as resolved_at,
        max("at") filter (status = 'closed') as closed_at, hash(ticket_id) as h
    from raw.ticket_events
    group by ticket_id
)
select
    ticket_id, 'C' || (h % {customers}) as customer_id, opened_at,
    list_extract(['chat', 'phone', 'wecom', 'email', 'app'], ((h >> 8) % 5 + 1)::bigint)
        as channel,
    list_extract(['consult', 'purchase', 'use', 'after_sale'], ((h >> 12) % 4 + 1)::bigint)
        as touchpoint,
    list_extract(
        ['enquiry', 'enquiry', 'complaint', 'fault', 'suggestion', 'return'],
        ((h >> 16) % 6 + 1)::bigint
    ) as kind,
    list_extract(['urgent', 'general'], ((h >> 20) % 2 + 1)::bigint) as urgency,
    (h >> 21) % 5 = 0 as is_complex, 'service' as department, 'S' || ((h >> 24) % 200) as owner_id,
    if((h >> 28) % 3 > 0, opened_at + to_seconds(((h >> 30) % 200)::bigint), null)
        as automatic_response_at,
    if((h >> 29) % 4 > 0, opened_at + to_seconds(((h >> 32) % 6000)::bigint), null)
        as acknowledged_at,
    if((h >> 31) % 9 > 0, opened_at + to_seconds(((h >> 34) % 40000)::bigint), null)
        as first_response_at,
    resolved_at, closed_at, 'bench' as _source, 1 as _batch
from ends;
insert into raw.surveys by name
select
    'R' || ticket_id as response_id, customer_id, 'csat' as kind, ticket_id,
    resolved_at + to_seconds((hash(ticket_id, 2) % 130000)::bigint) as asked_at,
    'bench' as _source, 1 as _batch
from raw.tickets
where resolved_at is not null and hash(ticket_id, 3) % 5 < 3;
insert into ledger.messages by name
select
    'm' || ticket_id as message_id, 'ticket_opened:' || ticket_id as occasion, 'send' as kind,
    'service' as purpose
from raw.tickets
where hash(ticket_id, 4) % 20 = 0
union all
select
    'n' || ticket_id, 'ticket_solved:' || ticket_id || ':' || resolved_at::date, 'send', 'survey'
from raw.tickets
where resolved_at is not null and hash(ticket_id, 5) % 20 = 0;
insert into ledger.events by name
select
    m.message_id, 'sent' as state,
    if(m.message_id[1] = 'm', t.opened_at, t.resolved_at)
    + to_seconds((hash(m.message_id) % 90000)::bigint) as at_utc
from ledger.messages as m
inner join raw.tickets as t on m.message_id[2:] = t.ticket_id;
"""


def warehouse(company: Company) -> dict[str, Any]:
    """What both start from; customers: a tenth of the tickets."""
    settings, tickets = company.settings, company.customers
    sizes = {"tickets": tickets, "customers": max(tickets // 10, 1)}
    program = load_program(PACK, PROJECT_ROOT / "programs")
    import_all()
    with Timer() as timer:
        prepare_warehouse(settings, RunInfo("bench", AS_OF, program))
        con = connect(settings, settings.warehouse)
        con.execute(f"attach {literal(settings.marts)} as marts")
        con.execute("set preserve_insertion_order = false")
        for table in ("customer_changes", "customer_tier_changes"):
            name, columns = CARRIED[table]
            con.execute(f"create table marts.{name} ({columns})")
        for name in ("tickets", "ticket_events", "surveys"):
            con.execute(f"create temp table empty as select * from raw.{name} limit 0")
            con.execute(f"drop view raw.{name}")
            if name != "ticket_events":
                con.execute(f"create table raw.{name} as from empty")
            con.execute("drop table empty")
        write_program_tables(con, program, *CALENDAR)
        for part in (UPSTREAM, CHANGES, EVENTS, TICKETS):
            con.execute(part.format(**sizes))
        con.close()
        DbtBuild(settings, [*STAGING, "--exclude-resource-type", "test"]).run().raise_if_failed()
    return {"seconds": timer.seconds, "cpu": timer.cpu}


def models(company: Company) -> dict[str, Any]:
    """The models by dbt, without tests; details: seconds of each."""
    import_all()
    DbtBuild(company.settings, ["int_sla_targets"]).run().raise_if_failed()  # dbt has parsed
    build = DbtBuild(company.settings, [*MODELS, "--exclude-resource-type", "test"])
    with Timer() as timer:
        build.run()
    build.raise_if_failed()
    seconds = {node.name: round(node.seconds, 2) for node in build.nodes}
    return {
        "seconds": round(sum(node.seconds for node in build.nodes), 3),
        "cpu": timer.cpu,
        "details": {"with dbt's own work": timer.seconds, **seconds},
    }


def by_hand(company: Company) -> dict[str, Any]:
    """The script, into a file of its own."""
    target = company.root / FILE
    target.unlink(missing_ok=True)
    con = connect(company.settings, company.settings.warehouse)
    con.execute(f"attach {literal(company.settings.marts)} as marts (read_only)")
    con.execute(f"attach {literal(target)} as script")
    con.execute("set variable as_of = (select as_of_utc from run.context)")
    con.execute("set preserve_insertion_order = false")
    sql = (HERE / "12_clocks.sql").read_text("utf-8")
    with Timer() as timer:
        con.execute(sql)
        con.execute("checkpoint script")
    rows = {
        name: con.execute(f"select count(*) from script.{name}").fetchall()[0][0] for name in MARTS
    }
    con.close()
    return {"seconds": timer.seconds, "cpu": timer.cpu, "details": rows}


def check(company: Company) -> None:
    """Every row of both is the same; raises AssertionError otherwise."""
    with duckdb.connect() as con:
        con.execute(f"attach {literal(company.settings.marts)} as marts (read_only)")
        con.execute(f"attach {literal(company.root / FILE)} as script (read_only)")
        for name, key in MARTS.items():
            compare(con, name, key, set())


def main() -> None:
    """Measure both, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clocks", description=__doc__)
    parser.add_argument("--tickets", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs of both, in turn")
    parser.add_argument("--data", type=Path, default=Path("data/benchmarks"), help="working folder")
    parser.add_argument("--keep", action="store_true", help="leave the data for the next time")
    options = parser.parse_args()
    root = options.data.resolve() / f"clocks-{options.tickets}"
    company = Company(root, options.tickets, root / "home")
    made = root / ".made"
    if not made.exists():
        root.mkdir(parents=True, exist_ok=True)
        print(f"made: {in_child('clock warehouse', company).seconds:.1f} s", flush=True)
        made.touch()
    ratios = []
    for _ in range(options.repeat):
        load = os.getloadavg()[0]
        ours, theirs = in_child("clock models", company), in_child("clock script", company)
        ratios.append((ours.seconds / theirs.seconds, ours.cpu / theirs.cpu))
        for name, figures in (("models", ours), ("script", theirs)):
            print(
                f"{name}: {figures.seconds:.2f} s, {figures.cpu:.2f} CPU s, "
                f"{figures.peak_mb:,.0f} MB {figures.details} (load {load:.1f})",
                flush=True,
            )
    check(company)
    wall, cpu = zip(*ratios, strict=True)
    print(f"the same {theirs.details}; models / script: ")
    print(f"  wall {', '.join(f'{r:.2f}' for r in wall)}; CPU {', '.join(f'{r:.2f}' for r in cpu)}")
    if not options.keep:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
