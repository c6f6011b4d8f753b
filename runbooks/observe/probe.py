"""A short probe of the service: canaries until one window is good, by the drill's yardstick."""

from __future__ import annotations

import math
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from runbooks.observe.exchange import Exchange
from runbooks.observe.ledger import LedgerWriter, read_ledger
from runbooks.observe.observer import Observer, ObserverSettings, sweep
from runbooks.observe.windows import Window, Yardstick, first_good_window, last_window

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Patience:
    """Seconds that a probe waits: for one answer, for the first right one, for a good window."""

    timeout_seconds: float = 3.0
    plant_seconds: float = 30.0
    within_seconds: float = 180.0


def probe(endpoint: str, yardstick: Yardstick, patience: Patience, slot: str = "") -> Window:
    """Search and write until a window is good; return it, or the last one with its reason when the time is up.

    The written documents are deleted afterwards. Raises ObserverError when the fleet does not take a write or does not
    find it in `plant_seconds`.
    """
    settings = ObserverSettings(
        endpoint=endpoint,
        interval_seconds=yardstick.interval_seconds,
        timeout_seconds=patience.timeout_seconds,
        max_seconds=max(patience.within_seconds, yardstick.window_seconds),
        slot=slot,
        plant_seconds=patience.plant_seconds,
    )
    with tempfile.TemporaryDirectory(prefix="vectorfleet-probe-") as folder:
        path = Path(folder) / "ledger.jsonl"
        try:
            with ThreadPoolExecutor(1) as executor:
                stop = threading.Event()
                observing = executor.submit(_observe, settings, path, stop)
                try:
                    _await_good_window(path, yardstick, observing)
                finally:
                    stop.set()
                observing.result()
        finally:
            if ledger := read_ledger(path):
                sweep(Exchange(endpoint, patience.timeout_seconds, slot), ledger)
        return _window(path, yardstick)


def _observe(settings: ObserverSettings, path: Path, stop: threading.Event) -> None:
    writer = LedgerWriter(path)
    try:
        Observer(settings, writer, f"probe-{uuid4().hex[:8]}").run(stop)
    finally:
        writer.close()


def _await_good_window(path: Path, yardstick: Yardstick, observing: Future[None]) -> None:
    """Wait until a window is good or the observer has ended, which `within_seconds` bounds."""
    while not observing.done() and _window(path, yardstick).reason:
        wait([observing], POLL_SECONDS)


def _window(path: Path, yardstick: Yardstick) -> Window:
    """Return the first good window of the ledger, else its last one."""
    ledger = read_ledger(path)
    found = ledger.canaries if ledger else ()
    return first_good_window(found, -math.inf, yardstick) or last_window(found, yardstick)
