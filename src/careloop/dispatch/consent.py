"""Consent at the moment before sending, from the lake as it is now."""

from collections.abc import Sequence
from datetime import datetime

from careloop.contract import entities
from careloop.lake.batches import Lake
from careloop.lake.relations import current
from careloop.ledger.messages import Message
from careloop.program.model import Program
from careloop.settings import Settings
from careloop.warehouse import connect

LATEST = """
with wanted as (
    select
        unnest($customers::varchar[]) as customer_id, unnest($purposes::varchar[]) as purpose,
        unnest($channels::varchar[]) as channel, unnest(range(len($customers))) as number
)
select
    w.number,
    max_by(c.granted, c.changed_at) filter (where c.changed_at <= $now) as is_granted,
    coalesce(bool_or(not c.granted) filter (where c.changed_at > $now), false) as is_withdrawn_later
from wanted as w
inner join ({consents}) as c using (customer_id, purpose, channel)
group by w.number
"""


def refusals(
    settings: Settings, program: Program, messages: Sequence[Message], now: datetime
) -> dict[str, str]:
    """Why consent does not allow them, by message_id; one read of the lake for all.

    The latest consent for the purpose on the channel decides; without any, opt-out purposes may
    go and opt-in ones may not. A withdrawal dated after ``now`` holds already.
    """
    if not messages:
        return {}
    wanted = {
        "customers": [m.customer_id for m in messages],
        "purposes": [m.purpose for m in messages],
        "channels": [m.channel for m in messages],
        "now": now,
    }
    relation = current(Lake(settings.lake), entities()["consents"])
    with connect(settings) as con:
        rows = con.execute(LATEST.format(consents=relation), wanted).fetchall()
    latest = {number: (granted, later) for number, granted, later in rows}
    result = {}
    for number, message in enumerate(messages):
        granted, withdrawn_later = latest.get(number, (None, False))
        policy = getattr(program.consent, message.purpose)
        about = f"{message.purpose} on {message.channel}"
        if granted is False or withdrawn_later:
            result[message.message_id] = f"consent for {about} was withdrawn"
        elif granted is None and policy == "opt_in":
            result[message.message_id] = f"no consent for {about}"
    return result
