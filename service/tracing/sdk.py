"""Recorder over OpenTelemetry's SDK, which sends spans in batches from its own thread. Imported only on demand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.tracing.spans import NO_SPAN, Span, Value
from service.wire.problems import Problem, request_id

NAMESPACE = "vectorfleet"
W3C = TraceContextTextMapPropagator()
CONTEXT_HEADERS = (b"traceparent", b"tracestate")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "QUERY"})


class SdkSpan(Span):
    """A span of the SDK, the task's current span while its block runs."""

    __slots__ = ("_token", "span")

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self.span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if isinstance(error, asyncio.CancelledError):
            self.set(outcome="cancelled")
        elif error is not None:
            self._fail(error)
        self.span.end()

    def _fail(self, error: BaseException) -> None:
        """Record the error's type alone: its text may name a document or quote a question."""
        status = error.status if isinstance(error, Problem) else None
        self.set(outcome="failed", **{"error.type": type(error).__name__ if status is None else str(status)})
        # A caller's mistake is not a failure of the service.
        if status is None or status >= 500:
            self.span.set_status(StatusCode.ERROR)

    def set(self, **attributes: Value) -> None:
        """Set attributes; a name without a dot gets our namespace."""
        if self.span.is_recording():
            self.span.set_attributes(_named(attributes))


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {key if "." in key else f"{NAMESPACE}.{key}": value for key, value in attributes.items()}


class SdkRecorder:
    """Spans of one provider. No span is made in a trace that is not sampled."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(NAMESPACE)

    def span(self, name: str, attributes: Mapping[str, Value]) -> Span:
        return self._within(name, SpanKind.INTERNAL, attributes)

    def call(self, name: str, attributes: Mapping[str, Value]) -> Span:
        return self._within(name, SpanKind.CLIENT, attributes)

    def _within(self, name: str, kind: SpanKind, attributes: Mapping[str, Value]) -> Span:
        parent = trace.get_current_span().get_span_context()
        if parent.is_valid and not parent.trace_flags.sampled:
            return NO_SPAN
        return SdkSpan(self._tracer.start_span(name, kind=kind, attributes=_named(attributes)))

    def shared(self, name: str, spans: Sequence[Span], attributes: Mapping[str, Value]) -> Span:
        """Return a child of the first recorded span, linked both ways with the others."""
        waiting = [one.span for one in spans if isinstance(one, SdkSpan) and one.span.is_recording()]
        if not waiting:
            return NO_SPAN
        first, *others = waiting
        links = [Link(one.get_span_context()) for one in others]
        parent = trace.set_span_in_context(first)
        made = self._tracer.start_span(name, context=parent, attributes=_named(attributes), links=links)
        for one in others:
            one.add_link(made.get_span_context())
        return SdkSpan(made)

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier

    def ids(self) -> tuple[str, str] | None:
        current = trace.get_current_span().get_span_context()
        if not current.is_valid:
            return None
        return trace.format_trace_id(current.trace_id), trace.format_span_id(current.span_id)

    def traced(self, app: ASGIApp, besides: Collection[str]) -> ASGIApp:
        return TracedApplication(app, frozenset(besides), self)

    def request(self, scope: Scope) -> SdkSpan:
        """Return the span of a request, in the trace that its caller named or in a new one."""
        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CONTEXT_HEADERS}
        # An empty context: the task of a connection's second request may descend from the first one's.
        caller = W3C.extract(given, Context())
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope["http_version"],
            f"{NAMESPACE}.request_id": request_id.get(),
        }
        name = "HTTP" if method == "_OTHER" else method
        return SdkSpan(self._tracer.start_span(name, caller, SpanKind.SERVER, attributes))

    def shutdown(self) -> None:
        self._provider.shutdown()


class TracedApplication:
    """
    An application with a span for each request, by the semantic conventions for HTTP.

    The span has the route. It never has the path, which may name a document, nor headers and bodies.
    """

    def __init__(self, app: ASGIApp, besides: frozenset[str], recorder: SdkRecorder) -> None:
        self._app, self._besides, self._recorder = app, besides, recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._besides:
            await self._app(scope, receive, send)
            return
        with self._recorder.request(scope) as request:
            if not request.span.is_recording():
                await self._app(scope, receive, send)
                return

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(request, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, answer)
            finally:
                _routed(request, scope)


def _answered(request: SdkSpan, status: int) -> None:
    request.set(**{"http.response.status_code": status})
    if status >= 500:
        request.set(**{"error.type": str(status)})
        request.span.set_status(StatusCode.ERROR)


def _routed(request: SdkSpan, scope: Scope) -> None:
    """Name the span by its route, which is unknown if the request was refused by its head."""
    if (route := scope.get("route")) is not None:
        request.set(**{"http.route": route.path_format})
        request.span.update_name(f"{scope['method']} {route.path_format}")


def resource(place: Mapping[str, Value]) -> Resource:
    """Describe the process by its place in the fleet, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES."""
    attributes: dict[str, Value] = {
        "service.name": f"{NAMESPACE}-{place['role']}",
        "service.namespace": place["fleet"],
        "service.instance.id": place["instance"],
        "process.pid": os.getpid(),
        **{f"{NAMESPACE}.{name}": value for name, value in place.items() if name != "zone" or value},
    }
    if place["zone"]:
        attributes["cloud.availability_zone"] = place["zone"]
    return Resource.create(attributes).merge(OTELResourceDetector().detect())


def recorder(place: Mapping[str, Value]) -> SdkRecorder:
    """Return a recorder that sends to the collector of the environment and samples as the environment says."""
    # The spans left are sent at the end of serving, which has a time limit; an atexit handler would have none.
    provider = TracerProvider(resource=resource(place), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return SdkRecorder(provider)
