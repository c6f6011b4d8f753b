"""JSON lines that survive a crash: each record is on disk before the call returns."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from vectorfleet.refusal import Refusal


class DamagedFileError(Refusal):
    """A line other than the last can't be read, so something else changed the file."""


class RecordWriter:
    """A file of records, each on disk before the call returns. Safe to use from several threads.

    A record has its name and the monotonic instant `at`. Opening the file cuts off a torn last line that a crash left.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab+")  # noqa: SIM115  the object owns it until close()
        self._cut_torn_line()
        _sync_folder(path.parent)

    def write(self, record: str, **values: Any) -> None:
        found = {"record": record, "at": round(time.monotonic(), 6), **values}
        line = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes()
        whole_bytes = content.rfind(b"\n") + 1
        if whole_bytes != len(content):
            self._file.truncate(whole_bytes)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read all complete records, without a torn last line.

    Raises DamagedFileError with the path and line of any other line that is not a JSON object.
    """
    *whole, _torn = path.read_bytes().split(b"\n")
    return [_record(path, number, line) for number, line in enumerate(whole, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    found = json_object(line)
    if found is None:
        raise DamagedFileError(f"{path}:{number}: a record is a JSON object, and this line is not: {line[:80]!r}")
    return found


def json_object(text: bytes | str) -> dict[str, Any] | None:
    """Return the JSON object that a text holds, or None."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
