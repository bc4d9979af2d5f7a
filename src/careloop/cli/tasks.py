"""`careloop tasks`: the follow-up list of the team, as a table or a file, and what was done."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from careloop.channels.base import Rendered
from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_table
from careloop.clock import now
from careloop.errors import SettingsError
from careloop.messages.batch import render_batch
from careloop.program.base import language
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.settings import Settings, load_settings
from careloop.task_list import files
from careloop.task_list.table import Row, Say, knows_staff, revealed, rows
from careloop.task_list.tasks import mark_done, read_tasks
from careloop.task_list.words import words

LOCALES = ("en", "zh-CN")
SHOWN = ("task", "owner_role", "owner_id", "due", "state", "customer_id", "rule", "channel")

tasks_app = typer.Typer(no_args_is_help=True, help="What people are to do for customers.")

Owner = Annotated[
    str | None, typer.Option("--owner", help="A role or a staff id.", show_default=False)
]
DueBefore = Annotated[
    datetime | None,
    typer.Option(
        "--due-before",
        formats=["%Y-%m-%d"],
        help="Only what is due before this local day.",
        show_default=False,
    ),
]
WithDone = Annotated[bool, typer.Option("--all", help="Also what is done.")]
LocaleName = Annotated[
    str | None,
    typer.Option("--locale", help="en or zh-CN. Default: the program's first locale"),
]


def register(app: typer.Typer) -> None:
    app.add_typer(tasks_app, name="tasks")


@tasks_app.command("list")
def list_tasks(
    owner: Owner = None,
    due_before: DueBefore = None,
    everything: WithDone = False,
    locale: LocaleName = None,
    home: Home = None,
    program: ProgramName = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the tasks by owner and due time, without personal data.

    Example: careloop tasks list --owner win_back_team --due-before 2026-11-24
    """
    settings, pack, lang = _setting(home, program, locale)
    found = _found(settings, pack, lang, owner, due_before, everything)[1]
    if as_json:
        print_table(list(words()["headings"]), _values(found, words()["headings"]), as_json=True)
        return
    if not found:
        console().print("no tasks: `careloop plan` and `careloop dispatch` hand them out")
        return
    titles = [words()["headings"][key][lang] for key in SHOWN]
    print_table(titles, [_short(row) for row in found])


@tasks_app.command("export")
def export(
    output: Annotated[Path, typer.Option("--output", help="File to write: .csv or .xlsx.")],
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv or xlsx. Default: by the file's ending"),
    ] = None,
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="With names and phones; written to the access log."),
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why personal data is needed.")
    ] = None,
    owner: Owner = None,
    due_before: DueBefore = None,
    everything: WithDone = False,
    locale: LocaleName = None,
    home: Home = None,
    program: ProgramName = None,
) -> None:
    """Write the tasks to a file for the team, with personal data only if it is revealed.

    Example: careloop tasks export --output calls.xlsx --reveal --reason "calls of this week"
    """
    form = form or output.suffix.lstrip(".").lower()
    if form not in files.FORMATS:
        raise SettingsError(f"there is no format {form!r}", f"--format: {', '.join(files.FORMATS)}")
    if reason and not reveal:
        raise SettingsError("--reason says why personal data is shown", "add --reveal")
    settings, pack, lang = _setting(home, program, locale)
    tasks, found = _found(settings, pack, lang, owner, due_before, everything)
    if reveal:
        found = revealed(settings, tasks, found, reason, _saying(settings, pack))
    files.write(found, lang, form, output)
    console().print(f"{len(found)} tasks written to {output}", markup=False)


@tasks_app.command("done")
def done(
    task: Annotated[str, typer.Argument(help="The task's id, or the beginning of it.")],
    result: Annotated[
        str, typer.Option("--result", help=f"One of: {', '.join(words()['results'])}.")
    ],
    by: Annotated[str, typer.Option("--by", help="Staff id of who did it.")],
    home: Home = None,
) -> None:
    """Write back that a task is done. What was said belongs into the CRM.

    Example: careloop tasks done 3f9a2c --result reached --by S1001
    """
    settings = load_settings(home=home)
    if not knows_staff(settings, by):
        raise SettingsError(f"there is no staff {by}", "--by: a staff id of the CRM")
    found, new = mark_done(settings, task, result, by, now())
    console().print(f"{found[:12]}: {'done' if new else 'was done before'}, {result}", markup=False)


def _setting(
    home: Path | None, program: str | None, locale: str | None
) -> tuple[Settings, Program, str]:
    if locale not in (None, "zh", *LOCALES):
        raise SettingsError(f"there is no list in {locale}", f"--locale: {', '.join(LOCALES)}")
    settings = load_settings(home=home, program=program)
    pack = load_program(settings.program)
    return settings, pack, language(locale or pack.locales[0])


def _found(
    settings: Settings,
    pack: Program,
    lang: str,
    owner: str | None,
    due_before: datetime | None,
    everything: bool,
) -> tuple[list, list[Row]]:
    day = due_before.date() if due_before else None
    tasks = read_tasks(
        settings, now(), pack.zone, owner=owner, due_before=day, with_done=everything
    )
    return tasks, rows(tasks, pack, lang)


def _saying(settings: Settings, pack: Program) -> Say:
    """What the messages of the program have to say for each task."""

    def say(found: list[dict[str, Any]]) -> dict[str, str]:
        made = render_batch(settings, pack, found, now())
        return {
            key: f"{text.subject}\n\n{text.text}" if isinstance(text, Rendered) else text.reason
            for key, text in made.items()
        }

    return say


def _short(row: Row) -> list[object]:
    """A row of the terminal's table."""
    due = f"{row['due']:%m-%d %H:%M}" if row["due"] else None
    return [{**row, "task": row["task"][:8], "due": due}.get(key) for key in SHOWN]


def _values(found: list[Row], keys: object) -> list[list[object]]:
    return [[row.get(key) for key in keys] for row in found]
