"""Verification of snapshots on request: every byte is read and hashed in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client import Gauge

from service.background import background_thread
from service.router.answers import ShardSnapshots, Snapshot, SnapshotsAnswer, VerifyingSnapshots
from service.storage import snapshot, verdicts
from service.storage.builds import Build
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError

LOOK_SECONDS = 60.0

REFUSED = Gauge("vectorfleet_router_snapshots_refused", "Snapshots of the build whose newest verdict refuses them")

log = logging.getLogger(__name__)


class Verification:
    """
    Reads snapshots one by one in a thread of lower priority and stores each verdict in S3.

    `refused` counts the refused snapshots of the build, by whichever process they were refused.
    """

    def __init__(self, index: ObjectStore, instance: str) -> None:
        self._index, self._instance = index, instance
        self._thread = background_thread("verification")
        self._running: asyncio.Task[None] | None = None
        self._under_way: VerifyingSnapshots | None = None
        self.refused = 0

    def ask(self, build: Build, listed: SnapshotsAnswer) -> VerifyingSnapshots:
        """Verify these snapshots; return those under way, which are an earlier request's while that one runs."""
        if self._running is None or self._running.done() or self._under_way is None:
            self._under_way = VerifyingSnapshots(listed.build, listed.shards)
            self._running = asyncio.create_task(self._verify(build, listed.shards))
        return self._under_way

    async def _verify(self, build: Build, shards: list[ShardSnapshots]) -> None:
        loop = asyncio.get_running_loop()
        for shard in shards:
            for one in shard.newest:
                await loop.run_in_executor(self._thread, self._read, build, shard.shard, one)
        await self._count(build)

    def _read(self, build: Build, shard: int, one: Snapshot) -> None:
        try:
            snapshot.verify(self._index, snapshot.manifest_of(self._index, build, shard, one.name))
        except Damaged as damage:
            log.error("snapshot refused", extra={"reason": str(damage)})
            verdicts.refuse(self._index, build, shard, one.name, str(damage), self._instance)
        except StoreError as error:
            log.warning("a snapshot could not be verified", extra={"snapshot": one.name, "reason": str(error)})
        else:
            verdicts.prove(self._index, build, shard, one.name, "files", self._instance)

    def counts(self) -> dict[str, int]:
        return {"RefusedSnapshots": self.refused}

    async def run(self, build: Callable[[], Build | None]) -> None:
        while True:
            if (found := build()) is not None:
                await self._count(found)
            await asyncio.sleep(LOOK_SECONDS)

    async def _count(self, build: Build) -> None:
        try:
            self.refused = len(await asyncio.to_thread(verdicts.refused, self._index, build))
            REFUSED.set(self.refused)
        except (StoreError, ValueError) as error:
            log.warning("refused snapshots could not be counted", extra={"reason": str(error)})
