"""YAML with line numbers: values, the line of every path, and keys written twice.

Plain YAML 1.2 scalars only: `yes`, `on`, `09:00` and dates stay text, as people mean them.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]


@dataclass
class Document:
    """A YAML document. lines: line of each path, from 1; twice: repeated keys with their line."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    twice: list[tuple[Path, int]] = field(default_factory=list)

    def line_of(self, path: Path) -> int | None:
        """Line of a path, or of the nearest part of it that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


_BOOL = re.compile(r"^(true|false)$")
_INT = re.compile(r"^[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"^[-+]?([0-9][0-9_]*)?\.?[0-9]+([eE][-+]?[0-9]+)?$")


def read_yaml(text: str) -> Document:
    """Parses ``text``; raises yaml.YAMLError."""
    document = Document()
    node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if node is not None:
        document.data = _value(node, (), document, ())
    return document


def _value(node: yaml.Node, path: Path, document: Document, above: tuple[int, ...]) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="an alias contains itself", problem_mark=node.start_mark)
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(n, (*path, i), document, above) for i, n in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(
                problem="a key must be a plain word", problem_mark=key_node.start_mark
            )
        here = (*path, key_node.value)
        line = key_node.start_mark.line + 1
        if key_node.value in result:
            document.twice.append((here, line))
        document.lines[here] = line
        result[key_node.value] = _value(value_node, here, document, above)
    return result


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style in ("'", '"', "|", ">"):
        return text
    if text in ("", "~", "null"):
        return None
    if _BOOL.match(text):
        return text == "true"
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    return text
