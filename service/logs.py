"""Structured logs: one JSON object per line on standard output, where journald or a file collects them."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from service import traces
from service.settings import Process


def configure(process: Process) -> None:
    """Send every logger's lines out as JSON, each with the process's place in the fleet."""
    place = {"role": process.role, "slot": process.slot, "instance": process.instance, "zone": process.zone}
    if process.role == "node":
        place |= {"shard": str(process.shard), "replica": process.replica}
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(traces.mark)
    handler.addFilter(traces.Seldom())
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields=place,
            # uvicorn's second copy of its message, with colours.
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # One line per request or per AWS call would be most of the log and say what the metrics say.
    for noisy in ("uvicorn.access", "botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
