"""A collector of traces, as small as can be: it takes OTLP over HTTP and remembers every span."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span, with what its sender says of itself."""

    trace: str
    id: str
    parent: str
    name: str
    attributes: dict[str, Any]
    sender: dict[str, Any]
    failed: bool


class Collector:
    """Listens while it is open; afterwards its port refuses."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def take(self, body: bytes) -> None:
        """One request of a sender."""
        self.raw += body
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            sender = _values(sent.resource.attributes)
            self.spans += [
                Received(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    _values(span.attributes),
                    sender,
                    span.status.code == 2,
                )
                for scope in sent.scope_spans
                for span in scope.spans
            ]

    def of(self, trace: str) -> list[Received]:
        """All spans of a trace so far."""
        return [span for span in self.spans if span.trace == trace]

    def close(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
