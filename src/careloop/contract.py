"""The data contract: the canonical entities, read from ``contract.yml``.

Grain, keys, types and meaning of every column stand there once; loading, quality
gates, `careloop contract` and the documentation all read them from here.
"""

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml

SQL_TYPES = {
    "text": "varchar",
    "integer": "bigint",
    "number": "double",
    "money": "decimal(18,4)",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


@dataclass(frozen=True)
class Column:
    """One canonical column. Times are UTC; money is decimal(18,4) in the row's currency.

    personal: never leaves the lake. erased: emptied when the customer is erased, as personal ones.
    """

    name: str
    type: str
    about: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    references: str | None = None
    personal: bool = False
    erased: bool = False

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class Entity:
    """One canonical entity: its grain is one row per ``key``."""

    name: str
    title: dict[str, str]
    about: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    required: bool = False
    personal: bool = False
    merge: str = "rows"
    parents: dict[str, str] = field(default_factory=dict)

    @property
    def order_column(self) -> str | None:
        """The column that decides between two versions of a row, if the entity has one."""
        return "updated_at" if "updated_at" in self.columns else None


@cache
def entities() -> dict[str, Entity]:
    """Every canonical entity by name, parents before children."""
    spec = yaml.safe_load(files("careloop").joinpath("contract.yml").read_text("utf-8"))
    result = {}
    for name, body in spec.items():
        columns = {
            column: Column(
                name=column,
                type=attrs["type"],
                about=attrs["about"],
                required=attrs.get("required", False) or column in body["key"],
                allowed=tuple(attrs.get("allowed", ())),
                min=attrs.get("min"),
                max=attrs.get("max"),
                references=attrs.get("references"),
                personal=attrs.get("personal", False),
                erased=attrs.get("erased", attrs.get("personal", False)),
            )
            for column, attrs in body["columns"].items()
        }
        result[name] = Entity(
            name=name,
            title=body["title"],
            about=body["about"],
            key=tuple(body["key"]),
            columns=columns,
            required=body.get("required", False),
            personal=body.get("personal", False),
            merge=body.get("merge", "rows"),
            parents={c.name: c.references for c in columns.values() if c.references},
        )
    return result
