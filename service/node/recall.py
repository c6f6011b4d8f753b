"""Recall of live searches, measured on a sample that is repeated by exact search."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Counter, Gauge

from service.index.metric import Metric
from service.wire.messages import Hit

KEPT_SAMPLES = 100
LEAST_PAUSE_SECONDS = 1.0
BUSY_SHARE = 0.01  # of one core that sampling may take

RECALL = Gauge("vectorfleet_node_recall", "Mean recall of the live searches sampled last, against exact search")
SAMPLES = Counter("vectorfleet_node_recall_samples_total", "Live searches that were answered again exactly")


class LiveRecall:
    """The recall of the searches sampled last.

    One sample runs at a time, in a thread, and is followed by a pause a hundred times as long as it took.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._samples: deque[float] = deque(maxlen=KEPT_SAMPLES)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recall")
        self._clock, self._next = clock, clock()
        self._busy = False

    @property
    def mean(self) -> float | None:
        """The mean of the kept samples; None before the first."""
        return sum(self._samples) / len(self._samples) if self._samples else None

    @property
    def due(self) -> bool:
        """True if the next search should be sampled."""
        return not self._busy and self._clock() >= self._next

    async def sample(self, hits: Sequence[Hit], exact_scores: Callable[[], Sequence[float]], metric: Metric) -> None:
        """Compare an answer with the scores that exact search by the same metric gives the same query."""
        self._busy, started = True, self._clock()
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._pool, exact_scores)
            self.add(recall_of(hits, scores, metric))
        finally:
            self._busy = False
            took = self._clock() - started
            self._next = self._clock() + max(LEAST_PAUSE_SECONDS, took / BUSY_SHARE)

    def add(self, recall: float) -> None:
        self._samples.append(recall)
        SAMPLES.inc()
        RECALL.set(self.mean or 0.0)


def recall_of(hits: Sequence[Hit], exact_scores: Sequence[float], metric: Metric) -> float:
    """Return the share of the exact answers that was found; a hit as near as the last exact one counts.

    >>> from service.index.metric import COSINE
    >>> recall_of([Hit("a", "", "", 0.9), Hit("b", "", "", 0.4)], [0.9, 0.7], COSINE)
    0.5
    """
    if not exact_scores:
        return 1.0
    floor = metric.as_near(min(exact_scores))
    return min(1.0, sum(hit.score >= floor for hit in hits) / len(exact_scores))
