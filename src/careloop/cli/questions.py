"""`careloop questions`: example questions with their SQL, answered from the published marts."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from careloop.cli.options import Home, Version
from careloop.cli.output import JsonFlag, console, print_table
from careloop.errors import SettingsError
from careloop.published import query
from careloop.settings import load_settings
from careloop.transform.dbt import DBT_PROJECT

FOLDER = DBT_PROJECT / "analyses"
# Topic by what the marts that are read are called; the first that fits, in the page's order.
TOPICS = (
    ("KPIs and the review", r"\b(\w*kpis?|rpt_kpi\w*|rpt_retention|rpt_value|rpt_migration)\b"),
    ("Service", r"\w*(ticket|case|clock|closed_loop|pain_point|staff|knowledge|late_deliver)\w*"),
    ("Care", r"\w*(care|register_follow_ups)\w*"),
    ("Health and churn", r"\w*(health|alert|churn)\w*"),
    ("Customers and sales", r"\w*"),
)
PAGE = """# Questions and their SQL

The page is made from `dbt_project/analyses/` (`make docs`), and the tests run every question. Each
is answered from the published marts, without personal data:

    careloop questions                        # the list
    careloop questions targets_missed         # the answer; --json, --version
    careloop sql - < dbt_project/analyses/targets_missed.sql

`careloop marts` lists the tables, `careloop docs` documents every column with where it comes from,
and `careloop chart kpi repurchase_rate --by segment` draws a KPI. KPIs are sums: to get one for a
slice of your own, add up `numerator` and `denominator` of `fct_kpis` first and divide then.
"""


@dataclass(frozen=True)
class Question:
    """A question, its SQL without it, and its topic."""

    name: str
    text: str
    sql: str
    topic: str


def register(app: typer.Typer) -> None:
    app.command("questions")(questions)


def questions(
    name: Annotated[str | None, typer.Argument(help="Answer this one.", show_default=False)] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/questions.md.")
    ] = False,
    version: Version = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """List example questions an analyst may ask, or answer one.

    Example: careloop questions targets_missed
    """
    known = all_questions()
    if markdown:
        typer.echo(page(known), nl=False)
        return
    if name is None:
        rows = [[one.name, one.text] for one in known]
        print_table(["name", "question"], rows, as_json=as_json, tight=True, whole=("name",))
        return
    found = next((one for one in known if one.name == name), None)
    if found is None:
        raise SettingsError(f"there is no question {name}", "`careloop questions` lists them")
    columns, rows = query(load_settings(home=home), found.sql, version)
    if not as_json:
        console().print(found.text, style="italic", markup=False)
    print_table(columns, rows, as_json=as_json)


def all_questions(folder: Path = FOLDER) -> list[Question]:
    """The questions, by topic and name."""
    order = [topic for topic, _ in TOPICS]
    found = [_question(file) for file in folder.glob("*.sql")]
    return sorted(found, key=lambda one: (order.index(one.topic), one.name))


def _question(file: Path) -> Question:
    lines = file.read_text("utf-8").splitlines()
    head = next(n for n, line in enumerate(lines) if not line.startswith("--"))
    text = " ".join(line.removeprefix("--").strip() for line in lines[:head])
    sql = "\n".join(lines[head:]).strip()
    read = re.findall(r"\b(?:from|join)\s+(\w+)", sql)
    topic = next(
        topic for topic, marts in TOPICS if any(re.fullmatch(marts, mart) for mart in read)
    )
    return Question(file.stem, text, sql, topic)


def page(known: list[Question]) -> str:
    """docs/questions.md."""
    parts = [PAGE]
    for topic, _ in TOPICS:
        mine = [one for one in known if one.topic == topic]
        parts += [f"## {topic}\n"] if mine else []
        parts += [f"**{one.text}** `{one.name}`\n\n```sql\n{one.sql}\n```\n" for one in mine]
    return "\n".join(parts)
