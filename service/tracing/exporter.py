"""
Export of spans, where the standard variables name a collector and the extra `traces` is installed.

Otherwise nothing is imported and nothing recorded. Traces never keep a process from serving.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from service.tracing import spans

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
FLUSH_SECONDS = 2.0
SDK_LOGGER = "opentelemetry"
SDK_PAUSE_SECONDS = 60.0

log = logging.getLogger(__name__)


def configure(place: Mapping[str, spans.Value]) -> None:
    """Record from now on if the environment asks for it; `place` is the process's place in the fleet."""
    if not _wanted(os.environ):
        return
    reason = _problem(os.environ)
    if not reason:
        try:
            from service.tracing.sdk import recorder

            spans.record_with(recorder(place))
        except ModuleNotFoundError as error:
            reason = (
                f"{_first(ENDPOINTS, os.environ)[0]} is set and {error.name} is not installed; install the extra "
                "`traces` of vectorfleet, or unset the variable"
            )
        except Exception as error:
            # The SDK may raise anything for its variables, and searches matter more.
            reason = f"the OTEL_* variables can't be used: {error}"
    if reason:
        log.warning("traces stay off", extra={"reason": reason})


def _first(names: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable that is set and its value, else the last name and an empty value."""
    return next(((name, environment[name]) for name in names if environment.get(name)), (names[-1], ""))


def _wanted(environment: Mapping[str, str]) -> bool:
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exported = environment.get("OTEL_TRACES_EXPORTER", "").strip() != "none"
    return bool(_first(ENDPOINTS, environment)[1]) and exported and not disabled


def _problem(environment: Mapping[str, str]) -> str:
    """Say which variable can't be used and why; empty if all can."""
    name, endpoint = _first(ENDPOINTS, environment)
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{name} is {endpoint!r}; give it a URL such as http://collector:4318"
    name, protocol = _first(PROTOCOLS, environment)
    if protocol not in ("", PROTOCOL):
        return f"{name} is {protocol!r}; only {PROTOCOL} is supported, usually at port 4318: set that, or unset it"
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter != "otlp":
        return f"OTEL_TRACES_EXPORTER is {exporter!r}; allowed are otlp and none"
    return ""


def flush() -> None:
    """Send the spans that are left, for FLUSH_SECONDS at most, and record no more."""
    recorder = spans.record_with(None)
    if recorder is None:
        return
    # The SDK's own limit is longer than a process may take to end.
    sending = threading.Thread(target=recorder.shutdown, name="traces", daemon=True)
    sending.start()
    sending.join(FLUSH_SECONDS)


class SdkLogLimit:
    """A log handler's filter that passes one line a minute of the SDK, which logs each failure to reach a collector."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        if not record.name.startswith(SDK_LOGGER):
            return True
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + SDK_PAUSE_SECONDS
        return True
