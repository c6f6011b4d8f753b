"""A bucket in memory with failures on request: a write that is refused, lost, or lands without a reply."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, StoreClock, StoredObject, Unanswered

Fault = Literal["", "conflict", "unavailable", "lost_reply", "crash_before", "crash_after"]


class Crashed(BaseException):
    """The process ended at this instant; no code of it may run on."""


class MemoryStore(ObjectStore):
    """Objects in a dict. `fault_of` gets number (from 0) and key of each conditional write, and names its failure."""

    def __init__(self, bucket: str = "memory") -> None:
        self.bucket = bucket
        self.clock = StoreClock()
        self.objects: dict[str, bytes] = {}
        self.writes: list[tuple[str, bytes]] = []
        self.fault_of: Callable[[int, str], Fault] = lambda number, key: ""
        self._lock = threading.Lock()

    def create(self, key: str, body: bytes) -> str:
        return self._write(key, body, lambda: key not in self.objects)

    def replace(self, key: str, body: bytes, etag: str) -> str:
        return self._write(key, body, lambda: key in self.objects and _etag(self.objects[key]) == etag)

    def _write(self, key: str, body: bytes, allowed: Callable[[], bool]) -> str:
        with self._lock:
            fault = self.fault_of(len(self.writes), key)
            self.writes.append((key, body))
            if fault == "crash_before":
                raise Crashed
            if fault in ("conflict", "unavailable"):
                raise Unanswered(f"put {key}: {fault}")
            if not allowed():
                raise PreconditionFailed(f"put {key}: the condition did not hold")
            self.objects[key] = body
        if fault == "crash_after":
            raise Crashed
        if fault == "lost_reply":
            raise Unanswered(f"put {key}: no reply")
        return _etag(body)

    def get(self, key: str) -> StoredObject:
        try:
            body = self.objects[key]
        except KeyError:
            raise NoSuchKey(f"get {key}") from None
        return StoredObject(body, _etag(body))

    def part(self, key: str, start: int, end: int | None = None) -> bytes:
        return self.get(key).body[start:end]

    def blocks(self, key: str) -> Iterator[bytes]:
        yield self.get(key).body

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        return iter(sorted(key for key in list(self.objects) if key.startswith(prefix) and key > after))

    def upload(self, path: Path, key: str) -> None:
        self.objects[key] = path.read_bytes()

    def download(self, key: str, path: Path) -> None:
        path.write_bytes(self.get(key).body)

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def at_write(number: int, fault: Fault) -> Callable[[int, str], Fault]:
    """Fail exactly the write of this number."""
    return lambda current, key: fault if current == number else ""


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
