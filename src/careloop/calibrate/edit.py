"""Changing single values in the files of a pack; every other byte, comments too, is kept."""

import difflib
import re
import shutil
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from careloop.errors import ProgramError
from careloop.program.load import FILE, RULES, load_program
from careloop.program.model import Program

# Keys on the way to a value; an item of a list goes by its id where it has one.
Keys = tuple[str | int, ...]
Value = str | int | float | bool

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARKS = re.compile(r"(?:[&!]\S+\s+)*")
_PLAIN = re.compile(r"[\w.:/-]+")
_NO_NEWLINE = "\\ No newline at end of file\n"


class CannotEdit(ProgramError):
    """A value that can't be changed by itself; a person has to."""


@dataclass(frozen=True)
class Change:
    """A value of a pack. file: program.yml or rules.yml; old: None where it is not written."""

    file: str
    keys: Keys
    old: Value | None
    new: Value

    @property
    def path(self) -> str:
        """Like ``segments[core].when.all[0].at_least``."""
        text = ""
        above: Any = None
        for key in self.keys:
            listed = isinstance(key, int) or above in _LISTS
            text += f"[{key}]" if listed else f".{key}"
            above = key
        return text.removeprefix(".")


# Lists whose items go by their id.
_LISTS = ("segments", "stages", "levels", "limits", "clocks", "rules")


