"""Spans that the code under test makes, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from service.tracing import spans
from service.tracing.sdk import SdkRecorder


class Spans:
    """The spans recorded so far, in the order in which they ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def named(self, name: str) -> list[ReadableSpan]:
        """Return all spans of this name, in the order in which they began."""
        found = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of this name."""
        (found,) = self.named(name)
        return found

    @property
    def names(self) -> list[str]:
        """Return the names of all spans."""
        return [span.name for span in self.exporter.get_finished_spans()]


@contextmanager
def recorded(sampler: Sampler = ALWAYS_ON) -> Iterator[Spans]:
    """Record while the block runs, as a process configured to trace does."""
    found = Spans()
    provider = TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found.exporter))
    with mock.patch.object(spans, "_recorder", SdkRecorder(provider)):
        yield found


def ours(span: ReadableSpan) -> dict[str, object]:
    """Return the service's own attributes, without their prefix."""
    return {
        key.removeprefix("vectorfleet."): value for key, value in said(span).items() if key.startswith("vectorfleet.")
    }


def said(span: ReadableSpan) -> Mapping[str, object]:
    """Return all attributes."""
    return span.attributes or {}


def parent(span: ReadableSpan) -> int | None:
    """Return the id of the span above."""
    return None if span.parent is None else span.parent.span_id


def ids(span: ReadableSpan) -> tuple[int, int]:
    """Return the ids of trace and span."""
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id
