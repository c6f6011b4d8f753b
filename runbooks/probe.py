"""A short look at the service with the drill's own yardstick: canaries for one window, then a verdict."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from uuid import uuid4

from runbooks.drills.evidence import canaries
from runbooks.drills.measure import Window, Yardstick, look
from runbooks.exchange import Exchange
from runbooks.ledger import Ledger, LedgerWriter, read_ledger
from runbooks.observer import Observer, ObserverSettings, sweep


def probe(endpoint: str, yardstick: Yardstick, timeout_seconds: float, plant_seconds: float) -> Window:
    """Ask and write for one window and judge it; what was written is deleted afterwards.

    Raises ObserverError when the fleet does not take a write or does not find it, in `plant_seconds`.
    """
    name = f"probe-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="vectorfleet-probe-") as folder:
        path = Path(folder) / "ledger.jsonl"
        try:
            _observe(endpoint, yardstick, timeout_seconds, plant_seconds, name, path)
        finally:
            _tidy(endpoint, timeout_seconds, read_ledger(path))
        ledger = read_ledger(path)
    assert ledger is not None
    found = canaries(ledger.canaries)
    return look(found, found[0].due, yardstick)


def _observe(
    endpoint: str, yardstick: Yardstick, timeout_seconds: float, plant_seconds: float, name: str, path: Path
) -> None:
    settings = ObserverSettings(
        endpoint=endpoint,
        interval_seconds=yardstick.interval_seconds,
        timeout_seconds=timeout_seconds,
        max_seconds=yardstick.window_seconds,
        plant_seconds=plant_seconds,
    )
    writer = LedgerWriter(path)
    try:
        Observer(settings, writer, name).run(threading.Event())
    finally:
        writer.close()


def _tidy(endpoint: str, timeout_seconds: float, ledger: Ledger | None) -> None:
    if ledger is not None:
        source_ids = sorted({write.source_id for write in ledger.writes})
        sweep(Exchange(endpoint, timeout_seconds), ledger.name, source_ids)
