"""What a person sees after a refresh: segments, decisions, where the results are, what next."""

from pathlib import Path

from careloop.cli.output import console, print_table
from careloop.published import query
from careloop.settings import Settings

SEGMENTS = """
    select segment, customers, round(100 * actual_share, 1) as "actual %",
           round(100 * expected_share, 1) as "expected %"
    from rpt_segment_shares order by position
"""

DECISIONS = """
    select
        rule,
        count(*) filter (where outcome = 'send') as messages,
        count(*) filter (where outcome = 'task') as tasks,
        count(*) filter (where outcome = 'withheld') as "left alone",
        count(*) filter (where outcome in ('deferred', 'expired')) as "not today",
        count(*) filter (where outcome = 'blocked') as blocked,
        coalesce(mode(gate order by gate) filter (where outcome = 'blocked'), '') as "mostly by"
    from fct_care_decisions group by rule order by messages + tasks desc, rule
"""


def print_decisions(settings: Settings, version: str | None = None) -> None:
    """What the rules decided for the day."""
    columns, rows = query(settings, DECISIONS, version)
    if rows:
        print_table(columns, rows, title="Care decided for the day, by rule")


def print_segments(settings: Settings, version: str | None = None) -> None:
    """Customers per segment, against the program's expectation."""
    as_of, pack = query(settings, "select as_of_local, pack from rpt_run", version)[1][0]
    columns, rows = query(settings, SEGMENTS, version)
    print_table(columns, rows, title=f"{pack}: customers as of {as_of:%Y-%m-%d %H:%M}")


def print_next(settings: Settings) -> None:
    """Where the results are and a few commands to go on with."""
    out = console()
    link = _short(settings.published / "marts.duckdb")
    reports = sorted(settings.reports.glob("*/data-quality.html"), key=lambda p: p.stat().st_mtime)
    out.print("\n[bold]Where the results are[/]")
    out.print(f"  marts         {link}", soft_wrap=True)
    if reports:
        out.print(f"  data quality  {_short(reports[-1])}", soft_wrap=True)
    out.print("[bold]What to try next[/]")
    for command, about in (
        ("careloop marts", "the tables and what they hold"),
        ('careloop sql "from dim_customers limit 5"', "any query"),
        ("careloop customer ID", "everything about one customer"),
        ("careloop explain ID", "why they are, or are not, contacted today"),
        ("careloop plan", "put today's decisions into the ledger"),
        ("careloop dispatch", "send what is due: into files until a channel is set up"),
        ("careloop quarantine", "the rows that were rejected, and why"),
        ("careloop review", "the last quarter judged: page, workbook, PDF"),
        (f"careloop program show {settings.program}", "the program behind the segments"),
        ("careloop up", "the Prefect UI, with the flows on schedule"),
    ):
        out.print(f"  {command:<44}{about}", markup=False, soft_wrap=True)
    out.print("  (the command is .venv/bin/careloop unless the environment is activated)")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
