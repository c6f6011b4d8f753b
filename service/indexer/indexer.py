"""The indexer's step: documents [from, to) become one entry in every shard log, or somebody else's stands there.

A shard entry is legal only where it starts at its predecessor's end. Whoever loses a number reads the winner and
works out anew what is missing, so any number of indexers, killed at any instant, index each document once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from service import traces
from service.embedding.model import Embedder
from service.indexer.backlog import Backlog
from service.indexer.growing_end import GrowingEnd
from service.indexer.pace import Pace
from service.indexer.records import records_of
from service.storage.builds import Build
from service.storage.collections import Registry, registry_at
from service.storage.documents import Written, documents_log, from_entry
from service.storage.entry import Damaged, Entry
from service.storage.first_places import FirstPlaces, ids_of
from service.storage.log import Append, Overtaken, Tail, tail_of
from service.storage.objects import Missing, ObjectStore
from service.storage.shards import Record, chunk_count, shard_log, shard_of, to_rows

# A listing of a thousand keys for each shard: a log of that many thousand entries is seen through in as many minutes.
LOOK_SECONDS = 60.0
STEP_ENTRIES = 16
STEP_DOCUMENTS = 2_000

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one step did."""

    entries: int
    documents: int
    chunks: int
    rejected: int


class NotWhole(Exception):
    """Shard logs have lost entries since the indexer found their ends."""


class Indexer:
    """Brings the shards of one build up to the documents log, step by step. Not for use by several threads."""

    def __init__(self, documents: ObjectStore, index: ObjectStore, build: Build, embedder: Embedder) -> None:
        self._build = build
        self._embedder = embedder
        self._documents = documents_log(documents)
        dims = build.recipe.embedding.dims
        self._ends = [GrowingEnd(shard_log(index, build.id, shard, dims)) for shard in range(build.recipe.shards)]
        self._read = Tail()
        self._registry = Registry()
        self._first = FirstPlaces(documents)
        self._pace = Pace()
        self._left_over: Entry | None = None
        self._looked_at = time.monotonic()
        self.backlog = Backlog(index, build)

    @property
    def position(self) -> int:
        """The documents position that every shard has reached."""
        return min(end.tail.end for end in self._ends) - 1

    def catch_up(self) -> None:
        """Find where each shard log ends, and take in request ids and collections of all documents indexed so far."""
        for end in self._ends:
            end.find()
        self._first.load()
        self._first.advance(self.position)
        if self.position > self._read.number:
            self._read = tail_of(self._newest_indexed())
            self._registry = registry_at(self._documents, self._read.collections)

    def _newest_indexed(self) -> Entry:
        try:
            return self._documents.read(self.position)
        except Missing:
            raise Damaged(
                f"documents entry {self.position} is missing, but the shard logs cover it: restore it"
            ) from None

    def look(self) -> None:
        """See now and then whether shard logs have all their entries. Raises NotWhole: another indexer has to begin."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        if lost := [end.log.name for end in self._ends if not end.is_whole()]:
            raise NotWhole(f"entries are lost of {', '.join(lost)}")

    def step(self) -> Step:
        """
        Index the next documents: at most STEP_ENTRIES entries, and of several no more text than the pace allows.

        Idempotent at every instant: what a crash or an error leaves undone the next step does.
        """
        written, tail = self._next_documents()
        if tail == self._read:
            return Step(0, 0, 0, 0)
        entries = tail.number - self._read.number
        with traces.span("index", position=tail.number, entries=entries, documents=len(written)) as indexed:
            fresh = self._first.first_writes(written)
            with traces.span("embed"):
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

    def _is_wanted(self, written: Written) -> bool:
        """Say whether a shard lacks the document: indexing again after a loss embeds nothing for other shards."""
        shard = shard_of(written.document.source_id, len(self._ends))
        return bool(written.document.registry) or written.position >= self._ends[shard].tail.end

    def _next_documents(self) -> tuple[list[Written], Tail]:
        """
        Read the entries of the next step.

        One with more text than there is room for begins a step of its own: those before it do not wait for it.
        """
        written: list[Written] = []
        tail = self._read
        while tail.number - self._read.number < STEP_ENTRIES and len(written) < STEP_DOCUMENTS:
            entry = self._next_entry(tail)
            if entry is None:
                break
            documents = list(from_entry(entry))
            if tail != self._read and _characters([*written, *documents]) > self._pace.characters:
                self._left_over = entry
                break
            written.extend(documents)
            self._first.learn(entry.header.number, ids_of(entry))
            tail = tail_of(entry)
        return written, tail

    def _next_entry(self, tail: Tail) -> Entry | None:
        entry, self._left_over = self._left_over, None
        if entry is not None and entry.header.number == tail.number + 1:
            return entry
        return self._documents.next_after(tail)

    def _extend(self, shard: int, records: Sequence[Record], end: int) -> None:
        """Append to a shard log what it lacks of these records, up to documents position `end` (exclusive)."""
        growing, shards = self._ends[shard], len(self._ends)
        own = [one for one in records if one.registry or shard_of(one.source_id, shards) == shard]
        while growing.wants(end):
            placed = growing.place(own, end)
            if placed is None:
                return
            place, missing = placed
            rows = to_rows(missing, self._build.recipe.embedding.dims)
            append = Append(growing.log, growing.tail, rows, place.append_id, (place.start, place.end))
            with traces.span("append", shard=shard, records=len(missing)):
                try:
                    entry = append.run()
                except Overtaken as overtaken:
                    log.info("another indexer was first", extra={"reason": str(overtaken)})
                    entry = overtaken.entry
            growing.grown(entry)
            self.backlog.appended(shard, entry.header.end, chunk_count(entry.rows))


def _characters(written: Sequence[Written]) -> int:
    """Count what there is to embed or to copy, a component of a vector as one."""
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
