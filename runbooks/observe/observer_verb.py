"""The verb that runs the observer alone."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from uuid import uuid4

import click

from runbooks.durations import DURATION
from runbooks.guard import says_errors
from runbooks.observe.ledger import GOOD, LedgerWriter, read_ledger
from runbooks.observe.observer import LONGEST_SECONDS, Observer, ObserverSettings
from vectorfleet.options import slot_option
from vectorfleet.refusal import Refusal


@click.command()
@click.option("--endpoint", required=True, help="The service, as in http://127.64.0.10:8080.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A new file.")
@click.option("--interval", "interval_seconds", type=DURATION, default="0.25s", show_default=True)
@click.option("--timeout", "timeout_seconds", type=DURATION, default="3s", show_default=True)
@click.option("--for", "max_seconds", type=DURATION, default="15m", show_default=True, help="End after this at last.")
@slot_option
@click.option("--end-with-parent", is_flag=True, help="End when the process that started this one ends.")
@says_errors
def observe(
    endpoint: str,
    ledger: Path,
    interval_seconds: float,
    timeout_seconds: float,
    max_seconds: float,
    slot: str,
    end_with_parent: bool,
) -> None:
    """Search and write at fixed instants and keep a ledger, until SIGTERM."""
    if ledger.exists() and ledger.stat().st_size:
        raise Refusal(f"--ledger {ledger} exists already. A ledger belongs to one observer; name a new file.")
    if not 0 < interval_seconds <= 60:
        raise Refusal(f"--interval is {interval_seconds:g} s. Choose more than 0 and at most 1m.")
    if not 0 < max_seconds <= LONGEST_SECONDS:
        raise Refusal(f"--for is {max_seconds:g} s. Choose more than 0 and at most 4h.")
    parent = os.getppid() if end_with_parent else None
    _observe(ObserverSettings(endpoint, interval_seconds, timeout_seconds, max_seconds, parent, slot), ledger)


def _observe(settings: ObserverSettings, path: Path) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    reason = Observer(settings, LedgerWriter(path), uuid4().hex[:12]).run(stop)
    ledger = read_ledger(path)
    assert ledger is not None
    good = sum(operation.outcome in GOOD for operation in ledger.canaries)
    click.echo(f"{len(ledger.canaries)} canaries, {good} good; ended because {reason}. Ledger: {path}")
