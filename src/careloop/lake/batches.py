"""Batches: one folder each, written apart and put in place by a single rename.

``lake/<entity>/<seq>-<id>/`` holds ``manifest.json`` and, where there are any, ``rows.parquet``
(the rows loaded), ``rejects.parquet`` (quarantine), ``held.parquet`` (sound rows whose parent
is not known yet) and ``dead.parquet`` (rows of this or earlier batches that a later version
replaces). A crash leaves a folder in the scratch area and nothing else.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from careloop.durable import sync
from careloop.errors import SourceError


@dataclass
class Batch:
    """What one batch is and did; times are UTC and ISO-formatted.

    content: hash of what was read; stamp: size and time of change of the file then.
    rows_read = rows_loaded + rows_rejected + rows_held + rows_outdated, where outdated rows
    lost to a newer version of their key. rows_replaced counts rows of earlier batches.
    """

    seq: int
    id: str
    entity: str
    source: str
    file: str
    content: str
    mapping: str
    as_of: str
    stamp: str = ""
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    rows_held: int = 0
    rows_outdated: int = 0
    rows_replaced: int = 0
    min_event_at: str | None = None
    max_event_at: str | None = None
    cursor: str | None = None
    supersedes: list[str] = field(default_factory=list)
    released_from: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.seq:06d}-{self.id[:16]}"


class Lake:
    """The batches under ``root``.

    Manifests are read once: who commits holds the lock of the home directory, so nobody else
    adds batches meanwhile.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: list[Batch] | None = None

    def batches(self, entity: str | None = None) -> list[Batch]:
        """Every batch ever committed, oldest first."""
        if self._known is None:
            found = [self._read(path) for path in self.root.glob("*/*/manifest.json")]
            self._known = sorted(found, key=lambda batch: batch.seq)
        return [batch for batch in self._known if entity in (None, batch.entity)]

    def active(self, entity: str) -> list[Batch]:
        """The batches whose rows count: those no later batch supersedes."""
        batches = self.batches(entity)
        gone = {name for batch in batches for name in batch.supersedes}
        return [batch for batch in batches if batch.name not in gone]

    def next_seq(self) -> int:
        """The number of the next batch; callers hold the lock of the home directory."""
        return max((batch.seq for batch in self.batches()), default=0) + 1

    def folder(self, batch: Batch) -> Path:
        return self.root / batch.entity / batch.name

    def files(self, entity: str, kind: str) -> list[str]:
        """Paths of the ``kind`` files (rows, rejects, held, dead) of the active batches."""
        paths = [self.folder(batch) / f"{kind}.parquet" for batch in self.active(entity)]
        return [str(path) for path in paths if path.exists()]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the lake's file system, removed afterwards unless committed."""
        folder = self.root / ".scratch" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed runs left in the scratch area; callers hold the lock."""
        shutil.rmtree(self.root / ".scratch", ignore_errors=True)

    def commit(self, batch: Batch, staged: Path) -> None:
        """Put the folder ``staged`` in place as ``batch``, all or nothing, and durably."""
        manifest = staged / "manifest.json"
        manifest.write_text(json.dumps(asdict(batch), indent=2, ensure_ascii=False), "utf-8")
        for path in [*staged.iterdir(), staged]:
            sync(path)
        target = self.folder(batch)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(staged, target)
        sync(target.parent)
        if self._known is not None:
            self._known.append(batch)

    @staticmethod
    def _read(path: Path) -> Batch:
        try:
            return Batch(**json.loads(path.read_text("utf-8")))
        except (json.JSONDecodeError, TypeError) as error:
            raise SourceError(
                f"{path} is damaged: {error}",
                "restore the lake from its backup, or remove this batch's folder and load again",
            ) from error
