"""Files whose content was loaded under another name or time of change: not hashed again and again.

A batch remembers the stamp of the file it came from. This remembers it of files that were offered
later and had nothing new: a copy, or the same file written once more.
"""

import json

from careloop.durable import put
from careloop.errors import SourceError
from careloop.ingest.offer import Offer
from careloop.lake.batches import Lake

NAME = "known_files.json"


class KnownFiles:
    """Stamp and content of each such file; callers hold the lock of the home directory."""

    def __init__(self, lake: Lake) -> None:
        self._path = lake.root / NAME
        self._changed = False
        try:
            text = self._path.read_text("utf-8") if self._path.exists() else "{}"
            self._files: dict[str, list[str]] = json.loads(text)
        except ValueError as error:
            raise SourceError(
                f"{self._path} is damaged", "remove it: its files are then read once more"
            ) from error

    def content(self, offer: Offer, stamp: str) -> str | None:
        """Hash of the file's content, if it has not changed since it was read."""
        known = self._files.get(_key(offer))
        return known[1] if known and known[0] == stamp else None

    def remember(self, offer: Offer, stamp: str, content: str) -> None:
        """The file has this content, which was loaded before."""
        self._changed |= self.content(offer, stamp) != content
        self._files[_key(offer)] = [stamp, content]

    def save(self) -> None:
        """Write what was remembered, whole or not at all."""
        if not self._changed:
            return
        put(self._path, json.dumps(self._files, sort_keys=True, indent=0).encode())
        self._changed = False


def _key(offer: Offer) -> str:
    return "|".join([offer.source.name, offer.entity.name, offer.mapping_hash, offer.file])
