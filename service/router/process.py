"""The router process: open the documents log, find the slot's build and its nodes, serve."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import aiohttp
import msgspec

from service.cloudwatch import CloudWatch
from service.embedding import model, providers
from service.router.access import Access, read_records
from service.router.api import RouterApi
from service.router.commits import GroupCommits
from service.router.configuration import Configuration
from service.router.divergence import Divergence
from service.router.drills import DrillAge
from service.router.figures import FleetMetrics
from service.router.lag import Lag
from service.router.questions import Questions
from service.router.replicas import Replicas
from service.router.requests import Space
from service.router.scatter import Scatter
from service.router.stored import Stored
from service.router.verification import Verification
from service.serving import Service, Task
from service.settings import Process, load_parameters
from service.storage.builds import Build, Recipe, Slots
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError
from service.tls import Tls

NODE_CONNECTIONS = 256
CONNECT_SECONDS = 0.5
BUILD_POLL_SECONDS = 0.5
MODEL_PAUSE_SECONDS = 2.0

log = logging.getLogger(__name__)


class RouterProcess:
    """A router with its background work."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tls = Tls(process)
        self._parameters = load_parameters(process.parameters)
        fleet = self._parameters.fleet
        self._replicas = Replicas(
            fleet=process.fleet,
            slot=process.slot,
            port=process.port,
            shards=fleet.shards,
            tls=self._tls.client,
        )
        documents, index = (
            ObjectStore(self._parameters.storage.documents),
            ObjectStore(self._parameters.storage.index),
        )
        self._commits = GroupCommits(documents)
        cloudwatch = CloudWatch(fleet=process.fleet, slot=process.slot, period_seconds=fleet.metrics_period_seconds)
        self._lag = Lag(
            cloudwatch,
            documents,
            self._replicas,
            build=lambda: self._api.build_id,
            acknowledged=lambda: self._commits.head,
            limit_seconds=fleet.lag_seconds,
        )
        self._configuration = Configuration(process.parameters, process.slot)
        self._verification = Verification(index, process.instance)
        self._metrics = FleetMetrics(
            cloudwatch,
            lambda: self._replicas.missing(fleet.replicas) | self._configuration.counts() | self._verification.counts(),
        )
        self._drills = DrillAge(cloudwatch, index)
        self._access = Access(partial(read_records, fleet.access_keys)) if fleet.access_keys else None
        self._api = RouterApi(
            fleet=process.fleet,
            slot=process.slot,
            space=Space.of(self._parameters.embedding, self._parameters.index),
            replicas=self._replicas,
            commits=self._commits,
            stored=Stored(documents, index),
            verification=self._verification,
            metrics=self._metrics,
            lag=self._lag,
            configuration=self._configuration,
            indexing=fleet.indexing,
        )

    def run(self) -> int:
        """Serve until told to stop; returns the exit code."""
        tasks: list[Task] = [
            self._commits.run,
            self._replicas.discover,
            self._replicas.probe,
            self._metrics.run,
            self._lag.run,
            self._drills.run,
            partial(self._verification.run, lambda: self._api.build),
            self._connect,
        ]
        access = self._access
        if access is None:
            return Service(self._api.routes(), self._api.readiness, tasks).serve(self._process, tls=self._tls)
        tasks.append(access.run)
        return Service(self._api.routes(), self._readiness, tasks, access.admit).serve(self._process, tls=self._tls)

    def _readiness(self) -> tuple[bool, object]:
        """A router that knows no keys would refuse everybody."""
        ready, body = self._api.readiness()
        return ready and self._access is not None and self._access.loaded, body

    async def _connect(self) -> None:
        """
        Wait for the slot's build, then load its model and keep comparing its nodes.

        What the build was made with counts, not the parameters: they may have been changed since, and only say how it
        is searched. Without the build's model the router stays up for writes and look-ups.
        """
        found = await self._find_build()
        self._configuration.take(self._parameters, found)
        build = msgspec.structs.replace(found, recipe=found.recipe.searched_as(self._parameters.index))
        self._replicas.shards = build.recipe.shards
        self._api.build = build
        loading = asyncio.create_task(self._load_model(build.recipe))
        judging = asyncio.create_task(self._configuration.run(build))
        connector = self._replicas.connector(limit=NODE_CONNECTIONS, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._api.scatter = Scatter(session, self._replicas, lambda: self._api.build_id)
            try:
                await asyncio.gather(Divergence(self._replicas).run(session), loading, judging)
            finally:
                loading.cancel()
                judging.cancel()

    async def _load_model(self, recipe: Recipe) -> None:
        """The build's model, as soon as it answers where it runs elsewhere; without it `fault` says why."""
        while self._api.questions is None:
            try:
                embedder = await asyncio.to_thread(load_embedder, recipe, self._process.access(self._parameters))
                self._api.questions, self._api.fault = Questions(embedder), ""
            except model.UnknownModel as error:
                log.error("searches can't be embedded", extra={"reason": str(error)})
                self._api.fault = str(error)
                return
            except model.Unavailable as error:
                log.warning("the model can't be reached; trying again", extra={"reason": str(error)})
                self._api.fault = str(error)
                await asyncio.sleep(MODEL_PAUSE_SECONDS)

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


def load_embedder(recipe: Recipe, access: model.Access) -> model.Embedder:
    """
    The model that a build's rows were embedded with.

    Raises UnknownModel where this machine has another one, Unavailable where it does not answer.
    """
    embedder = providers.load(recipe.embedding, access, model.QUICK)
    if not recipe.fingerprint.endswith(f" {embedder.fingerprint}"):
        raise model.UnknownModel(
            f"the build was made with {recipe.fingerprint!r}, this router has {embedder.fingerprint}: vectors of two "
            "models must not meet; install the one or re-index for the other"
        )
    return embedder
