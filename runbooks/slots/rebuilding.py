"""A rebuild of a slot: what it takes, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.stack.outputs import Fleet
from runbooks.fleet.status import FleetError, answered, connect
from service.embedding.segments import segments_of
from service.storage.builds import Build, Recipe, Slots
from service.storage.log import Tail
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log


@dataclass(frozen=True)
class Effort:
    """The work of a rebuild: documents positions to read, chunks to index, and chunks that must ask the model."""

    head: int
    rows: int
    model_calls: int


class Rebuilding:
    """The next build of a slot, as S3 and the slot's routers show it."""

    def __init__(self, fleet: Fleet, slot: str) -> None:
        self._slot = slot
        self._client = connect(fleet.endpoint, slot=slot)
        self._store = ObjectStore(fleet.index_bucket, fleet.aws)
        self._slots = Slots(self._store)
        self._tails: dict[int, Tail] = {}

    def served(self) -> Build:
        """Return the slot's build; if its pointer is lost, the one that its routers name. Raises FleetError."""
        if (found := self._slots.find(self._slot)) is not None:
            return found
        status = self._status()
        if not status["build"]:
            raise FleetError(f"slot {self._slot} has no build yet; its indexer makes it")
        return Build(str(status["build"]), msgspec.convert(status["recipe"], Recipe))

    def effort(self, build: Build) -> Effort:
        """Return what a rebuild takes. The embedding memory may hold other texts, so more chunks may ask the model."""
        status = self._status()
        rows = sum(max((int(one["rows"]) for one in shard["replicas"]), default=0) for shard in status["shards"])
        segments = segments_of(self._store, build.recipe)
        if segments is None:
            return Effort(int(status["head"]), rows, 0)
        remembered = sum(one.rows for one in segments.list())
        return Effort(int(status["head"]), rows, max(0, rows - remembered))

    def begin(self, served: Build) -> Build:
        """Have the slot's indexer fill a new build; return it, or the one that is under way."""
        return self._slots.begin_next(self._slot, served)

    def position(self, build: Build) -> int:
        """Return the documents position that every shard log of the build has reached."""
        return min(self._end(build, shard) for shard in range(build.recipe.shards)) - 1

    def _end(self, build: Build, shard: int) -> int:
        log = shard_log(self._store, build.id, shard, build.recipe.embedding.dims)
        self._tails[shard] = log.tail(self._tails.get(shard, Tail()).number)
        return self._tails[shard].end

    def serves(self, build: Build) -> bool:
        """Return whether the slot points at the build and every shard has ready replicas of it alone."""
        if self._slots.find(self._slot) != build:
            return False
        shards = [[one["build"] for one in shard["replicas"] if one["ready"]] for shard in self._status()["shards"]]
        return all(builds and set(builds) == {build.id} for builds in shards)

    def _status(self) -> Mapping[str, Any]:
        return answered(self._client.status)
