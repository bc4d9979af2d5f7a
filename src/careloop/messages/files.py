"""Template files: their names, where they are looked for, and the parts of one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from careloop.program.channels import SPOKEN
from careloop.program.model import Program

FOLDER = "messages"
ANY = "any"
HTML_LINE = "--- html ---"
_NAME = re.compile(
    r"^(?P<template>[a-z0-9][a-z0-9_]*)\.(?P<channel>[a-z_]+)\.(?P<locale>[a-z]{2}(-[A-Z]{2})?)\.j2$"
)
_SUBJECT = "Subject:"


@dataclass(frozen=True)
class Source:
    """The parts of a template file; each line number is that of the part's first line."""

    path: Path
    subject: str | None
    body: str
    body_line: int
    html: str | None = None
    html_line: int = 0


@dataclass(frozen=True)
class FileName:
    """``<template>.<channel|any>.<locale>.j2``."""

    template: str
    channel: str
    locale: str

    def __str__(self) -> str:
        return f"{self.template}.{self.channel}.{self.locale}.j2"


def parse_name(name: str) -> FileName | None:
    """The parts of a file's name, or None if it is no template's."""
    match = _NAME.match(name)
    return FileName(**{k: match[k] for k in ("template", "channel", "locale")}) if match else None


def folders(program: Program) -> Iterator[Path]:
    """Folders of messages, the pack's own first."""
    for folder in program.folders:
        if (folder / FOLDER).is_dir():
            yield folder / FOLDER


def find(program: Program, template: str, channel: str, locale: str) -> Path | None:
    """The file for exactly this locale: that of the channel goes before ``any``, and whatever is
    in a nearer folder before both; a channel people speak on before what is written for any."""
    names = [str(FileName(template, kind, locale)) for kind in (channel, ANY)]
    paths = [[folder / name for name in names] for folder in folders(program)]
    if channel in SPOKEN:
        paths = [list(column) for column in zip(*paths, strict=True)]
    return next((path for row in paths for path in row if path.is_file()), None)


def locales(program: Program, locale: str | None) -> list[str]:
    """Where to look, in order: the customer's locale, its language, the program's locale of that
    language, the program's first."""
    wanted = normal_locale(locale)
    if wanted is None:
        return program.locales[:1]
    lang = wanted.partition("-")[0]
    alike = [known for known in program.locales if known.partition("-")[0] == lang]
    return list(dict.fromkeys([wanted, lang, *alike, program.locales[0]]))


def normal_locale(locale: str | None) -> str | None:
    """``ZH_cn`` as ``zh-CN``; None for nothing."""
    if not locale or not locale.strip():
        return None
    lang, _, country = locale.strip().replace("_", "-").partition("-")
    return f"{lang.lower()}-{country.upper()}" if country else lang.lower()


def locate(
    program: Program, template: str, channel: str, locale: str | None
) -> tuple[Path, str] | None:
    """The file to use for a customer of that locale, and the locale it is in."""
    for candidate in locales(program, locale):
        path = find(program, template, channel, candidate)
        if path:
            return path, candidate
    return None


def read_source(path: Path) -> Source:
    """Splits a file into subject, body and HTML; nothing is checked."""
    lines = path.read_text("utf-8-sig").splitlines()
    subject, first = None, 0
    if lines and lines[0].startswith(_SUBJECT):
        subject, first = lines[0].removeprefix(_SUBJECT).strip(), 1
    marks = [i for i, line in enumerate(lines) if line.strip() == HTML_LINE]
    last = marks[0] if marks else len(lines)
    html = "\n".join(lines[last + 1 :]) if marks else None
    return Source(path, subject, "\n".join(lines[first:last]), first + 1, html, last + 2)
