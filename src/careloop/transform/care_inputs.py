"""What the care models know besides the CRM: who can be reached, and what the ledger recorded."""

import duckdb

REACHABILITY = """
create table run.reachability as
select
    customer_id,
    coalesce(length(regexp_replace(phone, '[^0-9]', '', 'g')) >= 7, false) as has_phone,
    coalesce(regexp_matches(trim(email), '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$'), false) as has_email,
    coalesce(trim(wecom_id) <> '', false) as has_wecom,
    coalesce(trim(push_token) <> '', false) as has_push
from raw.contacts
"""

# Tables of schema `ledger`; all times are UTC. The ledger's own columns, without personal data.
LEDGER_TABLES = {
    "messages": "message_id varchar, decision_key varchar, customer_id varchar, rule varchar, "
    "rule_version varchar, occasion varchar, purpose varchar, channel varchar, kind varchar, "
    "is_cap_exempt boolean, cap_group varchar, contact_on date, not_before timestamp, "
    "expires_at timestamp, due_at timestamp, owner_role varchar, owner_id varchar, offer varchar, "
    "segment varchar, pack varchar, pack_hash varchar, as_of timestamp",
    "events": "seq bigint, message_id varchar, at_utc timestamp, state varchar, reason varchar, "
    "attempt integer",
    "exposures": "decision_key varchar, customer_id varchar, rule varchar, rule_version varchar, "
    "occasion varchar, arm varchar, holdout_scope varchar, holdout_share double, "
    "segment varchar, pack varchar, pack_hash varchar, as_of timestamp",
    "feedback": "feedback_id varchar, message_id varchar, customer_id varchar, channel varchar, "
    "kind varchar, at_utc timestamp, received_at timestamp",
    "suppressions": "customer_id varchar, channel varchar, purpose varchar, reason varchar, "
    "at_utc timestamp, lifted_at timestamp",
}


def write_care_inputs(con: duckdb.DuckDBPyConnection) -> None:
    """Creates ``run.reachability`` (one row per customer with contacts: which addresses are there,
    not what they are) and the tables of schema ``ledger``."""
    con.execute(REACHABILITY)
    con.execute("create schema ledger")
    for table, columns in LEDGER_TABLES.items():
        con.execute(f"create table ledger.{table} ({columns})")
