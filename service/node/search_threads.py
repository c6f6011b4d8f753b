"""Threads for searches: a job alone runs on the event loop, several side by side, as structures free the GIL."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from service.index.part import Nearest
from service.index.search_plan import Job
from service.tracing import spans

# The approximate cost of handing a job to a thread and taking its result, with the GIL in between.
HANDOVER_SECONDS = 0.0003
REMEMBERED = 0.05  # the weight of each job in the moving average of a job's time


class SearchThreads:
    """As many threads as this process has processors, for the jobs of searches.

    A job runs on the event loop if it is alone or shorter than a handover. If another job is running, or ended less
    than a job's time ago, more are coming than the event loop could run one after another.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads, "search")
        # A pool of their own, so that no other search waits behind them.
        self._heavy = ThreadPoolExecutor(self.threads, "exact")
        self._under_way = 0
        self._ended = self._usual = 0.0

    async def run(self, job: Job) -> list[Nearest]:
        """Run one job of a search."""
        with spans.span("walk", heavy=job.heavy) as walk:
            near, seconds = await self._timed(job)
            # If the span is longer than this, the job waited for a thread.
            walk.set(seconds=seconds)
            return near

    async def _timed(self, job: Job) -> tuple[list[Nearest], float]:
        if job.heavy:
            return await asyncio.get_running_loop().run_in_executor(self._heavy, _run, job)
        near, seconds = await self._in_thread(job) if self._is_busy() else _run(job)
        self._ended = time.monotonic()
        self._usual += REMEMBERED * (seconds - self._usual)
        return near, seconds

    async def _in_thread(self, job: Job) -> tuple[list[Nearest], float]:
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _run, job)
        finally:
            self._under_way -= 1

    def _is_busy(self) -> bool:
        if self.threads == 1 or self._usual < HANDOVER_SECONDS:
            return False
        return self._under_way > 0 or time.monotonic() - self._ended < self._usual


def _run(job: Job) -> tuple[list[Nearest], float]:
    started = time.perf_counter()
    return job.run(), time.perf_counter() - started
