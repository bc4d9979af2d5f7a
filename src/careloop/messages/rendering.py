"""Turns a template and its variables into subject, text and HTML."""

import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files as resources
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.nodes import Template as Tree
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape

from careloop.errors import ProgramError
from careloop.messages.files import Source, locate, read_source
from careloop.messages.polite import clean
from careloop.program.base import language
from careloop.program.model import Program

SUBJECT_LIMIT = 200
_PREHEADER = 110
_URL = re.compile(r"https?://[^\s<>\"'，。；！？、）】」]+[^\s<>\"'，。；！？、）】」.,;:!?)]")
_ENDS_WITH_TAG = re.compile(r"[%#]\}$")
_ONLY_TAGS = re.compile(r"^\s*(\{%((?!%\}).)*%\}\s*|\{#((?!#\}).)*#\}\s*)+$")
_BUTTON = re.compile(r"^(?P<label>[^\n:：]{1,40})[:：]\s*(?P<url>https?://\S+)$")
_OPT_OUT = {"zh": "拒收请回复R", "en": "Reply R to opt out."}
_FOOTER = {
    "zh": ("您收到这封邮件，因为您是{}的客户。", "退订此类邮件"),
    "en": ("You receive this because you are a customer of {}.", "Unsubscribe"),
}
_ONE_LINE = ("sms", "push")


class Content(NamedTuple):
    """What a message says. subject: None where the channel has none. html: only for e-mail."""

    subject: str | None
    text: str
    html: str | None


class RenderError(ProgramError):
    """A template can't be rendered; names file and line, never a value."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = f"{path.name}, line {line}" if line else path.name
        super().__init__(f"{where}: {reason}", "`careloop program check` names every such mistake")
        self.path, self.line, self.reason = path, line, reason


class EmptyValueError(Exception):
    """A template wrote out a variable that is empty for this customer."""


class Empty:
    """Stands for a variable without a value: false in a question, refused in a text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return False

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise EmptyValueError(f"{self.name} can be empty: ask {{% if {self.name} %}} first")

    __str__ = __html__ = __iter__ = __len__ = __getitem__ = __add__ = __radd__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = _refuse


class _Sandbox(SandboxedEnvironment):
    """No globals, no loader: a template sees its variables and nothing else."""

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True
        )
        self.globals.clear()
        for unsteady in ("random", "pprint", "safe", "xmlattr"):
            self.filters.pop(unsteady)


_TEXT = _Sandbox(autoescape=False)
_HTML = _Sandbox(autoescape=True)


@dataclass(frozen=True)
class Compiled:
    """A template file ready to be rendered many times."""

    source: Source
    subject: Template | None
    body: Template
    html: Template | None


def parse(source: str, first_line: int) -> Tree:
    """The syntax tree of a part, with the file's line numbers."""
    return _TEXT.parse(_placed(source, first_line))


def _placed(source: str, first_line: int) -> str:
    """The part at its line of the file. A line of tags only leaves nothing behind; a tag at the
    end of a line with text must not swallow the line's end."""
    lines = [
        line + " " if _ENDS_WITH_TAG.search(line) and not _ONLY_TAGS.match(line) else line
        for line in source.split("\n")
    ]
    return "\n" * (first_line - 1) + "\n".join(lines)


def compile_source(source: Source) -> Compiled:
    """Raises RenderError at a mistake in the template's syntax."""

    def part(env: _Sandbox, text: str | None, first_line: int) -> Template | None:
        if text is None:
            return None
        try:
            code = env.compile(
                _placed(text, first_line), source.path.name, filename=str(source.path)
            )
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise RenderError(source.path, line, error.message or str(error)) from error
        return Template.from_code(env, code, {})

    body = part(_TEXT, source.body, source.body_line)
    assert body is not None
    return Compiled(
        source, part(_TEXT, source.subject, 1), body, part(_HTML, source.html, source.html_line)
    )


def render(
    program: Program,
    template: str,
    channel: str,
    locale: str | None,
    variables: Mapping[str, Any],
    *,
    purpose: str = "service",
    task: bool = False,
) -> Content:
    """Subject, text and HTML of a template; None among the variables means empty.

    task: it is told to an employee, so as it is written, whatever the channel.
    Raises RenderError where the file is missing or wants what isn't there.
    """
    found = locate(program, template, channel, locale)
    if found is None:
        name = Path(f"{template}.{channel}.{locale or program.locales[0]}.j2")
        raise RenderError(name, None, "is missing")
    path, used = found
    compiled = compile_source(read_source(path))
    return fill(compiled, channel, used, variables, purpose, task=task)


def fill(
    compiled: Compiled,
    channel: str,
    locale: str,
    variables: Mapping[str, Any],
    purpose: str,
    *,
    task: bool = False,
) -> Content:
    """As ``render``, from a compiled template in a known locale."""
    values = {k: Empty(k) if v is None else v for k, v in variables.items()}
    path = compiled.source.path
    body = _paragraphs(_filled(compiled.body, values, path))
    if not body:
        raise RenderError(path, compiled.source.body_line, "the text is empty")
    subject = clean(_filled(compiled.subject, values, path)) if compiled.subject else None
    lang = language(locale)
    if task:
        return Content(_short(subject), body, None)
    if channel == "email":
        rich = _filled(compiled.html, values, path) if compiled.html else None
        html = _page(subject or "", body, rich, locale, variables, purpose)
        return Content(_short(subject), _mail_text(body, lang, variables, purpose), html)
    if channel in _ONE_LINE:
        body = _one_line(body, lang)
    if channel != "sms":
        return Content(_short(subject), body, None)
    return Content(None, _sms(body, lang, variables, purpose), None)


