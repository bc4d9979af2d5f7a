"""What a source offers for loading: its files and tables, entity by entity."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from careloop.contract import Entity, entities
from careloop.errors import SourceError
from careloop.sources.files import LINE, Format, Table
from careloop.sources.spec import Mapping, Source


@dataclass(frozen=True)
class Offer:
    """A file, or a database mapping where ``path`` is None, offered for one entity."""

    source: Source
    entity: Entity
    mapping: Mapping
    path: Path | None

    @property
    def file(self) -> str:
        """The file relative to the source's folder, or the table or query's name."""
        if self.path is None:
            return self.mapping.table or "query"
        return self.path.relative_to(folder_of(self.source)).as_posix()

    @property
    def place(self) -> str:
        """How messages name the offer."""
        return f"source {self.source.name}, {self.entity.name} from {self.file}"

    @property
    def form(self) -> Format:
        return Format(
            encoding=self.mapping.encoding or self.source.encoding,
            delimiter=self.mapping.delimiter or self.source.delimiter,
            sheet=self.mapping.sheet,
        )

    @property
    def mapping_hash(self) -> str:
        return self.source.mapping_hash(self.entity.name, self.mapping)

    def relation(self, table: Table) -> str:
        """What the mapping reads: the table itself, or its query over the table."""
        if self.path is None or self.mapping.query is None:
            return table.relation
        return (
            f"(with source as (select * from {table.relation}) "
            f"select *, null::bigint as {LINE} from ({self.mapping.query}))"
        )


def folder_of(source: Source) -> Path:
    """Where the source's files are: its own folder unless the environment names another."""
    other = os.environ.get(source.folder_env) if source.folder_env else None
    return Path(other).resolve() if other else source.folder


def offers(source: Source, entity: Entity) -> Iterator[Offer]:
    """The offers of ``source`` for ``entity``, in the order of file names.

    Raises SourceError when a mapping's glob matches no file.
    """
    for mapping in source.entities.get(entity.name, []):
        if mapping.file is None:
            yield Offer(source, entity, mapping, None)
            continue
        folder = folder_of(source)
        paths = sorted(path for path in folder.glob(mapping.file) if path.is_file())
        if not paths:
            elsewhere = (
                f", or set {source.folder_env} to the folder with the data"
                if source.folder_env
                else ""
            )
            raise SourceError(
                f"source {source.name}, {entity.name}: no file matches {mapping.file}",
                f"put the export into the source's folder{elsewhere}, "
                "or correct `file:` in source.yml",
            )
        for path in paths:
            yield Offer(source, entity, mapping, path)


def all_offers(sources: list[Source]) -> Iterator[Offer]:
    """Every offer of every source, parents before children."""
    for entity in entities().values():
        for source in sources:
            yield from offers(source, entity)


def stamp_of_file(path: Path) -> str:
    """Size and time of change: equal ones save reading a file that was loaded before."""
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def hash_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
