"""The findings of a rehearsal by step, from which the report and its JSON are made."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from service import VERSION


@dataclass
class Record:
    """Findings by step, only of the steps that the rehearsal reached."""

    profile: str
    corpus: str
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    findings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failure: str = ""

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Record the time of a step, whether or not it succeeds."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(time.monotonic() - started, 2)

    def __setitem__(self, name: str, value: Any) -> None:
        self.findings[name] = value

    def __getitem__(self, name: str) -> Any:
        return self.findings[name]

    def get(self, name: str) -> Any:
        """Return a finding, or None if the rehearsal did not reach it."""
        return self.findings.get(name)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "profile": self.profile,
            "corpus": self.corpus,
            "started_at": self.started_at,
            "machine": machine(),
            "seconds": self.seconds | {"total": round(sum(self.seconds.values()), 2)},
            "failure": self.failure or None,
            **self.findings,
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=1, default=str))


def machine() -> dict[str, Any]:
    """Describe the machine that the figures were measured on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
