"""Replicas that hold different documents at one position: one of them is wrong, and a fold from S3 says which."""

from __future__ import annotations

import asyncio
import logging
import time

import aiohttp

from service.router.replicas import PROBE_SECONDS, Replica, Replicas, diverged

ASK_AGAIN_SECONDS = 60.0
ASK_TIMEOUT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Divergence:
    """Has every replica of a group that diverged compare itself with S3; whoever is wrong gives way to a right one."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._asked: dict[str, float] = {}

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Look after each round of probes, for ever."""
        while True:
            for group in diverged(self._replicas.all()):
                await asyncio.gather(*(self._ask(session, replica) for replica in group))
            await asyncio.sleep(PROBE_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        instance, now = replica.node.instance, time.monotonic()
        if now - self._asked.get(instance, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
            return
        self._asked[instance] = now
        where = {"node": instance, "shard": replica.node.shard, "position": replica.report.position}
        log.error("replicas of a shard diverged", extra=where | {"digest": replica.report.digest})
        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_SECONDS)
        try:
            async with session.post(f"{replica.url}/verify", timeout=timeout) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("a node could not be asked to compare itself", extra=where | {"reason": str(error)})
