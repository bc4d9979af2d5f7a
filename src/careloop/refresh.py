"""The daily refresh, step by step; the flow and the command line run these same steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from careloop.errors import CareloopError
from careloop.escalate.operators import GATE, Notice, Told, tell_operators
from careloop.escalate.words import say, word
from careloop.ingest.run import Ingested, ingest
from careloop.lake.batches import Lake
from careloop.program.base import language
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.publish import publish, write_meta
from careloop.quality.results import GateResult, Result, write_results
from careloop.run_info import RunInfo, run_info, utc_text
from careloop.settings import Settings
from careloop.transform.dbt import DbtBuild, Node
from careloop.transform.prepare import prepare_warehouse
from careloop.warehouse import connect
from careloop.watch.inputs import keep_inputs

Progress = Callable[[str], None]
MOST_TOLD = 10


@dataclass
class Published:
    """The published file, whether it is now the current version, and the report beside it."""

    file: Path
    current: bool
    report: Path


class Refresh:
    """One refresh of everything as of ``as_of``; callers hold the home directory's lock.

    Call the steps in their order: ingest, prepare, raw_gate, build, marts_gate, publish;
    after each gate stop_if_critical.
    Each raises a CareloopError that says in a sentence what stopped it; until the last step
    the published marts are untouched.
    """

    def __init__(self, settings: Settings, program: Program, as_of: datetime) -> None:
        self.settings = settings
        self.program = program
        self.as_of = as_of
        self.run: RunInfo | None = None
        self.gates: list[GateResult] = []

    def ingest(self, progress: Progress) -> Ingested:
        """Load what the sources offer; call ``raise_if_refused`` on the result."""
        return ingest(self.settings, utc_text(self.as_of), progress)

    def prepare(self) -> RunInfo:
        """Start the private warehouse of this run."""
        self.run = run_info(Lake(self.settings.lake), self.program, self.as_of)
        prepare_warehouse(self.settings, self.run)
        return self.run

    def raw_gate(self, progress: Progress) -> GateResult:
        """Check the raw entities; call ``stop_if_critical`` with the result."""
        return self._gate("raw", progress)

    def build(self) -> DbtBuild:
        """The dbt build; iterate over its nodes, then call ``raise_if_failed``."""
        return DbtBuild(self.settings)

    def marts_gate(self, progress: Progress) -> GateResult:
        """Check the marts about to be published; call ``stop_if_critical`` with the result."""
        return self._gate("marts", progress)

    def stop_if_critical(self, gate: GateResult, moment: datetime, progress: Progress) -> None:
        """Raise GateError when a critical expectation failed, after telling the operators, once
        for the same failures of the same day. An alert that can't be sent changes nothing.

        moment: the time of day (aware).
        """
        if gate.failures:
            try:
                told = _tell(self.settings, self.program, gate, moment)
            except CareloopError as error:
                progress(f"the alert was not sent: {error.what}")
            else:
                if told.failed:
                    progress(f"the alert was not sent: {told.reason}")
        gate.raise_if_critical()

    def publish(self) -> Published:
        """Write the results of the gates into the marts and put them in place."""
        run = self._prepared()
        with connect(self.settings, self.settings.marts) as con:
            write_results(con, [result for gate in self.gates for result in gate.results])
        write_meta(self.settings, run)
        keep_inputs(self.settings)
        report = self.write_report()
        file, current = publish(self.settings, run)
        return Published(file, current, report)

    def write_report(self) -> Path:
        """The data quality page of this run, also of one that failed."""
        from careloop.quality.report import write_report

        return write_report(self.settings, self._prepared(), self.gates)

    def _gate(self, name: str, progress: Progress) -> GateResult:
        from careloop.quality.gate import run_gate

        result = run_gate(self.settings, name, self._prepared(), progress)
        self.gates.append(result)
        return result

    def _prepared(self) -> RunInfo:
        if self.run is None:
            raise RuntimeError("prepare() comes first")
        return self.run


def _tell(settings: Settings, program: Program, gate: GateResult, moment: datetime) -> Told:
    """Tell the operators which expectations failed, without keys of rows."""
    lang = language(program.locales[0])
    as_of = gate.as_of.strftime("%Y-%m-%d %H:%M")
    subject = say(
        "gate_subject",
        lang,
        program=getattr(program.title, lang),
        as_of=as_of,
        gate=word("gates", gate.gate, lang),
    )
    lines = [_line(result, lang) for result in gate.failures[:MOST_TOLD]]
    if len(gate.failures) > MOST_TOLD:
        lines.append(say("gate_more", lang, count=len(gate.failures) - MOST_TOLD))
    failed = sorted(f"{r.table}:{r.type}:{r.column or ''}" for r in gate.failures)
    notice = Notice(GATE, (program.name, gate.gate, as_of, *failed), "\n".join(lines))
    return tell_operators(settings, subject, [notice], program.locales[0], moment)


def _line(result: Result, lang: str) -> str:
    line = say("gate_line", lang, table=result.table, what=result.expectation[lang])
    if result.rows_failing is None or result.rows_checked is None:
        return line
    failing, checked = f"{result.rows_failing:,}", f"{result.rows_checked:,}"
    return line + say("gate_rows", lang, failing=failing, checked=checked)


def build_all(build: DbtBuild, progress: Progress) -> Iterator[Node]:
    """Run every node, telling ``progress`` about models and failures."""
    for node in build:
        node.wait()
        if node.kind == "model" or node.failed:
            progress(f"{node.kind} {node.name}: {node.status} in {node.seconds:.1f} s")
        yield node


def program_of(settings: Settings) -> Program:
    """The program pack the settings choose."""
    return load_program(settings.program)
