"""The pack's ``value`` section as the warehouse holds it, and the units that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

UNIT_DAYS = {"day": 1.0, "week": 7.0}
MONTH_DAYS = 365.25 / 12


@dataclass(frozen=True)
class ValueRules:
    """See ``careloop.program.customers.Value``; days where nothing else is said."""

    horizon_months: int
    time_unit: str
    churn_horizon_days: int
    yearly_discount_rate: float
    min_repeat_customers: int
    max_total_error: float
    min_correlation: float
    fallback: str
    min_repeat_share: float
    min_interval_variation: float
    min_sampled_customers: int

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "ValueRules":
        """From the rows of ``program.settings``."""
        value = {k.removeprefix("value."): v for k, v in settings.items()}
        return cls(
            horizon_months=int(value["horizon_months"]),
            time_unit=value["time_unit"],
            churn_horizon_days=int(value["churn_horizon_days"]),
            yearly_discount_rate=float(value["yearly_discount_rate"]),
            min_repeat_customers=int(value["gate.min_repeat_customers"]),
            max_total_error=float(value["gate.max_total_error"]),
            min_correlation=float(value["gate.min_correlation"]),
            fallback=value["gate.fallback"],
            min_repeat_share=float(value["applies.min_repeat_share"]),
            min_interval_variation=float(value["applies.min_interval_variation"]),
            min_sampled_customers=int(value["applies.min_sampled_customers"]),
        )

    @property
    def unit_days(self) -> float:
        """Days of one time unit of the model."""
        return UNIT_DAYS[self.time_unit]
