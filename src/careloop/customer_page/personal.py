"""The contact details of one customer, read from the lake: the only way to them."""

import duckdb

from careloop.access_log import checked_reason, record
from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.settings import Settings
from careloop.warehouse import connect, names_of


def reveal(settings: Settings, customer_id: str, why: str | None, run_id: str) -> dict[str, str]:
    """Known contact details by field, after the access has been written down.

    Raises SettingsError without a reason, before anything is read.
    """
    why = checked_reason(why)
    entity = entities()["contacts"]
    fields = [column for column in entity.columns if column not in ("customer_id", "updated_at")]
    con: duckdb.DuckDBPyConnection = connect(settings)
    try:
        found = con.execute(
            f"select {names_of(fields)} from ({current(Lake(settings.lake), entity)}) "
            "where customer_id = $id",
            {"id": customer_id},
        ).fetchall()
    finally:
        con.close()
    known = {
        name: str(value)
        for name, value in zip(fields, found[0] if found else [None] * len(fields), strict=True)
        if value not in (None, "")
    }
    record(settings, customer_id, why, list(known), run_id)
    return known
