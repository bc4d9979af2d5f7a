"""What a customer may want next: products bought together, and products to be replaced."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import Closed, Mistake, PositiveInt, Share, refuse

Days = Annotated[int, Field(ge=0, le=3650)]
Window = Annotated[int, Field(ge=1, le=3650)]


class Replacement(Closed):
    """When a product with `replacement_days` is listed for replacement."""

    show_days_before: Days = Field(
        description="Listed as upcoming from this many days before it is due."
    )
    remind_days_before: Days = Field(
        description="Listed as due, the time to remind, from this many days before."
    )
    forget_days_after: Days = Field(
        description="No longer listed this many days after it was due: bought elsewhere."
    )

    @model_validator(mode="after")
    def _shown_first(self) -> Self:
        if self.remind_days_before > self.show_days_before:
            refuse(
                [
                    Mistake(
                        ("remind_days_before",),
                        self.remind_days_before,
                        f"is above show_days_before ({self.show_days_before})",
                    )
                ]
            )
        return self


class NextProduct(Closed):
    """Next best product: association rules over baskets, and replacement dates."""

    basket: Literal["order", "customer"] = Field(
        description="Bought together means in one order, or by one customer in the window. Of "
        "customers' purchases the lift is above 1 by itself where some buy much more than others."
    )
    window_days: Window = Field(description="Purchases of the last so many days make the baskets.")
    max_baskets: Annotated[int, Field(ge=100)] = Field(
        description="About this many baskets are drawn, by a hash of their id; all if fewer."
    )
    largest_basket: Annotated[int, Field(ge=2, le=1000)] = Field(
        description="Baskets of more products than this are left out: resale, not taste."
    )
    min_together: PositiveInt = Field(
        description="Evidence: baskets with both products, at the least."
    )
    min_confidence: Share = Field(
        description="Share of the baskets with the one that have the other too, at the least."
    )
    min_lift: Annotated[float, Field(ge=0)] = Field(
        description="How many times that share is the usual one, at the least."
    )
    rules_per_product: PositiveInt = Field(description="Associated products kept per product.")
    per_customer: PositiveInt = Field(description="Products recommended to a customer.")
    because_of_days: Window = Field(
        description="Purchases of the last so many days lead to a recommendation."
    )
    exclude_bought_days: Window | None = Field(
        None,
        description="What was bought in the last so many days is not recommended; ever if empty.",
    )
    replacement: Replacement | None = Field(None, description="Products to be replaced.")
