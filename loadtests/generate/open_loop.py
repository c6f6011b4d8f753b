"""The open loop: requests are sent at their planned instants, whatever became of the ones before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import gevent
from gevent.pool import Pool

from loadtests.run.schedule import Due


class OpenLoop:
    """A sender of requests at their planned instants, each in its own greenlet, at most ``cap`` in flight.

    A request whose instant has passed is sent at once, and the ones after it keep their instants. A request without
    room in flight goes to ``unsent``.
    """

    def __init__(self, cap: int, epoch_seconds: float) -> None:
        self._flight = Pool(cap)
        self._epoch_seconds = epoch_seconds

    def offer(self, dues: Iterable[Due], send: Callable[[Due], None], unsent: Callable[[Due], None]) -> None:
        """Send all of ``dues``, and return when the last one was handed over."""
        for due in dues:
            # A loop, because the event loop's own clock may wake a sleeper slightly early.
            while (lag_ms := self.lag_ms(due)) < 0:
                gevent.sleep(-lag_ms / 1000)
            if self._flight.free_count() == 0:
                unsent(due)
            else:
                self._flight.spawn(send, due)

    def drain(self, seconds: float) -> None:
        """Wait for the requests in flight, and kill those that are not back after ``seconds``."""
        self._flight.join(timeout=seconds)
        self._flight.kill()

    def lag_ms(self, due: Due) -> float:
        """Return the milliseconds since the planned instant, below 0 before it."""
        return (time.perf_counter() - self._epoch_seconds - due.offset_seconds) * 1000
