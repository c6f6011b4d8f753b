"""The router process: open the documents log, find the slot's build and its nodes, serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

import aiohttp
import msgspec
from starlette.routing import Route

from service.cloudwatch import CloudWatch
from service.embedding.model import ModelUnavailable, UnknownModel
from service.router.api.access import Access, read_records
from service.router.api.collections import CollectionRoutes
from service.router.api.documents import DocumentRoutes
from service.router.api.overload import Reads
from service.router.api.searches import SearchRoutes
from service.router.api.snapshots import SnapshotRoutes
from service.router.api.status import StatusRoutes
from service.router.api.undo import UndoRoutes
from service.router.cloudwatch_metrics import DrillAge, FleetMetrics
from service.router.configuration import Configuration
from service.router.lag import Lag
from service.router.query_embedding import QueryEmbedder, load_embedder
from service.router.replicas import Divergence, Replicas
from service.router.s3_view import S3View
from service.router.scatter import Scatter
from service.router.slot import Slot, Space
from service.router.undo import Undoing
from service.router.verification import Verification
from service.router.write_queue import GroupCommits
from service.serving import Service, Task
from service.settings import Process, load_parameters
from service.storage.builds import Build, Recipe, Slots, family
from service.storage.documents import documents_log
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError
from service.tls import Tls

NODE_CONNECTIONS = 256
CONNECT_SECONDS = 0.5
BUILD_POLL_SECONDS = 0.5
BUILD_LOOK_SECONDS = 5.0
MODEL_PAUSE_SECONDS = 2.0

log = logging.getLogger(__name__)


class RouterProcess:
    """A router with its background work."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tls = Tls(process)
        self._parameters = parameters = load_parameters(process.parameters, process.slot)
        fleet = parameters.fleet
        self._documents, self._index = ObjectStore(parameters.storage.documents), ObjectStore(parameters.storage.index)
        self._replicas = Replicas(
            fleet=process.fleet, slot=process.slot, port=process.port, shards=fleet.shards, tls=self._tls.client
        )
        self.commits = GroupCommits(self._documents, _read_only(process.slot, fleet.until))
        space = Space.of(parameters.embedding, parameters.index)
        self.slot = Slot(process.slot, space, self._replicas, self.commits.collections)
        self._configuration = Configuration(process.parameters, process.slot)
        self._verification = Verification(self._index, process.instance)
        cloudwatch = CloudWatch(fleet=process.fleet, slot=process.slot, period_seconds=fleet.metrics_period_seconds)
        self.metrics = FleetMetrics(cloudwatch, self._counts)
        self._drills = DrillAge(cloudwatch, self._index)
        self._lag = Lag(
            cloudwatch,
            documents_log(self._documents, fleet.until),
            self._replicas,
            build=lambda: self.slot.build_id,
            acknowledged=lambda: 0 if fleet.until else self.commits.head,
            limit_seconds=fleet.lag_seconds,
        )
        self._access = Access(partial(read_records, fleet.access_keys)) if fleet.access_keys else None
        self.routes = self._routes()

    def _counts(self) -> Mapping[str, int]:
        missing = self._replicas.missing(self._parameters.fleet.replicas)
        return missing | self._configuration.counts() | self._verification.counts()

    def _routes(self) -> list[Route]:
        slot, reads, s3_view = self.slot, Reads(self.metrics), S3View(self._documents, self._index)
        shape = self._parameters.fleet
        return [
            *SearchRoutes(slot, reads, self.metrics).routes(),
            *DocumentRoutes(slot, reads, self.commits, s3_view).routes(),
            *CollectionRoutes(slot, self.commits).routes(),
            *UndoRoutes(slot, self.commits, s3_view, Undoing(self._documents)).routes(),
            *SnapshotRoutes(slot, s3_view, self._verification).routes(),
            *StatusRoutes(self._process.fleet, shape, slot, self._lag, self._configuration, s3_view).routes(),
        ]

    def run(self) -> int:
        """Serve until a signal ends the process; return the exit code."""
        tasks: list[Task] = [
            self.commits.run,
            self._replicas.discover,
            self._replicas.probe,
            self.metrics.run,
            self._lag.run,
            self._drills.run,
            partial(self._verification.run, lambda: self.slot.build),
            self.connect,
        ]
        admit = None
        if self._access is not None:
            tasks.append(self._access.run)
            admit = self._access.admit
        service = Service(self.routes, self.readiness, tasks, admit, self.slot.name)
        return service.serve(self._process, tls=self._tls)

    def readiness(self) -> tuple[bool, object]:
        """
        Return whether the router is ready, and why not.

        Ready: the documents log is open, the model and the keys are loaded, and every shard has a ready replica.
        """
        slot, missing = self.slot, self.slot.missing_shards()
        ready = self.commits.ready and slot.scatter is not None and slot.embedder is not None and not missing
        reason = {"reason": fault} if (fault := slot.fault or self.commits.damage) else {}
        body = {"ready": ready, "build": slot.build_id, "shards_missing": missing} | reason
        return ready and (self._access is None or self._access.loaded), body

    async def connect(self) -> None:
        """
        Wait for the slot's build, then load its model and compare its nodes, for ever.

        The build's recipe counts, not the parameters, which may have changed since: they only say how to search.
        Without the model the router still takes writes and look-ups.
        """
        found = await self._find_build()
        self._configuration.take(self._parameters, found)
        build = msgspec.structs.replace(found, recipe=found.recipe.searched_as(self._parameters.index))
        self._replicas.shards = build.recipe.shards
        self.slot.build = build
        loading = asyncio.create_task(self._load_model(build.recipe))
        judging = asyncio.create_task(self._configuration.run(build))
        following = asyncio.create_task(self._follow_build(build))
        connector = self._replicas.connector(limit=NODE_CONNECTIONS, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self.slot.scatter = Scatter(session, self._replicas, lambda: self.slot.build_id)
            try:
                await asyncio.gather(Divergence(self._replicas).run(session), loading, judging, following)
            finally:
                loading.cancel()
                judging.cancel()
                following.cancel()

    async def _follow_build(self, served: Build) -> None:
        """Name the build that the slot points at, for ever. Nodes of either may answer if they are of one family."""
        while True:
            await asyncio.sleep(BUILD_LOOK_SECONDS)
            found = await self._find_build()
            if family(found.id) == family(served.id):
                self.slot.build = msgspec.structs.replace(served, id=found.id)

    async def _load_model(self, recipe: Recipe) -> None:
        """Load the build's model, again and again while it is unavailable; `fault` says why it is not loaded."""
        slot = self.slot
        while slot.embedder is None:
            try:
                embedder = await asyncio.to_thread(load_embedder, recipe, self._process.access(self._parameters))
                slot.embedder, slot.fault = QueryEmbedder(embedder), ""
            except UnknownModel as error:
                log.error("searches can't be embedded", extra={"reason": str(error)})
                slot.fault = str(error)
                return
            except ModelUnavailable as error:
                log.warning("the model is unavailable; trying again", extra={"reason": str(error)})
                slot.fault = str(error)
                await asyncio.sleep(MODEL_PAUSE_SECONDS)

    async def _find_build(self) -> Build:
        slots = Slots(self._index)
        while True:
            try:
                build = await asyncio.to_thread(slots.find, self._process.slot)
                if build is not None:
                    return build
            except (StoreError, Damaged) as error:
                log.warning("the slot pointer could not be read", extra={"reason": str(error)})
            await asyncio.sleep(BUILD_POLL_SECONDS)


def _read_only(slot: str, until: int | None) -> str:
    """Return why the slot takes no writes: no answer of it would ever have them. Empty if it takes them."""
    return (
        f"slot {slot} ends at documents position {until}, so it takes no writes; send them to the other slot"
        if until
        else ""
    )
