"""Fires requests at their planned instants, whatever became of the ones before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import gevent
from gevent.pool import Pool

from loadtests.arrivals import Due


class OpenLoop:
    """Sends each due request in its own greenlet, at most ``cap`` in flight.

    An instant that has passed is made up for at once and the ones after it stay where they were planned:
    nothing is skipped and nothing is re-based. A request for which there is no room is handed to ``unsent``.
    """

    def __init__(self, cap: int, epoch_seconds: float) -> None:
        self._flight = Pool(cap)
        self._epoch_seconds = epoch_seconds

    def offer(self, dues: Iterable[Due], send: Callable[[Due], None], unsent: Callable[[Due], None]) -> None:
        """Go through ``dues``; returns when the last one was handed over."""
        for due in dues:
            self._wait_for(due)
            if self._flight.free_count() == 0:
                unsent(due)
            else:
                self._flight.spawn(send, due)

    def drain(self, seconds: float) -> None:
        """Wait for what is in flight; what is not back after ``seconds`` is killed."""
        self._flight.join(timeout=seconds)
        self._flight.kill()

    def lag_ms(self, due: Due) -> float:
        """Measure how late it is for ``due`` by now."""
        return (time.perf_counter() - self.instant_seconds(due)) * 1000

    def instant_seconds(self, due: Due) -> float:
        """The planned instant on the clock of ``perf_counter``."""
        return self._epoch_seconds + due.offset_seconds

    def _wait_for(self, due: Due) -> None:
        # A loop, because the event loop's own clock may wake a sleeper slightly early.
        while (left := self.instant_seconds(due) - time.perf_counter()) > 0:
            gevent.sleep(left)
