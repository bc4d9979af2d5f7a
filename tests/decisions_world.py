"""Companies at random for the decisions: customers, histories, consents, ledgers, candidates."""

import random
from datetime import date, datetime, timedelta
from hashlib import md5
from typing import Any

import duckdb
import pyarrow as pa

from careloop.contract import entities
from careloop.ledger.mirror import LEDGER_TABLES
from careloop.program.channels import ADDRESS
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.rules import Rule
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT, Settings
from careloop.transform.dbt import invoke
from careloop.warehouse import rows_of
from decisions_reference import Rows, World

PURPOSES = ("service", "care", "marketing", "survey")
MODELS = (
    "int_care_slots", "int_care_freshness", "int_care_consents", "int_care_suppressions",
    "int_care_contacts", "int_care_gates", "int_care_arbitration", "fct_care_decisions",
    "rpt_care_decisions",
)  # fmt: skip
CUSTOMERS = (
    "customer_id varchar, segment varchar, stage varchar, churn_level varchar, "
    "preferred_channel varchar, preferred_time_from varchar, locale varchar, "
    "account_manager_id varchar, predicted_value double, has_phone boolean, has_email boolean, "
    "has_wecom boolean, has_push boolean"
)
CANDIDATES = (
    "customer_id varchar, rule varchar, occasion varchar, came_up_on date, "
    "occurred_at timestamp, expires_at timestamp, due_at timestamp, about varchar"
)


def made_program(
    pack: str = "retail_care", rules: list[dict] | None = None, **parts: Any
) -> Program:
    """A pack with other rules and other parts. parts: fields of caps, holdout … by name."""
    program = load_program(pack, PROJECT_ROOT / "programs")
    changed = {
        name: type(getattr(program, name)).model_validate(
            {**getattr(program, name).model_dump(), **value}
        )
        if isinstance(value, dict)
        else value
        for name, value in parts.items()
    }
    program = program.model_copy(update=changed)
    if rules is not None:
        program._rules = tuple(made_rule(**rule) for rule in rules)
    return program


def made_rule(id: str, **parts: Any) -> Rule:
    return Rule.model_validate(
        {
            "id": id,
            "title": {"en": id, "zh": id},
            "phase": "long_term",
            "trigger": {"cadence": {"every": "1d"}},
            "purpose": "care",
            "channels": ["email"],
            "template": id,
            **parts,
        }
    )


def random_rules(rng: random.Random) -> list[dict]:
    rules = []
    for i in range(14):
        rule: dict[str, Any] = {
            "id": f"rule_{i}",
            "purpose": rng.choice(PURPOSES),
            "channels": rng.sample(list(ADDRESS), rng.randint(1, 4)),
            "priority": rng.choice((10, 50, 50, 90)),
        }
        if rng.random() < 0.3:
            rule["cooldown"] = rng.choice(("1d", "14d", "1mo", "1q", "2w"))
        if rng.random() < 0.3:
            rule["holdout"] = 0.2
        if rng.random() < 0.4:
            rule["cap_group"] = rng.choice(("red", "blue"))
        if rng.random() < 0.2:
            rule["who"] = rng.choice(("account_manager", "service"))
        if rng.random() < 0.3:
            rule["offer"] = "exclusive"
        rules.append(rule)
    return rules


