"""Reads from S3 for the API: documents as written, the slots' builds, and their snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np

from service.router.answers import DocumentAnswer, ShardSnapshots, SlotBuild, SlotsAnswer, Snapshot, SnapshotsAnswer
from service.storage.builds import Build, Slots
from service.storage.content import content_hash
from service.storage.documents import documents_log, written_as
from service.storage.entry import Damaged
from service.storage.metadata import from_text
from service.storage.objects import ObjectStore, StoreError
from service.storage.snapshot import manifest_of, names
from service.storage.verdicts import Verdict, newest
from service.wire.problems import Problem
from vectorfleet.slots import SLOTS

P = ParamSpec("P")
T = TypeVar("T")
READS_AT_ONCE = 8


class S3View:
    """
    Reads from the documents bucket and the index bucket, which raise Problem 503 if S3 gives no valid answer.

    They have their own threads, so that appends never wait for them.
    """

    def __init__(self, documents: ObjectStore, index: ObjectStore) -> None:
        self._documents = documents_log(documents)
        self._index = index
        self._pool = ThreadPoolExecutor(READS_AT_ONCE, "stored")

    async def document(self, position: int, item: int) -> DocumentAnswer:
        """Return the document that was written as `item` of entry `position`, as it was sent."""
        return await self.read(self._document, position, item)

    async def slots(self) -> SlotsAnswer:
        find = Slots(self._index).find
        builds = await asyncio.gather(*(self.read(find, slot) for slot in SLOTS))
        return SlotsAnswer(list(map(SlotBuild, SLOTS, builds)))

    async def snapshots(self, build: Build, limit: int) -> SnapshotsAnswer:
        """Return the newest snapshots of each shard of `build`, at most `limit` of them, unreadable ones included."""
        shards = range(build.recipe.shards)
        return SnapshotsAnswer(build.id, await asyncio.gather(*(self._of_shard(build, one, limit) for one in shards)))

    async def _of_shard(self, build: Build, shard: int, limit: int) -> ShardSnapshots:
        found = await self.read(names, self._index, build.id, shard)
        newest = (self.read(self._snapshot, build, shard, name) for name in found[:limit])
        return ShardSnapshots(shard, len(found), await asyncio.gather(*newest))

    async def read(self, read: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """Run a function that blocks on S3."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, read, *arguments)
        except (StoreError, Damaged) as error:
            raise Problem(503, f"S3 gives no valid answer: {error}", retry_after_seconds=1) from error

    def _document(self, position: int, item: int) -> DocumentAnswer:
        found = written_as(self._documents.read(position), item)
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

    def _snapshot(self, build: Build, shard: int, name: str) -> Snapshot:
        try:
            manifest = manifest_of(self._index, build, shard, name)
        except Damaged as damage:
            return Snapshot(name, refused=str(damage), verified_ms=self._index.clock.now_ms())
        verdict = newest(self._index, build, shard, name) or Verdict("manifest", self._index.clock.now_ms(), "")
        return Snapshot(
            name,
            refused=verdict.refused,
            level="manifest" if verdict.refused else verdict.level,
            verified_ms=verdict.at_ms,
            verified_by=verdict.by,
            position=manifest.position,
            generation=manifest.generation,
            rows=manifest.rows,
            documents=manifest.documents,
            digest=manifest.digest,
            created_ms=manifest.created_ms,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            writer=manifest.writer,
        )
