"""What the pack says about the churn model, as the warehouse holds it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ChurnRules:
    """See ``careloop.program.customers.ChurnModel``."""

    min_customers: int
    min_auc_gain: float

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "ChurnRules":
        """From the rows of ``program.settings``."""
        return cls(
            min_customers=int(settings["value.churn_model.min_customers"]),
            min_auc_gain=float(settings["value.churn_model.min_auc_gain"]),
        )
