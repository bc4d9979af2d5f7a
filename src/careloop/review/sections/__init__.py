"""The sections of a review, in their order.

Each is a module with ``build(reader: Reader) -> Section | None``, None where the company has
nothing of the kind (no loyalty tiers, say); its texts are beside it, ``<name>.yml``. The headline
is made of the sentences of the others, so it is built last and shown first.
"""

from importlib import import_module

from careloop.review.model import Section
from careloop.review.reader import Reader

ORDER = (
    "kpis",
    "deviations",
    "health",
    "migration",
    "retention",
    "value",
    "care_program",
    "service",
    "churn",
    "cases",
    "data_quality",
    "decisions",
)
# Of the monthly short form.
SHORT = ("kpis", "deviations", "service", "decisions")


def build_sections(reader: Reader, extra: Section | None = None) -> list[Section]:
    """Every section of the reader's period that has something to say, without the headline.
    extra: put before the decisions."""
    names = ORDER if reader.period.kind == "quarter" else SHORT
    sections: list[Section] = []
    for name in names:
        if name == "decisions" and extra:
            sections.append(extra)
        section = import_module(f"careloop.review.sections.{name}").build(reader)
        if section:
            sections.append(section)
    return sections
