"""A server with OpenAI's and Bedrock's embedding formats, which fails in the ways that such servers do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.service.small_space import DIMS, WordEmbedder

# The answer instead of vectors: status, headers, body. With status 0 the connection ends.
Failure = tuple[int, dict[str, str], bytes]


class ModelServer(ThreadingHTTPServer):
    """A server that embeds words; `fails` says how a request of these texts fails, None if it is answered."""

    daemon_threads = True

    def __init__(self, fails: Callable[[list[str]], Failure | None] = lambda _: None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fails = fails
        self.dims = DIMS
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self) -> list[list[str]]:
        """The texts of each request, without the one that a new embedder begins with."""
        return [texts_of(body) for body in self.requests[1:]]


def texts_of(body: dict[str, Any]) -> list[str]:
    found = body.get("input") or body.get("texts") or [body["inputText"]]
    return list(found)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = texts_of(body)
        with self.server.lock:
            self.server.requests.append(body | {"path": self.path})
            self.server.headers.append(dict(self.headers))
        failure = self.server.fails(texts)
        status, headers, content = failure or (200, {}, json.dumps(self._answer(body, texts)).encode())
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: dict[str, Any], texts: list[str]) -> dict[str, Any]:
        vectors = [row[: self.server.dims] for row in (3 * WordEmbedder().embed(texts)).tolist()]
        if "input" in body:
            # In no order: clients must use the index.
            return {"data": [{"index": i, "embedding": vectors[i]} for i in reversed(range(len(vectors)))]}
        return {"embeddings": {"float": vectors}} if "texts" in body else {"embedding": vectors[0]}

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving(server: ModelServer) -> Iterator[ModelServer]:
    """Serve while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
