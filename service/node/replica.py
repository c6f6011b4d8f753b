"""A replica's state: its index, how far it has applied the shard log, and whether its answers may be trusted."""

from __future__ import annotations

import asyncio
import logging
import time

from service import traces
from service.node.crashes import Crashes, Poisonous
from service.node.recall import LiveRecall
from service.node.restore import (
    Applied,
    Opened,
    Restored,
    ShardStore,
    open_snapshot,
    read_next,
    remove_unserved,
    restore,
    tail_at,
)
from service.node.room import room
from service.storage import verdicts
from service.storage.documents import documents_log
from service.storage.entry import Damaged
from service.storage.log import Tail, tail_of
from service.storage.objects import StoreError
from service.storage.shards import from_entry
from service.storage.snapshot import name_of

FIRST_IDLE_SECONDS = 0.05
LONGEST_IDLE_SECONDS = 0.5
DAMAGE_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Replica:
    """
    One shard of one build in memory.

    Records are applied and searches answered on the event loop, so neither needs a lock; whatever waits for S3
    or loads files runs in a thread.
    """

    def __init__(self, shard: ShardStore) -> None:
        self.shard = shard
        self.index = shard.emptied()
        self.tail = Tail()
        self.generation = 0
        self.base_entry = 0
        self.base_position = 0
        self.unprotected, self._unprotected_ms = 0, 0
        self.served_snapshot = ""
        self.restored_from = ""
        self.refused: list[str] = []
        self.held_back = ""
        self.stale = ""
        self.damaged = False
        self.restored = False
        self.covers: int | None = None
        self.head_unknown = "the documents head is not known yet"
        self.restore_seconds = 0.0
        self.applied_at = time.monotonic()
        self.recall = LiveRecall()
        self._crashes = Crashes(shard)
        self._advanced = asyncio.Event()

    @property
    def position(self) -> int:
        """The documents position that every answer reflects at least."""
        return self.tail.end - 1

    @property
    def ready(self) -> bool:
        """Say whether answers may be called complete: nothing is stale, and the head seen at start is covered."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why the replica is not ready; empty where it is."""
        if not self.restored:
            return "restoring"
        if self.stale or self.covers is None:
            return self.stale or self.head_unknown
        if self.position < self.covers:
            return f"applied up to documents position {self.position}; ready from {self.covers}, the head seen at start"
        return ""

    @property
    def waits_for_indexer(self) -> bool:
        """Say whether nothing but entries that are yet to be written keeps the replica from being ready."""
        return self.restored and not self.stale and self.covers is not None and self.position < self.covers

    @property
    def backup_age_seconds(self) -> float:
        """The age of the first indexed write that the snapshot below lacks; 0 while it lacks none."""
        if not self.unprotected:
            return 0.0
        return max(0.0, (self.shard.store.clock.now_ms() - self._unprotected_ms) / 1000)

    def boot(self) -> None:
        """Restore, and replay to the head seen now, where nobody serves yet. Blocks; runs in a thread."""
        started = time.monotonic()
        self._crashes.collect()
        with traces.span("restore") as span:
            self._begin(restore(self.shard), started)
            span.set(generation=self.generation, rows=self.index.rows, position=self.position)
        self._learn_head()

    def succeed(self, snapshot: str | None, covers: int | None = None) -> None:
        """
        As boot does, while another process serves: from this snapshot and none other, or from any. Blocks.

        `covers` is what that process has to cover to be ready, and so this one. Raises Damaged where the snapshot
        can't be trusted.
        """
        started = time.monotonic()
        self._crashes.learn()
        # The first that the kernel ends for memory, and no serving process: its end says nothing about an entry.
        self._crashes.noting = False
        with traces.span("restore", successor=True) as span:
            if snapshot is None:
                self._begin(restore(self.shard), started)
            else:
                opened = open_snapshot(self.shard, snapshot)
                self._begin(Restored(opened, opened.index, []), started)
            span.set(generation=self.generation, rows=self.index.rows, position=self.position)
        self._crashes.noting = True
        self.covers = covers
        if covers is None:
            self._learn_head()

    def _learn_head(self) -> None:
        """Note the documents head, where it can be told. Blocks."""
        try:
            self.covers = documents_log(self.shard.documents).head(self.position)
        except (StoreError, Damaged) as error:
            self.head_unknown = f"the documents head is not known: {error}"
            log.warning("not ready", extra={"reason": self.head_unknown})

    async def learn_head(self) -> None:
        """Try again until the documents head is known."""
        while self.covers is None:
            await asyncio.sleep(DAMAGE_PAUSE_SECONDS)
            await asyncio.to_thread(self._learn_head)

    def _begin(self, restored: Restored, started: float) -> None:
        self.index, self.refused, self.restored_from = restored.index, restored.refused, restored.source
        if restored.opened is not None:
            self._rest_on(restored.opened)
            self.tail = tail_at(restored.opened.manifest)
        for reason in restored.refused:
            log.error("snapshot refused", extra={"reason": reason})
        self._replay()
        self._crashes.forget(self._crashes.counted(self.tail.number))
        remove_unserved(self.shard, self.served_snapshot)
        self.restore_seconds = time.monotonic() - started
        self.restored = True
        if restored.opened is not None and restored.opened.fetched:
            shard = self.shard
            verdicts.prove(shard.store, shard.build, shard.shard, self.served_snapshot, "served", shard.reader)
        log.info("restored", extra=self.describe() | {"seconds": self.restore_seconds})

    def _rest_on(self, opened: Opened) -> None:
        manifest = opened.manifest
        self.served_snapshot = name_of(manifest)
        self.generation, self.base_entry, self.base_position = (
            manifest.generation,
            manifest.entry,
            manifest.position,
        )

    def _replay(self) -> None:
        try:
            for entry in self.shard.log.follow(self.tail):
                self.apply(Applied(tail_of(entry), list(from_entry(entry))))
        except (Damaged, Poisonous) as reason:
            self._stop_at(reason)

    def _stop_at(self, reason: Damaged | Poisonous) -> None:
        """Keep what stands before such an entry, and say so: skipping it would lose an acknowledged write."""
        if self.stale != str(reason):
            log.error("the replay stops; serving up to the entry before", extra={"reason": str(reason)})
        self.stale, self.damaged = str(reason), isinstance(reason, Damaged)

    def apply(self, applied: Applied) -> None:
        """Fold the next entry into the index; raises Poisonous, and applies nothing, where it ended processes."""
        self._crashes.check(applied.tail.number)
        with self._crashes.applying(applied.tail.number):
            for record in applied.records:
                self.index.apply(record)
        if applied.records and not self.unprotected:
            self._unprotected_ms = applied.tail.stamp_ms
        self.unprotected += len(applied.records)
        self.tail = applied.tail
        self.applied_at = time.monotonic()
        self.stale, self.damaged = "", False

    async def follow(self) -> None:
        """Apply the log's entries as they appear, for ever."""
        pause, shard_log = FIRST_IDLE_SECONDS, self.shard.log
        while True:
            try:
                applied = await asyncio.to_thread(read_next, shard_log, self.tail)
                if applied is not None:
                    self.apply(applied)
            except (Damaged, Poisonous) as reason:
                self._stop_at(reason)
                await asyncio.sleep(DAMAGE_PAUSE_SECONDS)
                await self._learn_crashes()
                continue
            except StoreError as error:
                log.warning("the shard log could not be read; trying again", extra={"reason": str(error)})
                applied = None
            if applied is None:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_IDLE_SECONDS)
                continue
            pause = FIRST_IDLE_SECONDS
            self._wake()

    async def _learn_crashes(self) -> None:
        """A person may have lifted the block."""
        try:
            await asyncio.to_thread(self._crashes.learn)
        except StoreError as error:
            log.warning("the crashes could not be read; the replay stands still", extra={"reason": str(error)})

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def reaches(self, position: int, wait_seconds: float) -> bool:
        """Whether the replica has applied `position`, waiting for it at most so long."""
        until = time.monotonic() + wait_seconds
        while self.position < position:
            left = until - time.monotonic()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(self._advanced.wait(), left)
            except TimeoutError:
                return False
        return True

    def describe(self) -> dict[str, object]:
        """The replica in figures, for /readyz and the logs."""
        return {
            "ready": self.ready,
            "restored": self.restored,
            "covers": self.covers,
            "reason": self.reason,
            "build": self.shard.build.id,
            "shard": self.shard.shard,
            "position": self.position,
            "generation": self.generation,
            "base_position": self.base_position,
            "rows": self.index.rows,
            "documents": self.index.documents,
            "delta_rows": self.index.delta_rows,
            "unprotected": self.unprotected,
            "digest": self.index.digest,
            "collections": {index.collection: index.documents for index in self.index.collections},
            "restored_from": self.restored_from,
            "refused": self.refused,
            "held_back": self.held_back,
            "index": self.shard.recipe.index,
            "adjusted": self.index.adjusted,
            "stale": self.stale,
            "recall": self.recall.mean,
            **room(self.shard.folder)._asdict(),
        }
