"""Jobs of searches run where they should: one at once, several side by side, and the event loop is never blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from service.index.part import Nearest
from service.index.search_plan import Job
from service.node.search_threads import SearchThreads
from service.wire.messages import Hit

HIT = Hit("a", "", "", 1.0)


async def _search(threads: SearchThreads, *jobs: Job) -> list[Hit]:
    for job in jobs:
        assert await threads.run(job) == []
    return [HIT]


def _noting(names: list[str]) -> Callable[[], list[Nearest]]:
    def run() -> list[Nearest]:
        names.append(threading.current_thread().name)
        return []

    return run


def test_a_job_alone_runs_at_once() -> None:
    names: list[str] = []
    assert asyncio.run(_search(SearchThreads(2), Job(_noting(names), heavy=False))) == [HIT]
    assert names == ["MainThread"]


def test_a_heavy_job_runs_in_a_thread_also_on_one_cpu() -> None:
    names: list[str] = []
    heavy, light = Job(_noting(names), heavy=True), Job(_noting(names), heavy=False)
    assert asyncio.run(_search(SearchThreads(1), heavy, light)) == [HIT]
    assert names == ["exact_0", "MainThread"]


def test_short_jobs_run_at_once_however_many_there_are() -> None:
    names: list[str] = []

    async def run() -> None:
        threads = SearchThreads(2)
        threads._under_way = 1
        for _ in range(50):
            await _search(threads, Job(_noting(names), heavy=False))

    asyncio.run(run())
    assert set(names) == {"MainThread"}


def test_jobs_at_once_run_side_by_side() -> None:
    together = threading.Barrier(2, timeout=10)

    def meet() -> list[Nearest]:
        together.wait()
        return []

    async def run() -> list[list[Hit]]:
        threads = SearchThreads(2)
        threads._usual = 10.0
        return await asyncio.gather(*(_search(threads, Job(meet, heavy=number == 0)) for number in range(2)))

    assert asyncio.run(run()) == [[HIT], [HIT]]


def test_a_search_soon_after_another_runs_in_a_thread() -> None:
    names: list[str] = []

    async def run() -> None:
        threads = SearchThreads(2)
        threads._usual = 10.0
        slow = threading.Event()

        def wait() -> list[Nearest]:
            slow.wait(0.2)
            return _noting(names)()

        await _search(threads, Job(wait, heavy=False))
        await _search(threads, Job(_noting(names), heavy=False))

    asyncio.run(run())
    assert names == ["MainThread", "search_0"]
