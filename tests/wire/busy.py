"""Threads that keep a fleet busy while a test does something to it."""

from __future__ import annotations

import threading
from typing import Self

from service.client import ServiceError, Unanswered
from tests.wire.service_fleet import ServiceFleet

SEARCHERS = 4


class Busy:
    """So many threads that `work` for the block, each until `ended`."""

    def __init__(self, threads: int) -> None:
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self.work, args=(number,)) for number in range(threads)]

    def work(self, number: int) -> None:
        """The work of thread `number` does until `ended`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()


class Searching(Busy):
    """Each thread searches as soon as its last search is answered."""

    def __init__(self, fleet: ServiceFleet) -> None:
        super().__init__(SEARCHERS)
        self._fleet = fleet
        self.positions: list[list[int]] = [[] for _ in range(SEARCHERS)]
        self.wrong: list[str] = []

    def work(self, number: int) -> None:
        """Note the position of each answer, and what was no complete one."""
        client = self._fleet.client()
        while not self.ended.is_set():
            try:
                answer = client.search(text="words about first", k=3)
            except (ServiceError, Unanswered) as error:
                self.wrong.append(str(error))
                continue
            if answer["partial"] or len(answer["hits"]) != 3:
                self.wrong.append(str(answer))
            self.positions[number].append(answer["position"])
