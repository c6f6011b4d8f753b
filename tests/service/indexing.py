"""A process that indexes until nothing is left, or ends at a write: `python -m tests.service.indexing`."""

from __future__ import annotations

import os
import sys

from service.indexer import indexer as indexer_module
from service.storage.objects import ObjectStore
from tests.service.shard_history import index_all
from tests.service.small_space import build

DIED = 77


class Mortal(ObjectStore):
    """A bucket that ends the process before or after its n-th conditional write."""

    def __init__(self, bucket: str, writes: int, instant: str) -> None:
        super().__init__(bucket)
        self._writes_left, self._instant = writes, instant

    def create(self, key: str, body: bytes) -> str:
        self._writes_left -= 1
        if self._writes_left < 0 and self._instant == "before":
            os._exit(DIED)
        etag = super().create(key, body)
        if self._writes_left < 0:
            os._exit(DIED)
        return etag


if __name__ == "__main__":
    bucket, build_id, writes, instant = sys.argv[1:]
    indexer_module.STEP_ENTRIES = 3  # type: ignore[attr-defined]
    index_all(Mortal(bucket, int(writes), instant), build(shards=2, name=build_id))
