"""What identifies one run: derived from its inputs, so that equal inputs give an equal run."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from careloop import __version__
from careloop.lake.batches import Lake
from careloop.lake.erasures import Erasures
from careloop.program.model import Program


@dataclass(frozen=True)
class RunInfo:
    """as_of: aware, in the program's zone. run_id: hash of lake, pack, as_of and version."""

    run_id: str
    as_of: datetime
    program: Program

    @property
    def as_of_local(self) -> datetime:
        """Wall time in the program's zone, without zone."""
        return self.as_of.replace(tzinfo=None)

    @property
    def as_of_utc(self) -> datetime:
        """UTC, without zone."""
        return self.as_of.astimezone(UTC).replace(tzinfo=None)

    @property
    def version(self) -> str:
        """Name of the published version."""
        return f"{self.as_of_local:%Y%m%dT%H%M}-{self.run_id}"


def utc_text(moment: datetime) -> str:
    """``moment`` in UTC, ISO-formatted, without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def run_info(lake: Lake, program: Program, as_of: datetime) -> RunInfo:
    """The run over everything in ``lake`` now, erasures among it."""
    batches = [f"{batch.name}:{batch.content}:{batch.mapping}" for batch in lake.batches()]
    erased = sorted(Erasures(lake.root).names)
    body = "\n".join([__version__, program.hash, as_of.isoformat(), *batches, *erased])
    return RunInfo(hashlib.sha256(body.encode()).hexdigest()[:10], as_of, program)
