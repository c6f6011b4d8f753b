"""The indexer process: make or find the slot's build, then step for ever."""

from __future__ import annotations

import asyncio
import logging
import time

from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client import Counter, Gauge

from service.embedding import model, providers
from service.embedding.splitter import SPLITTER
from service.indexer.backlog import Backlog
from service.indexer.indexer import Indexer, NotWhole
from service.serving import Service
from service.settings import BadSettings, Process, load_parameters
from service.storage import conformance
from service.storage.builds import Build, Slots, judge
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError

FIRST_IDLE_SECONDS = 0.05
LONGEST_IDLE_SECONDS = 0.5
ERROR_PAUSE_SECONDS = 1.0
# What a person has to mend: the process stays, so that it can say so, and goes on by itself afterwards.
UNUSABLE_PAUSE_SECONDS = 5.0

POSITION = Gauge("vectorfleet_indexer_position", "Documents position that every shard log has reached")
DOCUMENTS = Counter("vectorfleet_indexer_documents_total", "Documents indexed, duplicates left out")
CHUNKS = Counter("vectorfleet_indexer_chunks_total", "Chunks embedded and written")
REJECTED = Counter("vectorfleet_indexer_rejected_total", "Documents that can never be embedded")
BACKLOG = Gauge("vectorfleet_indexer_backlog_rows", "Chunks without a snapshot, in the shard that has most of them")
PAUSED = Counter("vectorfleet_indexer_paused_seconds_total", "Time spent waiting for nodes to build snapshots")
STEP_SECONDS = Gauge("vectorfleet_indexer_step_seconds", "Length of the last step that indexed anything")

log = logging.getLogger(__name__)


class IndexerProcess:
    """An indexer with its loop and its readiness."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._build: Build | None = None
        self._indexer: Indexer | None = None
        self._error = self._misconfigured = ""

    def run(self) -> int:
        """Serve health and index until told to stop; returns the exit code."""
        return Service([], self._readiness, [self._work]).serve(self._process)

    def _readiness(self) -> tuple[bool, object]:
        said = {"misconfigured": self._misconfigured, "build": self._build.id if self._build else ""}
        if self._indexer is None:
            catching_up = self._build is not None and not self._error
            reason = self._error or ("catching up with the shard logs" if catching_up else "starting")
            return False, {"ready": False, "catching_up": catching_up, "reason": reason} | said
        return True, {"ready": True, "position": self._indexer.position, "error": self._error} | said

    def _start(self) -> Indexer:
        parameters = load_parameters(self._process.parameters)
        documents, index = ObjectStore(parameters.storage.documents), ObjectStore(parameters.storage.index)
        conformance.check(index)
        slots, slot = Slots(index), self._process.slot
        found = slots.find(slot)
        if found is not None:
            self._misconfigured = judge(slot, found, parameters.recipe()).refused
        # A build that stands is extended by its own recipe, whatever the parameters have become.
        embedding = parameters.embedding if found is None else found.recipe.embedding
        embedder = providers.load(embedding, self._process.access(parameters), model.PATIENT)
        fingerprint = f"{SPLITTER} {embedder.fingerprint}"
        build = found or slots.claim(slot, parameters.recipe(fingerprint), self._build)
        if build.recipe.fingerprint != fingerprint:
            raise model.UnknownModel(
                f"build {build.id} was made with {build.recipe.fingerprint!r}, this indexer has {fingerprint!r}: "
                "install what the build was made with, or index into the other slot and switch"
            )
        indexer = Indexer(documents, index, build, embedder)
        self._build, self._error = build, ""
        indexer.catch_up()
        log.info("indexing", extra={"build": build.id, "position": indexer.position})
        return indexer

    async def _started(self) -> Indexer:
        """The indexer, as soon as it can work; until then readiness says why not. Raises NotConforming."""
        while True:
            try:
                indexer = await asyncio.to_thread(self._start)
            except conformance.NotConforming:
                raise
            except (StoreError, Damaged, model.Unavailable, BotoCoreError, ClientError) as error:
                pause, self._error = ERROR_PAUSE_SECONDS, str(error)
            except (model.UnknownModel, BadSettings) as error:
                pause, self._error = UNUSABLE_PAUSE_SECONDS, str(error)
            else:
                if self._misconfigured:
                    log.error("the build refuses the configuration", extra={"reason": self._misconfigured})
                return indexer
            log.warning("the indexer can't start; trying again", extra={"reason": self._error})
            await asyncio.sleep(pause)

    async def _work(self) -> None:
        self._indexer = await self._started()
        pause = FIRST_IDLE_SECONDS
        while True:
            POSITION.set(self._indexer.position)
            try:
                worked = await asyncio.to_thread(self._step, self._indexer)
                self._error = ""
            except NotWhole as loss:
                log.error("the indexer begins anew", extra={"reason": str(loss)})
                self._indexer = await self._started()
                continue
            except (StoreError, Damaged, model.Unavailable) as error:
                self._error = str(error)
                log.warning("step failed; trying again", extra={"reason": self._error})
                await asyncio.sleep(ERROR_PAUSE_SECONDS)
                continue
            if worked:
                pause = FIRST_IDLE_SECONDS
                await self._wait_for_nodes(self._indexer.backlog)
            else:
                pause = min(pause * 2, LONGEST_IDLE_SECONDS)
                await asyncio.sleep(pause)

    @staticmethod
    async def _wait_for_nodes(backlog: Backlog) -> None:
        """Slow down where nodes can't build their bases as fast as this indexer feeds them."""
        pause_seconds = await asyncio.to_thread(backlog.pause_seconds)
        BACKLOG.set(backlog.rows)
        if pause_seconds:
            log.info("slowing down for the nodes", extra={"rows": backlog.rows, "seconds": pause_seconds})
            PAUSED.inc(pause_seconds)
            await asyncio.sleep(pause_seconds)

    @staticmethod
    def _step(indexer: Indexer) -> bool:
        indexer.look()
        started = time.monotonic()
        step = indexer.step()
        if step.entries:
            STEP_SECONDS.set(time.monotonic() - started)
            DOCUMENTS.inc(step.documents)
            CHUNKS.inc(step.chunks)
            REJECTED.inc(step.rejected)
        return step.entries > 0
