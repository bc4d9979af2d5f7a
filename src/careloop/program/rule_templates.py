"""Which message files the rules need, and whether they are there."""

from pathlib import Path

from careloop.program.model import Program

MESSAGES = "messages"
ANY_CHANNEL = "any"


def template_file(program: Program, template: str, channel: str, locale: str) -> Path | None:
    """The file for a channel and a locale: the nearest pack's, of its channel before that of any,
    of the whole locale before that of its language."""
    language = locale.partition("-")[0]
    for folder in program.folders:
        for kind in (channel, ANY_CHANNEL):
            for spoken in dict.fromkeys((locale, language)):
                file = folder / MESSAGES / f"{template}.{kind}.{spoken}.j2"
                if file.is_file():
                    return file
    return None


def missing_templates(program: Program) -> list[tuple[str, str, str]]:
    """Rule, template and what it lacks: the channels of each locale of the pack without a file."""
    found = []
    for rule in program.rules:
        if not rule.active:
            continue
        gaps = []
        for locale in program.locales:
            channels = [
                c for c in rule.channels if not template_file(program, rule.template, c, locale)
            ]
            if channels == rule.channels:
                gaps.append(f"{locale} ({ANY_CHANNEL})")
            elif channels:
                gaps.append(f"{locale} ({', '.join(channels)})")
        if gaps:
            found.append((rule.id, rule.template, ", ".join(gaps)))
    return found
