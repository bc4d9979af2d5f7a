"""Finding, reading, checking and copying packs."""

import difflib
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from careloop.errors import ProgramError
from careloop.program.model import Program
from careloop.program.rule_checks import rule_mistakes
from careloop.program.rules import Rule, Rules
from careloop.program.yaml_lines import Document, read_yaml
from careloop.settings import PROJECT_ROOT

M = TypeVar("M", bound=BaseModel)

FILE = "program.yml"
RULES = "rules.yml"
# Time zones and countries would fill the screen.
_SHOWN = 80
MESSAGES = "messages/**/*"
COMMON = "_common"


@dataclass(frozen=True)
class Problem:
    """One thing wrong. path: like ``segments[1].when.all[0].measure``; line: in the file."""

    path: str
    value: Any
    message: str
    allowed: tuple[str, ...] = ()
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        text = f"{where}{self.path or 'the file'}: {_shown(self.value)}{self.message}"
        if close := difflib.get_close_matches(str(self.value), self.allowed, n=1, cutoff=0.6):
            text += f"; did you mean {close[0]}?"
        if self.allowed:
            text += "\n      allowed: " + ", ".join(self.allowed[:_SHOWN])
            if len(self.allowed) > _SHOWN:
                text += f" … ({len(self.allowed)} in all)"
        return text


class InvalidProgram(ProgramError):
    """A pack with problems, all of them listed."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(
            f"{_short(file)} has {count}:{lines}",
            "correct the file; docs/program-packs.md describes every key",
        )
        self.problems = problems


def default_programs_dir() -> Path:
    """``programs`` in the working directory, else the ones that come with careloop."""
    local = Path("programs")
    return local if local.is_dir() else PROJECT_ROOT / "programs"


def program_names(programs_dir: Path | None = None) -> list[str]:
    """Names of the packs in a folder, sorted."""
    folder = programs_dir or default_programs_dir()
    return sorted(file.parent.name for file in folder.glob(f"*/{FILE}"))


def load_program(name_or_path: str | Path, programs_dir: Path | None = None) -> Program:
    """The pack of that name, folder or file; raises ProgramError naming every problem."""
    file = find_program(name_or_path, programs_dir)
    document = _document(file)
    document.data = _extended(document.data, file, programs_dir)
    program, problems = _checked(Program, document)
    by_name = file.parent.parent == (programs_dir or default_programs_dir())
    if program and not problems and by_name and program.name != file.parent.name:
        problems.append(
            Problem(
                "name",
                program.name,
                "must be the name of the pack's folder",
                (file.parent.name,),
                document.line_of(("name",)),
            )
        )
    if problems or program is None:
        raise InvalidProgram(file, sorted(problems, key=lambda p: (p.line or 0, p.path)))
    program._folder = file.parent
    program._bases = (*_bases(file, programs_dir), *_common(file, programs_dir))
    program._rules = _load_rules(program)
    program._hash = pack_hash(program)
    return program


def _document(file: Path) -> Document:
    try:
        return read_yaml(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProgramError(
            f"{_short(file)} is not readable YAML: {' '.join(str(error).split())}",
            "check indentation, quotes and that it is saved as UTF-8",
        ) from error


def _checked(model: type[M], document: Document) -> tuple[M | None, list[Problem]]:
    """The document as a model, or None, and everything wrong with it."""
    problems = [
        Problem(_path(path), None, "is written twice; keep one", (), line)
        for path, line in document.twice
    ]
    try:
        return model.model_validate_json(json.dumps(document.data)), problems
    except ValidationError as error:
        # A value that fits no branch of a union has an error per branch; the last is enough.
        found = [_problem(e, document, model) for e in error.errors(include_url=False)]
        return None, problems + list({(p.path, str(p.value)): p for p in found}.values())


def _load_rules(program: Program) -> tuple[Rule, ...]:
    """The rules of the pack, or of the one it extends; none where no pack has the file."""
    folders = [folder for folder in program.folders if (folder / RULES).is_file()]
    if not folders:
        return ()
    file = folders[0] / RULES
    document = _document(file)
    rules, problems = _checked(Rules, document)
    if rules is not None:
        problems += [
            Problem(_path(m.loc), m.value, m.message, m.allowed, document.line_of(m.loc))
            for m in rule_mistakes(rules, program)
        ]
    if problems or rules is None:
        raise InvalidProgram(file, sorted(problems, key=lambda p: (p.line or 0, p.path)))
    return tuple(rules.rules)


def _bases(file: Path, programs_dir: Path | None) -> tuple[Path, ...]:
    """Folders of the packs that ``file`` extends, the nearest first."""
    data = read_yaml(file.read_text("utf-8")).data
    if not isinstance(data, dict) or "extends" not in data:
        return ()
    base = find_program(str(data["extends"]), programs_dir)
    return (base.parent, *_bases(base, programs_dir))


def _common(file: Path, programs_dir: Path | None) -> tuple[Path, ...]:
    """The folder of messages that packs share: beside the pack, else with the other packs."""
    beside = (file.parent.parent, programs_dir or default_programs_dir(), PROJECT_ROOT / "programs")
    found = next((folder / COMMON for folder in beside if (folder / COMMON).is_dir()), None)
    return (found,) if found else ()


def _extended(data: Any, file: Path, programs_dir: Path | None) -> Any:
    """``data`` over the pack it ``extends``: parts are merged key by key, lists are replaced, and
    a key without a value takes the base's away."""
    if not isinstance(data, dict) or "extends" not in data:
        return data
    own = dict(data)
    base = find_program(str(own.pop("extends")), programs_dir)
    if base == file:
        raise ProgramError(f"{_short(file)} extends itself", "name another pack after `extends:`")
    return _merged(_extended(read_yaml(base.read_text("utf-8")).data, base, programs_dir), own)


