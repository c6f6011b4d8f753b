"""Group commit: writes that arrive together become one object of the documents log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol
from uuid import uuid4

import pyarrow as pa
from prometheus_client import Counter, Histogram

from service.router.collections import Collections, NoChange
from service.storage import conformance
from service.storage.collections import BadChange, NoCollection
from service.storage.documents import Document, Place, documents_log, to_rows
from service.storage.entry import Damaged, Entry
from service.storage.log import Append, AppendFailed, Change, Tail, tail_of
from service.storage.objects import ObjectStore, StoreError
from service.storage.request_ids import RequestIds
from service.tracing import spans
from service.wire.problems import Problem

GATHER_SECONDS = 0.02
COMMIT_BYTES = 8 << 20
QUEUE_BYTES = 32 << 20
CHANGE_BYTES = 128 << 10  # about the most that a hundred collections and as many dropped ones take
START_PAUSE_SECONDS = 1.0
# Entries after an older tail may be lost by now, so the next append reads the log's head first.
FRESH_TAIL_SECONDS = 1.0
IDLE_SECONDS = 1.0

COMMITS = Counter("vectorfleet_router_commits_total", "Objects appended to the documents log")
COMMIT_SECONDS = Histogram("vectorfleet_router_commit_seconds", "Time an append took")

log = logging.getLogger(__name__)


class CollectionsDropped(Exception):
    """Collections that were dropped before documents of theirs were stored; none of these was stored."""

    def __init__(self, collections: set[int]) -> None:
        super().__init__(f"collections {sorted(collections)} were dropped")
        self._collections = collections

    def concerns(self, documents: Sequence[Document]) -> bool:
        return any(document.collection in self._collections for document in documents)


class RepeatedCommit(Exception):
    """A commit of documents that all were stored before."""


class LogChange(Protocol):
    """A change of the fleet's documents as a whole; `rows` returns those of the entry after a tail. It blocks."""

    kind: Change

    def rows(self, tail: Tail) -> pa.RecordBatch: ...


class _Request(NamedTuple):
    """Documents to store, or a change, which gets its own entry."""

    documents: Sequence[Document]
    change: LogChange | None
    size_bytes: int
    places: asyncio.Future[list[Place]]
    span: spans.Span
    arrived: float


def size_bytes(documents: Sequence[Document]) -> int:
    """Return about the size of documents in an entry."""
    texts = (text for d in documents for text in (d.source_id, d.request_id, d.title, d.text, d.metadata))
    return 64 * len(documents) + sum(len(d.vector) for d in documents) + sum(len(text.encode()) for text in texts)


