"""Structured logs: one JSON object per line on standard output, where journald or a file collects them."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from service.settings import Process
from service.tracing import exporter, spans


def configure(process: Process) -> None:
    """Send every logger's lines out as JSON, each with the process's place in the fleet."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(spans.mark)
    handler.addFilter(exporter.SdkLogLimit())
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={name: str(value) for name, value in process.place.items() if name != "fleet"},
            # uvicorn's second copy of its message, in colour.
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # A line per request or AWS call would be most of the log and repeat the metrics.
    for noisy in ("uvicorn.access", "botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
