"""A run's arrivals as they are being written down, for showing how it goes."""

from __future__ import annotations

import json
from pathlib import Path


class Tape:
    """Counts the records that were added to an ``arrivals.jsonl`` since it last looked."""

    def __init__(self, path: Path, target_ms: float) -> None:
        self._path = path
        self._target_ms = target_ms
        self._read_bytes = 0
        self.searches = 0
        self.slow = 0

    def wind(self) -> None:
        """Read on to the last complete line; a file that is not there yet has none."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                lines, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._read_bytes += len(lines) + len(end)
        for line in lines.splitlines():
            record = json.loads(line)
            self.searches += 1
            self.slow += record["outcome"] != "answered" or record["response_ms"] >= self._target_ms
