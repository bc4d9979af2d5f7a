"""`careloop program`: list, read, check and copy program packs."""

from typing import Annotated

import typer
from rich.markup import escape

from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.errors import ProgramError
from careloop.messages import check_all
from careloop.program.calendar import WorkCalendar
from careloop.program.conditions import condition_text
from careloop.program.goals import KpiTarget
from careloop.program.kpi_pages import kpis_markdown, semantic_models
from careloop.program.kpis import KPIS
from careloop.program.load import copy_program, load_program, program_names
from careloop.program.model import Program
from careloop.program.reference import reference_markdown
from careloop.program.rules import Rules
from careloop.program.sla import Clock
from careloop.settings import load_settings

Name = Annotated[str | None, typer.Argument(help="Name or path of a pack; the chosen if left out.")]


def register(app: typer.Typer) -> None:
    """Adds the group `program` to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="List, read, check and copy program packs. Example: careloop program list",
    )
    for name, command in (
        ("list", list_),
        ("show", show),
        ("check", check),
        ("copy", copy),
        ("schema", schema),
        ("kpis", kpis),
    ):
        group.command(name)(command)
    app.add_typer(group, name="program")


def list_(as_json: JsonFlag = False) -> None:
    """List the packs and mark the chosen one.

    Example: careloop program list
    """
    chosen = load_settings().program
    names = program_names()
    rows = []
    for name in [*names, *([chosen] if chosen not in names else [])]:
        try:
            pack = load_program(name)
        except ProgramError as error:
            rows.append(["→" if name == chosen else "", name, "", "", None, None, error.what])
            continue
        segments = ", ".join(segment.title.en for segment in pack.segments)
        rows.append(
            [
                "→" if name == chosen else "",
                name,
                f"{pack.title.en} · {pack.title.zh}",
                pack.zone,
                segments,
                len(pack.goals.targets),
                "ok",
            ]
        )
    if as_json:
        keys = ("chosen", "name", "title", "zone", "segments", "kpi_targets", "state")
        print_json([dict(zip(keys, [bool(row[0]), *row[1:]], strict=True)) for row in rows])
        return
    columns = ["", "pack", "title", "zone", "segments", "KPI targets", "state"]
    print_table(columns, [[*row[:6], row[6].splitlines()[0]] for row in rows])
    console().print('Choose one: program = "NAME" in careloop.toml, or CARELOOP_PROGRAM=NAME')


def show(name: Name = None, as_json: JsonFlag = False) -> None:
    """Show what a pack decides, in readable sections.

    Example: careloop program show retail_care
    """
    pack = load_program(name or load_settings().program)
    if as_json:
        data = pack.model_dump(mode="json", by_alias=True, exclude_none=True)
        print_json({"hash": pack.hash, **data})
        return
    out = console()
    out.print(
        f"[bold]{escape(pack.title.en)}[/] · {escape(pack.title.zh)} ({pack.name}, {pack.hash})"
    )
    out.print(f"{escape(pack.about.en)}\n{pack.zone}, {pack.currency}, {', '.join(pack.locales)}")
    _show_calendar(pack.calendar)
    for title, columns, rows in _sections(pack):
        if rows:
            out.print()
            print_table(columns, rows, title=title)
    out.print(f"\n{len(pack.rules)} care rules: careloop rules list --program {pack.name}")


def check(
    name: Annotated[str, typer.Argument(help="Name or path of a pack.")], as_json: JsonFlag = False
) -> None:
    """Check a pack: exit code 0 and its hash, or 4 and every problem with path and line.

    The messages of its rules are rendered with example values, in every locale and channel.

    Example: careloop program check programs/my_shop
    """
    pack = load_program(name)
    problems = check_all(pack)
    wrong = [problem for problem in problems if not problem.is_warning]
    if wrong:
        count = "a problem" if len(wrong) == 1 else f"{len(wrong)} problems"
        raise ProgramError(
            f"the messages of {pack.name} have {count}:"
            + "".join(f"\n  - {problem}" for problem in wrong),
            "docs/messages.md describes the files and every variable",
        )
    warnings = [str(problem) for problem in problems]
    if as_json:
        data = {"ok": True, "name": pack.name, "hash": pack.hash, "folder": pack.folder}
        print_json({**data, "warnings": warnings})
        return
    for warning in warnings:
        console().print(f"note: {warning}", markup=False, style="dim")
    print_table(["pack", "result", "hash"], [[pack.name, "OK", pack.hash]])


def copy(
    source: Annotated[str, typer.Argument(help="Pack to start from.")],
    target: Annotated[str, typer.Argument(help="Name of the new pack.")],
    as_json: JsonFlag = False,
) -> None:
    """Copy a pack under a new name, to edit it.

    Example: careloop program copy retail_care my_shop
    """
    folder = copy_program(source, target)
    if as_json:
        print_json({"name": target, "folder": folder})
        return
    out = console()
    out.print(f"Copied to {folder}. Edit {folder / 'program.yml'}, then:")
    out.print(f"  careloop program check {target}")
    out.print(f"  CARELOOP_PROGRAM={target} careloop run")


def schema(as_json: JsonFlag = False) -> None:
    """Print every key of a pack with its type and meaning (JSON Schema with --json).

    Example: careloop program schema
    """
    if as_json:
        schemas = {"program.yml": Program, "rules.yml": Rules}
        print_json({file: model.model_json_schema() for file, model in schemas.items()})
    else:
        typer.echo(reference_markdown(), nl=False)


def kpis(
    dbt: Annotated[bool, typer.Option("--dbt", help="As dbt's semantic models.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print every KPI with what it counts.

    Example: careloop program kpis
    """
    if as_json:
        print_json([vars(kpi) for kpi in KPIS.values()])
    else:
        typer.echo(semantic_models() if dbt else kpis_markdown(), nl=False)


