"""What each channel needs to know of a customer."""

# Column of contacts that a message on the channel goes to; None: it goes by the customer's id.
ADDRESS: dict[str, str | None] = {
    "sms": "phone",
    "call": "phone",
    "email": "email",
    "wecom": "wecom_id",
    "push": "push_token",
    "app": "push_token",
    "mini_program": "push_token",
    "community": None,
    "live": None,
    "article": None,
    "online": None,
    "visit": None,
}
# Channels on which a person speaks, so that a message on them is a task.
SPOKEN = ("call", "visit")
