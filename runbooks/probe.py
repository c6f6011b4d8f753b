"""A short look at the service with the drill's own yardstick: canaries until one window is good."""

from __future__ import annotations

import math
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from runbooks.drills.evidence import canaries
from runbooks.drills.measure import Window, Yardstick, first_good_window, last_window
from runbooks.exchange import Exchange
from runbooks.ledger import Ledger, LedgerWriter, read_ledger
from runbooks.observer import Observer, ObserverSettings, sweep

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Patience:
    """How long a probe waits, in seconds: for one answer, for the first right one, for a good window."""

    timeout_seconds: float = 3.0
    plant_seconds: float = 30.0
    within_seconds: float = 180.0


def probe(endpoint: str, yardstick: Yardstick, patience: Patience) -> Window:
    """Ask and write until a window is good; the last window, with its reason, when none was in time.

    What was written is deleted afterwards.
    Raises ObserverError when the fleet does not take a write or does not find it, in `plant_seconds`.
    """
    name = f"probe-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="vectorfleet-probe-") as folder:
        path = Path(folder) / "ledger.jsonl"
        try:
            with ThreadPoolExecutor(1) as apart:
                stop = threading.Event()
                observing = apart.submit(_observe, endpoint, yardstick, patience, name, path, stop)
                try:
                    _await_good_window(path, yardstick, observing)
                finally:
                    stop.set()
                observing.result()
        finally:
            _tidy(endpoint, patience.timeout_seconds, read_ledger(path))
        return _judged(path, yardstick)


def _observe(
    endpoint: str, yardstick: Yardstick, patience: Patience, name: str, path: Path, stop: threading.Event
) -> None:
    settings = ObserverSettings(
        endpoint=endpoint,
        interval_seconds=yardstick.interval_seconds,
        timeout_seconds=patience.timeout_seconds,
        max_seconds=max(patience.within_seconds, yardstick.window_seconds),
        plant_seconds=patience.plant_seconds,
    )
    writer = LedgerWriter(path)
    try:
        Observer(settings, writer, name).run(stop)
    finally:
        writer.close()


def _await_good_window(path: Path, yardstick: Yardstick, observing: Future[None]) -> None:
    """Until a window is good or nobody observes any more, which `within_seconds` bounds."""
    while not observing.done() and _judged(path, yardstick).reason:
        wait([observing], POLL_SECONDS)


def _judged(path: Path, yardstick: Yardstick) -> Window:
    """The first good window of the ledger, else its last one."""
    ledger = read_ledger(path)
    found = canaries(ledger.canaries) if ledger else []
    return first_good_window(found, -math.inf, yardstick) or last_window(found, yardstick)


def _tidy(endpoint: str, timeout_seconds: float, ledger: Ledger | None) -> None:
    if ledger is not None:
        source_ids = sorted({write.source_id for write in ledger.writes})
        sweep(Exchange(endpoint, timeout_seconds), ledger.name, source_ids)
