"""The backlog: rows that no snapshot holds yet, and the pause that keeps nodes' memory from filling with them."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import NamedTuple

from service.index.rebuild_policy import large_delta_rows
from service.storage import snapshot
from service.storage.builds import Build
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError

LOOK_SECONDS = 2.0
FLOOR_ROWS = 100_000
LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class AppendedRows(NamedTuple):
    """Rows appended to a shard log, up to documents position `end` (exclusive)."""

    end: int
    rows: int


class ShardBacklog:
    """One shard's rows since its newest snapshot, as far as this indexer saw them appended."""

    def __init__(self) -> None:
        self.rows = 0
        self.base_rows = 0
        self.newest = ""
        self._appended: deque[AppendedRows] = deque()

    def add(self, appended: AppendedRows) -> None:
        """Count rows that are in no snapshot."""
        self._appended.append(appended)
        self.rows += appended.rows

    def drop(self, position: int) -> None:
        """Forget the rows that a snapshot at a documents position holds."""
        while self._appended and self._appended[0].end - 1 <= position:
            self.rows -= self._appended.popleft().rows

    @property
    def excess(self) -> float:
        """0 up to the limit, 1 at twice the limit. Nodes rebuild at half of it, so beyond it they lag."""
        limit = max(FLOOR_ROWS, 2 * large_delta_rows(self.base_rows))
        return max(0.0, self.rows / limit - 1)


class Backlog:
    """The backlog of all shards of one build. The indexer reports its appends, and asks how long to pause."""

    def __init__(self, store: ObjectStore, build: Build) -> None:
        self._store = store
        self._build = build
        self._shards = [ShardBacklog() for _ in range(build.recipe.shards)]
        self._looked_at = time.monotonic()

    def appended(self, shard: int, end: int, rows: int) -> None:
        """Count rows in a shard log up to documents position `end` (exclusive), whichever indexer appended them."""
        self._shards[shard].add(AppendedRows(end, rows))

    @property
    def rows(self) -> int:
        """Rows without a snapshot in the shard that has most of them."""
        return max(shard.rows for shard in self._shards)

    def pause_seconds(self) -> float:
        """Return the pause before the next step: 0 up to the limit, then growing with the backlog. Blocks."""
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self.look()
        return LONGEST_PAUSE_SECONDS * min(1.0, max(shard.excess for shard in self._shards))

    def look(self) -> None:
        """Read which snapshots exist now. Blocks."""
        for number, shard in enumerate(self._shards):
            try:
                self._look_at(number, shard)
            except (StoreError, Damaged) as error:
                log.warning("the newest snapshot could not be read", extra={"shard": number, "reason": str(error)})

    def _look_at(self, number: int, shard: ShardBacklog) -> None:
        newest = next(iter(snapshot.names(self._store, self._build.id, number)), "")
        if newest == shard.newest:
            return
        manifest = snapshot.manifest_of(self._store, self._build, number, newest)
        shard.newest, shard.base_rows = newest, manifest.rows
        shard.drop(manifest.position)
