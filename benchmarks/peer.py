"""What another search server has to do to be measured beside ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.closed_loop import Loop
from service.index.part import Vectors

READY_SECONDS = 60.0
POLL_SECONDS = 0.1


Process = subprocess.Popen[bytes]


class PeerError(Exception):
    """A peer can't be started, filled or asked; the message says which and why."""


@dataclass(frozen=True)
class Asked:
    """What every peer is asked: `queries`, shape (queries, dims), for `k` rows, over so many connections at once."""

    queries: Vectors
    k: int
    connections: int


def await_peer(server: Process, answers: Callable[[], bool], name: str, log: Path) -> None:
    """Wait until a server that was just started answers; raises PeerError."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if answers():
            return
        time.sleep(POLL_SECONDS)
    why = f"did not answer in {READY_SECONDS:g} s" if server.poll() is None else "ended"
    raise PeerError(f"{name} {why}: {end_of(log)}")


def end_of(log: Path) -> str:
    """What a peer said last; the file goes with the peer's folder."""
    return log.read_text(errors="replace").strip()[-500:]


def start(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, **pipes: int) -> Process:
    """A process of a peer in its log's folder, `environment` beside ours; raises PeerError."""
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
    """Every thread of a process on these processors alone, and so those that it will start."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), processors)


@contextmanager
def server(
    name: str, command: Sequence[str], log: Path, answers: Callable[[], bool], environment: Mapping[str, str]
) -> Iterator[int]:
    """The process of a peer's server that answers, ended with the block; `environment` is beside ours."""
    process = start(name, command, environment, log)
    try:
        await_peer(process, answers, name, log)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def answers_http(url: str) -> bool:
    """Whether a server answers well there."""
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
        """The rows found for each query."""

    def turn(self, seconds: float) -> Loop:
        """Searches for so many seconds, each connection sending the next when it has its answer."""
