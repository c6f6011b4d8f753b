"""The indexers of a router's slot, with their reports at /readyz."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import msgspec

from service.router.discovery import Address

PROBE_TIMEOUT_SECONDS = 1.0
# An indexer that embeds may hold the interpreter, and answer no probe, for a while.
SILENCE_SECONDS = 5.0

State = Literal["ready", "catching up", "not ready", "unreachable"]


class IndexerReport(msgspec.Struct, frozen=True):
    """An indexer's own report; `reason` says why it is not ready, `error` why its last step failed."""

    ready: bool
    catching_up: bool = False
    build: str = ""
    position: int = 0
    error: str = ""
    reason: str = ""
    misconfigured: str = ""


class IndexerStatus(IndexerReport, frozen=True, kw_only=True):
    """An indexer for /v1/status: its place, its state, and its last report."""

    instance: str
    address: str
    zone: str
    state: State


@dataclass
class Indexer:
    """An indexer with its newest report."""

    address: Address
    url: str
    report: IndexerReport = field(default_factory=lambda: IndexerReport(False))
    answered_at: float = -SILENCE_SECONDS

    @property
    def state(self) -> State:
        """The state by its last report, unless that is too old."""
        if time.monotonic() - self.answered_at > SILENCE_SECONDS:
            return "unreachable"
        if self.report.ready:
            return "ready"
        return "catching up" if self.report.catching_up else "not ready"

    async def probe(self, session: aiohttp.ClientSession) -> None:
        """Ask for a report; without an answer the last one stays."""
        try:
            timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
            async with session.get(f"{self.url}/readyz", timeout=timeout) as answer:
                self.report = msgspec.json.decode(await answer.read(), type=IndexerReport)
                self.answered_at = time.monotonic()
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            return


class Indexers:
    """The running indexers of a slot: usually one, two during a roll-out, none between two batches."""

    def __init__(self, port: int, scheme: str) -> None:
        self._port, self._scheme = port, scheme
        self._known: dict[str, Indexer] = {}

    def take(self, found: Iterable[Address]) -> None:
        self._known = {
            one.instance: self._known.get(one.instance) or Indexer(one, f"{self._scheme}://{one.address}:{self._port}")
            for one in found
        }

    def probes(self, session: aiohttp.ClientSession) -> list[Awaitable[None]]:
        return [indexer.probe(session) for indexer in self._known.values()]

    def status(self) -> list[IndexerStatus]:
        return [
            IndexerStatus(
                **msgspec.structs.asdict(one.report) | {"ready": one.state == "ready"},
                **one.address._asdict(),
                state=one.state,
            )
            for one in self._known.values()
        ]
