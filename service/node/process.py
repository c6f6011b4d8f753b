"""A serving process of a node: wait for the slot's build, restore, then serve and follow the log."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from service.background import in_background
from service.cloudwatch import CloudWatch
from service.node.api import NO_BUILD, NodeApi
from service.node.cloudwatch_metrics import NodeMetrics
from service.node.generations import Generations, Succeed
from service.node.launch_hook import LaunchHook
from service.node.memory import modelled_bytes, shortage
from service.node.recovery import ShardStore
from service.node.replica import Replica
from service.node.sealing import Sealer
from service.node.succession import DAMAGED_EXIT, NEWEST, REFUSED, SERVING, SUCCEED, Channel
from service.node.verification import Verification
from service.serving import Service, Task
from service.settings import FleetShape, Parameters, Process, load_parameters
from service.storage.builds import Build, Slots, family, judge
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError

BUILD_POLL_SECONDS = 0.5
BUILD_LOOK_SECONDS = 5.0
ERROR_PAUSE_SECONDS = 1.0
# A successor loads the whole shard, and may find the same damage.
FIRST_DAMAGED_SECONDS, LONGEST_DAMAGED_SECONDS = 20.0, 900.0

log = logging.getLogger(__name__)


class NoSuchShard(Exception):
    """The build has fewer shards than this process's number requires."""


FAULTS = (StoreError, Damaged, NoSuchShard, BotoCoreError, ClientError, OSError)


def open_shard(
    process: Process, build: Build, store: ObjectStore, documents: ObjectStore, configured: Parameters
) -> ShardStore:
    """Return the process's shard of a build, cached on its own disk, searched and ended as `configured`.

    Raise NoSuchShard if the build does not have it.
    """
    if process.shard >= build.recipe.shards:
        raise NoSuchShard(f"build {build.id} has shards 0 to {build.recipe.shards - 1}, but not {process.shard}")
    folder = process.data_folder / build.id / f"shard-{process.shard:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    until = configured.fleet.until
    return ShardStore(store, build, process.shard, folder, documents, configured.index, until)


class InheritedSockets(NamedTuple):
    """The file descriptors that a serving process inherits: the listening socket and a channel to its parent."""

    listener: int
    channel: int


