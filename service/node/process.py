"""The node process: wait for the slot's build, restore, then serve and follow the log."""

from __future__ import annotations

import asyncio
import logging

from service.node.api import NodeApi
from service.node.generations import Generations
from service.node.replica import Replica
from service.node.restore import ShardStore
from service.serving import Service
from service.settings import Process, load_parameters
from service.storage.builds import Build, Slots
from service.storage.objects import ObjectStore

BUILD_POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


def open_shard(process: Process, build: Build, store: ObjectStore) -> ShardStore:
    """The process's shard of a build, cached on its own disk."""
    folder = process.data_folder / build.id / f"shard-{process.shard:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    return ShardStore(store, build, process.shard, folder)


class Node:
    """A node before and after its slot has a build; health and metrics are served all the while."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._store = ObjectStore(load_parameters(process.parameters).storage.index)
        self._api = NodeApi()

    def run(self) -> int:
        """Serve until told to stop; returns the exit code."""
        return Service(self._api.routes(), self._api.readiness, [self._work]).serve(self._process)

    async def _work(self) -> None:
        """Wait for the slot's build, restore, then follow the log and the generations for ever."""
        replica = Replica(open_shard(self._process, await self._wait_for_build(), self._store))
        self._api.serve(replica)
        await asyncio.to_thread(replica.boot)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.follow())
            tasks.create_task(Generations(replica, self._process.instance).run())

    async def _wait_for_build(self) -> Build:
        slots = Slots(self._store)
        while (build := await asyncio.to_thread(slots.find, self._process.slot)) is None:
            log.info("the slot has no build yet; waiting", extra={"slot": self._process.slot})
            await asyncio.sleep(BUILD_POLL_SECONDS)
        return build