@dataclass
class PackText:
    """The files of a pack as text. texts: by name; originals: as they are; None: not its own."""

    program: Program
    texts: dict[str, str] = field(default_factory=dict)
    originals: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program) -> "PackText":
        """The files of a pack that was read from a folder. Rules may be those of the pack it
        extends. Raises ProgramError for a pack without a folder."""
        if program.folder is None:
            raise ProgramError("the pack was not read from a folder", "name it by its folder")
        pack = cls(program)
        for name in (FILE, RULES):
            found = next((f / name for f in program.folders if (f / name).is_file()), None)
            if found is None:
                continue
            pack.texts[name] = found.read_bytes().decode("utf-8")
            own = found.parent == program.folder
            pack.originals[name] = pack.texts[name] if own else None
        return pack

    def copy(self) -> "PackText":
        """The same texts, to be changed apart."""
        return PackText(self.program, dict(self.texts), dict(self.originals))

    def is_alias(self, file: str, keys: Keys) -> bool:
        """Whether the value is written elsewhere and only referred to here (``*name``)."""
        place = _place(_root(self._adopted(file, keys)), keys)
        return place is None or _alias(*place[-2:], keys[-1])

    def is_own(self, file: str, keys: Keys) -> bool:
        """Whether the value is written in the pack's own file, not in one it extends."""
        own = self.originals.get(file)
        return own is not None and _place(_root(own), keys) is not None

    def apply(self, change: Change) -> None:
        """Writes the new value in place of the old. Raises CannotEdit."""
        text = self.texts.get(change.file)
        if text is None:
            raise CannotEdit(f"the pack has no {change.file}", change.path)
        self.texts[change.file] = _changed(self._adopted(change.file, change.keys), change)

    def _adopted(self, file: str, keys: Keys) -> str:
        """The text of a file; a part that holds lists and stands in the pack it extends is copied
        into it, since an extending pack replaces lists as a whole."""
        text = self.texts[file]
        if file != FILE or _place(_root(text), keys) is not None:
            return text
        part = str(keys[0])
        if all(isinstance(k, str) and k not in _LISTS for k in keys[:-1]):
            return text
        if _place(_root(text), (part,)) is not None:
            raise CannotEdit(f"{part} is only partly written in {file}", "change it by hand")
        for folder in self.program.folders[1:]:
            base = folder / FILE
            if base.is_file():
                block = _block(base.read_bytes().decode("utf-8"), part)
                if block is not None:
                    note = f"# As in {folder.name}, to be changed here.\n"
                    return _ended(text) + "\n" + note + block
        raise CannotEdit(f"{part} is not in the pack's files", "change it by hand")

    def write(self, folder: Path) -> None:
        """The pack as a folder: its own files with the new values; rules and program of the pack
        it extends only if they were changed. Messages are copied."""
        self._write_texts(folder)
        messages = self.program.folder / "messages"
        if messages.is_dir():
            shutil.copytree(messages, folder / "messages", dirs_exist_ok=True)

    def load(self, folder: Path) -> Program:
        """The pack as it would be read, written into an empty folder for that. Raises
        ProgramError where it is not valid."""
        self._write_texts(folder)
        messages = self.program.folder / "messages"
        if messages.is_dir():
            (folder / "messages").symlink_to(messages.resolve())
        return load_program(folder)

    def _write_texts(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.texts.items():
            if self.originals[name] is not None or self._is_changed(name):
                (folder / name).write_bytes(text.encode("utf-8"))

    def _is_changed(self, name: str) -> bool:
        found = next(f / name for f in self.program.folders if (f / name).is_file())
        return self.texts[name] != found.read_bytes().decode("utf-8")

    def diff(self) -> str:
        """A unified diff that ``patch -p1`` applies in the pack's folder; empty if nothing
        changes."""
        parts = []
        for name, text in self.texts.items():
            old = self.originals[name]
            if (old == text) or (old is None and not self._is_changed(name)):
                continue
            lines = difflib.unified_diff(
                (old or "").splitlines(keepends=True),
                text.splitlines(keepends=True),
                f"a/{name}" if old is not None else "/dev/null",
                f"b/{name}",
            )
            parts += [x if x.endswith("\n") else f"{x}\n{_NO_NEWLINE}" for x in lines]
        return "".join(parts)


@lru_cache(maxsize=8)
def _root(text: str) -> yaml.Node:
    node = yaml.compose(text, Loader=_LOADER)
    if not isinstance(node, yaml.MappingNode):
        raise CannotEdit("the file holds no keys", "write the pack's keys")
    return node


def _place(root: yaml.Node, keys: Keys) -> list[yaml.Node] | None:
    """The nodes from the root to a value, or None where it is not written."""
    nodes = [root]
    for key in keys:
        child = _child(nodes[-1], key)
        if child is None:
            return None
        nodes.append(child)
    return nodes


def _child(node: yaml.Node, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((v for k, v in node.value if k.value == key), None)
    if isinstance(node, yaml.SequenceNode):
        if isinstance(key, int):
            return node.value[key] if key < len(node.value) else None
        named = (n for n in node.value if getattr(_child(n, "id"), "value", None) == key)
        return next(named, None)
    return None


def _alias(parent: yaml.Node, node: yaml.Node, key: str | int) -> bool:
    """An alias is the node it refers to, which stands before the place it is referred to from."""
    if isinstance(parent, yaml.MappingNode):
        before = next(k.end_mark.index for k, _ in parent.value if k.value == key)
    elif isinstance(key, int) and key > 0 and not _alias(parent, parent.value[key - 1], key - 1):
        before = parent.value[key - 1].end_mark.index
    else:
        before = parent.start_mark.index
    return node.start_mark.index < before


def _changed(text: str, change: Change) -> str:
    root = _root(text)
    place = _place(root, change.keys)
    if place is None:
        return _inserted(text, root, change)
    parent, node = place[-2:]
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        raise CannotEdit(f"{change.path} is no single value", "change it by hand")
    if _alias(parent, node, change.keys[-1]):
        raise CannotEdit(f"{change.path} refers to a value elsewhere", "change it by hand")
    start, end = node.start_mark.index, node.end_mark.index
    marks = _MARKS.match(text[start:end])
    written = _written(change.new)
    if node.style:
        written = f"{node.style}{written}{node.style}"
    return text[:start] + (marks.group() if marks else "") + written + text[end:]


def _inserted(text: str, root: yaml.Node, change: Change) -> str:
    """The value under a key that was not there: after the first key of the part it belongs to."""
    depth = len(change.keys)
    while depth and _place(root, change.keys[:depth]) is None:
        depth -= 1
    rest = change.keys[depth:]
    if any(isinstance(key, int) or key in _LISTS for key in rest):
        raise CannotEdit(f"{change.path} is not written in {change.file}", "change it by hand")
    value = _written(change.new)
    for key in reversed(rest[1:]):
        value = f"{{{key}: {value}}}"
    entry = f"{rest[0]}: {value}"
    part = (_place(root, change.keys[:depth]) or [root])[-1]
    if not isinstance(part, yaml.MappingNode) or not part.value:
        raise CannotEdit(f"{change.path} is not written in {change.file}", "change it by hand")
    if depth == 0:
        return _ended(text) + entry + "\n"
    key, value_node = part.value[0]
    if part.flow_style:
        at = value_node.end_mark.index
        return f"{text[:at]}, {entry}{text[at:]}"
    end = text.find("\n", max(value_node.end_mark.index - 1, 0))
    end = len(text) if end < 0 else end + 1
    indent = " " * key.start_mark.column
    return _ended(text[:end]) + f"{indent}{entry}\n" + text[end:]


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    if not _PLAIN.fullmatch(text):
        raise CannotEdit(f"{text!r} can't be written as it is", "change it by hand")
    return text


def _block(text: str, part: str) -> str | None:
    """The lines of a top-level key, with what it refers to elsewhere written out."""
    root = _root(text)
    starts = [(k.value, k.start_mark.index) for k, _ in root.value]
    names = [name for name, _ in starts]
    if part not in names:
        return None
    place = names.index(part)
    start = starts[place][1]
    end = starts[place + 1][1] if place + 1 < len(starts) else len(text)
    anchors = _anchored(text)
    pieces, at = [], start
    for token in yaml.scan(text, Loader=_LOADER):
        index = token.start_mark.index
        if isinstance(token, yaml.AliasToken) and start <= index < end:
            if token.value not in anchors:
                raise CannotEdit(f"*{token.value} is no single value", "change it by hand")
            pieces += [text[at:index], anchors[token.value]]
            at = token.end_mark.index
    block = "".join([*pieces, text[at:end]])
    # Comments before the next part belong to that one.
    lines = block.splitlines()
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()
    return "\n".join(lines) + "\n"


def _anchored(text: str) -> dict[str, str]:
    """Anchors of single values."""
    found: dict[str, str] = {}
    name = None
    for token in yaml.scan(text, Loader=_LOADER):
        if isinstance(token, yaml.AnchorToken):
            name = token.value
        elif name is not None:
            if isinstance(token, yaml.ScalarToken) and token.plain:
                found[name] = token.value
            name = None
    return found


def value_at(program: Program, file: str, keys: Keys) -> Any:
    """What a loaded pack has at the keys of a change; None where it has nothing."""
    if file == RULES:
        items = [rule.model_dump(mode="json", by_alias=True) for rule in program.rules]
        data: Any = {"rules": items}
    else:
        data = program.model_dump(mode="json", by_alias=True)
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int):
            data = data[key] if key < len(data) else None
        elif isinstance(data, list):
            data = next((x for x in data if isinstance(x, dict) and x.get("id") == key), None)
        else:
            return None
    return data
