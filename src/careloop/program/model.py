"""A program pack: everything about one care program that is a decision, not code."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from careloop.contract import entities
from careloop.program import care, contact, customers, products, service
from careloop.program import tags as tagging
from careloop.program.base import Closed, Id, Mistake, Text, refuse, wrong
from careloop.program.calendar import WorkCalendar
from careloop.program.closed_loop import ClosedLoop
from careloop.program.goals import Benchmark, Data, FindingPriority, Goals
from careloop.program.pain_points import PainPoints
from careloop.program.registers import Registers
from careloop.program.rules import Rule
from careloop.program.sla import WARNING, Alerts, Sla

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]


class Program(Closed):
    """One care program, as written in ``programs/<pack>/program.yml``."""

    name: Id = Field(description="Name of the pack; the same as its folder's.")
    title: Text = Field(description="Title people read.")
    about: Text = Field(description="What the program is for, in a sentence.")
    zone: str = Field(description="Time zone of days and hours, e.g. Asia/Shanghai.")
    locales: Annotated[list[Locale], Field(min_length=1)] = Field(
        description="Languages of messages; the first where a customer's own is missing."
    )
    currency: Currency = Field(description="Currency of every amount in the pack and the marts.")
    exchange_rates: dict[Currency, Annotated[float, Field(gt=0)]] = Field(
        description="Worth of one unit of another currency in the pack's."
    )
    fiscal_year_starts: Annotated[int, Field(ge=1, le=12)] = Field(
        description="Month in which quarters and years begin, for the review."
    )
    calendar: WorkCalendar = Field(description="Working time, holidays, festivals.")
    profile: customers.Profile = Field(description="What a profile is measured over.")
    rfm: customers.Rfm = Field(description="Recency, frequency and monetary scores.")
    activity: customers.Activity = Field(description="Activity levels and dormancy.")
    segments: Annotated[list[customers.Segment], Field(min_length=2)] = Field(
        description="Segments in order; the first that fits holds."
    )
    stages: Annotated[list[customers.Stage], Field(min_length=2)] = Field(
        description="Lifecycle stages in order; the first that fits holds."
    )
    value: customers.Value = Field(description="Prediction of lifetime value.")
    health: customers.Health = Field(description="Health score.")
    churn: care.Churn = Field(description="Churn alerts.")
    tags: tagging.Tags = Field(description="Tags.")
    channel_preference: tagging.ChannelPreference = Field(
        description="How the preferred channel and time are found."
    )
    next_product: products.NextProduct | None = Field(
        None, description="Next best product; nothing is recommended if empty."
    )
    calibration: care.Calibration = Field(description="Review of thresholds and tiers.")
    offers: list[care.Offer] = Field(description="Benefits that rules may give.")
    caps: contact.Caps = Field(description="Limits of contact.")
    quiet_hours: contact.QuietHours = Field(description="Times without messages.")
    holdout: contact.Holdout = Field(description="Customers left alone, for comparison.")
    consent: contact.Consent = Field(description="Consent by purpose.")
    feedback: contact.Feedback = Field(
        default=contact.Feedback(), description="What follows from bounces and complaints."
    )
    uplift: contact.Uplift = Field(
        default=contact.Uplift(), description="How the effect of care is measured."
    )
    loyalty: contact.Loyalty | None = Field(None, description="Tiers, points, referrals.")
    departments: list[service.Department] = Field(description="Departments of the company.")
    touchpoints: list[service.Touchpoint] = Field(description="Where customers meet the company.")
    sla: Sla = Field(description="Service promises.")
    closed_loop: ClosedLoop = Field(description="From feedback to archive.")
    alerts: Alerts = Field(description="Messages to the team about what is due and late.")
    pain_points: PainPoints = Field(description="Classes and ranking of pain points.")
    service_packages: list[service.ServicePackage] = Field(
        default=[], description="Service packages."
    )
    emergency: service.Emergency = Field(description="Playbook for outages.")
    late_delivery: service.LateDelivery = Field(description="Late and lost deliveries.")
    registers: Registers = Field(description="Exports for the office.")
    confidentiality: service.Confidentiality = Field(description="Who sees personal data.")
    operation: service.Operation = Field(description="Regular work of the service.")
    goals: Goals = Field(description="KPI targets.")
    benchmarks: list[Benchmark] = Field(
        description="Industry figures; those of the benchmarks entity go before them."
    )
    findings: list[FindingPriority] = Field(description="Which figures are findings, by priority.")
    data: Data = Field(description="Limits on the age and volume of the data.")

    _hash: str = PrivateAttr("")
    _folder: Path | None = PrivateAttr(None)
    _bases: tuple[Path, ...] = PrivateAttr(())
    _rules: tuple[Rule, ...] = PrivateAttr(())

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise wrong("is not a time zone", tuple(sorted(available_timezones()))) from None
        return zone

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        refuse([mistake for check in _CHECKS for mistake in check(self)])
        return self

    @property
    def hash(self) -> str:
        """12 hex digits over everything in the pack's folder that has a meaning."""
        return self._hash

    @property
    def folder(self) -> Path | None:
        """Where it was read from."""
        return self._folder

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its own folder, those of the packs it extends, the nearest first, and the one that all
        packs share: where rules and messages are looked for."""
        return () if self._folder is None else (self._folder, *self._bases)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The care rules of ``rules.yml``."""
        return self._rules


def _unique(program: Program) -> Iterator[Mistake]:
    for loc, items in named_lists(program):
        names = [item.id for item in items]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Mistake((*loc, i, "id"), name, "is used twice; ids are unique in their list")


