"""Spans: pieces of work of a request, across tasks, threads and processes. Call sites use this module alone."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from starlette.types import ASGIApp

Value = str | bool | int | float
NO_HEADERS: Mapping[str, str] = {}


class Span:
    """A piece of work while its block runs. This one is not recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def set(self, **attributes: Value) -> None:
        """Add figures and choices; never a text, a vector, or the id of a document."""


NO_SPAN = Span()


class Recorder(Protocol):
    """A recorder of spans. Its first five methods do what this module's functions of the same names do."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> Span: ...

    def call(self, name: str, attributes: Mapping[str, Value]) -> Span: ...

    def shared(self, name: str, spans: Sequence[Span], attributes: Mapping[str, Value]) -> Span: ...

    def headers(self) -> Mapping[str, str]: ...

    def traced(self, app: ASGIApp, besides: Collection[str]) -> ASGIApp: ...

    def ids(self) -> tuple[str, str] | None:
        """Return the ids of this task's trace and span, in hex."""

    def shutdown(self) -> None:
        """Send the spans that are left. Blocks."""


_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> Recorder | None:
    """Record with this from now on, or nothing at all; returns the recorder before."""
    global _recorder
    before, _recorder = _recorder, recorder
    return before


def span(name: str, /, **attributes: Value) -> Span:
    """Return the span of a piece of this task's work, for a `with`."""
    return NO_SPAN if _recorder is None else _recorder.span(name, attributes)


def call(name: str, /, **attributes: Value) -> Span:
    """Return the span of work that another process does. Send it `headers()`, read inside the block."""
    return NO_SPAN if _recorder is None else _recorder.call(name, attributes)


def shared(name: str, spans: Sequence[Span], /, **attributes: Value) -> Span:
    """Return the span of work that several spans wait for: a child of the first recorded one, linked to the others."""
    return NO_SPAN if _recorder is None else _recorder.shared(name, spans, attributes)


def headers() -> Mapping[str, str]:
    """Return W3C's `traceparent` and `tracestate` of this task's span."""
    return NO_HEADERS if _recorder is None else _recorder.headers()


def traced(app: ASGIApp, besides: Collection[str]) -> ASGIApp:
    """Return the application with a span for each request, except for the paths `besides`."""
    return app if _recorder is None else _recorder.traced(app, besides)


def mark(record: logging.LogRecord) -> bool:
    """Give a log line the `trace_id` and `span_id` of the task that writes it, as a log handler's filter."""
    if _recorder is not None and (ids := _recorder.ids()) is not None:
        record.trace_id, record.span_id = ids
    return True
