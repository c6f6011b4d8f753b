"""
Traces: which pieces of work a request went through, across processes and threads, and how long each took.

Unless the standard variables name a collector and the extra `traces` is here, nothing is imported and nothing recorded:
`span` is then one comparison. Nothing about traces ever keeps a process from serving.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from service.settings import Process

Value = str | bool | int | float
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
FLUSH_SECONDS = 2.0
SDK_LOGGER = "opentelemetry"
SDK_PAUSE_SECONDS = 60.0
NO_HEADERS: Mapping[str, str] = {}

log = logging.getLogger(__name__)


class Span:
    """A piece of work while its block runs; this one is recorded nowhere."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def set(self, **attributes: Value) -> None:
        """Say more of the work: figures and choices, never a text, a vector, or the id of a document."""


NO_SPAN = Span()


class Recorder(Protocol):
    """What records spans and sends them away."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> Span:
        """A piece of what this task does at the moment."""

    def call(self, name: str, attributes: Mapping[str, Value]) -> Span:
        """The same, done by another process."""

    def shared(self, name: str, spans: Sequence[Span], attributes: Mapping[str, Value]) -> Span:
        """A piece of what several spans wait for."""

    def headers(self) -> Mapping[str, str]:
        """What tells another process to which span its work belongs."""

    def ids(self) -> tuple[str, str] | None:
        """Of this task's trace and span, in hex."""

    def traced(self, app: ASGIApp, besides: Collection[str]) -> ASGIApp:
        """An application each of whose requests is a span, but for these paths."""

    def shutdown(self) -> None:
        """Send what is left. Blocks."""


_recorder: Recorder | None = None


def configure(process: Process) -> None:
    """Record from now on where the environment asks for it; what keeps that from working is said in the log."""
    global _recorder
    if not _wanted(os.environ):
        return
    reason = _unfit(os.environ)
    if not reason:
        try:
            from service.spans import recorder

            _recorder = recorder(process)
        except ModuleNotFoundError as error:
            reason = (
                f"{_first(ENDPOINTS, os.environ)[0]} is set and {error.name} is not installed; install the extra "
                "`traces` of vectorfleet, or unset the variable"
            )
        except Exception as error:
            # Whatever the SDK makes of its variables, searches are worth more.
            reason = f"the OTEL_* variables can't be used: {error}"
    if reason:
        log.warning("traces stay off", extra={"reason": reason})


def _first(names: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """The first of these variables that is set, and its value; else the last and nothing."""
    return next(((name, environment[name]) for name in names if environment.get(name)), (names[-1], ""))


def _wanted(environment: Mapping[str, str]) -> bool:
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exported = environment.get("OTEL_TRACES_EXPORTER", "").strip() != "none"
    return bool(_first(ENDPOINTS, environment)[1]) and exported and not disabled


def _unfit(environment: Mapping[str, str]) -> str:
    """What of the variables can't be; empty where all can."""
    name, endpoint = _first(ENDPOINTS, environment)
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{name} is {endpoint!r}; give it a URL such as http://collector:4318"
    name, protocol = _first(PROTOCOLS, environment)
    if protocol not in ("", PROTOCOL):
        return f"{name} is {protocol!r}; only {PROTOCOL} is spoken, mostly at port 4318: set that, or nothing"
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter != "otlp":
        return f"OTEL_TRACES_EXPORTER is {exporter!r}; allowed are otlp and none"
    return ""


def span(name: str, /, **attributes: Value) -> Span:
    """A piece of what this task does at the moment, for a `with`."""
    return NO_SPAN if _recorder is None else _recorder.span(name, attributes)


def call(name: str, /, **attributes: Value) -> Span:
    """A piece that another process does: send it `headers()`, asked for inside."""
    return NO_SPAN if _recorder is None else _recorder.call(name, attributes)


def shared(name: str, spans: Sequence[Span], /, **attributes: Value) -> Span:
    """A piece that all these spans wait for: it belongs to the first that is recorded, and the others get links."""
    return NO_SPAN if _recorder is None else _recorder.shared(name, spans, attributes)


def headers() -> Mapping[str, str]:
    """W3C's `traceparent` and `tracestate` of this task's span."""
    return NO_HEADERS if _recorder is None else _recorder.headers()


def traced(app: ASGIApp, besides: Collection[str]) -> ASGIApp:
    """The application, each of its requests a span, but for these paths."""
    return app if _recorder is None else _recorder.traced(app, besides)


def mark(record: logging.LogRecord) -> bool:
    """A log handler's filter: give a line the `trace_id` and `span_id` of the task that writes it."""
    if _recorder is not None and (ids := _recorder.ids()) is not None:
        record.trace_id, record.span_id = ids
    return True


def flush() -> None:
    """Send what is left, for FLUSH_SECONDS at most, and record no more."""
    global _recorder
    if _recorder is None:
        return
    # The SDK's own bound is longer than a process may take to end.
    sending = threading.Thread(target=_recorder.shutdown, name="traces", daemon=True)
    _recorder = None
    sending.start()
    sending.join(FLUSH_SECONDS)


class Seldom:
    """A log handler's filter: one line a minute of what the SDK says, which a collector that is away makes many."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if not record.name.startswith(SDK_LOGGER):
            return True
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + SDK_PAUSE_SECONDS
        return True
