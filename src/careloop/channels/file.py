"""A dry run: messages go into files of JSON lines, one a day, and nowhere else."""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from careloop.channels.base import ChannelDown, Receipt, Rendered
from careloop.durable import sync

START = b'{"message_id": "'


class FileChannel:
    """Appends to ``folder/<local day>.jsonl`` (0600: it holds personal data).

    A message that any file of the folder has is not written again. Several processes may write.
    """

    accepts_idempotency_key = True

    def __init__(self, name: str, folder: Path, zone: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self.folder = folder
        self._zone = ZoneInfo(zone)
        self._now = now
        self._known: set[str] = set()
        self._read: dict[Path, int] = {}
        self._path: Path | None = None
        self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._put_away()

    def send(self, message: Rendered) -> Receipt:
        """Write one line; raises ChannelDown when the disk refuses it."""
        try:
            return self._write(message)
        except OSError as error:
            raise ChannelDown(f"{self.folder} can't be written to: {error.strerror}") from error

    def check(self) -> str:
        """Where messages are written; raises ChannelDown when that isn't possible."""
        try:
            self._open(self._today())
        except OSError as error:
            raise ChannelDown(f"{self.folder} can't be written to: {error.strerror}") from error
        return f"dry run: written to {self._path}"

    def _write(self, message: Rendered) -> Receipt:
        path = self._today()
        if path != self._path:
            self._put_away()
            self._open(path)
            for earlier in sorted(self.folder.glob("*.jsonl")):
                if earlier != path:
                    self._learn(earlier)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            self._learn(path)
            if message.message_id in self._known:
                return Receipt(None, f"was written before: {path.parent.name}")
            self._append(_line(message))
            self._known.add(message.message_id)
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)
        return Receipt(None, f"written to {path.parent.name}/{path.name}")

    def _append(self, line: bytes) -> None:
        path = self._path
        end = os.fstat(self._handle).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, end)
            raise
        self._read[path] = end + written

    def _learn(self, path: Path) -> None:
        """Read which messages a file has got since it was last looked at; under the lock, cut off
        what a killed process left of a line."""
        seen = self._read.get(path, 0)
        if path.stat().st_size <= seen:
            return
        with path.open("rb") as file:
            file.seek(seen)
            for line in file:
                if not line.endswith(b"\n"):
                    if path == self._path:
                        os.ftruncate(self._handle, seen)
                    break
                seen += len(line)
                if line.startswith(START):
                    self._known.add(line[len(START) :].split(b'"', 1)[0].decode("ascii"))
        self._read[path] = seen

    def _today(self) -> Path:
        return self.folder / f"{self._now().astimezone(self._zone).date()}.jsonl"

    def _open(self, path: Path) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        self._handle, self._path = os.open(path, flags, 0o600), path

    def _put_away(self) -> None:
        handle, self._handle, self._path = self._handle, -1, None
        if handle >= 0:
            os.fsync(handle)
            os.close(handle)
            sync(self.folder)


def _line(message: Rendered) -> bytes:
    """The message's fields that are set, its id first."""
    fields = {key: value for key, value in asdict(message).items() if value not in (None, {})}
    ordered = {"message_id": message.message_id, **fields}
    return (json.dumps(ordered, ensure_ascii=False, default=str) + "\n").encode()
