"""What the two sources export: one entry per file, in the order of loading."""

from dataclasses import dataclass, field

from careloop.sample.dirt import Damage, older, rejected, unknown_customer


@dataclass(frozen=True)
class Export:
    """One file of a source.

    query: name under ``sql/<source>/``. kind: how it is shipped while small; the tables
    that grow with the customers are ``big`` and become Parquet in a large sample.
    key: the column that names a row in truth/dirt.csv. fresh: (column, SQL) that gives a
    damaged copy a key of its own. damage: what ``--dirty`` does. daily: part of a delta.
    """

    source: str
    query: str
    kind: str = "csv"
    big: bool = True
    encoding: str = "utf-8"
    daily: bool = False
    key: str = ""
    fresh: tuple[str, str] = ("", "")
    damage: tuple[Damage, ...] = field(default=())

    def file(self, parquet: bool, day: str = "") -> str:
        """Path relative to the sample; ``day`` marks the files of a delta."""
        kind = "parquet" if parquet and self.big else self.kind
        return f"{self.source}/{self.query}{'_' + day if day else ''}.{kind}"


def _own(column: str) -> tuple[str, str]:
    return column, f"'X' || substr({column}, 2)"


EXPORTS = (
    Export("online", "products", "xlsx", big=False),
    Export("online", "staff", big=False),
    Export("online", "benchmarks", big=False),
    Export(
        "online", "customers", encoding="utf-8-sig", daily=True,
        key="customer_no", fresh=_own("customer_no"),
        damage=(
            rejected("missing key", customer_no=None),
            rejected("impossible date", birthday="1990-02-30"),
            rejected("bad value", type="alien"),
            older(updated_at="2001-01-01 00:00:00", region="Atlantis"),
        ),
    ),
    Export("online", "contacts", daily=True),
    Export("online", "consents", daily=True),
    Export(
        "online", "orders", daily=True, key="order_no", fresh=_own("order_no"),
        damage=(
            rejected("missing key", order_no=None),
            rejected("impossible date", ordered_at="2026-02-30 10:00:00"),
            rejected("negative number", amount="-49.90"),
            rejected("text in a number", amount="about 50"),
            rejected("bad value", status="teleported"),
            rejected("too few columns"),
            unknown_customer(customer_no="C0000404"),
            older(updated_at="2001-01-01 00:00:00", amount="0.01"),
        ),
    ),
    Export(
        "online", "order_lines", daily=True, key="order_no", fresh=("line_no", "line_no + 50"),
        damage=(
            rejected("missing key", line_no=None),
            rejected("negative number", quantity="-3"),
            rejected("text in a number", quantity="two"),
        ),
    ),
    Export(
        "online", "interactions", daily=True, key="interaction_id", fresh=_own("interaction_id"),
        damage=(
            rejected("missing key", interaction_id=None),
            rejected("impossible date", occurred_at="2026-02-30 10:00:00"),
            rejected("negative number", dwell_seconds="-5"),
            rejected("too few columns"),
            unknown_customer(customer_no="C0000404"),
        ),
    ),
    Export(
        "online", "tickets", "jsonl", daily=True, key="ticket_id", fresh=_own("ticket_id"),
        damage=(
            rejected("missing key", ticket_id=None),
            rejected("impossible date", opened_at="2026-02-30T10:00:00Z"),
            rejected("text in a number", reopened_count="once"),
            unknown_customer(customer_no="C0000404"),
            older(updated_at="2001-01-01T00:00:00Z", result="stale"),
        ),
    ),
    Export("online", "ticket_events", daily=True),
    Export("online", "surveys"),
    Export("online", "follow_ups"),
    Export("online", "points", daily=True),
    Export("online", "referrals"),
    Export("store", "members", big=False, encoding="gb18030"),
    Export(
        "store", "orders", encoding="gb18030", daily=True, key="订单号", fresh=_own("订单号"),
        damage=(
            rejected("missing key", 订单号=None),
            rejected("impossible date", 下单时间="2026/02/30 10:00:00"),
            rejected("text in a number", 实付金额="待定"),
            rejected("too few columns"),
            unknown_customer(会员号="C0000404"),
        ),
    ),
    Export("store", "order_lines", encoding="gb18030", daily=True),
    Export("store", "visits", encoding="gb18030", daily=True),
    Export("store", "tickets", encoding="gb18030"),
)  # fmt: skip

WIDE_PARQUET = 100_000


def is_parquet(fmt: str, customers: int) -> bool:
    """Whether the big tables of a sample are shipped as Parquet."""
    return fmt == "parquet" or (fmt == "auto" and customers > WIDE_PARQUET)