class Node:
    """A node before and after its slot has a build; it serves health and metrics all the while.

    A successor names the `snapshot` to serve, or NEWEST for the newest that can be trusted. It takes requests once it
    has loaded that and replayed, to `position` at least, where the serving process stands. `covers` is the documents
    position from which on that process is ready, if it is known. A snapshot was ordered of it at `asked_position`.
    """

    def __init__(
        self,
        process: Process,
        handed: InheritedSockets,
        snapshot: str | None = None,
        position: int = 0,
        covers: int | None = None,
        asked_position: int = 0,
    ) -> None:
        self._process = process
        self._handed = handed
        self._snapshot, self._least_position, self._covers = snapshot, position, covers
        self._asked_position = asked_position
        self._replica: Replica | None = None
        self._stores: tuple[ObjectStore, ObjectStore] | None = None
        self._parameters: Parameters | None = None
        self._api = NodeApi()
        self._restoring = self._failed = False

    def run(self) -> int:
        """Serve until told to stop; return the exit code."""
        if self._snapshot is not None:
            try:
                self._replica = in_background(self._successor)
            except FAULTS as error:
                log.error("the successor can't serve", extra={"reason": str(error)})
                return DAMAGED_EXIT if isinstance(error, Damaged) else 1
        service = Service(self._api.routes(), self._api.readiness, self._tasks())
        return service.serve(self._process, socket.socket(fileno=self._handed.listener))

    def _successor(self) -> Replica:
        assert self._snapshot is not None
        try:
            replica = self._find()
        except Damaged as damage:
            raise StoreError(str(damage)) from damage  # of the slot's pointer, not of a snapshot
        if replica is None:
            raise NoSuchShard("the slot has no build")
        replica.succeed(None if self._snapshot == NEWEST else self._snapshot, self._covers)
        if self._snapshot == NEWEST and replica.stale:
            raise StoreError(f"this process would stop at the same entry: {replica.stale}")
        if replica.position < self._least_position:
            raise StoreError(
                f"position {replica.position} is reached, {self._least_position} is needed: {replica.stale}"
            )
        self._api.serve(replica)
        return replica

    def _tasks(self) -> list[Task]:
        if not self._process.lifecycle_hook:
            return [self._work]
        hook = LaunchHook(
            self._process.lifecycle_hook,
            self._process.instance,
            ready=lambda: self._api.readiness()[0],
            restoring=self._is_getting_ready,
        )
        return [self._work, hook.run]

    def _is_getting_ready(self) -> bool:
        """Return whether the group should wait: a replacement would restore, or wait for the indexer, just as long."""
        return self._restoring or (self._replica is not None and self._replica.waits_for_indexer)

    async def _work(self) -> None:
        """Announce that requests are taken, then `_follow`."""
        channel = await Channel.over(socket.socket(fileno=self._handed.channel))
        await channel.say(SERVING)

        # One successor at a time, whatever starts it.
        turn = asyncio.Lock()

        async def succeed(snapshot: str) -> bool:
            async with turn:
                replica = self._replica
                position, covers = (replica.position, replica.covers) if replica is not None else (0, None)
                # What is ordered from now on would be unknown to the successor.
                self._api.gives_way = True
                asked = 0 if self._api.generations is None else self._api.generations.asked_position
                known = [] if covers is None else [str(covers)]
                await channel.say(SUCCEED, snapshot, str(position), str(asked), *known)
                refused = (await channel.hear())[:1] == [REFUSED]
                self._api.gives_way = False
                return refused

        await self._follow(succeed)

    async def _follow(self, succeed: Succeed) -> None:
        """Wait for the slot's build, restore, then follow the log and the generations, and seal, for ever."""
        replica = self._replica = self._replica or await self._booted()
        verification = self._api.verification = Verification(replica, lambda: succeed(NEWEST))
        generations = self._api.generations = Generations(
            replica,
            self._process.instance,
            succeed,
            snapshot_seconds=self._shape.snapshot_seconds,
            asked_position=self._asked_position,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.follow())
            tasks.create_task(replica.learn_head())
            tasks.create_task(verification.run())
            tasks.create_task(_give_way_when_damaged(replica, lambda: succeed(NEWEST)))
            tasks.create_task(_give_way_to_the_next_build(replica, self._process.slot, lambda: succeed(NEWEST)))
            tasks.create_task(generations.run())
            tasks.create_task(Sealer(replica).run())
            tasks.create_task(NodeMetrics(self._cloudwatch(), replica).run())

    def _cloudwatch(self) -> CloudWatch:
        process, period_seconds = self._process, self._shape.metrics_period_seconds
        return CloudWatch(fleet=process.fleet, slot=process.slot, period_seconds=period_seconds)

    @property
    def _shape(self) -> FleetShape:
        """The fleet's figures, loaded when the replica was found."""
        assert self._parameters is not None
        return self._parameters.fleet

    async def _booted(self) -> Replica:
        """Return the restored replica once there is a build and the stores answer; until then readiness says why."""
        while True:
            try:
                replica = await asyncio.to_thread(self._find)
                if replica is not None:
                    self._api.serve(replica)
                    # A second try gets no heartbeats: a node that fails again and again should be replaced.
                    self._restoring = not self._failed
                    await asyncio.to_thread(replica.boot)
                    self._restoring = False
                    return replica
                self._api.reason = NO_BUILD
                log.info("the slot has no build yet; waiting", extra={"slot": self._process.slot})
                await asyncio.sleep(BUILD_POLL_SECONDS)
            except FAULTS as error:
                self._restoring, self._failed = False, True
                self._api.reason = str(error)
                log.warning("the node could not start; trying again", extra={"reason": self._api.reason})
                await asyncio.sleep(ERROR_PAUSE_SECONDS)

    def _find(self) -> Replica | None:
        """Return a replica that has not booted, never one whose boot failed half-way; None while there is no build."""
        if self._stores is None or self._parameters is None:
            self._parameters = load_parameters(self._process.parameters, self._process.slot)
            buckets = self._parameters.storage
            self._stores = ObjectStore(buckets.index), ObjectStore(buckets.documents)
        index, documents = self._stores
        build = Slots(index).find(self._process.slot)
        if build is None:
            return None
        refused = judge(self._process.slot, build, self._parameters.recipe()).refused
        if refused and refused != self._api.misconfigured:
            log.error("the build refuses the configuration", extra={"reason": refused})
        self._api.misconfigured = refused
        if self._api.reason == NO_BUILD:
            self._api.reason = "restoring"
        return Replica(open_shard(self._process, build, index, documents, self._parameters))


async def _give_way_to_the_next_build(replica: Replica, slot: str, succeed: Callable[[], Awaitable[bool]]) -> None:
    """Start a successor once the slot points at another build by the same recipe, until one serves."""
    build, slots = replica.shard.build, Slots(replica.shard.store)
    while True:
        await asyncio.sleep(BUILD_LOOK_SECONDS)
        try:
            found = await asyncio.to_thread(slots.find, slot)
        except (StoreError, Damaged) as error:
            log.warning("the slot pointer could not be read", extra={"reason": str(error)})
            continue
        if found is not None and found.id != build.id and family(found.id) == family(build.id):
            log.info("another build takes this one's place", extra={"build": found.id})
            await succeed()


async def _give_way_when_damaged(replica: Replica, succeed: Callable[[], Awaitable[bool]]) -> None:
    """Start a successor from S3 while this process has stopped at damage, ever more rarely, for ever.

    If lost entries were made again, this process may hold rows that the log no longer has.
    """
    pause = FIRST_DAMAGED_SECONDS
    while True:
        await asyncio.sleep(pause)
        if not replica.damaged:
            pause = FIRST_DAMAGED_SECONDS
        elif not shortage(modelled_bytes(replica.index.sizes)):
            await succeed()
            pause = min(2 * pause, LONGEST_DAMAGED_SECONDS)
