"""The count of a process's recent starts on its machine, sent to CloudWatch at each start."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from threading import Thread

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from service.cloudwatch import CloudWatch, Datum
from service.settings import Process

FILE = "starts.json"
WINDOW_SECONDS = 900.0
PERIOD_SECONDS = 60

log = logging.getLogger(__name__)


def announce(process: Process) -> Thread:
    """
    Count this start, and send the count from its own thread.

    It comes before all other work, so that a process that ends at once counts as well. The interpreter waits for the
    thread at its end.
    """
    starts = count(process.data_folder / FILE, time.time())
    log.info("started", extra={"role": process.role, "starts": starts})
    sending = Thread(target=_send, args=(process, starts), name="starts")
    sending.start()
    return sending


def count(path: Path, now: float) -> int:
    """Note a start at `now`; return the starts of the last WINDOW_SECONDS, or 1 if the disk can't be used."""
    try:
        before = msgspec.json.decode(path.read_bytes(), type=list[float])
    except (OSError, msgspec.MsgspecError):
        before = []
    # A clock that is set back leaves starts in the future, which would count for ever.
    starts = [start for start in before if now - WINDOW_SECONDS < start <= now] + [now]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(starts))
    except OSError as error:
        log.warning("the start could not be noted", extra={"reason": str(error)})
    return len(starts)


def figure(cloudwatch: CloudWatch, starts: int) -> Datum:
    return cloudwatch.value("ProcessStarts", "Count", starts)


def _send(process: Process, starts: int) -> None:
    try:
        cloudwatch = CloudWatch(fleet=process.fleet, slot=process.slot, period_seconds=PERIOD_SECONDS)
        cloudwatch.send([figure(cloudwatch, starts)])
    except (BotoCoreError, ClientError) as error:
        log.warning("the start could not be sent", extra={"reason": str(error)})
