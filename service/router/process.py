"""The router process: open the documents log, find the slot's build and its nodes, serve."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from service.embedding import model
from service.router.api import RouterApi
from service.router.cloudwatch import FleetMetrics
from service.router.commits import GroupCommits
from service.router.replicas import Replicas
from service.router.scatter import Scatter
from service.serving import Service
from service.settings import Process, load_parameters
from service.storage.builds import Slots
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
        self._metrics = FleetMetrics(
            fleet=process.fleet, slot=process.slot, period_seconds=fleet.metrics_period_seconds
        )
        self._api = RouterApi(
            fleet=process.fleet,
            slot=process.slot,
            replicas=self._replicas,
            commits=self._commits,
            metrics=self._metrics,
        )

    def run(self) -> int:
        """Serve until told to stop; returns the exit code."""
        tasks = [self._commits.run, self._replicas.discover, self._metrics.run, self._connect]
        return Service(self._api.routes(), self._api.readiness, tasks).serve(self._process)

    async def _connect(self) -> None:
        """Load the model, wait for the slot's build, then keep probing its nodes."""
        self._api.embedder = await asyncio.to_thread(model.load, self._parameters.embedding)
        await self._find_build()
        connector = aiohttp.TCPConnector(limit=NODE_CONNECTIONS, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._api.scatter = Scatter(session, self._replicas, lambda: self._api.build_id)
            await self._replicas.probe(session)

    async def _find_build(self) -> None:
        slots = Slots(ObjectStore(self._parameters.storage.index))
        while self._api.build is None:
            try:
                self._api.build = await asyncio.to_thread(slots.find, self._process.slot)
            except StoreError as error:
                log.warning("the slot pointer could not be read", extra={"reason": str(error)})
            if self._api.build is None:
                await asyncio.sleep(BUILD_POLL_SECONDS)
