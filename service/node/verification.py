"""Asked whether its live set is right, a node has the shard folded anew from S3, and gives way where they differ."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from service.node.replica import Replica
from service.node.room import modelled_bytes, shortage

Fold = Callable[[int], Awaitable[str]]

VERIFICATIONS = Counter("vectorfleet_node_verifications_total", "Live sets compared with a fold from S3", ["outcome"])

log = logging.getLogger(__name__)


class NotFolded(Exception):
    """The fold failed, so nothing is known; whoever asked will ask again."""


async def folded_digest(entry: int) -> str:
    """The digest of the shard after log entry `entry`, by a process that reads nothing but S3; raises NotFolded."""
    argv = (sys.executable, "-m", "service", "digest", "--entry", str(entry))
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        printed, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        raise NotFolded(f"the fold of entry {entry} ended with exit code {child.returncode}")
    return printed.decode().split()[-1]


class Verification:
    """
    One comparison at a time, however often it is asked for.

    `succeed` has a process from the newest snapshot and the log take over; it returns where none came to serve.
    """

    def __init__(self, replica: Replica, succeed: Callable[[], Awaitable[bool]], fold: Fold = folded_digest) -> None:
        self._replica = replica
        self._succeed = succeed
        self._fold = fold
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Compare as soon as it can be."""
        self._asked.set()

    @property
    def pending(self) -> bool:
        """Whether a comparison was asked for that has not ended."""
        return self._asked.is_set()

    async def run(self) -> None:
        """Compare whenever it was asked for, for ever."""
        while True:
            await self._asked.wait()
            try:
                await self._compare()
            except (NotFolded, OSError) as error:
                VERIFICATIONS.labels("unknown").inc()
                log.warning("the live set could not be compared", extra={"reason": str(error)})
            self._asked.clear()

    async def _compare(self) -> None:
        index = self._replica.index
        reason = shortage(modelled_bytes(index.sized))
        if reason:
            raise NotFolded(reason)
        entry, held = self._replica.tail.number, index.digest
        right = await self._fold(entry)
        VERIFICATIONS.labels("right" if held == right else "wrong").inc()
        if held == right:
            log.info("the live set is what the log says", extra={"entry": entry, "digest": held})
            return
        log.error("the live set is not what the log says", extra={"entry": entry, "digest": held, "right": right})
        await self._succeed()