def random_world(program: Program, as_of: datetime, customers: int, seed: int) -> World:
    world = World(program, as_of, {})
    rng = random.Random(seed)
    rows: Rows = {
        name: [] for name in ("customers", "candidates", "consents", "tickets", *LEDGER_TABLES)
    }
    world.rows = rows
    now = world.as_of_utc

    def moment(days_back: float, days_ahead: float = 1.0) -> datetime:
        return now - timedelta(seconds=round(rng.uniform(-days_ahead, days_back) * 86400))

    for i in range(customers):
        customer_id = f"c{i:05d}"
        if rng.random() < 0.97:
            rows["customers"].append(_customer(rng, customer_id))
        for _ in range(rng.choice((0, 1, 2, 5))):
            rows["consents"].append({
                "customer_id": customer_id, "purpose": rng.choice(PURPOSES),
                "channel": rng.choice(list(ADDRESS)), "changed_at": moment(5),
                "granted": rng.random() < 0.6,
            })  # fmt: skip
        for purpose in PURPOSES:
            if rng.random() < 0.5:
                rows["consents"] += [
                    {"customer_id": customer_id, "purpose": purpose, "channel": channel,
                     "changed_at": now - timedelta(days=9), "granted": True}
                    for channel in ADDRESS
                ]  # fmt: skip
        if rng.random() < 0.15:
            rows["tickets"].append({
                "ticket_id": f"t{i}", "customer_id": customer_id,
                "kind": rng.choice(("complaint", "complaint", "question")),
                "opened_at": moment(4), "resolved_at": rng.choice((None, moment(2))),
                "closed_at": rng.choice((None, None, moment(1))),
            })  # fmt: skip
        if rng.random() < 0.2:
            rows["suppressions"].append({
                "customer_id": customer_id, "channel": rng.choice((None, *ADDRESS)),
                "purpose": rng.choice((None, *PURPOSES)),
                "reason": rng.choice(("hard_bounce", "complaint", "erased", "unsubscribed")),
                "at_utc": moment(10), "lifted_at": rng.choice((None, None, moment(3))),
            })  # fmt: skip
        _candidates(rng, world, customer_id, moment)
        _ledger(rng, world, customer_id, moment)
    return world


def _customer(rng: random.Random, customer_id: str) -> dict[str, Any]:
    return {
        "customer_id": customer_id, "segment": rng.choice(("core", "new", None)), "stage": "active",
        "churn_level": None,
        "preferred_channel": rng.choice((None, *ADDRESS)),
        "preferred_time_from": rng.choice((None, "00:30", "09:30", "12:30", "18:00", "22:30")),
        "locale": rng.choice((None, "en")), "account_manager_id": rng.choice((None, "m1")),
        "predicted_value": rng.choice((None, 1.0, 5.0, 5.0)),
        **{flag: rng.random() < 0.7 for flag in ("has_phone", "has_email", "has_wecom",
                                                 "has_push")},
    }  # fmt: skip


def _candidates(rng: random.Random, world: World, customer_id: str, moment: Any) -> None:
    rules = [rule.id for rule in world.program.rules]
    for n in range(rng.choice((1, 2, 3, 4, 8))):
        expires = rng.choice((None, 0.1, 0.5, 0.999, 1, 2, 5))
        if expires in (1, 2, 5):  # a local midnight
            midnight = datetime.combine(world.today + timedelta(days=expires), datetime.min.time())
            expires_at = world.utc(midnight)
        else:
            expires_at = expires and world.as_of_utc + timedelta(days=expires)
        world.rows["candidates"].append({
            "customer_id": customer_id, "rule": rng.choice(rules), "occasion": f"turn:{n}",
            "came_up_on": world.today - timedelta(days=rng.choice((0, 0, 1, 2))),
            "occurred_at": None, "expires_at": expires_at,
            "due_at": rng.choice((None, expires_at, world.as_of_utc + timedelta(hours=11))),
            "about": '{"order_id": "o1"}',
        })  # fmt: skip


