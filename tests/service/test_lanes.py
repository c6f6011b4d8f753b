"""Jobs of searches run where they should: one at once, several beside one another, and the loop is never held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from service.index.collection import Hit, Job, Steps
from service.index.part import Nearest
from service.node.lanes import Lanes

HIT = Hit("a", "", "", 1.0)


def _steps(*jobs: Job) -> Steps:
    for job in jobs:
        assert (yield job) == []
    return [HIT]


def _noting(names: list[str]) -> Callable[[], list[Nearest]]:
    def run() -> list[Nearest]:
        names.append(threading.current_thread().name)
        return []

    return run


def test_a_job_alone_runs_at_once() -> None:
    names: list[str] = []
    assert asyncio.run(Lanes(2).run(_steps(Job(_noting(names), heavy=False)))) == [HIT]
    assert names == ["MainThread"]


def test_a_heavy_job_runs_in_a_thread_also_on_one_processor() -> None:
    names: list[str] = []
    heavy, light = Job(_noting(names), heavy=True), Job(_noting(names), heavy=False)
    assert asyncio.run(Lanes(1).run(_steps(heavy, light))) == [HIT]
    assert names == ["exact_0", "MainThread"]


def test_short_jobs_run_at_once_however_many_there_are() -> None:
    names: list[str] = []

    async def run() -> None:
        lanes = Lanes(2)
        lanes._under_way = 1
        for _ in range(50):
            await lanes.run(_steps(Job(_noting(names), heavy=False)))

    asyncio.run(run())
    assert set(names) == {"MainThread"}


def test_jobs_at_once_run_beside_one_another() -> None:
    together = threading.Barrier(2, timeout=10)

    def meet() -> list[Nearest]:
        together.wait()
        return []

    async def run() -> list[list[Hit]]:
        lanes = Lanes(2)
        lanes._usual = 10.0
        return await asyncio.gather(*(lanes.run(_steps(Job(meet, heavy=number == 0))) for number in range(2)))

    assert asyncio.run(run()) == [[HIT], [HIT]]


def test_a_search_that_follows_closely_goes_to_a_thread() -> None:
    names: list[str] = []

    async def run() -> None:
        lanes = Lanes(2)
        lanes._usual = 10.0
        slow = threading.Event()

        def wait() -> list[Nearest]:
            slow.wait(0.2)
            return _noting(names)()

        await lanes.run(_steps(Job(wait, heavy=False)))
        await lanes.run(_steps(Job(_noting(names), heavy=False)))

    asyncio.run(run())
    assert names == ["MainThread", "search_0"]
