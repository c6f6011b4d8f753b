"""The outcomes that replies prove."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runbooks.observe.exchange import Exchange

DOCUMENT = {"source_id": "a", "title": "t", "text": "x"}


class Canned(ThreadingHTTPServer):
    """A server with one prepared reply; without a status it closes the connection."""

    status: int | None = 200
    body: Any = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Canned

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status is None:
            self.close_connection = True
            return
        content = json.dumps(self.server.body).encode() if self.server.body is not None else b"<html>"
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Canned]:
    canned = Canned(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=canned.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield canned
    canned.shutdown()
    canned.server_close()
    thread.join()


STORED = {"position": 7, "results": [{"source_id": "a", "item": 2}]}
WRITES = [
    (200, STORED, "acknowledged"),
    (200, {}, "unknown"),
    (200, {"position": 7, "results": []}, "unknown"),
    (200, None, "unknown"),
    (503, {"outcome": "not_written"}, "failed"),
    (503, {"outcome": "unknown"}, "unknown"),
    (503, None, "unknown"),
    (502, None, "unknown"),
    (504, None, "unknown"),
    (500, {}, "unknown"),
    (413, {}, "failed"),
    (422, {}, "failed"),
    (429, {}, "failed"),
    (408, {}, "unknown"),
    (None, None, "unknown"),
]


@pytest.mark.parametrize(("status", "body", "outcome"), WRITES)
def test_a_write_failed_only_when_that_is_proven(server: Canned, status: int | None, body: Any, outcome: str) -> None:
    server.status, server.body = status, body
    assert Exchange(server.endpoint, 2.0).write(DOCUMENT).outcome == outcome


def test_an_acknowledgement_has_position_and_item(server: Canned) -> None:
    server.body = STORED
    written = Exchange(server.endpoint, 2.0).write(DOCUMENT)
    assert (written.position, written.item) == (7, 2)


def test_a_write_that_found_no_connection_is_not_stored() -> None:
    written = Exchange("http://127.0.0.1:9", 2.0).write(DOCUMENT)
    assert (written.outcome, written.status) == ("failed", 0)


HIT = {"source_id": "a", "title": "t", "text": "x", "score": 1.0}
WHOLE = {"hits": [HIT], "shards_total": 2, "shards_answered": 2, "partial": False, "position": 1}
SEARCHES = [
    (200, WHOLE, "right"),
    (200, WHOLE | {"hits": [HIT | {"source_id": "b"}, HIT]}, "wrong"),
    (200, WHOLE | {"hits": []}, "wrong"),
    (200, WHOLE | {"partial": True}, "partial"),
    (200, WHOLE | {"shards_answered": 1}, "partial"),
    (200, {"hits": [HIT]}, "partial"),
    (503, {}, "failed"),
    (None, None, "failed"),
]


@pytest.mark.parametrize(("status", "body", "outcome"), SEARCHES)
def test_a_search_is_right_when_complete_and_first(server: Canned, status: int | None, body: Any, outcome: str) -> None:
    server.status, server.body = status, body
    assert Exchange(server.endpoint, 2.0).search("x", "a").outcome == outcome
