"""Which dbt models the watch computes, and what it takes from the last refresh instead.

This is the one place that says so: whatever the results need is computed if it lies in one of the
rooms, and taken from the published version otherwise.
"""

from dataclasses import dataclass, field
from typing import Any

# What a round leaves.
RESULTS = (
    "fct_ticket_clocks",
    "fct_ticket_clock_events",
    "fct_case_clocks",
    "fct_incidents",
    "fct_late_deliveries",
    "fct_care_decisions",
)
ROOMS = (
    "models/staging/",
    "models/intermediate/care/",
    "models/intermediate/service/",
    "models/marts/service/",
)
# In these rooms, and taken nevertheless: who a customer is doesn't change during the day, and
# targets hold from a refresh on.
TAKEN = ("int_care_customers", "int_sla_targets", "dim_sla_targets")


@dataclass
class Selection:
    """models: to compute. marts, intermediate: relations to take, by where dbt looks for them.
    history: tables ``run.previous_…`` that are looked at."""

    models: list[str] = field(default_factory=list)
    marts: list[str] = field(default_factory=list)
    intermediate: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


def selection(manifest: Any) -> Selection:
    """The selection in a parsed project: a dbt manifest."""
    nodes = {n.name: n for n in manifest.nodes.values() if n.resource_type == "model"}
    found = Selection()
    seen: set[str] = set()
    ahead = [name for name in RESULTS if name in nodes]
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        node = nodes[name]
        path = node.original_file_path
        if name in TAKEN or not (name in RESULTS or path.startswith(ROOMS)):
            taken = found.marts if path.startswith("models/marts/") else found.intermediate
            taken.append(name)
            continue
        found.models.append(name)
        for parent in node.depends_on.nodes:
            if parent.startswith("source."):
                source = manifest.sources[parent]
                if source.source_name == "run" and source.name.startswith("previous_"):
                    found.history.append(source.name)
            else:
                ahead.append(manifest.nodes[parent].name)
    for names in (found.models, found.marts, found.intermediate, found.history):
        names[:] = sorted(set(names))
    return found
