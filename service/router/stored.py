"""What S3 holds of a fleet, for who asks: documents as they were written, the slots' builds, their snapshots."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from service.problems import Problem
from service.router.answers import DocumentAnswer, ShardSnapshots, SlotBuild, SlotsAnswer, Snapshot, SnapshotsAnswer
from service.storage.builds import SLOTS, Build, Slots
from service.storage.documents import content_hash, documents_log, written_as
from service.storage.entry import Damaged
from service.storage.metadata import from_text
from service.storage.objects import ObjectStore, StoreError
from service.storage.snapshot import manifest_of, names

T = TypeVar("T")
READS_AT_ONCE = 8


class Stored:
    """Reads from the documents bucket and the index bucket; everything here blocks, and raises Problem 503."""

    def __init__(self, documents: ObjectStore, index: ObjectStore) -> None:
        self._documents = documents_log(documents)
        self._index = index

    def document(self, position: int, item: int) -> DocumentAnswer:
        """The document that was written as `item` of entry `position`, as it was sent."""
        found = written_as(_answered(lambda: self._documents.read(position)), item)
        return DocumentAnswer(
            source_id=found.source_id,
            position=position,
            item=item,
            content_hash=content_hash(found.title, found.text, found.metadata, found.vector).hex(),
            title=found.title,
            text=found.text,
            metadata=from_text(found.metadata),
            vector=np.frombuffer(found.vector, "<f4").tolist() if found.vector else None,
        )

    def slots(self) -> SlotsAnswer:
        """Both slots with their builds."""
        pointers = Slots(self._index)
        return SlotsAnswer([SlotBuild(slot, _answered(partial(pointers.find, slot))) for slot in SLOTS])

    def snapshots(self, build: Build, limit: int) -> SnapshotsAnswer:
        """Of each shard of `build` the newest snapshots, `limit` of them at most, those that can't be read too."""
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            return SnapshotsAnswer(
                build.id, [self._of_shard(pool, build, s, limit) for s in range(build.recipe.shards)]
            )

    def _of_shard(self, pool: ThreadPoolExecutor, build: Build, shard: int, limit: int) -> ShardSnapshots:
        found = _answered(lambda: names(self._index, build.id, shard))
        newest = list(pool.map(partial(self._snapshot, build, shard), found[:limit]))
        return ShardSnapshots(shard, len(found), newest)

    def _snapshot(self, build: Build, shard: int, name: str) -> Snapshot:
        try:
            manifest = manifest_of(self._index, build, shard, name)
        except Damaged as damage:
            return Snapshot(name, refused=str(damage))
        except StoreError as error:
            raise _unanswered(error) from error
        return Snapshot(
            name,
            position=manifest.position,
            generation=manifest.generation,
            rows=manifest.rows,
            documents=manifest.documents,
            digest=manifest.digest,
            created_ms=manifest.created_ms,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            writer=manifest.writer,
        )


def _answered(read: Callable[[], T]) -> T:
    try:
        return read()
    except (StoreError, Damaged) as error:
        raise _unanswered(error) from error


def _unanswered(error: Exception) -> Problem:
    return Problem(503, f"S3 does not give what was asked for: {error}", retry_after_seconds=1)
