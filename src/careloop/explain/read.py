"""The decisions about one customer on one day, and what became of them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb

from careloop.errors import SettingsError
from careloop.ledger.database import has_ledger, open_ledger
from careloop.ledger.show import story
from careloop.program.model import Program
from careloop.program.rules import Audience, Rule
from careloop.published import (
    WATCH,
    current_version,
    decision_files,
    is_of_watch,
    open_published,
    version_of,
    versions,
)
from careloop.settings import Settings
from careloop.warehouse import Row, literal, rows_of

_DIMENSIONS = {
    "segments": "segment",
    "stages": "stage",
    "tiers": "tier",
    "channels": "preferred_channel",
    "alert_levels": "churn_level",
}


@dataclass
class Silent:
    """A rule that did not come up. not_in: the list of its audience the customer is not in, with
    what the rule wants and what the customer is; None where nothing happened to set it off."""

    rule: Rule
    not_in: tuple[str, list[str], str | None] | None = None


@dataclass
class Explained:
    """as_of: local time of the decisions. decisions: what came up, the outbox first. became: what
    the ledger says of them, by decision_key."""

    customer_id: str
    as_of: datetime
    version: str | None
    decisions: list[Row]
    became: dict[str, Row] = field(default_factory=dict)
    silent: list[Silent] = field(default_factory=list)


def explain(settings: Settings, program: Program, customer_id: str, day: date | None) -> Explained:
    """What was decided about the customer on ``day`` (local), by default in the current version.

    Raises SettingsError when nothing was decided that day or the customer is not known.
    """
    files = _files(settings, day)
    as_of = _as_of(files[0])
    decisions = _decisions(files, customer_id)
    version = _version(settings, as_of)
    now = _customer(settings, version, customer_id) if version else None
    if now is None and not decisions:
        raise SettingsError(
            f"there is no customer {customer_id} in the decisions as of {as_of:%Y-%m-%d %H:%M}",
            'look it up: careloop sql "select customer_id from dim_customers limit 5"',
        )
    came_up = {row["rule"] for row in decisions}
    silent = [
        Silent(rule, _outside(rule.audience, now))
        for rule in program.rules
        if rule.active and rule.id not in came_up
    ]
    became = _became(settings, customer_id)
    return Explained(customer_id, as_of, version, decisions, became, silent if now else [])


def _became(settings: Settings, customer_id: str) -> dict[str, Row]:
    if not has_ledger(settings):
        return {}
    with open_ledger(settings) as ledger, ledger.read() as con:
        return {str(row["decision_key"]): row for row in story(con, customer_id)}


def _files(settings: Settings, day: date | None) -> list[Path]:
    """The last refresh of the day, and the rounds of the watch after it or on that day."""
    files = decision_files(settings)
    if not files:
        raise SettingsError("nothing has been decided yet", "run `careloop run` first")
    days = [file for file in files if not is_of_watch(file)]
    if day is None:
        day = _as_of((days or files)[-1]).date()
    found = [file for file in files if _as_of(file).date() == day]
    if not found:
        raise SettingsError(
            f"nothing was decided on {day}",
            f"there are decisions of {len(files)} days from {_as_of(files[0]):%Y-%m-%d} to "
            f"{_as_of(files[-1]):%Y-%m-%d}",
        )
    refreshed = [file for file in found if not is_of_watch(file)]
    return [*refreshed[-1:], *(file for file in found if is_of_watch(file))]


def _as_of(file: Path) -> datetime:
    return datetime.fromisoformat(file.stem.removeprefix("as_of=").removesuffix(WATCH))


def _version(settings: Settings, as_of: datetime) -> str | None:
    """The published version of that time; of several, where the link points, else the last."""
    found = [v for v in versions(settings) if v.startswith(f"{as_of:%Y%m%dT%H%M}-")]
    current = current_version(settings)
    name = version_of(current) if current else None
    return name if name in found else (found[-1] if found else None)


def _decisions(files: list[Path], customer_id: str) -> list[Row]:
    """What the files decided. Of a decision that came up again and again the one that carried it
    out counts, else the last."""
    listed = ", ".join(literal(file) for file in files)
    with duckdb.connect() as con:
        return rows_of(
            con,
            f"select * from read_parquet([{listed}], union_by_name=true) where customer_id = ? "
            "qualify row_number() over (partition by decision_key "
            "order by outcome not in ('send', 'task'), as_of desc) = 1 "
            "order by outcome not in ('send', 'task'), priority desc, rule, occasion",
            [customer_id],
        )


def _customer(settings: Settings, version: str, customer_id: str) -> Row | None:
    """What the customer was then; None if the version does not know the customer."""
    columns = _DIMENSIONS.values()
    with open_published(settings, version) as con:
        sql = f"select {', '.join(columns)} from dim_customers where customer_id = ?"
        return next(iter(rows_of(con, sql, [customer_id])), None)


def _outside(audience: Audience, customer: Row | None) -> tuple[str, list[str], str | None] | None:
    for listing, column in _DIMENSIONS.items():
        wanted = getattr(audience, listing)
        if customer and wanted and customer[column] not in wanted:
            return column, list(wanted), customer[column]
    return None
