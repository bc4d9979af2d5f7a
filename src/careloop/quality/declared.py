"""Expectation files: reading them, and finding every mistake before anything runs.

A file states its table, the table's key, and a list of expectations; each has a native Great
Expectations ``type`` and ``kwargs``, a ``severity`` and ``why`` it is there, and where the type
does not read by itself, what it ``says``. A value ``{$PARAMETER: name}`` and ``:name`` in a
query stand for a value of the run (``parameters.py``). A regex must match the whole value:
that is what DuckDB's ``~`` does. Of what a query selects, only columns of the key are reported,
and a column ``found``: the figure of a query about the table as a whole.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from careloop.contract import entities
from careloop.program.yaml_lines import Document, read_yaml
from careloop.quality.results import ExpectationError
from careloop.quality.sentences import SENTENCES, sentence
from careloop.settings import PROJECT_ROOT

GATES = ("raw", "marts")
SEVERITIES = ("critical", "warning")
QUERY = "unexpected_rows_expectation"
BATCHES = "run.batches"
_FILE_KEYS = ("table", "key", "expectations")
_KEYS = ("type", "kwargs", "severity", "why", "says")


@dataclass(frozen=True)
class Declared:
    """One expectation. where: file, line and position, for messages.

    table: the table it is run on; about: the table it is reported for. observe: a query for
    the figure to report where counting rows would say nothing.
    """

    where: str
    table: str
    about: str
    key: tuple[str, ...]
    type: str
    kwargs: dict[str, Any]
    severity: str
    why: dict[str, str]
    says: dict[str, str] = field(default_factory=dict)
    observe: str | None = None

    @property
    def expectation(self) -> dict[str, str]:
        """What it asks for, in a sentence of each language."""
        return self.says or sentence(self.type, self.kwargs)

    @property
    def column(self) -> str | None:
        """The column or columns it is about."""
        names = self.columns
        return ", ".join(names) or None

    @property
    def columns(self) -> list[str]:
        """Columns its kwargs name."""
        single = [self.kwargs.get(name) for name in ("column", "column_A", "column_B")]
        return [name for name in [*single, *self.kwargs.get("column_list", [])] if name]

    def query(self, table: str) -> str:
        """Its query as Great Expectations runs it on ``table``."""
        text = str(self.kwargs["unexpected_rows_query"])
        text = text.replace("{batch}", f"(select * from {table}) as subselect")
        return text.replace("{{", "{").replace("}}", "}")

    def with_kwargs(self, kwargs: dict[str, Any]) -> "Declared":
        return replace(self, kwargs=kwargs)


def expectations_folder() -> Path:
    """``expectations`` in the working directory, else the ones that come with careloop."""
    local = Path("expectations")
    return local if local.is_dir() else PROJECT_ROOT / "expectations"


def mistake(
    where: str, value: object, problem: str, allowed: Iterable[str] = (), hint: str = ""
) -> ExpectationError:
    """The error for one wrong value: where it stands, what is allowed, what was likely meant."""
    names = sorted(allowed)
    shown = "" if value is None else f"{json.dumps(value, ensure_ascii=False, default=str)} "
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    meant = f"; did you mean {close[0]}?" if close else ""
    listed = f"allowed: {', '.join(names)}" if names else hint
    return ExpectationError(f"{where}: {shown}{problem}{meant}", listed)


def declared(gate: str, folder: Path | None = None) -> list[Declared]:
    """Every expectation of ``gate``, in the order of the files; raises ExpectationError."""
    room = (folder or expectations_folder()) / gate
    files = sorted(room.glob("*.yml"))
    if not files:
        raise ExpectationError(
            f"there are no expectation files in {room.parent.name}/{gate}",
            "one file per table is expected there, e.g. expectations/raw/customers.yml",
        )
    if wrong := sorted(p.name for p in room.iterdir() if p.suffix != ".yml"):
        raise mistake(f"expectations/{gate}", wrong[0], "is not an expectation file (*.yml)")
    return [expectation for file in files for expectation in _file(gate, file)]


def _file(gate: str, file: Path) -> list[Declared]:
    name = f"expectations/{gate}/{file.name}"
    try:
        document = read_yaml(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ExpectationError(
            f"{name}{f':{mark.line + 1}' if mark else ''}: not readable YAML: {reason}",
            "check indentation, quotes and that it is saved as UTF-8",
        ) from error
    for path, line in document.twice:
        raise mistake(f"{name}:{line}", path[-1], "is written twice; keep one")
    data = document.data
    if not isinstance(data, dict):
        raise mistake(name, None, "must have table, key and expectations", _FILE_KEYS)
    _check_keys(name, document, (), data, _FILE_KEYS, _FILE_KEYS)
    table = _table(gate, file, _at(name, document, ("table",), "table"), data["table"])
    key = _key(table, _at(name, document, ("key",), "key"), data["key"])
    items = data["expectations"]
    if not isinstance(items, list) or not items:
        where = _at(name, document, ("expectations",), "expectations")
        raise mistake(where, None, "must be a list with at least one expectation")
    result = [_one(name, document, table, key, i, item) for i, item in enumerate(items)]
    seen: dict[str, str] = {}
    for one in result:
        same = json.dumps([one.type, one.kwargs], sort_keys=True, default=str)
        if same in seen:
            raise mistake(one.where, one.type, f"stands already at {seen[same]}; keep one")
        seen[same] = one.where
    return result


def _one(
    name: str, document: Document, table: str, key: tuple[str, ...], i: int, item: Any
) -> Declared:
    path = ("expectations", i)
    where = _at(name, document, path, f"expectations[{i}]")
    if not isinstance(item, dict):
        raise mistake(where, item, "must have type, kwargs, severity and why", _KEYS)
    _check_keys(name, document, path, item, _KEYS, ("type", "severity", "why"))
    type_, kwargs, severity = item["type"], item.get("kwargs") or {}, item["severity"]
    if type_ not in SENTENCES:
        raise mistake(f"{where}.type", type_, "is not an expectation type", SENTENCES)
    if severity not in SEVERITIES:
        raise mistake(f"{where}.severity", severity, "is not a severity", SEVERITIES)
    if not isinstance(kwargs, dict):
        raise mistake(f"{where}.kwargs", kwargs, "must be a mapping of arguments")
    says = _texts(f"{where}.says", item["says"]) if "says" in item else {}
    if type_ == QUERY and not says:
        raise mistake(f"{where}.says", None, "is missing: a query does not read by itself")
    query = kwargs.get("unexpected_rows_query")
    if type_ == QUERY and "{batch}" not in str(query):
        place = f"{where}.kwargs.unexpected_rows_query"
        raise mistake(place, query, "must read from {batch}, the table of the file")
    why = _texts(f"{where}.why", item["why"])
    return Declared(where, table, table, key, type_, kwargs, severity, why, says)


def _texts(where: str, value: Any) -> dict[str, str]:
    """A sentence, the same in both languages or ``{en: …, zh: …}``."""
    if isinstance(value, str):
        value = {"en": value, "zh": value}
    if not isinstance(value, dict) or set(value) != {"en", "zh"}:
        raise mistake(where, value, "must be a sentence, or one as en and one as zh")
    for language, text in value.items():
        if not isinstance(text, str) or len(text.strip()) < 4:
            raise mistake(f"{where}.{language}", text, "must be a sentence")
    return {language: " ".join(text.split()) for language, text in value.items()}


def _table(gate: str, file: Path, where: str, table: Any) -> str:
    if gate == "raw":
        allowed = [*(f"raw.{entity}" for entity in entities()), BATCHES]
        if table not in allowed:
            raise mistake(where, table, "is not a table of the raw gate", allowed)
    elif not isinstance(table, str) or not table.startswith("marts."):
        raise mistake(where, table, "must be a mart, e.g. marts.dim_customers")
    if table.split(".")[1] != file.stem:
        raise mistake(where, table, f"must stand in a file of its name, not in {file.name}")
    return table


def _key(table: str, where: str, key: Any) -> tuple[str, ...]:
    if not isinstance(key, list) or not key or not all(isinstance(k, str) for k in key):
        raise mistake(where, key, "must be a list of column names")
    schema, name = table.split(".")
    if schema == "raw" and tuple(key) != entities()[name].key:
        raise mistake(where, key, "is not the key of the contract", [str(entities()[name].key)])
    return tuple(key)


def _check_keys(
    name: str,
    document: Document,
    path: tuple[str | int, ...],
    data: dict[str, Any],
    allowed: tuple[str, ...],
    needed: tuple[str, ...],
) -> None:
    label = f"expectations[{path[1]}]" if path else ""
    for key in data:
        if key not in allowed:
            where = _at(name, document, (*path, key), label or key)
            raise mistake(where, key, "is not a key here", allowed)
    for key in needed:
        if data.get(key) in (None, ""):
            where = _at(name, document, path, f"{label}.{key}".lstrip("."))
            raise mistake(where, None, "is missing")


def _at(name: str, document: Document, path: tuple[str | int, ...], label: str) -> str:
    return f"{name}:{document.line_of(path) or 1}: {label}"