def _ledger(rng: random.Random, world: World, customer_id: str, moment: Any) -> None:
    rules, rows = world.program.rules, world.rows
    mine = [c for c in rows["candidates"] if c["customer_id"] == customer_id]
    for n in range(rng.choice((0, 0, 1, 2, 4, 7))):
        rule = rng.choice(rules)
        occasion = f"past:{n}"
        if rng.random() < 0.3:
            again = rng.choice(mine)
            rule = next(r for r in rules if r.id == again["rule"])
            occasion = again["occasion"]
        message_id = f"{customer_id}-{n}"
        day = world.today - timedelta(days=rng.choice((0, 1, 2, 5, 6, 7, 8, 27, 28, 29, 30, 31,
                                                       32, 60, 95)))  # fmt: skip
        planned = world.utc(datetime.combine(day, datetime.min.time()))
        if rng.random() < 0.05:
            planned = world.as_of_utc
        key = md5(f"{rule.id}|{customer_id}|{occasion}".encode()).hexdigest()
        rows["messages"].append({
            "message_id": message_id, "decision_key": key, "customer_id": customer_id,
            "rule": rule.id, "purpose": rule.purpose, "channel": rng.choice(rule.channels),
            "is_cap_exempt": rule.purpose in world.program.caps.exempt_purposes,
            "cap_group": rule.cap_group, "contact_on": day,
            "as_of": min(planned, world.as_of_utc),
        })  # fmt: skip
        rows["events"].append({
            "message_id": message_id, "at_utc": moment(3, 0.5),
            "state": rng.choice(("planned", "sending", "sent", "sent", "failed", "unknown",
                                 "cancelled", "expired", "suppressed")),
        })  # fmt: skip
        if rng.random() < 0.15:
            rows["feedback"].append({
                "feedback_id": message_id, "customer_id": customer_id,
                "message_id": rng.choice((message_id, message_id, None)),
                "channel": rng.choice(list(ADDRESS)), "kind": rng.choice(("unsubscribe", "open")),
                "at_utc": moment(5), "received_at": moment(5),
            })  # fmt: skip
    if rng.random() < 0.1:
        c = rng.choice(mine)
        key = md5(f"{c['rule']}|{customer_id}|{c['occasion']}".encode()).hexdigest()
        rows["exposures"].append({
            "decision_key": key, "arm": rng.choice(("holdout", "treated")),
            "as_of": world.as_of_utc - timedelta(days=rng.choice((0, 1))),
        })  # fmt: skip


def write_world(settings: Settings, world: World) -> None:
    """The warehouse as it stands before the models of the decisions run."""
    settings.build.mkdir(parents=True, exist_ok=True)
    for path in (settings.warehouse, settings.marts):
        path.unlink(missing_ok=True)
    program, rows = world.program, world.rows
    with duckdb.connect(str(settings.warehouse)) as con:
        for schema in ("raw", "run", "ledger", "intermediate"):
            con.execute(f"create schema {schema}")
        for entity in entities().values():
            columns = ", ".join(f'"{c.name}" {c.sql_type}' for c in entity.columns.values())
            con.execute(f"create table raw.{entity.name} ({columns}, _source varchar)")
        con.execute(
            "create table run.context as select 'run' as run_id, ?::timestamp as as_of_local, "
            "?::timestamp as as_of_utc, ?::date as as_of_date, ? as zone, ? as pack, "
            "'0' as pack_hash, ? as currency, ? as locale",
            [world.as_of, world.as_of_utc, world.today, program.zone, program.name,
             program.currency, program.locales[0]],
        )  # fmt: skip
        con.execute("create table run.batches (entity varchar, loaded_at timestamp)")
        for entity, at in world.loaded.items():
            con.execute("insert into run.batches values (?, ?)", [entity, at])
        first = date(world.today.year, 1, 1)
        write_program_tables(con, program, first, world.today + timedelta(days=60))
        for table, columns in LEDGER_TABLES.items():
            con.execute(f"create table ledger.{table} ({columns})")
            insert(con, f"ledger.{table}", rows.get(table, []))
        con.execute(f"create table intermediate.int_care_customers ({CUSTOMERS})")
        con.execute(f"create table intermediate.int_care_candidates ({CANDIDATES})")
        insert(con, "intermediate.int_care_customers", rows["customers"])
        insert(con, "intermediate.int_care_candidates", rows["candidates"])
        for entity in ("consents", "tickets"):
            insert(con, f"raw.{entity}", rows.get(entity, []))


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        values = {name: [row.get(name) for row in rows] for name in columns}
        con.register("given", pa.table(values))
        con.execute(f"insert into {table} by name from given")
        con.unregister("given")


def decide(settings: Settings, world: World) -> list[dict[str, Any]]:
    """The rows of fct_care_decisions, as the models decide."""
    write_world(settings, world)
    selected = ["--select", "stg_consents", "stg_tickets", *MODELS]
    result = invoke(settings, ["run", *selected])
    if not result.success:
        bad = [r for r in getattr(result.result, "results", []) if r.status != "success"]
        raise AssertionError("\n".join(f"{r.node.name}: {r.message}" for r in bad)
                             or str(result.exception))  # fmt: skip
    with duckdb.connect(str(settings.marts), read_only=True) as con:
        return rows_of(con, "from fct_care_decisions order by decision_key")
