"""The router process: open the documents log, find the slot's build and its nodes, serve."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from service.cloudwatch import CloudWatch
from service.embedding import model
from service.router.api import RouterApi
from service.router.commits import GroupCommits
from service.router.drills import DrillAge
from service.router.figures import FleetMetrics
from service.router.replicas import Replicas
from service.router.scatter import Scatter
from service.serving import Service
from service.settings import Process, load_parameters
from service.storage.builds import Build, Recipe, Slots
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError

NODE_CONNECTIONS = 256
CONNECT_SECONDS = 0.5
BUILD_POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


class RouterProcess:
    """A router with its background work."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._parameters = load_parameters(process.parameters)
        fleet = self._parameters.fleet
        self._replicas = Replicas(fleet=process.fleet, slot=process.slot, port=process.port, shards=fleet.shards)
        self._commits = GroupCommits(ObjectStore(self._parameters.storage.documents))
        cloudwatch = CloudWatch(fleet=process.fleet, slot=process.slot, period_seconds=fleet.metrics_period_seconds)
        self._metrics = FleetMetrics(cloudwatch, lambda: self._replicas.missing(fleet.replicas))
        self._drills = DrillAge(cloudwatch, ObjectStore(self._parameters.storage.index))
        self._api = RouterApi(
            fleet=process.fleet,
            slot=process.slot,
            replicas=self._replicas,
            commits=self._commits,
            metrics=self._metrics,
        )

    def run(self) -> int:
        """Serve until told to stop; returns the exit code."""
        tasks = [self._commits.run, self._replicas.discover, self._metrics.run, self._drills.run, self._connect]
        return Service(self._api.routes(), self._api.readiness, tasks).serve(self._process)

    async def _connect(self) -> None:
        """
        Wait for the slot's build, load its model, then keep probing its nodes.

        What the build was made with counts, not the parameters: they may have been changed since. Without the build's
        model the router stays up for writes and look-ups.
        """
        build = await self._find_build()
        self._replicas.shards = build.recipe.shards
        self._api.build = build
        try:
            self._api.embedder = await asyncio.to_thread(load_embedder, build.recipe)
        except model.UnknownModel as error:
            log.error("searches can't be embedded", extra={"reason": str(error)})
            self._api.fault = str(error)
        connector = aiohttp.TCPConnector(limit=NODE_CONNECTIONS, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._api.scatter = Scatter(session, self._replicas, lambda: self._api.build_id)
            await self._replicas.probe()

    async def _find_build(self) -> Build:
        slots = Slots(ObjectStore(self._parameters.storage.index))
        while True:
            try:
                build = await asyncio.to_thread(slots.find, self._process.slot)
                if build is not None:
                    return build
            except (StoreError, Damaged) as error:
                log.warning("the slot pointer could not be read", extra={"reason": str(error)})
            await asyncio.sleep(BUILD_POLL_SECONDS)


def load_embedder(recipe: Recipe) -> model.Embedder:
    """The model that a build's rows were embedded with; raises UnknownModel where this machine has another one."""
    embedder = model.load(recipe.embedding)
    if not recipe.fingerprint.endswith(f" {embedder.fingerprint}"):
        raise model.UnknownModel(
            f"the build was made with {recipe.fingerprint!r}, this router has {embedder.fingerprint}: vectors of two "
            "models must not meet; install the one or re-index for the other"
        )
    return embedder