def _show_calendar(calendar: WorkCalendar) -> None:
    hours: dict[str, list[str]] = {}
    for day, span in calendar.hours.items():
        hours.setdefault(span, []).append(day)
    parts = [f"{' '.join(days)} {span}" for span, days in hours.items()]
    parts += [f"break {span}" for span in calendar.breaks]
    parts.append(
        f"public holidays of {calendar.country} "
        + ("free" if calendar.closed_on_holidays else "worked")
    )
    console().print("Working time: " + "; ".join(parts))


def _sections(pack: Program) -> list[tuple[str, list[str], list[list]]]:
    """Title, columns and rows of each section."""
    levels = pack.churn.levels
    return [
        (
            "Segments: the first that fits",
            ["segment", "", "expected", "condition"],
            [
                [s.id, s.title.zh, _percent(s.expected_share), condition_text(s.when)]
                for s in pack.segments
            ],
        ),
        (
            "Lifecycle stages: the first that fits",
            ["stage", "", "condition"],
            [[s.id, s.title.zh, condition_text(s.when)] for s in pack.stages],
        ),
        (
            "Service clocks",
            ["clock", "from → to", "for", "target", "time"],
            [
                [c.id, f"{c.starts} → {c.stops}", _for(c), c.target, c.clock]
                for c in pack.sla.clocks
            ],
        ),
        (
            "KPI targets",
            ["target", "KPI", "for", "aim", "within"],
            [[t.id, t.kpi, _scope(t), _aim(t), t.within] for t in pack.goals.targets],
        ),
        (
            "Health score: weights",
            ["component", "aspect", "measure", "0 at", "100 at", "weight"],
            [
                [c.id, c.aspect, c.measure, c.worst, c.best, c.weight]
                for c in pack.health.components
            ],
        ),
        (
            "Churn alerts",
            ["level", "from points", "action", "by", "within"],
            [[a.level, a.min_points, a.action, a.owner, a.act_within] for a in levels],
        ),
        (
            "Caps",
            ["cap", "at most", "per", "purposes", "channels"],
            [
                [c.id, c.most, c.per, _names(c.purposes), _names(c.channels)]
                for c in pack.caps.limits
            ],
        ),
        (
            "Tiers",
            ["tier", "", "from spend", "or interactions", "points ×"],
            [
                [t.id, t.title.zh, t.min_spend, t.min_interactions, t.points_factor]
                for t in (pack.loyalty.tiers if pack.loyalty else [])
            ],
        ),
        (
            "Limits of the data",
            ["entity", "at most old", "else blocks", "largest fall"],
            _data_limits(pack),
        ),
    ]


def _data_limits(pack: Program) -> list[list]:
    ages = {limit.entity: limit for limit in pack.data.freshness}
    drops = {limit.entity: limit for limit in pack.data.volume}
    return [
        [
            entity,
            ages[entity].max_age if entity in ages else None,
            _names(ages[entity].blocks) if entity in ages else None,
            f"{_percent(drops[entity].max_drop)} {drops[entity].severity}"
            if entity in drops
            else None,
        ]
        for entity in dict.fromkeys([*ages, *drops])
    ]


def _for(clock: Clock) -> str:
    parts = [*clock.kinds, *clock.urgencies, *clock.channels, *clock.touchpoints]
    parts += [*clock.segments, *clock.stages, *clock.tiers]
    if clock.complex is not None:
        parts.append("complex" if clock.complex else "simple")
    return _names(parts)


def _scope(target: KpiTarget) -> str:
    parts = [target.touchpoint, target.segment, target.stage]
    parts += ["core pain points"] if target.core_only else []
    parts += ["each owner"] if target.by_owner else []
    return _names([part for part in parts if part])


_WORDS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}


def _aim(target: KpiTarget) -> str:
    if target.change is not None:
        stretch = f" to {target.stretch:+.0%}" if target.stretch is not None else ""
        return f"{target.change:+.0%}{stretch} from {target.baseline}"
    unit = KPIS[target.kpi].unit
    shown = _percent(target.value) if unit == "share" else f"{target.value:g} ({unit})"
    start = f", from {target.baseline_value:g}" if target.baseline_value is not None else ""
    return f"{_WORDS[target.direction]} {shown}{start}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"


def _names(values: list) -> str:
    return ", ".join(values) or "all"
