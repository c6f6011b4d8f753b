"""The state of a replica: its index, its position in the shard log, and whether its answers may be trusted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from service.node.crashes import Crashes, PoisonousEntry
from service.node.memory import room
from service.node.recall import LiveRecall
from service.node.recovery import (
    DecodedEntry,
    LoadedSnapshot,
    Recovery,
    ShardStore,
    decoded,
    read_next,
    remove_unserved,
    restore,
    tail_at,
)
from service.storage import verdicts
from service.storage.documents import documents_log
from service.storage.entry import Damaged
from service.storage.log import Tail
from service.storage.objects import StoreError
from service.storage.shards import STEP_ENTRIES
from service.storage.snapshot import name_of
from service.tracing import spans

FIRST_IDLE_SECONDS = 0.05
LONGEST_IDLE_SECONDS = 0.5
DAMAGE_PAUSE_SECONDS = 5.0
KEPT_DIGESTS = 8

log = logging.getLogger(__name__)


class Replica:
    """One shard of one build in memory.

    Records are applied and searches answered on the event loop, so neither needs a lock. Calls to S3 and the loading of
    files run in threads.
    """

    def __init__(self, shard: ShardStore) -> None:
        self.shard = shard
        self.index = shard.empty_index()
        self.tail = Tail()
        self.generation = 0
        self.base_entry = 0
        self.base_position = 0
        self.unprotected, self._unprotected_ms = 0, 0
        self._digests: dict[int, str] = {}
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
        """True if answers may be called complete: nothing is stale, and the head seen at start is covered."""
        return not self.reason

    @property
    def reason(self) -> str:
        """The reason why the replica is not ready; empty if it is."""
        if not self.restored:
            return "restoring"
        if self.stale or self.covers is None:
            return self.stale or self.head_unknown
        if self.position < self.covers:
            return f"applied up to documents position {self.position}; ready from {self.covers}, the head seen at start"
        return ""

    @property
    def waits_for_indexer(self) -> bool:
        """True if only entries that are not written yet keep the replica from being ready."""
        return self.restored and not self.stale and self.covers is not None and self.position < self.covers

    @property
    def backup_age_seconds(self) -> float:
        """The age of the first indexed write that is in no snapshot; 0 if there is none."""
        if not self.unprotected:
            return 0.0
        return max(0.0, (self.shard.store.clock.now_ms() - self._unprotected_ms) / 1000)

    def boot(self) -> None:
        """Restore, and replay to the head seen now, while no process serves. Blocks; runs in a thread."""
        started = time.monotonic()
        self._crashes.collect()
        self._restore(started, lambda: restore(self.shard))
        self._learn_head()

    def succeed(self, snapshot: str | None, covers: int | None = None) -> None:
        """Restore from this snapshot only, or from any, while another process serves. Blocks.

        `covers` is the position that the serving process has to cover to be ready, and so this one. Raise Damaged if
        the snapshot can't be trusted.
        """
        started = time.monotonic()
        self._crashes.learn()
        # The OOM killer ends this process first, and no serving process. Its end says nothing about an entry.
        self._crashes.noting = False
        self._restore(started, lambda: restore(self.shard, snapshot), successor=True)
        self._crashes.noting = True
        self.covers = covers
        if covers is None:
            self._learn_head()

    def _learn_head(self) -> None:
        """Store the documents head if it can be found. Blocks."""
        try:
            self.covers = documents_log(self.shard.documents, self.shard.until).head(self.position)
        except (StoreError, Damaged) as error:
            self.head_unknown = f"the documents head is not known: {error}"
            log.warning("not ready", extra={"reason": self.head_unknown})

    async def learn_head(self) -> None:
        """Retry until the documents head is known."""
        while self.covers is None:
            await asyncio.sleep(DAMAGE_PAUSE_SECONDS)
            await asyncio.to_thread(self._learn_head)

    def _restore(self, started: float, recover: Callable[[], Recovery], **attributes: bool) -> None:
        with spans.span("restore", **attributes) as span:
            self._begin(recover(), started)
            span.set(generation=self.generation, rows=self.index.rows, position=self.position)

    def _begin(self, restored: Recovery, started: float) -> None:
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

    def _rest_on(self, opened: LoadedSnapshot) -> None:
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
                self.apply(decoded(entry))
        except (Damaged, PoisonousEntry) as reason:
            self._stop_at(reason)

    def _stop_at(self, reason: Damaged | PoisonousEntry) -> None:
        """Stop before such an entry, and report it: skipping it would lose an acknowledged write."""
        if self.stale != str(reason):
            log.error("the replay stops; serving up to the entry before it", extra={"reason": str(reason)})
        self.stale, self.damaged = str(reason), isinstance(reason, Damaged)

    def apply(self, applied: DecodedEntry) -> None:
        """Fold the next entry into the index; raise PoisonousEntry, and apply nothing, if it has ended processes."""
        self._crashes.check(applied.tail.number)
        with self._crashes.applying(applied.tail.number):
            for record in applied.records:
                self.index.apply(record)
        if applied.records and not self.unprotected:
            self._unprotected_ms = applied.tail.stamp_ms
        self.unprotected += len(applied.records)
        self.tail = applied.tail
        self._keep_digest()
        self.applied_at = time.monotonic()
        self.stale, self.damaged = "", False

    def _keep_digest(self) -> None:
        if self.position % STEP_ENTRIES == 0:
            self._digests[self.position] = self.index.digest
            for old in list(self._digests)[:-KEPT_DIGESTS]:
                del self._digests[old]

    async def follow(self) -> None:
        """Apply the log's entries as they appear, for ever."""
        pause, shard_log = FIRST_IDLE_SECONDS, self.shard.log
        while True:
            try:
                applied = await asyncio.to_thread(read_next, shard_log, self.tail)
                if applied is not None:
                    self.apply(applied)
            except (Damaged, PoisonousEntry) as reason:
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
        """Read the counts of crashes: an operator may have lifted the block."""
        try:
            await asyncio.to_thread(self._crashes.learn)
        except StoreError as error:
            log.warning("the crashes could not be read; the replay stays stopped", extra={"reason": str(error)})

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def reaches(self, position: int, wait_seconds: float) -> bool:
        """Return whether the replica has applied `position`, waiting at most `wait_seconds` for it."""
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
        """Return the replica's figures, for /readyz and the logs."""
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
            "digests": self._digests | {self.position: self.index.digest},
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
