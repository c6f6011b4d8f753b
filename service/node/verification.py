"""Verification of the live set against a fold of the shard from S3. A replica that differs is replaced."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from service.node.memory import modelled_bytes, shortage
from service.node.replica import Replica

Fold = Callable[[int], Awaitable[str]]

VERIFICATIONS = Counter("vectorfleet_node_verifications_total", "Live sets compared with a fold from S3", ["outcome"])

log = logging.getLogger(__name__)


class FoldFailed(Exception):
    """The fold failed, so nothing is known; the caller will ask again."""


async def folded_digest(entry: int) -> str:
    """Return the digest of the shard after log entry `entry`, from a process that reads only S3.

    Raise FoldFailed.
    """
    argv = (sys.executable, "-m", "vectorfleet", "digest", "--entry", str(entry))
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        printed, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        raise FoldFailed(f"the fold of entry {entry} ended with exit code {child.returncode}")
    return printed.decode().split()[-1]


class Verification:
    """One comparison at a time, however often it is requested.

    `succeed` lets a process take over from the newest snapshot and the log; it returns if none did.
    """

    def __init__(self, replica: Replica, succeed: Callable[[], Awaitable[bool]], fold: Fold = folded_digest) -> None:
        self._replica = replica
        self._succeed = succeed
        self._fold = fold
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Request a comparison as soon as possible."""
        self._asked.set()

    @property
    def pending(self) -> bool:
        """True if a requested comparison has not ended."""
        return self._asked.is_set()

    async def run(self) -> None:
        """Compare whenever it is requested, for ever."""
        while True:
            await self._asked.wait()
            try:
                await self._compare()
            except (FoldFailed, OSError) as error:
                VERIFICATIONS.labels("unknown").inc()
                log.warning("the live set could not be compared", extra={"reason": str(error)})
            self._asked.clear()

    async def _compare(self) -> None:
        index = self._replica.index
        reason = shortage(modelled_bytes(index.sizes))
        if reason:
            raise FoldFailed(reason)
        entry, held = self._replica.tail.number, index.digest
        right = await self._fold(entry)
        VERIFICATIONS.labels("right" if held == right else "wrong").inc()
        if held == right:
            log.info("the live set is what the log says", extra={"entry": entry, "digest": held})
            return
        log.error("the live set is not what the log says", extra={"entry": entry, "digest": held, "right": right})
        await self._succeed()
