"""The indexer process: create or find the slot's build, then step for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client import Counter, Gauge

from service.embedding import model, providers
from service.embedding.memory import VectorMemory
from service.embedding.model import Embedder
from service.embedding.patience import PATIENT
from service.embedding.remembering import RememberingEmbedder
from service.embedding.segments import Segments
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
NEXT_BUILD_SECONDS = 5.0
END_SECONDS = 2.0
# An operator must fix these. The process stays to report it, and goes on by itself afterwards.
UNUSABLE_PAUSE_SECONDS = 5.0

POSITION = Gauge("vectorfleet_indexer_position", "Documents position that every shard log has reached")
NEXT_POSITION = Gauge("vectorfleet_indexer_next_position", "Documents position that the slot's next build has reached")
DOCUMENTS = Counter("vectorfleet_indexer_documents_total", "Documents indexed, duplicates left out")
CHUNKS = Counter("vectorfleet_indexer_chunks_total", "Chunks embedded and written")
REJECTED = Counter("vectorfleet_indexer_rejected_total", "Documents that can never be embedded")
BACKLOG = Gauge("vectorfleet_indexer_backlog_rows", "Chunks without a snapshot, in the shard that has most of them")
PAUSED = Counter("vectorfleet_indexer_paused_seconds_total", "Time spent waiting for nodes to build snapshots")
VOIDS = Counter("vectorfleet_indexer_voids_total", "Voids applied")
REPAIRED = Counter("vectorfleet_indexer_repaired_total", "Documents that voids changed")
REPAIR_SECONDS = Gauge("vectorfleet_indexer_repair_seconds", "Length of the last repair by a void")
STEP_SECONDS = Gauge("vectorfleet_indexer_step_seconds", "Length of the last step that indexed anything")

log = logging.getLogger(__name__)


class IndexerProcess:
    """An indexer with its loop and its readiness."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._build: Build | None = None
        self._slots: Slots | None = None
        self._indexer: Indexer | None = None
        self._memory: VectorMemory | None = None
        self._turn = threading.Lock()  # a step goes on in its thread when the task that waits for it is cancelled
        self._error = self._misconfigured = ""
        self._turned = False

    def run(self) -> int:
        """Serve health and index until told to stop; return the exit code."""
        return Service([], self._readiness, [self._work, self._rebuild]).serve(self._process)

    def _readiness(self) -> tuple[bool, object]:
        said = {"misconfigured": self._misconfigured, "build": self._build.id if self._build else ""}
        if self._indexer is None:
            catching_up = self._build is not None and not self._error
            reason = self._error or ("catching up with the shard logs" if catching_up else "starting")
            return False, {"ready": False, "catching_up": catching_up, "reason": reason} | said
        return True, {"ready": True, "position": self._indexer.position, "error": self._error} | said

    def _start(self) -> Indexer:
        parameters = load_parameters(self._process.parameters, self._process.slot)
        documents, index = ObjectStore(parameters.storage.documents), ObjectStore(parameters.storage.index)
        conformance.check(index)
        slots, slot = Slots(index), self._process.slot
        self._slots = slots
        found = slots.find(slot)
        if found is not None:
            self._misconfigured = judge(slot, found, parameters.recipe()).refused
        # An existing build is extended by its own recipe, whatever the parameters have become.
        embedding = parameters.embedding if found is None else found.recipe.embedding
        embedder = providers.load(embedding, self._process.access(parameters), PATIENT)
        build = found or slots.claim(slot, parameters.recipe(_fingerprint(embedder)), self._build)
        self._write_memory()
        until = parameters.fleet.until
        indexer, self._memory = opened(documents, index, build, embedder, until)
        self._build, self._error = build, ""
        indexer.catch_up()
        if until is not None and indexer.position > until:
            self._misconfigured = (
                f"build {build.id} holds documents up to position {indexer.position}, but until is {until}: remove and "
                f"retire slot {slot}, then add it again"
            )
        log.info("indexing", extra={"build": build.id, "position": indexer.position})
        return indexer

    async def _rebuild(self) -> None:
        """Fill the slot's next build whenever there is one, for ever."""
        while True:
            await asyncio.sleep(NEXT_BUILD_SECONDS)
            try:
                if (wanted := await asyncio.to_thread(self._find_next)) is not None:
                    await self._fill(wanted)
            except (StoreError, Damaged, model.ModelUnavailable, model.UnknownModel, BadSettings) as error:
                log.warning("the next build could not be filled; trying again", extra={"reason": str(error)})
            except (BotoCoreError, ClientError) as error:
                log.warning("the parameters can't be read; trying again", extra={"reason": str(error)})

    def _find_next(self) -> Build | None:
        """Return the slot's next build, or None; before the first look at the parameters nobody knows of one."""
        return self._slots.find_next(self._process.slot) if self._slots is not None else None

    async def _fill(self, build: Build) -> None:
        """Index everything into the slot's next build, and point the slot at it. The current build goes on."""
        log.info("filling the next build", extra={"build": build.id})
        parameters = await asyncio.to_thread(load_parameters, self._process.parameters, self._process.slot)
        documents, index = ObjectStore(parameters.storage.documents), ObjectStore(parameters.storage.index)
        access = self._process.access(parameters)
        embedder = await asyncio.to_thread(providers.load, build.recipe.embedding, access, PATIENT)
        indexer, memory = opened(documents, index, build, embedder, parameters.fleet.until)
        await asyncio.to_thread(indexer.catch_up)
        while (await asyncio.to_thread(indexer.step)).entries:
            NEXT_POSITION.set(indexer.position)
            if memory is not None:
                await asyncio.to_thread(memory.write_due)
        if memory is not None:
            await asyncio.to_thread(memory.write)
        await asyncio.to_thread(Slots(index).turn, self._process.slot, build)
        log.info("the next build is the slot's own", extra={"build": build.id, "position": indexer.position})
        self._turned = True

    def _write_memory(self) -> None:
        """Write what would be lost with this process, or with its start anew, unless a long step goes on."""
        if self._memory is not None and self._turn.acquire(timeout=END_SECONDS):
            try:
                self._memory.write()
            finally:
                self._turn.release()

    async def _started(self) -> Indexer:
        """Return the indexer once it can work; until then readiness says why not. Raise NotConforming."""
        while True:
            try:
                indexer = await asyncio.to_thread(self._start)
            except conformance.NotConforming:
                raise
            except (StoreError, Damaged, model.ModelUnavailable, BotoCoreError, ClientError) as error:
                pause, self._error = ERROR_PAUSE_SECONDS, str(error)
            except (model.UnknownModel, BadSettings) as error:
                pause, self._error = UNUSABLE_PAUSE_SECONDS, str(error)
            else:
                if self._misconfigured:
                    log.error("the build refuses the configuration", extra={"reason": self._misconfigured})
                return indexer
            log.warning("the indexer could not start; trying again", extra={"reason": self._error})
            await asyncio.sleep(pause)

    async def _work(self) -> None:
        try:
            await self._index()
        finally:
            await asyncio.to_thread(self._write_memory)

    async def _index(self) -> None:
        self._indexer = await self._started()
        pause = FIRST_IDLE_SECONDS
        while True:
            POSITION.set(self._indexer.position)
            if self._turned:
                self._turned = False
                self._indexer = await self._started()
                continue
            try:
                worked = await asyncio.to_thread(self._step, self._indexer)
                self._error = ""
            except NotWhole as loss:
                log.error("the indexer starts again", extra={"reason": str(loss)})
                self._indexer = await self._started()
                continue
            except (StoreError, Damaged, model.ModelUnavailable) as error:
                self._error = str(error)
                log.warning("the step failed; trying again", extra={"reason": self._error})
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
        """Slow down if nodes can't build their bases as fast as this indexer feeds them."""
        pause_seconds = await asyncio.to_thread(backlog.pause_seconds)
        BACKLOG.set(backlog.rows)
        if pause_seconds:
            log.info("slowing down for the nodes", extra={"rows": backlog.rows, "seconds": pause_seconds})
            PAUSED.inc(pause_seconds)
            await asyncio.sleep(pause_seconds)

    def _step(self, indexer: Indexer) -> bool:
        with self._turn:
            if self._memory is not None:
                self._memory.write_due()
            indexer.look()
            started = time.monotonic()
            step = indexer.step()
        if step.entries:
            STEP_SECONDS.set(time.monotonic() - started)
            DOCUMENTS.inc(step.documents)
            CHUNKS.inc(step.chunks)
            REJECTED.inc(step.rejected)
        if step.repaired is not None:
            VOIDS.inc()
            REPAIRED.inc(step.repaired)
            REPAIR_SECONDS.set(time.monotonic() - started)
        return step.entries > 0


class Opened(NamedTuple):
    """An indexer of a build, and the memory of its vectors; None if no model runs."""

    indexer: Indexer
    memory: VectorMemory | None


def opened(
    documents: ObjectStore, index: ObjectStore, build: Build, embedder: Embedder, until: int | None = None
) -> Opened:
    """Return the indexer of a build, not yet caught up. Raise UnknownModel if the build was made with another model."""
    found = _fingerprint(embedder)
    if build.recipe.fingerprint != found:
        raise model.UnknownModel(
            f"build {build.id} was made with {build.recipe.fingerprint!r}, this indexer has {found!r}: "
            "install what the build was made with, or index into the other slot and switch"
        )
    if build.recipe.embedding.given:
        return Opened(Indexer(documents, index, build, embedder, until), None)
    memory = VectorMemory(Segments(index, embedder.fingerprint, build.recipe.embedding.dims))
    return Opened(Indexer(documents, index, build, RememberingEmbedder(embedder, memory), until), memory)


def _fingerprint(embedder: Embedder) -> str:
    return f"{SPLITTER} {embedder.fingerprint}"
