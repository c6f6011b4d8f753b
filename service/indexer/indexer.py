"""The indexer's step: documents [from, to) become one entry in every shard log, unless another indexer was first.

A shard entry is legal only if it starts at its predecessor's end. An indexer that loses a number reads the winner and
recomputes the rest. So any number of indexers, killed at any instant, index each document once. A void is a step of its
own: it repairs the documents whose writes it names.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from service.embedding.model import Embedder
from service.indexer.backlog import Backlog
from service.indexer.records import records_of
from service.indexer.shard_log_end import ShardLogEnd
from service.indexer.shard_writes import ShardWrites
from service.storage.builds import Build
from service.storage.collections import Registry, registry_at
from service.storage.documents import PlacedDocument, documents_log, from_entry
from service.storage.entry import Damaged, Entry
from service.storage.log import Append, NumberTaken, Tail, tail_of
from service.storage.objects import NoSuchKey, ObjectStore
from service.storage.repair import repair_of
from service.storage.request_ids import RequestIds
from service.storage.shards import STEP_ENTRIES, Record, chunk_count, shard_log, shard_of, to_rows
from service.storage.sources import Sources
from service.storage.voids import Voids, voids_at
from service.tracing import spans

# One listing shows a thousand keys of each shard, so a log of n thousand entries is checked in n minutes.
LOOK_SECONDS = 60.0
STEP_DOCUMENTS = 2_000
STEP_SECONDS = 1.0
# Embedding this many characters with a slow model takes as long as a step's appends. With fewer, a step would mostly
# wait for S3.
LEAST_CHARACTERS = 20_000
FIRST_CHARACTERS = 200_000
# Bounds a step's memory: chunks of 300 characters take 1 kB of vector each, so this much text takes about 30 MB.
MOST_CHARACTERS = 8_000_000
SHORTEST_SECONDS = 0.001

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """The results of one step. `repaired` are the documents that a void changed; None if the step was no void."""

    entries: int
    documents: int
    chunks: int
    rejected: int
    repaired: int | None = None


class NotWhole(Exception):
    """Shard logs have lost entries since the indexer found their ends."""


class Pace:
    """The `characters` that are split and embedded in about STEP_SECONDS, learned from each step.

    It limits a step, so that documents written before a large one need not wait for it.
    """

    def __init__(self) -> None:
        self.characters = FIRST_CHARACTERS

    def learn(self, characters: int, seconds: float) -> None:
        """Learn how long a step's text took; a small and quick step says nothing about large ones."""
        if seconds > STEP_SECONDS or characters >= self.characters // 2:
            fitting = int(characters / max(seconds, SHORTEST_SECONDS) * STEP_SECONDS)
            self.characters = min(MOST_CHARACTERS, max(LEAST_CHARACTERS, fitting))


