"""A cache of vectors with a limit in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from service.embedding.model import Vectors


class VectorCache:
    """The arrays of vectors used last, by key; thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Vectors | None:
        """Return an array and mark it as used now, or return None."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def put(self, key: bytes, vectors: Vectors) -> None:
        """Store an array, and drop those used longest ago if there is no room."""
        with self._lock:
            if key not in self._known:
                self._bytes += vectors.nbytes
            self._known[key] = vectors
            while self._bytes > self._most_bytes:
                self._bytes -= self._known.popitem(last=False)[1].nbytes
