"""What another search server has to do to be measured beside ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.closed_loop import Loop
from service.index.part import Vectors

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


class PeerError(Exception):
    """A peer can't be started, filled or asked; the message says which and why."""


@dataclass(frozen=True)
class Asked:
    """What every peer is asked: `queries`, shape (queries, dims), for `k` rows, over so many connections at once."""

    queries: Vectors
    k: int
    connections: int


def await_peer(server: subprocess.Popen[bytes], answers: Callable[[], bool], name: str, log: Path) -> None:
    """Wait until a server that was just started answers; raises PeerError."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if answers():
            return
        time.sleep(POLL_SECONDS)
    raise PeerError(f"{name} did not answer in {READY_SECONDS:g} s; see {log}")


def pin(process: int, processors: set[int]) -> None:
    """Every thread of a process on these processors alone, and so those that it will start."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), processors)


class Peer(Protocol):
    """A server that holds the vectors."""

    @property
    def name(self) -> str: ...

    def rows(self) -> list[list[int]]:
        """The rows found for each query."""

    def turn(self, seconds: float) -> Loop:
        """Searches for so many seconds, each connection sending the next when it has its answer."""