class Indexer:
    """Extends the shard logs of one build to the documents log, step by step. Not thread-safe.

    The build ends at documents position `until`, if given.
    """

    def __init__(
        self, documents: ObjectStore, index: ObjectStore, build: Build, embedder: Embedder, until: int | None = None
    ) -> None:
        self._build = build
        self._embedder = embedder
        self._documents = documents_log(documents, until)
        dims = build.recipe.embedding.dims
        self._ends = [ShardLogEnd(shard_log(index, build.id, shard, dims)) for shard in range(build.recipe.shards)]
        self._read = Tail()
        self._registry, self._voids = Registry(), Voids()
        self._sources = Sources(documents)
        self._first = RequestIds(documents)
        self._pace = Pace()
        self._left_over: Entry | None = None
        self._looked_at = time.monotonic()
        self.backlog = Backlog(index, build)

    @property
    def position(self) -> int:
        """The documents position that every shard has reached."""
        return min(end.tail.end for end in self._ends) - 1

    def catch_up(self) -> None:
        """Find the end of each shard log, and learn request ids and collections of all documents indexed so far."""
        for end in self._ends:
            end.find()
        self._first.load()
        self._first.advance(self.position)
        if self.position > self._read.number:
            self._read = tail_of(self._newest_indexed())
            self._registry = registry_at(self._documents, self._read.collections)
            self._voids = voids_at(self._documents, self._read.voids)

    def _newest_indexed(self) -> Entry:
        try:
            return self._documents.read(self.position)
        except NoSuchKey:
            raise Damaged(
                f"documents entry {self.position} is missing, but the shard logs cover it; restore it from a backup"
            ) from None

    def look(self) -> None:
        """Check now and then that shard logs have all their entries. Raise NotWhole: a new indexer has to begin."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        if lost := [end.log.name for end in self._ends if not end.is_whole()]:
            raise NotWhole(f"entries of {', '.join(lost)} are lost")

    def step(self) -> Step:
        """Index the next documents, or repair by the next void.

        A step ends at the next multiple of STEP_ENTRIES at the latest. It has no more text than the pace allows unless
        in one entry.

        Idempotent at every instant: the next step does what a crash or an error left undone.
        """
        written, tail = self._next_documents()
        if tail == self._read:
            return Step(0, 0, 0, 0)
        if tail.voids == tail.number:
            return self._repair(tail)
        entries = tail.number - self._read.number
        with spans.span("index", position=tail.number, entries=entries, documents=len(written)) as indexed:
            fresh = self._first.first_writes(written)
            with spans.span("embed"):
                wanted = [one for one in fresh if self._is_wanted(one)]
                started = time.monotonic()
                folded = records_of(wanted, self._registry, self._build.recipe, self._embedder)
                self._pace.learn(_characters(wanted), time.monotonic() - started)
            for shard in range(len(self._ends)):
                self._extend(shard, folded.records, tail.number + 1)
            self._read, self._registry = tail, folded.registry
            step = _summary(entries, folded.records)
            indexed.set(chunks=step.chunks, rejected=step.rejected)
            return step

    def _repair(self, tail: Tail) -> Step:
        """Append the records of documents that a void changes, of each shard by its own log."""
        after = voids_at(self._documents, tail.number)
        with spans.span("repair", position=tail.number) as repaired:
            records = [
                record for end in self._ends if end.needs(tail.number + 1) for record in self._repaired(end, after)
            ]
            for shard in range(len(self._ends)):
                self._extend(shard, records, tail.number + 1)
            repaired.set(documents=len(records))
        self._read, self._voids = tail, after
        log.info("voided", extra={"position": tail.number, "documents": len(records)})
        return Step(1, 0, 0, 0, len(records))

    def _repaired(self, end: ShardLogEnd, after: Voids) -> list[Record]:
        writes = ShardWrites(end.log, end.tail, end.held)
        repair = repair_of(
            self._voids,
            after,
            writes.read,
            partial(self._sources.positions, unsealed=self._first.unsealed),
            lambda collection: self._registry.get(collection) is not None,
        )
        return writes.records(repair.changes, after.voids[-1].position)

    def _is_wanted(self, written: PlacedDocument) -> bool:
        """Return whether a shard lacks the document: after a loss, nothing is embedded for the other shards."""
        shard = shard_of(written.document.source_id, len(self._ends))
        return bool(written.document.registry) or written.position >= self._ends[shard].tail.end

    def _next_documents(self) -> tuple[list[PlacedDocument], Tail]:
        """Read the entries of the next step.

        A void, and an entry with more text than there is room for, begin a step of their own, so those before it do not
        wait for it.
        """
        written: list[PlacedDocument] = []
        tail = self._read
        while (tail == self._read or tail.number % STEP_ENTRIES) and len(written) < STEP_DOCUMENTS:
            entry = self._next_entry(tail)
            if entry is None:
                break
            documents = list(from_entry(entry))
            is_void = entry.header.voids == entry.header.number
            is_long = _characters([*written, *documents]) > self._pace.characters
            if tail != self._read and (is_void or is_long):
                self._left_over = entry
                break
            written.extend(documents)
            self._first.learn(entry)
            tail = tail_of(entry)
            if is_void:
                break
        return written, tail

    def _next_entry(self, tail: Tail) -> Entry | None:
        entry, self._left_over = self._left_over, None
        if entry is not None and entry.header.number == tail.number + 1:
            return entry
        return self._documents.next_after(tail)

    def _extend(self, shard: int, records: Sequence[Record], end: int) -> None:
        """Append the records that a shard log lacks, up to documents position `end` (exclusive)."""
        log_end, shards = self._ends[shard], len(self._ends)
        own = [one for one in records if one.registry or shard_of(one.source_id, shards) == shard]
        while log_end.needs(end):
            placed = log_end.place(own, end)
            if placed is None:
                return
            place, missing = placed
            rows = to_rows(missing, self._build.recipe.embedding.dims)
            append = Append(log_end.log, log_end.tail, rows, place.append_id, (place.start, place.end))
            with spans.span("append", shard=shard, records=len(missing)):
                try:
                    entry = append.run()
                except NumberTaken as overtaken:
                    log.info("another indexer was first", extra={"reason": str(overtaken)})
                    entry = overtaken.entry
            log_end.advance(entry)
            self.backlog.appended(shard, entry.header.end, chunk_count(entry.rows))


def _characters(written: Sequence[PlacedDocument]) -> int:
    """Count the characters to embed or copy; a component of a vector counts as one."""
    documents = (one.document for one in written)
    return sum(len(one.title) + len(one.text) + len(one.vector) // 4 for one in documents)


def _summary(entries: int, records: Sequence[Record]) -> Step:
    for record in records:
        if record.rejected:
            log.warning(
                "document rejected",
                extra={"source_id": record.source_id, "position": record.position, "reason": record.rejected},
            )
    documents = sum(not record.registry for record in records)
    chunks = sum(len(record.chunks) for record in records)
    return Step(entries, documents, chunks, sum(bool(record.rejected) for record in records))