def _short(subject: str | None) -> str | None:
    return subject[:SUBJECT_LIMIT] if subject else None


def _filled(template: Template, values: dict[str, Any], path: Path) -> str:
    try:
        return template.render(values)
    except EmptyValueError as error:
        raise RenderError(path, _line(error.__traceback__, path), str(error)) from error
    except Exception as error:  # whatever a template does wrong is its mistake, at its line
        reason = str(error) if isinstance(error, TemplateError) else type(error).__name__
        raise RenderError(path, _line(error.__traceback__, path), reason) from error


def _line(trace: TracebackType | None, path: Path) -> int | None:
    frames = [f.lineno for f in traceback.extract_tb(trace) if f.filename == str(path)]
    return frames[-1] if frames else None


def _paragraphs(text: str) -> str:
    """Without spaces at line ends and with single blank lines."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _one_line(text: str, lang: str) -> str:
    joint = "" if lang == "zh" else " "
    lines = [line.removeprefix("- ") for line in text.split("\n") if line]
    # A link needs a space on both sides to be one.
    return re.sub(
        r" {2,}", " ", joint.join(f" {li} " if "://" in li else li for li in lines)
    ).strip()


def _sms(text: str, lang: str, variables: Mapping[str, Any], purpose: str) -> str:
    """With the sender in front, and how to opt out behind where something is promoted."""
    sender = variables.get("sender")
    if sender:
        text = f"【{sender}】{text}" if lang == "zh" else f"{sender}: {text}"
    if is_promotion(purpose, variables):
        text = f"{text} {_OPT_OUT[lang]}"
    return text


def is_promotion(purpose: str, variables: Mapping[str, Any]) -> bool:
    """Marketing, or care that comes with an offer."""
    return purpose == "marketing" or (purpose != "service" and bool(variables.get("offer_title")))


def _mail_text(text: str, lang: str, variables: Mapping[str, Any], purpose: str) -> str:
    """With the sender and, unless it is about an order or a ticket, the way out."""
    lines = ["-- ", str(variables.get("sender") or "")]
    url = variables.get("unsubscribe_url")
    if purpose != "service" and url:
        lines.append(f"{_FOOTER[lang][1]}{'：' if lang == 'zh' else ': '}{url}")
    return "\n".join([text, "", *lines])


def _page(
    subject: str,
    body: str,
    rich: str | None,
    locale: str,
    variables: Mapping[str, Any],
    purpose: str,
) -> str:
    """The body in the common layout."""
    because, leave = _FOOTER[language(locale)]
    sender = variables.get("sender") or ""
    url = variables.get("unsubscribe_url") if purpose != "service" else None
    return _layout().render(
        locale=locale,
        lang=language(locale),
        subject=subject,
        preheader=_preheader(body),
        content=Markup(rich) if rich is not None else _html(body),
        sender=sender,
        because=because.format(sender) if purpose != "service" and sender else None,
        unsubscribe_url=url,
        leave=leave,
    )


@cache
def _layout() -> Template:
    text = resources("careloop.messages").joinpath("layout.html.j2").read_text("utf-8")
    return _HTML.from_string(text)


def _preheader(body: str) -> str:
    """What mail programs show beside the subject: the text after the salutation."""
    parts = [part for part in body.split("\n\n") if not _BUTTON.match(part)]
    return " ".join(" ".join(parts[1:] or parts).split())[:_PREHEADER]


_P = "margin:0 0 16px;"
_LINK = "color:#1a6fb5;word-break:break-all;"
_PRESS = (
    "display:inline-block;padding:12px 24px;border-radius:8px;background:#1a6fb5;color:#ffffff;"
    "font-weight:600;text-decoration:none;"
)


def _html(text: str) -> Markup:
    """Paragraphs, lists of lines with ``- ``, links; a paragraph `label: link` is a button."""
    return Markup("\n").join(_block(part) for part in text.split("\n\n"))


# Most paragraphs of a template are the same for everybody.
@lru_cache(maxsize=256)
def _block(part: str) -> Markup:
    if button := _BUTTON.match(part):
        return Markup('<p style="{}"><a class="button" href="{}" style="{}">{}</a></p>').format(
            "margin:8px 0 16px;", button["url"], _PRESS, button["label"]
        )
    lines = part.split("\n")
    items = [line for line in lines if line.startswith("- ")]
    if items and lines[-len(items) :] == items:
        points = Markup("").join(
            Markup('<li style="margin:0 0 6px;">{}</li>').format(_linked(item[2:]))
            for item in items
        )
        listed = Markup('<ul style="margin:0 0 16px;padding:0 0 0 22px;">{}</ul>').format(points)
        head = lines[: -len(items)]
        return (_paragraph(head, "margin:0 0 6px;") + listed) if head else listed
    return _paragraph(lines, _P)


def _paragraph(lines: list[str], style: str) -> Markup:
    inner = Markup("<br>\n").join(_linked(line) for line in lines)
    return Markup('<p style="{}">{}</p>').format(style, inner)


def _linked(line: str) -> Markup:
    found, at = Markup(""), 0
    for match in _URL.finditer(line):
        link = Markup('<a href="{0}" style="{1}">{0}</a>').format(match[0], _LINK)
        found += escape(line[at : match.start()]) + link
        at = match.end()
    return found + escape(line[at:])