def _merged(base: Any, own: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own
    merged = {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}
    return {key: value for key, value in merged.items() if own.get(key, value) is not None}


def find_program(name_or_path: str | Path, programs_dir: Path | None = None) -> Path:
    """The pack's file; a bare name is looked for among the packs, anything else is a path."""
    folder = programs_dir or default_programs_dir()
    path = Path(name_or_path)
    if len(path.parts) == 1 and (folder / path / FILE).is_file():
        return folder / path / FILE
    for candidate in (path / FILE, path):
        if candidate.is_file():
            return candidate
    names = program_names(folder)
    close = difflib.get_close_matches(str(name_or_path), names, n=1)
    raise ProgramError(
        f"there is no program pack {str(name_or_path)!r}"
        + (f"; did you mean {close[0]}?" if close else ""),
        f"packs in {_short(folder)}: {', '.join(names) or 'none'}; or give the path of a folder"
        f" with a {FILE}",
    )


def pack_hash(program: Program) -> str:
    """12 hex digits over the checked pack, its rules and its messages. Comments, order of keys
    and layout of the YAML files don't count."""
    data = program.model_dump(mode="json", by_alias=True)
    data["rules"] = [rule.model_dump(mode="json", by_alias=True) for rule in program.rules]
    digest = hashlib.sha256(
        json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    )
    for folder in program.folders:
        for file in sorted(f for f in folder.glob(MESSAGES) if f.is_file()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"\n{file.relative_to(folder).as_posix()} {content}".encode())
    return digest.hexdigest()[:12]


def copy_program(source: str | Path, target: str, programs_dir: Path | None = None) -> Path:
    """Copies a pack under a new name and returns its folder; raises ProgramError."""
    folder = programs_dir or default_programs_dir()
    origin = find_program(source, folder).parent
    destination = folder / target
    if not re.match(r"^[a-z0-9][a-z0-9_]{0,59}$", target):
        raise ProgramError(
            f"{target!r} cannot be the name of a pack",
            "use small letters, digits and _, e.g. my_shop",
        )
    if destination.exists():
        raise ProgramError(f"{_short(destination)} is there already", "choose another name")
    shutil.copytree(origin, destination)
    file = destination / FILE
    text, count = re.subn(r"(?m)^name:.*$", f"name: {target}", file.read_text("utf-8"), count=1)
    if count == 0:
        shutil.rmtree(destination)
        raise ProgramError(f"{_short(origin / FILE)} has no line `name:` to change")
    file.write_text(text, "utf-8")
    return destination


# From pydantic's words to those of someone who writes YAML, in this order.
_WORDING = {
    "Input should be a valid array": "must be a list",
    "Input should be a valid integer": "must be a whole number",
    "Input should be an object": "must be a part with keys of its own",
    "Input should be a valid ": "must be a ",
    "Input should ": "must ",
    "String should ": "must ",
    "List should ": "must ",
    " after validation": "",
}


def _problem(error: dict[str, Any], document: Document, root: type[BaseModel]) -> Problem:
    loc = _real_loc(error["loc"], document)
    kind, context = error["type"], error.get("ctx", {})
    value, allowed = error["input"], tuple(context.get("allowed", ()))
    message = error["msg"]
    if kind == "extra_forbidden":
        parent = _model_at(loc[:-1], root)
        allowed = tuple(i.alias or f for f, i in parent.model_fields.items()) if parent else ()
        value, message = loc[-1], "is not a key here"
    elif kind == "missing":
        value, message = None, f"is missing. {_description(loc, root)}".strip()
    elif kind == "literal_error":
        allowed = tuple(re.findall(r"'([^']*)'|(-?\d+)(?=,| or |$)", context["expected"]))
        allowed = tuple(a or b for a, b in allowed)
        message = "is not allowed"
    elif kind != "pack":
        for theirs, ours in _WORDING.items():
            message = message.replace(theirs, ours)
        if kind.startswith(("date", "list", "dict", "model")) or kind.endswith("_type"):
            message = f"{message}. {_description(loc, root)}".removesuffix(". ")
    return Problem(_path(loc), value, message, allowed, document.line_of(loc))


def _real_loc(loc: tuple[str | int, ...], document: Document) -> tuple[str | int, ...]:
    """Without what pydantic adds for a branch of a union or a dictionary's key."""
    result: list[str | int] = []
    data = document.data
    for i, part in enumerate(loc):
        if (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            data = data[part]
        elif i < len(loc) - 1 or not isinstance(data, dict | list) or part == "[key]":
            continue
        result.append(part)
    return tuple(result)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models(arg)]


def _model_at(loc: tuple[str | int, ...], root: type[BaseModel]) -> type[BaseModel] | None:
    """The model that checks what stands at ``loc``."""
    model: type[BaseModel] | None = root
    for part in loc:
        if isinstance(part, int) or model is None:
            continue
        field = _field(model, part)
        found = _models(field.annotation) if field else []
        model = found[0] if found else None
    return model


def _field(model: type[BaseModel], key: str) -> Any:
    return next((i for f, i in model.model_fields.items() if (i.alias or f) == key), None)


def _description(loc: tuple[str | int, ...], root: type[BaseModel]) -> str:
    keys = [part for part in loc if isinstance(part, str)]
    if not keys:
        return ""
    parent = _model_at(loc[: len(loc) - 1 - loc[::-1].index(keys[-1])], root)
    field = _field(parent, keys[-1]) if parent else None
    return field.description or "" if field else ""


def _path(loc: tuple[str | int, ...]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc)
    return text.removeprefix(".")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return (text if len(text) <= 120 else text[:117] + "…") + " "


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
