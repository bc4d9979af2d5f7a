"""The ledger's tables. Times are UTC without zone; addresses are kept as hashes only.

``seq`` grows with every row of a table and is never used again: the mirror follows it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 3

metadata = MetaData()
_BIG = BigInteger().with_variant(Integer, "sqlite")
_PLANNED = text("state = 'planned'")
_HELD = text("worker is not null")


def _seq() -> Column:
    return Column("seq", _BIG, primary_key=True, autoincrement=True)


def _partial(name: str, *columns: Column, where: object) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


# One row per fact about the ledger itself: version of the schema, its own id, salt of the hashes.
meta = Table(
    "ledger_meta", metadata, Column("name", String, primary_key=True), Column("value", String)
)

# One row per decision that is carried out. A decision goes out on one channel, ever: its key is
# unique here whatever the channel, and message_id = hash of key and channel.
messages = Table(
    "messages",
    metadata,
    _seq(),
    Column("message_id", String, nullable=False, unique=True),
    Column("decision_key", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False, index=True),
    Column("rule", String, nullable=False),
    Column("rule_version", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("is_cap_exempt", Boolean, nullable=False),
    Column("cap_group", String),
    Column("contact_on", Date),
    Column("not_before", DateTime),
    Column("expires_at", DateTime),
    Column("due_at", DateTime),
    Column("owner_role", String),
    Column("owner_id", String),
    Column("offer", String),
    Column("offer_until", Date),
    Column("segment", String),
    Column("pack", String, nullable=False),
    Column("pack_hash", String, nullable=False),
    Column("as_of", DateTime, nullable=False),
    Column("locale", String),
    Column("template", String),
    Column("about", Text),
    Column("priority", Integer, nullable=False),
    Column("order_no", _BIG, nullable=False),
    # What carries it out: the channel, or `task` for what a person does.
    Column("route", String, nullable=False),
    Column("state", String, nullable=False),
    Column("state_at", DateTime, nullable=False),
    # Times it was begun, and how many of these count towards giving up.
    Column("attempts", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("next_attempt_at", DateTime, nullable=False),
    # Who holds it, and until when nobody else may take it.
    Column("worker", String),
    Column("lease_until", DateTime),
    Column("provider_id", String),
    Column("detail", String),
    sqlite_autoincrement=True,
)
_partial(
    "messages_waiting",
    messages.c.route,
    messages.c.priority.desc(),
    messages.c.as_of,
    messages.c.order_no,
    messages.c.next_attempt_at,
    where=_PLANNED,
)
_partial("messages_expiring", messages.c.expires_at, where=_PLANNED)
_partial("messages_held", messages.c.worker, where=_HELD)
_partial("messages_unknown", messages.c.route, where=text("state = 'unknown'"))
Index("messages_provider", messages.c.provider_id)

# One row per change of a message's state; never changed. attempt: the number of the attempt.
events = Table(
    "events",
    metadata,
    _seq(),
    Column("message_id", String, nullable=False, index=True),
    Column("at_utc", DateTime, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("attempt", Integer, nullable=False),
    sqlite_autoincrement=True,
)

# One row per decision that reached the holdout, with its arm.
exposures = Table(
    "exposures",
    metadata,
    _seq(),
    Column("decision_key", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("rule_version", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("arm", String),
    Column("holdout_scope", String),
    Column("holdout_share", Float),
    Column("segment", String),
    Column("pack", String, nullable=False),
    Column("pack_hash", String, nullable=False),
    Column("as_of", DateTime, nullable=False),
    sqlite_autoincrement=True,
)

# One row per thing that came back.
feedback = Table(
    "feedback",
    metadata,
    _seq(),
    Column("feedback_id", String, nullable=False, unique=True),
    Column("message_id", String, index=True),
    Column("customer_id", String),
    Column("channel", String),
    Column("kind", String, nullable=False),
    Column("at_utc", DateTime, nullable=False),
    Column("received_at", DateTime, nullable=False),
    Column("detail", String),
    sqlite_autoincrement=True,
)

# One row per customer or address that must not be used. scope: customer (key is the customer_id)
# or address (key is the address's hash, which survives erasure). No channel, no purpose: all.
# Lifting a suppression gives it lifted_at and a new seq; suppression_id stays.
suppressions = Table(
    "suppressions",
    metadata,
    _seq(),
    Column("suppression_id", String, nullable=False, unique=True),
    Column("scope", String, nullable=False),
    Column("key", String, nullable=False, index=True),
    Column("channel", String),
    Column("purpose", String),
    Column("reason", String, nullable=False),
    Column("at_utc", DateTime, nullable=False),
    Column("lifted_at", DateTime),
    sqlite_autoincrement=True,
)

# One row per case, clock, cycle and level that somebody was told of, updated and never repeated.
# Ids and roles only. state: open, fulfilled (the clock stopped), ended (its cycle ended otherwise,
# or the case is gone), withdrawn (a person said so). staff_id: who was told; none is the team.
# found: backlog (its level was reached long before it was first seen), over (its clock had stopped
# when it was first seen); none is in time.
escalations = Table(
    "escalations",
    metadata,
    _seq(),
    Column("escalation_id", String, nullable=False, unique=True),
    Column("case_kind", String, nullable=False),
    Column("case_id", String, nullable=False),
    Column("clock", String, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("level", String, nullable=False),
    Column("customer_id", String, index=True),
    Column("kind", String),
    Column("urgency", String),
    Column("role", String, nullable=False),
    Column("staff_id", String),
    Column("owner_id", String),
    Column("department", String),
    Column("target", String, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("due_at", DateTime),
    Column("breached_at", DateTime),
    Column("raised_at", DateTime, nullable=False),
    Column("last_seen_at", DateTime, nullable=False),
    Column("elapsed_seconds", _BIG),
    Column("state", String, nullable=False),
    Column("closed_at", DateTime),
    Column("alert_id", String),
    Column("found", String),
    UniqueConstraint("case_kind", "case_id", "clock", "cycle", "level", name="escalations_case"),
    sqlite_autoincrement=True,
)
_partial("escalations_open", escalations.c.state, where=text("state = 'open'"))

# One row per change of an escalation's state; never changed. at_utc: when it came about.
escalation_events = Table(
    "escalation_events",
    metadata,
    _seq(),
    Column("escalation_id", String, nullable=False, index=True),
    Column("at_utc", DateTime, nullable=False),
    Column("state", String, nullable=False),
    Column("elapsed_seconds", _BIG),
    Column("reason", String),
    sqlite_autoincrement=True,
)

# One row per list that goes to a person or the team. kind: raised, digest.
alerts = Table(
    "alerts",
    metadata,
    _seq(),
    Column("alert_id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("staff_id", String),
    Column("channel", String, nullable=False),
    Column("planned_at", DateTime, nullable=False),
    Column("state", String, nullable=False),
    Column("state_at", DateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("worker", String),
    Column("lease_until", DateTime),
    Column("provider_id", String),
    Column("detail", String),
    sqlite_autoincrement=True,
)
_partial(
    "alerts_waiting",
    alerts.c.state,
    where=text("state in ('planned', 'sending', 'failed')"),
)

# Which alert told whom of an escalation. audience: told, owner, team; each hears of it once.
alert_items = Table(
    "alert_items",
    metadata,
    Column("escalation_id", String, primary_key=True),
    Column("audience", String, primary_key=True),
    Column("alert_id", String, nullable=False, index=True),
)

# One row per published version that was planned.
plans = Table(
    "plans",
    metadata,
    Column("version", String, primary_key=True),
    Column("as_of", DateTime),
    Column("pack", String, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
    Column("messages", _BIG, nullable=False, default=0),
    Column("exposures", _BIG, nullable=False, default=0),
)

# One row per order to all dispatchers: `pause`, `stop` (count grows with each), `rest:<route>`.
controls = Table(
    "controls",
    metadata,
    Column("name", String, primary_key=True),
    Column("count", Integer, nullable=False, default=0),
    Column("until", DateTime),
    Column("reason", String),
    Column("changed_at", DateTime, nullable=False),
)

# The tables, and columns of older ones, that each version of the schema brought.
NEW_TABLES = {2: (escalations, escalation_events, alerts, alert_items)}
NEW_COLUMNS = {3: (escalations.c.found,)}
