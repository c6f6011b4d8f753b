"""Where searches run: one alone on the event loop, several at once in threads, as structures let go of the GIL."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from service import traces
from service.index.collection import Hit, Job, Steps
from service.index.part import Nearest

# What it costs to hand a job to a thread and take its result, about, with the interpreter's lock in between.
HANDOVER_SECONDS = 0.0003
REMEMBERED = 0.05  # of each job's time in what a job usually takes


class Lanes:
    """
    Runs the steps of searches, and their jobs on as many threads as this process has processors.

    A job alone runs at once, and so does one that is shorter than the way to a thread and back. Where another is under
    way, or one ended less than a job's time ago, more are coming than the event loop could run one after another.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads, "search")
        # Of their own, so that no other search waits behind them.
        self._heavy = ThreadPoolExecutor(self.threads, "exact")
        self._under_way = 0
        self._ended = self._usual = 0.0

    async def run(self, steps: Steps) -> list[Hit]:
        """What the search answers."""
        try:
            job = next(steps)
            while True:
                job = steps.send(await self._do(job))
        except StopIteration as done:
            hits: list[Hit] = done.value
            return hits

    async def _do(self, job: Job) -> list[Nearest]:
        with traces.span("walk", heavy=job.heavy) as walk:
            near, seconds = await self._walked(job)
            # What the span is longer than this, the job waited for a thread.
            walk.set(seconds=seconds)
            return near

    async def _walked(self, job: Job) -> tuple[list[Nearest], float]:
        if job.heavy:
            return await asyncio.get_running_loop().run_in_executor(self._heavy, _timed, job)
        near, seconds = await self._apart(job) if self._is_busy() else _timed(job)
        self._ended = time.monotonic()
        self._usual += REMEMBERED * (seconds - self._usual)
        return near, seconds

    async def _apart(self, job: Job) -> tuple[list[Nearest], float]:
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _timed, job)
        finally:
            self._under_way -= 1

    def _is_busy(self) -> bool:
        if self.threads == 1 or self._usual < HANDOVER_SECONDS:
            return False
        return self._under_way > 0 or time.monotonic() - self._ended < self._usual


def _timed(job: Job) -> tuple[list[Nearest], float]:
    started = time.perf_counter()
    return job.run(), time.perf_counter() - started