class GroupCommits:
    """Writes that wait for their entry to be stored; one append is under way at a time.

    `read_only` says why every write is refused, with 409; empty if none is.
    """

    def __init__(self, store: ObjectStore, read_only: str = "") -> None:
        self._read_only = read_only
        self._store = store
        self._log = documents_log(store)
        self.collections = Collections(self._log)
        self._tail = Tail()
        self._tail_at = time.monotonic()
        self.damage = ""
        self._first = RequestIds(store)
        self._queue: asyncio.Queue[_Request] = asyncio.Queue()
        self._queued_bytes = 0
        self._postponed: _Request | None = None
        self.ready = False

    @property
    def head(self) -> int:
        return self._tail.number

    async def write(self, documents: Sequence[Document]) -> list[Place]:
        """
        Store documents in one commit; return the place of each once they are in S3.

        A document whose request_id any router has stored before is not stored again: it has the first one's place.

        Raise Problem 413 for more than a commit holds, 429 while too much waits, 503 with the write's outcome. Raise
        CollectionsDropped if a document's collection was dropped.
        """
        size = size_bytes(documents)
        if size > COMMIT_BYTES:
            raise Problem(413, f"the documents take {size} bytes, the limit of a request is {COMMIT_BYTES}; send fewer")
        self._check_open(size)
        with spans.span("write", documents=len(documents), bytes=size) as span:
            places = await self._queued(documents, None, size, span)
            span.set(position=max(place.position for place in places))
            return places

    async def change(self, change: LogChange) -> None:
        """
        Store a change; return once it is in S3, or at once if it changes nothing.

        Raise Problem 429 and 503 as `write` does, and the errors of the change itself.
        """
        self._check_open(CHANGE_BYTES)
        with spans.span("change") as span, suppress(NoChange):
            (place,) = await self._queued([], change, CHANGE_BYTES, span)
            span.set(position=place.position)

    def _check_open(self, size: int) -> None:
        if self._read_only:
            raise Problem(409, self._read_only, outcome="not_written")
        if not self.ready:
            raise Problem(503, "the documents log is not open yet", outcome="not_written", retry_after_seconds=1)
        if self._queued_bytes + size > QUEUE_BYTES:
            raise Problem(
                429,
                f"{self._queued_bytes} bytes wait to be stored, the limit is {QUEUE_BYTES}; send again later",
                outcome="not_written",
                retry_after_seconds=1,
            )

    async def _queued(
        self, documents: Sequence[Document], change: LogChange | None, size: int, span: spans.Span
    ) -> list[Place]:
        places: asyncio.Future[list[Place]] = asyncio.get_running_loop().create_future()
        self._queued_bytes += size
        self._queue.put_nowait(_Request(documents, change, size, places, span, time.monotonic()))
        return await places

    async def run(self) -> None:
        """Open the log, then commit requests as they arrive, for ever."""
        await self._open()
        while True:
            requests = await self._gather()
            if not requests:
                await self._follow()
                continue
            try:
                with spans.shared("commit", [one.span for one in requests], requests=len(requests)) as commit:
                    await self._commit(requests, commit)
            finally:
                self._queued_bytes -= sum(request.size_bytes for request in requests)

    async def _open(self) -> None:
        while not self.ready:
            try:
                await asyncio.to_thread(conformance.check, self._store)
                self._tail = await asyncio.to_thread(self._log.tail)
                await asyncio.to_thread(self._first.load)
                await asyncio.to_thread(self._first.advance, self.head, skip_damaged=True)
                self.ready, self.damage = True, ""
            except conformance.NotConforming:
                raise
            except (StoreError, Damaged) as error:
                self.damage = str(error) if isinstance(error, Damaged) else ""
                log.warning("the documents log can't be opened; trying again", extra={"reason": str(error)})
                await asyncio.sleep(START_PAUSE_SECONDS)
        log.info("the documents log is open", extra={"head": self.head})

    async def _follow(self) -> None:
        """Read the entries of other routers, so that the next write has few to read first."""
        try:
            head = await asyncio.to_thread(self._log.head, self._first.number)
            await asyncio.to_thread(self._first.advance, head, skip_damaged=True)
        except (StoreError, Damaged) as error:
            log.warning("the documents log can't be followed; trying again", extra={"reason": str(error)})

    async def _gather(self) -> list[_Request]:
        """
        Return the first request and those that join it within GATHER_SECONDS and COMMIT_BYTES; a change is alone.

        Return nothing if no request comes within IDLE_SECONDS.
        """
        first, self._postponed = self._postponed, None
        if first is None:
            try:
                first = await asyncio.wait_for(self._queue.get(), IDLE_SECONDS)
            except TimeoutError:
                return []
        requests, total = [first], first.size_bytes
        if first.change is not None:
            return requests
        until = time.monotonic() + GATHER_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                request = await asyncio.wait_for(self._queue.get(), left)
            except TimeoutError:
                break
            if total + request.size_bytes > COMMIT_BYTES or request.change is not None:
                self._postponed = request
                break
            requests.append(request)
            total += request.size_bytes
        return requests

    async def _commit(self, requests: Sequence[_Request], commit: spans.Span) -> None:
        """Store requests in one entry, without those whose collection was dropped, which are refused."""
        for request in requests:
            request.span.set(queued_seconds=time.monotonic() - request.arrived)
        while requests:
            try:
                await self._store_all(requests, commit)
                return
            except CollectionsDropped as dropped:
                for request in requests:
                    if dropped.concerns(request.documents):
                        _refuse(request, dropped)
                requests = [one for one in requests if not dropped.concerns(one.documents)]

    async def _store_all(self, requests: Sequence[_Request], commit: spans.Span) -> None:
        """Store requests and resolve each with its outcome; raise CollectionsDropped, with nothing stored."""
        documents, change = [document for one in requests for document in one.documents], requests[0].change
        commit.set(documents=len(documents))
        try:
            rows = change.rows if change is not None else self._checked(documents, to_rows(documents))
        except Exception as error:
            log.exception("documents could not be made an entry")
            self._fail(requests, error, "not_written")
            return
        append = Append(self._log, self._tail, rows, uuid4().hex, changes=None if change is None else change.kind)
        # A registry as of the known tail lacks collections that were created after it.
        unknown = change is not None or any(one.collection > self._tail.number for one in documents)
        is_old = time.monotonic() - self._tail_at >= FRESH_TAIL_SECONDS
        try:
            with COMMIT_SECONDS.time(), spans.span("append"):
                entry = await asyncio.to_thread(append.run_at_head if unknown or is_old else append.run)
        except (AppendFailed, StoreError, Damaged) as error:
            outcome = error.outcome if isinstance(error, AppendFailed) else "unknown"
            commit.set(outcome=outcome)
            self._fail(requests, error, outcome)
        except CollectionsDropped:
            raise
        except RepeatedCommit:
            self._acknowledge(requests)
        except (NoChange, BadChange, NoCollection) as refusal:
            _refuse(requests[0], refusal)
        except Exception as error:
            self._fail(requests, error, "unknown")
            raise
        else:
            commit.set(position=entry.header.number)
            append.tail, self._tail_at = tail_of(entry), time.monotonic()
            await self._stored(entry, requests)
        finally:
            self._tail = append.tail

    async def _stored(self, entry: Entry, requests: Sequence[_Request]) -> None:
        """Resolve the requests of a stored entry."""
        COMMITS.inc()
        if requests[0].change is None:
            # In a thread: the end of a block is stored in S3, and searches must not wait for that.
            await asyncio.to_thread(self._first.learn, entry)
            self._acknowledge(requests)
        elif not requests[0].places.cancelled():
            requests[0].places.set_result([Place(entry.header.number, 0)])

    def _checked(self, documents: Sequence[Document], rows: pa.RecordBatch) -> Callable[[Tail], pa.RecordBatch]:
        """
        Return a function of a tail that returns the rows whose request_id is not stored up to there.

        It raises CollectionsDropped if a document's collection does not exist, RepeatedCommit if no row is left.
        """
        wanted = {document.collection for document in documents}

        def after(tail: Tail) -> pa.RecordBatch:
            registry = self.collections.learn(tail)
            if gone := {collection for collection in wanted if registry.get(collection) is None}:
                raise CollectionsDropped(gone)
            self._first.advance(tail.number, skip_damaged=True)
            new = self._new(documents)
            if not any(new):
                raise RepeatedCommit
            return rows if all(new) else rows.filter(pa.array(new))

        return after

    def _new(self, documents: Sequence[Document]) -> list[bool]:
        """Say of each document whether it is the first with its request_id, in the log and among these."""
        met: set[tuple[int, str]] = set()
        new = []
        for document, first in zip(documents, self._first.places(documents), strict=True):
            name = (document.collection, document.request_id)
            new.append(first is None and name not in met)
            met.add(name)
        return new

    def _acknowledge(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            if not request.places.cancelled():
                places = self._first.places(request.documents)
                request.places.set_result([place for place in places if place is not None])

    @staticmethod
    def _fail(requests: Sequence[_Request], error: Exception, outcome: str) -> None:
        log.error("commit failed", extra={"reason": str(error), "outcome": outcome})
        for request in requests:
            if not request.places.done():
                problem = Problem(503, str(error), outcome=outcome, retry_after_seconds=1)
                request.places.set_exception(problem)


def _refuse(request: _Request, reason: Exception) -> None:
    if not request.places.done():
        request.places.set_exception(reason)
