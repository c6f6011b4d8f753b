"""JSON lines that survive a crash: each record is on disk before the call returns."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class DamagedFileError(Exception):
    """A line other than the last cannot be read: the file was changed by something else."""


class Appender:
    """Appends records to a file, safe to use from several threads.

    A torn last line, left by a crash, is cut off when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab+")  # noqa: SIM115  the object owns it until close()
        self._cut_torn_line()
        _sync_folder(path.parent)

    def append(self, record: Mapping[str, Any]) -> None:
        """Returns when the record is on disk."""
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes()
        whole_bytes = content.rfind(b"\n") + 1
        if whole_bytes != len(content):
            self._file.truncate(whole_bytes)


def read_records(path: Path) -> list[dict[str, Any]]:
    """All complete records; a torn last line is left out.

    Raises DamagedFileError (path and line) for any other line that is not a JSON object.
    """
    *whole, _torn = path.read_bytes().split(b"\n")
    return [_record(path, number, line) for number, line in enumerate(whole, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DamagedFileError(f"{path}:{number}: not a JSON line: {error}") from error
    if not isinstance(record, dict):
        raise DamagedFileError(f"{path}:{number}: a record is a JSON object, this line is not")
    return record


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
