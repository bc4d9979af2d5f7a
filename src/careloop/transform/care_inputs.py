"""What the care models know besides the CRM: who can be reached, and what the ledger recorded."""

import duckdb

from careloop.ledger.mirror import write_ledger
from careloop.settings import Settings

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


def write_care_inputs(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Creates ``run.reachability`` (one row per customer with contacts: which addresses are there,
    not what they are) and schema ``ledger`` over the ledger's mirror."""
    con.execute(REACHABILITY)
    write_ledger(con, settings)
