"""What the care models know besides the CRM: who can be reached, and what the ledger recorded."""

from datetime import date

import duckdb

from careloop.lake.erasures import Erasures
from careloop.ledger.mirror import write_ledger
from careloop.published import decisions_before
from careloop.settings import Settings
from careloop.warehouse import literal

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
    not what they are), ``run.erasures`` (one row per erased customer), ``run.previous_decisions``
    (one row per decision of the last day decided before) and schema ``ledger`` over the ledger's
    mirror. Needs ``run.context``."""
    con.execute(REACHABILITY)
    _write_erasures(con, settings)
    _write_previous_decisions(con, settings)
    write_ledger(con, settings)


def _write_erasures(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    con.execute("create table run.erasures (customer_id varchar, erased_at timestamp)")
    rows = [(name, at) for name, at in Erasures(settings.lake).times().items()]
    if rows:
        con.executemany("insert into run.erasures values (?, ?)", rows)


def _write_previous_decisions(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """A view: of a million decisions, only the column that is asked for is read."""
    columns = "decision_key varchar, as_of_on date"
    day: date = con.execute("select as_of_date from run.context").fetchall()[0][0]
    path = decisions_before(settings, day)
    if path is None:
        con.execute(f"create table run.previous_decisions ({columns})")
    else:
        con.execute(
            "create view run.previous_decisions as select decision_key, as_of_on "
            f"from read_parquet({literal(path)})"
        )
