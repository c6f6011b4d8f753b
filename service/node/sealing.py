"""Sealing: frozen deltas become small graphs, one after another, so writes may come faster than rebuilds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakSet

import numpy as np

from service.background import background_thread
from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.canaries import RECALL_FLOORS, look_far_enough
from service.index.delta import Delta
from service.node.replica import Replica
from service.storage.builds import IndexParameters
from service.storage.collections import DEFAULT_ID
from service.storage.shards import Record

POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


def build_segment(records: Sequence[Record], parameters: IndexParameters, dims: int) -> Base | None:
    """Build a graph over the records' chunks; return None if its recall is below the floor."""
    rows = rows_file.from_records(records, dims)
    # hnswlib and FAISS release the GIL while they build, so searches go on beside it.
    segment = Base(rows, structures.build(rows.vectors, parameters, threads=1), parameters)
    if look_far_enough(segment, dims) < RECALL_FLOORS[parameters.type]:
        log.warning("a delta stays unsealed", extra={"rows": len(rows.vectors)})
        return None
    return segment


class Sealer:
    """The sealer of one replica's frozen deltas, in a thread of lower priority."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._pool = background_thread("seal")
        # Weak references: the deltas of a dropped collection have no other owner.
        self._unsealable: WeakSet[Delta] = WeakSet()
        self._last = DEFAULT_ID

    async def run(self) -> None:
        """Seal every frozen delta, for ever."""
        while True:
            if not await self.seal_one():
                await asyncio.sleep(POLL_SECONDS)

    async def seal_one(self) -> bool:
        """Seal a collection's oldest frozen delta, each collection in turn; return whether there was one."""
        shard = self._replica.index
        waiting = [(index, delta) for index, delta in shard.frozen if delta not in self._unsealable]
        if not waiting:
            return False
        index, frozen = min(waiting, key=lambda one: (one[0].collection <= self._last, one[0].collection))
        self._last = index.collection
        records, parameters = frozen.records(), shard.recipe_of(index.collection).index
        loop = asyncio.get_running_loop()
        segment = await loop.run_in_executor(self._pool, build_segment, records, parameters, index.dims)
        if segment is None:
            self._unsealable.add(frozen)
        else:
            index.seal(frozen, records, segment)
            log.info("sealed", extra={"rows": int(np.sum(segment.live)), "segments": len(index.segments)})
        return True
