"""The address a message on a channel goes to, from the lake; used for its hash only."""

from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.program.channels import ADDRESS
from careloop.settings import Settings
from careloop.warehouse import connect, quote


def address_of(settings: Settings, customer_id: str, channel: str) -> str | None:
    """The customer's address on the channel as it is known now; None where there is none."""
    column = ADDRESS.get(channel)
    if column is None:
        return None
    con = connect(settings)
    try:
        relation = current(Lake(settings.lake), entities()["contacts"])
        found = con.execute(
            f"select {quote(column)} from ({relation}) where customer_id = $customer",
            {"customer": customer_id},
        ).fetchall()
    finally:
        con.close()
    return (found[0][0] or None) if found else None
