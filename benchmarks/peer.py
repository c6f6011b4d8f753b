"""Other search servers as peers of ours: their processes, and the interface to measure them by."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.closed_loop import Loop
from service.index.part import Vectors
from vectorfleet.waiting import until

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


Process = subprocess.Popen[bytes]


class PeerError(Exception):
    """A peer can't be started, filled or searched; the message says which and why."""


@dataclass(frozen=True)
class SearchLoad:
    """The searches for every peer: `queries`, shape (queries, dims), for `k` rows, over so many connections at once."""

    queries: Vectors
    k: int
    connections: int


def await_peer(server: Process, answers: Callable[[], bool], name: str, log: Path) -> None:
    """Wait until a new server answers; raise PeerError."""
    if not until(lambda: server.poll() is not None or answers(), READY_SECONDS, POLL_SECONDS):
        raise PeerError(f"{name} did not answer in {READY_SECONDS:g} s: {end_of(log)}")
    if server.poll() is not None:
        raise PeerError(f"{name} ended: {end_of(log)}")


def end_of(log: Path) -> str:
    """Return the end of a peer's log, which is deleted with the peer's folder."""
    return log.read_text(errors="replace").strip()[-500:]


def start(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, **pipes: int) -> Process:
    """Start a process of a peer in its log's folder, `environment` added to ours; raise PeerError."""
    with log.open("wb") as sink:
        try:
            return subprocess.Popen(
                command,
                env=os.environ | environment,
                cwd=log.parent,
                stdin=pipes.get("stdin"),
                stdout=pipes.get("stdout", sink),
                stderr=sink,
                start_new_session=True,
            )
        except OSError as error:
            raise PeerError(f"{name} can't be started: {error}") from error


def pin(process: int, processors: set[int]) -> None:
    """Pin every thread of a process to these processors, and so the threads that it will start."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), processors)


@contextmanager
def server(
    name: str, command: Sequence[str], log: Path, answers: Callable[[], bool], environment: Mapping[str, str]
) -> Iterator[int]:
    """Yield the process id of a peer's server that answers; the server ends with the block."""
    process = start(name, command, environment, log)
    try:
        await_peer(process, answers, name, log)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def answers_http(url: str) -> bool:
    """Return whether a server answers without an error."""
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


class Peer(Protocol):
    """A server that holds the vectors."""

    @property
    def name(self) -> str: ...

    def rows(self) -> list[list[int]]:
        """Return the rows found for each query."""

    def turn(self, seconds: float) -> Loop:
        """Search for so many seconds; each connection sends its next search when it has an answer."""
