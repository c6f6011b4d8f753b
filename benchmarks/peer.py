"""What another search server has to do to be measured beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.closed_loop import Loop
from service.index.part import Vectors


class PeerError(Exception):
    """A peer can't be started, filled or asked; the message says which and why."""


@dataclass(frozen=True)
class Asked:
    """What every peer is asked: `queries`, shape (queries, dims), for `k` rows, over so many connections at once."""

    queries: Vectors
    k: int
    connections: int


class Peer(Protocol):
    """A server that holds the vectors."""

    @property
    def name(self) -> str: ...

    def rows(self) -> list[list[int]]:
        """The rows found for each query."""

    def turn(self, seconds: float) -> Loop:
        """Searches for so many seconds, each connection sending the next when it has its answer."""
