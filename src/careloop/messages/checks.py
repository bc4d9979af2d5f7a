"""Whether every rule has its texts, and every text only says what its rules know."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes

from careloop.messages.files import ANY, FOLDER, FileName, Source, find, parse_name, read_source
from careloop.messages.rendering import (
    Compiled,
    Content,
    RenderError,
    compile_source,
    fill,
    parse,
)
from careloop.messages.values import example_values, is_task
from careloop.messages.variables import NAMES, VARIABLES, available, trigger_of
from careloop.program.channels import ADDRESS, SPOKEN
from careloop.program.model import Program
from careloop.program.rules import Rule

LONGEST_SMS = 500
# Channels whose messages are shown without a title.
UNTITLED = ("sms", "wecom", "push", "app", "mini_program", "community", "live", "article", "online")
_OFFER = ("offer_title", "offer_value", "offer_min_spend", "offer_until")


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with the messages of a pack. A warning does not make the check fail."""

    file: str
    line: int | None
    message: str
    allowed: tuple[str, ...] = ()
    is_warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        more = "\n      allowed: " + ", ".join(self.allowed) if self.allowed else ""
        return f"{where}: {self.message}{more}"


@dataclass(frozen=True)
class Use:
    """A rule that says a text on a channel in a locale."""

    rule: Rule
    channel: str
    locale: str

    @property
    def is_task(self) -> bool:
        """Whether it is told to an employee."""
        return is_task(self.rule, self.channel)

    @property
    def has_title(self) -> bool:
        """Whether the channel, or the list of tasks, shows a subject."""
        return self.is_task or self.channel not in UNTITLED


def check(program: Program) -> list[Problem]:
    """Everything wrong with the messages of a pack, by file and line."""
    return [problem for problem in check_all(program) if not problem.is_warning]


def check_all(program: Program) -> list[Problem]:
    """As ``check``, and after it what is worth a look: unused files, long SMS."""
    return _Check(program).problems()