def named_lists(model: Closed, loc: tuple = ()) -> Iterator[tuple[tuple, list[Any]]]:
    """Every list of things with an id below ``model``, with its path."""
    for field, info in type(model).model_fields.items():
        value = getattr(model, field)
        here = (*loc, info.alias or field)
        if isinstance(value, Closed):
            yield from named_lists(value, here)
        elif isinstance(value, list) and value and isinstance(value[0], Closed):
            if "id" in type(value[0]).model_fields:
                yield here, value
            for i, item in enumerate(value):
                yield from named_lists(item, (*here, i))


def _defaults_last(program: Program) -> Iterator[Mistake]:
    lists = {
        ("segments",): program.segments,
        ("stages",): program.stages,
        ("activity", "levels"): program.activity.levels,
    }
    for loc, rules in lists.items():
        for i, rule in enumerate(rules[:-1]):
            if rule.when is None:
                yield Mistake(
                    (*loc, i), rule.id, "has no `when`: only the last entry is the default"
                )
        if rules and rules[-1].when is not None:
            yield Mistake(
                (*loc, len(rules) - 1, "when"),
                rules[-1].id,
                "must not be there: the last entry is the default, for everyone else",
            )


def _shares(program: Program) -> Iterator[Mistake]:
    shares = [s.expected_share for s in program.segments if s.expected_share is not None]
    if sum(shares) > 1.01:
        yield Mistake(("segments",), round(sum(shares), 4), "expected_share add up to more than 1")
    if shares and len(shares) == len(program.segments) and sum(shares) < 0.99:
        yield Mistake(
            ("segments",), round(sum(shares), 4), "expected_share of all add up to less than 1"
        )


def _references(program: Program) -> Iterator[Mistake]:
    """Ids in use of segments, stages, tiers, departments, touchpoints, offers, occasions…"""
    tiers = program.loyalty.tiers if program.loyalty else []
    known = {
        "segment": program.segments,
        "stage": program.stages,
        "tier": tiers,
        "department": program.departments,
        "touchpoint": program.touchpoints,
        "offer": program.offers,
        "occasion": program.calendar.occasions,
        "clock": program.sla.clocks,
    }
    ids = {kind: tuple(item.id for item in items) for kind, items in known.items()}
    keys = {kind: kind for kind in ids} | {f"{kind}s": kind for kind in ids}
    keys |= {"late_offer": "offer", "lost_offer": "offer", "department_default": "department"}
    for loc, key, value in _used_ids(program):
        # The `clock` of a service clock is a kind of time; corrections name one of the clocks.
        kind = keys.get(key)
        if kind is None or (key == "clock" and "clocks" in loc):
            continue
        for i, name in enumerate(value if isinstance(value, list) else [value]):
            if name not in ids[kind]:
                path = (*loc, key, i) if isinstance(value, list) else (*loc, key)
                yield Mistake(path, name, f"is no {kind} of this pack", ids[kind])


def _used_ids(model: Closed, loc: tuple = ()) -> Iterator[tuple[tuple, str, Any]]:
    """Every field below ``model`` that is a name or a list of names, except of definitions."""
    for field in type(model).model_fields:
        value = getattr(model, field)
        if isinstance(value, Closed):
            yield from _used_ids(value, (*loc, field))
        elif isinstance(value, str):
            yield loc, field, value
        elif isinstance(value, list) and value:
            if all(isinstance(item, str) for item in value):
                yield loc, field, value
            for i, item in enumerate(value):
                if isinstance(item, Closed):
                    yield from _used_ids(item, (*loc, field, i))


def _contract_names(program: Program) -> Iterator[Mistake]:
    contract = entities()
    columns = tuple(contract["customers"].columns)
    for i, column in enumerate(program.profile.complete_fields):
        if column not in columns:
            yield Mistake(
                ("profile", "complete_fields", i), column, "is not a column of customers", columns
            )
    for key in ("freshness", "volume"):
        seen = set()
        for i, limit in enumerate(getattr(program.data, key)):
            loc = ("data", key, i, "entity")
            if limit.entity not in contract:
                yield Mistake(loc, limit.entity, "is not a canonical entity", tuple(contract))
            elif limit.entity in seen:
                yield Mistake(loc, limit.entity, "has a limit already")
            seen.add(limit.entity)


def _currencies(program: Program) -> Iterator[Mistake]:
    rate = program.exchange_rates.get(program.currency)
    if rate is not None and rate != 1:
        yield Mistake(
            ("exchange_rates", program.currency),
            rate,
            "must be 1 or left out: it is the pack's own currency",
        )


def _scale(program: Program) -> Iterator[Mistake]:
    operation = program.operation
    if operation.satisfied_from > operation.satisfaction_scale_max:
        yield Mistake(
            ("operation", "satisfied_from"),
            operation.satisfied_from,
            f"is above the scale ({operation.satisfaction_scale_max})",
        )


def _alert_levels(program: Program) -> Iterator[Mistake]:
    levels = (WARNING, *(step.id for step in program.sla.escalation))
    for i, item in enumerate(program.alerts.levels):
        if item.level not in levels:
            path = ("alerts", "levels", i, "level")
            yield Mistake(path, item.level, "is no level of escalation", levels)


_CHECKS: tuple[Callable[[Program], Iterator[Mistake]], ...] = (
    _unique,
    _defaults_last,
    _shares,
    _references,
    _contract_names,
    _currencies,
    _scale,
    _alert_levels,
)

__all__ = ["Program", "named_lists"]
