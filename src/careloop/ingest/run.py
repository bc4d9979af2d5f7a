"""The ingest step: offer everything, load what is new, release what was waiting."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from careloop.contract import Entity, entities
from careloop.errors import CareloopError, SourceError
from careloop.ingest.edited import keep_unedited, settle_names
from careloop.ingest.known import KnownFiles
from careloop.ingest.offer import Offer, hash_of_file, offers, stamp_of_file
from careloop.ingest.settle import Settlement
from careloop.ingest.stage import Staged, keep_erased, loaded_as, stage_fully, stage_quickly
from careloop.lake.batches import Batch, Lake
from careloop.lake.erasures import Erasures
from careloop.lake.relations import stored, versions
from careloop.settings import Settings
from careloop.sources import database
from careloop.sources.files import open_table
from careloop.sources.spec import Source, load_source
from careloop.warehouse import connect, literal, names_of

Progress = Callable[[str], None]


@dataclass
class Ingested:
    """What one ingest did. skipped: offers already loaded. refused: files not loadable."""

    loaded: list[Batch] = field(default_factory=list)
    skipped: int = 0
    refused: list[CareloopError] = field(default_factory=list)

    def raise_if_refused(self) -> None:
        """Raise SourceError naming every refused file, after the rest was loaded."""
        if self.refused:
            first = self.refused[0]
            others = [f"\n  {error.what}" for error in self.refused[1:]]
            raise SourceError(
                f"{first.what}{''.join(others)}",
                first.hint or "correct it and run again; what was sound is loaded already",
            )


def ingest(
    settings: Settings,
    as_of: str,
    progress: Progress = lambda _: None,
    only: Collection[str] | None = None,
) -> Ingested:
    """Offer every source to the lake. ``as_of`` (ISO) is recorded with each batch. only: the
    entities to load; all if None.

    Callers hold the home directory's lock. A file that can't be loaded is reported in
    ``refused`` and the others go on.
    """
    lake = Lake(settings.lake)
    lake.sweep()
    result = Ingested()
    sources = [load_source(folder) for folder in settings.sources]
    _check_sources(sources, lake)
    known = KnownFiles(lake)
    con = connect(settings)
    try:
        for entity in entities().values():
            if only is not None and entity.name not in only:
                continue
            for source in sources:
                try:
                    offered = list(offers(source, entity))
                except SourceError as error:
                    if not any(b.source == source.name for b in lake.batches(entity.name)):
                        result.refused.append(error)
                    continue
                for offer in offered:
                    _offer_one(con, lake, known, offer, as_of, result, progress)
            _release(con, lake, entity, as_of, result)
    finally:
        con.close()
        known.save()
    return result


def _check_sources(sources: list[Source], lake: Lake) -> None:
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"two sources are called {twice[0]}", "give each its own name")
    mapped = {name for source in sources for name in source.entities}
    for entity in entities().values():
        if entity.required and entity.name not in mapped and not lake.batches(entity.name):
            raise SourceError(
                f"no source gives {entity.name}, which careloop needs",
                f"map it in a source.yml; `careloop contract {entity.name}` shows its columns",
            )


def _offer_one(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    known: KnownFiles,
    offer: Offer,
    as_of: str,
    result: Ingested,
    progress: Progress,
) -> None:
    try:
        with lake.scratch() as scratch:
            batch = _load(con, lake, known, offer, as_of, scratch, progress)
    except SourceError as error:
        result.refused.append(error)
        progress(f"refused {offer.place}: {error.what}")
        return
    if batch is None:
        result.skipped += 1
    else:
        result.loaded.append(batch)
        progress(f"loaded {offer.place}: {describe(batch)}")


def describe(batch: Batch) -> str:
    """One line about what a batch did."""
    parts = [f"{batch.rows_read:,} rows read", f"{batch.rows_loaded:,} loaded"]
    for count, word in (
        (batch.rows_replaced, "replaced older ones"),
        (batch.rows_outdated, "outdated"),
        (batch.rows_rejected, "rejected"),
        (batch.rows_held, "waiting for their parent"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    return ", ".join(parts)


def _load(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    known: KnownFiles,
    offer: Offer,
    as_of: str,
    scratch: Path,
    progress: Progress,
) -> Batch | None:
    """Load ``offer`` as a batch; None when the same content is loaded already."""
    earlier = [
        b
        for b in lake.batches(offer.entity.name)
        if b.source == offer.source.name and b.mapping == offer.mapping_hash
    ]
    editions = [b for b in earlier if b.file == offer.file]
    cursor, stamp = None, ""
    if offer.path is None:
        after = next((b.cursor for b in reversed(earlier) if b.cursor), None)
        table = database.extract(offer.source, offer.mapping, scratch, after)
        content = database.content_hash(con, table.relation)
        if offer.mapping.cursor:
            cursor = database.last_cursor(con, table.relation, offer.mapping.cursor)
    else:
        stamp = stamp_of_file(offer.path)
        if editions and editions[-1].stamp == stamp:
            return None
        content = known.content(offer, stamp) or hash_of_file(offer.path)
    seen = any(b.content == content for b in earlier)
    if seen and (not editions or editions[-1].content == content):
        if offer.path is not None:
            known.remember(offer, stamp, content)
        return None
    if offer.path is not None:
        table = open_table(offer.path, offer.form, scratch)
    in_use = {
        offer.source.mapping_hash(offer.entity.name, mapping)
        for mapping in offer.source.entities[offer.entity.name]
    }
    progress(f"loading {offer.place} …")
    batch = Batch(
        seq=lake.next_seq(),
        id=content[:16],
        entity=offer.entity.name,
        source=offer.source.name,
        file=offer.file,
        content=content,
        mapping=offer.mapping_hash,
        as_of=as_of,
        stamp=stamp,
        cursor=cursor,
        supersedes=[
            b.name
            for b in lake.active(offer.entity.name)
            if (b.source, b.content) == (offer.source.name, content) and b.mapping not in in_use
        ],
    )
    settlement = Settlement(con, lake, offer.entity, batch)
    erasures = Erasures(lake.root)
    edits = offer.mapping.edits
    staged = stage_quickly(con, offer, table, batch, scratch) if edits is None else None
    if staged:
        staged = keep_erased(con, erasures, offer.entity, staged)
    removed = settlement.separate(staged) if staged else {}
    if staged is None or staged.broken or removed.keys() & {"rejected", "waiting"}:
        staged = stage_fully(con, offer, table, scratch)
        if edits:
            settle_names(con, lake, edits, offer.relation(table), staged)
        staged = keep_erased(con, erasures, offer.entity, staged)
        if edits:
            keep_unedited(con, lake, offer.entity, edits, staged)
        removed = settlement.separate(staged)
    out = scratch / "batch"
    out.mkdir()
    batch = settlement.write(staged, removed, out)
    if not batch.rows_read:
        progress(f"{offer.place} has {'nothing edited' if edits else 'a header and no rows'}")
    lake.commit(batch, out)
    return batch


def _release(
    con: duckdb.DuckDBPyConnection, lake: Lake, entity: Entity, as_of: str, result: Ingested
) -> None:
    """Load waiting rows whose parent has come meanwhile, as batches of their own."""
    for origin in lake.active(entity.name):
        held = lake.folder(origin) / "held.parquet"
        if not held.exists():
            continue
        arrived = f"select * from {stored(entity, [str(held)])} as h"
        for column, parent_name in entity.parents.items():
            parent = entities()[parent_name]
            (key,) = parent.key
            arrived += (
                f" semi join (select {key} as known_{column} from ({versions(lake, parent)})) "
                f"on known_{column} = h.{column}"
            )
        keys = names_of(entity.key)
        arrived += (
            f" anti join (from ({versions(lake, entity)}) where _batch > {origin.seq}) "
            f"using ({keys})"
        )
        with lake.scratch() as scratch:
            batch = Batch(
                seq=lake.next_seq(),
                id=f"{origin.id[:8]}-released",
                entity=entity.name,
                source=origin.source,
                file=origin.file,
                content=origin.content,
                mapping=origin.mapping,
                as_of=as_of,
                stamp=origin.stamp,
                released_from=[origin.name],
            )
            staged = scratch / "staged.parquet"
            con.execute(
                f"copy (select {names_of(entity.columns)}, {loaded_as(batch)} "
                f"from ({arrived})) to {literal(staged)} (format parquet, compression zstd)"
            )
            rows = con.execute(f"select count(*) from read_parquet({literal(staged)})").fetchall()
            if not rows[0][0]:
                continue
            settlement = Settlement(con, lake, entity, batch)
            parts = Staged(staged, full=False)
            out = scratch / "batch"
            out.mkdir()
            batch = settlement.write(parts, settlement.separate(parts), out)
            lake.commit(batch, out)
            result.loaded.append(batch)