class _Check:
    def __init__(self, program: Program) -> None:
        self.program = program

    def problems(self) -> list[Problem]:
        found = [*self._missing(), *self._mixed(), *self._strays()]
        for path in sorted(self.uses):
            found += self._file(path)
        unique = set(found)
        return sorted(unique, key=lambda p: (p.is_warning, p.file, p.line or 0, p.message))

    @cached_property
    def uses(self) -> dict[Path, list[Use]]:
        """By file, what says it; every rule, channel and locale of the pack."""
        found = defaultdict(list)
        for use, path in self._lookups():
            if path is not None:
                found[path].append(use)
        return dict(found)

    def _lookups(self) -> Iterator[tuple[Use, Path | None]]:
        for rule in self.program.rules:
            for locale in self.program.locales:
                for channel in rule.channels:
                    yield (
                        Use(rule, channel, locale),
                        find(self.program, rule.template, channel, locale),
                    )

    def _missing(self) -> Iterator[Problem]:
        lacking = defaultdict(list)
        for use, path in self._lookups():
            own = parse_name(path.name) if path else None
            if own is None:
                wanted = FileName(use.rule.template, ANY, use.locale)
            elif use.channel in SPOKEN and use.rule.who == "automatic" and own.channel == ANY:
                # What is written to a customer is not what an employee is told to say.
                wanted = FileName(use.rule.template, use.channel, use.locale)
            else:
                continue
            lacking[str(wanted)].append(use)
        for name, uses in lacking.items():
            rules = ", ".join(dict.fromkeys(use.rule.id for use in uses))
            channels = ", ".join(dict.fromkeys(use.channel for use in uses))
            path = self._own_folder() / name
            yield Problem(_short(path), None, f"is missing: {rules} needs it for {channels}")

    def _mixed(self) -> Iterator[Problem]:
        """A text is for customers or for employees."""
        for path, uses in self.uses.items():
            tasks = [use.rule.id for use in uses if use.is_task]
            sends = [use.rule.id for use in uses if not use.is_task]
            name = parse_name(path.name)
            spoken = name is not None and name.channel == ANY and not set(tasks) - set(sends)
            if tasks and sends and not spoken:
                message = (
                    f"is told to an employee by {tasks[0]} and sent to customers by {sends[0]}; "
                    "use two templates"
                )
                yield Problem(_short(path), None, message)

    def _strays(self) -> Iterator[Problem]:
        """Files that no rule uses, in the pack's own folder, and names that are none."""
        folder = self._own_folder()
        files = sorted(f for f in folder.rglob("*") if f.is_file()) if folder.is_dir() else []
        templates = {rule.template for rule in self.program.rules}
        for file in files:
            name = parse_name(file.name) if file.parent == folder else None
            short = _short(file)
            if name is None:
                yield Problem(
                    short, None, "is not the name of a message", (_PATTERN,), file.suffix != ".j2"
                )
            elif name.channel not in (ANY, *ADDRESS):
                yield Problem(short, None, f"{name.channel} is no channel", (ANY, *ADDRESS))
            elif name.locale not in self.program.locales:
                message = f"{name.locale} is no locale of this pack"
                yield Problem(short, None, message, tuple(self.program.locales), True)
            elif name.template not in templates:
                yield Problem(short, None, "is used by no rule", (), True)

    def _own_folder(self) -> Path:
        assert self.program.folder is not None
        return self.program.folder / FOLDER

    def _file(self, path: Path) -> Iterator[Problem]:
        """Everything wrong in one file that is used."""
        try:
            source = read_source(path)
            compiled = compile_source(source)
        except UnicodeDecodeError:
            yield Problem(_short(path), None, "is not saved as UTF-8")
            return
        except RenderError as error:
            yield Problem(_short(path), error.line, error.reason)
            return
        name = parse_name(path.name)
        assert name is not None
        titled = name.channel not in UNTITLED or any(use.has_title for use in self.uses[path])
        if not source.subject and titled:
            yield Problem(_short(path), 1, "must begin with `Subject: …`")
        names = list(_names(source))
        unknown = list(self._unknown(path, names))
        yield from unknown
        if not unknown:
            for use in self.uses[path]:
                yield from self._filled(path, compiled, use, {name for name, _ in names})

    def _unknown(self, path: Path, names: list[tuple[str, int]]) -> Iterator[Problem]:
        for name, line in names:
            if name not in NAMES:
                yield Problem(_short(path), line, f"{name} is no variable", NAMES)
                continue
            for use in self.uses[path]:
                known = tuple(v.name for v in available(use.rule))
                if name not in known:
                    what = " and ".join(trigger_of(use.rule))
                    message = f"{name} does not exist for rule {use.rule.id} ({what})"
                    yield Problem(_short(path), line, message, known)

    def _filled(
        self, path: Path, compiled: Compiled, use: Use, names: set[str]
    ) -> Iterator[Problem]:
        """Rendered with examples: with all values, then without those that can be empty, one by
        one and all."""
        examples = example_values(self.program, use.rule, use.channel, use.locale)
        can = [v.name for v in VARIABLES if v.can_be_empty and v.name in names & set(examples)]
        can = [name for name in can if name not in _OFFER and examples[name] is not None]
        for empty in [[], *([name] for name in can), can]:
            tried = {**examples, **dict.fromkeys(empty)}
            try:
                content = self._said(compiled, use, tried)
            except RenderError as error:
                yield Problem(_short(path), error.line, f"{error.reason} (rule {use.rule.id})")
                return
            if any(mark in content.text for mark in ("{{", "}}", "{%", "%}")):
                yield Problem(_short(path), None, "leaves braces in the text")
                return
            if use.has_title and not content.subject:
                yield Problem(_short(path), 1, f"has an empty subject (rule {use.rule.id})")
                return
        full = self._said(compiled, use, examples)
        if use.channel == "sms" and not use.is_task and len(full.text) > LONGEST_SMS:
            message = f"has {len(full.text)} characters as an SMS; more than {LONGEST_SMS} are many"
            yield Problem(_short(path), None, message, (), True)

    def _said(self, compiled: Compiled, use: Use, tried: dict[str, Any]) -> Content:
        return fill(compiled, use.channel, use.locale, tried, use.rule.purpose, task=use.is_task)


_PATTERN = "<template>.<channel or any>.<locale>.j2, e.g. welcome.any.zh-CN.j2"


def _names(source: Source) -> Iterator[tuple[str, int]]:
    """Every variable the file asks for from outside, with the line it first stands on."""
    seen = set()
    for text, line in (
        (source.subject, 1),
        (source.body, source.body_line),
        (source.html, source.html_line),
    ):
        if text is None:
            continue
        try:
            tree = parse(text, line)
        except TemplateError:
            continue
        own = {n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param")}
        for node in tree.find_all(nodes.Name):
            if node.ctx == "load" and node.name not in own and node.name not in seen:
                seen.add(node.name)
                yield node.name, node.lineno


def _short(path: Path) -> str:
    """From the folder of the packs on."""
    return "/".join(path.parts[-3:])
