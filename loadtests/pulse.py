"""The time in which the generator's process stood still, which is taken off what it timed."""

from __future__ import annotations

import time

import gevent

_BEAT_SECONDS = 0.01


class Pulse:
    """Beats while the process runs; a beat that comes late adds to the time in which the process stood still."""

    def __init__(self) -> None:
        self._stalled_seconds = 0.0
        self._beat_seconds = time.perf_counter()

    def run(self) -> None:
        """Beat until killed."""
        while True:
            self._stalled_seconds = self._until_now()
            self._beat_seconds = time.perf_counter()
            gevent.sleep(_BEAT_SECONDS)

    @property
    def stalled_ms(self) -> float:
        """Milliseconds so far, with those of a stall that no beat has ended yet."""
        return self._until_now() * 1000

    def _until_now(self) -> float:
        return self._stalled_seconds + max(0.0, time.perf_counter() - self._beat_seconds - _BEAT_SECONDS)
