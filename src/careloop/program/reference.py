"""Reference of every key of a pack, generated from the models' descriptions."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from careloop.program.base import Closed, Text
from careloop.program.conditions import OPERATIONS_BY_TYPE, Condition
from careloop.program.kpis import KPIS
from careloop.program.measures import MEASURES
from careloop.program.model import Program
from careloop.program.rules import Rules


def reference_markdown() -> str:
    """The reference part of docs/program-packs.md."""
    lines = ["## Every key", ""]
    seen: list[type[Closed]] = []
    roots = (Program, Rules)
    queue: list[tuple[str, type[Closed]]] = [("program.yml", Program), ("rules.yml", Rules)]
    while queue:
        path, model = queue.pop(0)
        if model in seen or model in (Text, Condition):
            continue
        seen.append(model)
        lines += [f"### {path}", "", " ".join((model.__doc__ or "").split()), ""]
        lines += ["| key | value | if left out | meaning |", "|---|---|---|---|"]
        children = []
        for name, info in model.model_fields.items():
            key = info.alias or name
            default = "needed" if info.is_required() else _default(info.default)
            kind = type_text(info)
            lines.append(f"| `{key}` | {kind} | {default} | {info.description} |")
            here = key if model in roots else f"{path}.{key}"
            children += [
                (here + ("[]" if "list" in kind else ""), m) for m in _inner(info.annotation)
            ]
        lines.append("")
        queue = children + queue
    return "\n".join([*lines, *_measures(), *_kpis()])


def type_text(info: Any) -> str:
    """What may stand at a field, in words."""
    return _type(info.annotation, info.metadata).replace("|", "\\|")


def _type(annotation: Any, metadata: list | None = None) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extra = get_args(annotation)
        return _type(base, extra)
    if origin in (Union, types.UnionType):
        return " or ".join(
            dict.fromkeys(_type(a) for a in get_args(annotation) if a is not type(None))
        )
    if origin is Literal:
        return " · ".join(f"`{a}`" for a in get_args(annotation))
    if origin is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if origin is dict:
        key, value = get_args(annotation)
        return f"{_type(key)}: {_type(value)}"
    if annotation is Text:
        return "`{en, zh}`"
    if annotation is Condition:
        return "condition"
    if isinstance(annotation, type) and issubclass(annotation, Closed):
        return "part below"
    words = {str: "text", int: "whole number", float: "number", bool: "`true` · `false`"}
    return (words.get(annotation) or annotation.__name__) + _limits(metadata or [])


def _limits(metadata: list) -> str:
    found = []
    for item in metadata:
        for inner in getattr(item, "metadata", [item]):
            for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
                if (limit := getattr(inner, attribute, None)) is not None:
                    found.append(f"{sign} {limit:g}")
            function = getattr(inner, "func", None)
            if function is not None:
                name = {
                    "_duration": "duration, e.g. `24h`",
                    "_hours": "`HH:MM-HH:MM`",
                    "_time": "`HH:MM`",
                }.get(function.__name__)
                found += [name] if name else []
            if (pattern := getattr(inner, "pattern", None)) and pattern.startswith("^[a-z0-9]"):
                found.append("id")
    return f" ({', '.join(found)})" if found else ""


def _default(value: Any) -> str:
    if value is None or value == [] or isinstance(value, Closed):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _inner(annotation: Any) -> list[type[Closed]]:
    if isinstance(annotation, type) and issubclass(annotation, Closed):
        return [annotation]
    return [m for a in get_args(annotation) for m in _inner(a)]


def _measures() -> list[str]:
    lines = [
        "## Measures of conditions",
        "",
        "| measure | type | unit | meaning | 含义 |",
        "|---|---|---|---|---|",
    ]
    for m in MEASURES.values():
        lines.append(f"| `{m.name}` | {m.type} | {m.unit} | {m.about_en} | {m.about_zh} |")
    lines += ["", "| type | operations |", "|---|---|"]
    for kind, operations in OPERATIONS_BY_TYPE.items():
        lines.append(f"| {kind} | {', '.join(f'`{o}`' for o in operations)} |")
    return [*lines, ""]


def _kpis() -> list[str]:
    lines = [
        "## KPIs of goals",
        "",
        "| KPI | unit | better | meaning | 含义 |",
        "|---|---|---|---|---|",
    ]
    for k in KPIS.values():
        lines.append(f"| `{k.name}` | {k.unit} | {k.better} | {k.about_en} | {k.about_zh} |")
    return [*lines, ""]
