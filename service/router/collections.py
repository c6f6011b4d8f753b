"""The registry of collections as a router knows it from the documents log, and changes of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa

from service.storage.collections import Collection, NoCollection, Registry, RegistryUpdate, registry_at, to_text
from service.storage.documents import Document, to_rows
from service.storage.entry import Damaged
from service.storage.log import Change, Log, Tail, tail_of
from service.storage.objects import StoreError
from service.wire.problems import Problem

MakeChange = Callable[[Registry, int], RegistryUpdate]


class KnownRegistry(NamedTuple):
    """The registry as of the entry at `position`."""

    position: int
    registry: Registry


class NoChange(Exception):
    """A change that changes nothing."""


class Collections:
    """
    The registry as of the newest change that this router has met; other routers may have changed it since.

    An append learns every change before its entry, so a write never relies on an old registry. An unknown name is
    looked up in the log before a caller is told that the collection does not exist.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known = KnownRegistry(0, Registry())
        self._head = 0
        self._read_at = float("-inf")
        self._failure: StoreError | Damaged | None = None
        self._turn = asyncio.Lock()
        self._learning = threading.Lock()

    @property
    def registry(self) -> Registry:
        return self._known.registry

    def learn(self, tail: Tail) -> Registry:
        """Return the registry as of a tail of the log. Blocks if it has changed; raise StoreError or Damaged."""
        known = self._known
        if tail.collections != known.position:
            known = KnownRegistry(tail.collections, registry_at(self._log, tail.collections))
        with self._learning:
            # Another thread may have learned a later one.
            self._known = max(self._known, known, key=lambda one: one.position)
            self._head = max(self._head, tail.number)
        return known.registry

    async def find(self, reference: str) -> Collection:
        """Return the collection of a name or name@id; raise Problem 404 or 410, or 503 if the log can't be read."""
        try:
            return self.registry.find(reference)
        except NoCollection:
            return await self.find_anew(reference)

    async def find_anew(self, reference: str) -> Collection:
        """Return the same as of the log's head."""
        await self.refresh()
        try:
            return self.registry.find(reference)
        except NoCollection as error:
            raise missing(error) from error

    async def without_change(self, make: MakeChange) -> RegistryUpdate | None:
        """
        Return the result of a change that changes nothing as of the log's head; None if it changes something.

        Raise the errors of `make`, and Problem 503.
        """
        position = await self.refresh()
        registry = self.registry
        made = make(registry, position + 1)
        return made if made.registry == registry else None

    async def refresh(self) -> int:
        """
        Learn the registry as of the log's head; return a position that it covers. Raise Problem 503.

        Callers during a reading share the next one, even if it fails: while S3 gives no answer, each would otherwise
        wait for all before it.
        """
        asked = time.monotonic()
        async with self._turn:
            if self._read_at < asked:
                read_at = time.monotonic()
                self._failure = await asyncio.to_thread(self._learn_head)
                self._read_at = read_at
            if self._failure is not None:
                raise Problem(
                    503,
                    f"the collections can't be read: {self._failure}",
                    outcome="not_written",
                    retry_after_seconds=1,
                ) from self._failure
            return self._head

    def _learn_head(self) -> StoreError | Damaged | None:
        """Learn the registry; return the error of the reading, or None."""
        try:
            # The newest entry may be large, and callers may ask for unknown names often.
            if (number := self._log.head(self._head)) > self._head:
                self.learn(tail_of(self._log.read(number)))
        except (StoreError, Damaged) as error:
            return error
        return None


class RegistryChange:
    """A change of the registry on its way into the documents log; `made` is its result."""

    kind: Change = "collections"

    def __init__(self, collections: Collections, make: MakeChange) -> None:
        """`make` gets a registry and the position of the change; an error that it raises ends the change."""
        self._collections, self._make = collections, make
        self.made: RegistryUpdate | None = None

    def rows(self, tail: Tail) -> pa.RecordBatch:
        """Return the rows of the entry after `tail`; raise NoChange if there is nothing to write. Blocks."""
        registry = self._collections.learn(tail)
        self.made = self._make(registry, tail.number + 1)
        if self.made.registry == registry:
            raise NoChange
        return to_rows([Document(uuid4().hex, "", registry=to_text(self.made.registry))])


def missing(error: NoCollection) -> Problem:
    """Return 404 for a collection that never existed, 410 for a dropped one."""
    if error.dropped_at:
        return Problem(410, f"{error}; create it again, or name another")
    return Problem(404, f"{error}; GET /v1/collections lists the collections")
