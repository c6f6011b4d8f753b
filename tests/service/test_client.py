"""The client returns answers, raises the service's problems, and says whether an unanswered request was sent."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from service.client import Client, ServiceError, Unanswered


class Replying(BaseHTTPRequestHandler):
    """A handler that remembers requests and gives the test's reply."""

    protocol_version = "HTTP/1.1"

    seen: list[tuple[str, Any]]
    peers: list[Any]
    slots: list[Any]
    status: int
    reply: bytes
    endpoint: str

    def do_GET(self) -> None:
        """Reply."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        type(self).peers.append(self.client_address)
        type(self).slots.append(self.headers.get("X-Vectorfleet-Slot"))
        type(self).seen.append((self.path, json.loads(body or b"null")))
        if self.status == 0:
            self.close_connection = True
            return
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.reply)))
        self.end_headers()
        self.wfile.write(self.reply)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  # as the server calls them

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""


@pytest.fixture
def server() -> Iterator[type[Replying]]:
    """A handler class whose `endpoint` is served."""

    class handler(Replying):  # noqa: N801
        seen, peers, slots, status, reply = [], [], [], 200, b"{}"

    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.endpoint = f"http://127.0.0.1:{http.server_port}/"
    yield handler
    http.shutdown()
    thread.join()
    http.server_close()


def _client(server: Any) -> Client:
    return Client(server.endpoint, timeout_seconds=5)


def test_each_request_of_a_client_names_its_slot(server: Any) -> None:
    for slot in ("green", ""):
        client = Client(server.endpoint, slot=slot)
        client.status()
        client.search(text="keys")
        client.write([])
    assert server.slots == ["green"] * 3 + [None] * 3


def test_documents_get_a_request_id_each_and_keep_their_own(server: Any) -> None:
    server.reply = b'{"position": 3}'
    documents = [{"source_id": "a", "text": "x"}, {"source_id": "b", "text": "y", "request_id": "mine"}]
    assert _client(server).write(documents) == {"position": 3}
    ((path, body),) = server.seen
    assert path == "/v1/documents"
    assert [bool(one["request_id"]) for one in body["documents"]] == [True, True]
    assert body["documents"][1]["request_id"] == "mine"
    assert "request_id" not in documents[0]


@pytest.mark.parametrize("vector", [[0.5, 0.25], (0.5, 0.25), np.array([0.5, 0.25], np.float32)])
def test_a_vector_of_any_kind_is_sent_as_base64_of_float32(server: Any, vector: Any) -> None:
    _client(server).search(vector=vector, k=3, exact=True, min_position=9)
    ((path, body),) = server.seen
    sent = base64.b64encode(np.asarray([0.5, 0.25], "<f4").tobytes()).decode()
    assert (path, body) == ("/v1/search", {"vector": sent, "k": 3, "exact": True, "min_position": 9})


def test_a_refusal_carries_the_service_s_words(server: Any) -> None:
    server.status = 503
    server.reply = b'{"title": "Service Unavailable", "status": 503, "detail": "no reply", "outcome": "unknown"}'
    with pytest.raises(ServiceError, match="503 Service Unavailable: no reply") as refused:
        _client(server).delete("a")
    assert (refused.value.status, refused.value.outcome) == (503, "unknown")


@pytest.mark.parametrize("reply", [b"<html>bad gateway</html>", b"[]", b"\xff"])
def test_an_answer_that_is_no_problem_is_still_an_error(server: Any, reply: bytes) -> None:
    server.status, server.reply = 502, reply
    with pytest.raises(ServiceError) as refused:
        _client(server).lookup(["a"])
    assert (refused.value.status, refused.value.outcome) == (502, None)


def test_no_reply_is_unanswered_and_nothing_is_sent_twice(server: Any) -> None:
    server.status = 0
    with pytest.raises(Unanswered, match=r"POST http.*/v1/documents") as lost:
        _client(server).delete("a")
    assert len(server.seen) == 1
    assert (lost.value.sent, lost.value.not_written) == (True, False)


def test_a_late_reply_may_have_been_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.1)
        with pytest.raises(Unanswered) as late:
            client.status()
    assert late.value.sent


# The second address takes no connection and refuses none.
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://192.0.2.1:9", "http://name.invalid"])
def test_a_request_without_a_connection_is_not_sent(endpoint: str) -> None:
    client = Client(endpoint, timeout_seconds=5, connect_timeout_seconds=0.1)
    with pytest.raises(Unanswered) as unsent:
        client.delete("a")
    assert (unsent.value.sent, unsent.value.not_written) == (False, True)


@pytest.mark.parametrize(
    ("status", "outcome", "not_written"),
    [(422, None, True), (429, None, True), (408, None, False), (503, "not_written", True), (503, "unknown", False)],
)
def test_a_refusal_proves_that_nothing_is_written(status: int, outcome: str | None, not_written: bool) -> None:
    assert ServiceError(status, "", "", outcome).not_written is not_written


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 3)])
def test_each_request_may_have_its_own_connection(server: Any, keep_alive: bool, connections: int) -> None:
    client = Client(server.endpoint, keep_alive=keep_alive)
    for _ in range(3):
        client.status()
    assert len(set(server.peers)) == connections


ANY_NAMES = [".", "..", "...", "a/b", "a/../b", "../..", "%2F", "%2e", "a?b#c", "ä ö", "a\nb", "", "lookup", "a+b;c=d"]


@pytest.mark.parametrize("name", ANY_NAMES)
def test_any_name_travels_as_one_segment_of_the_path(server: Any, name: str) -> None:
    client = _client(server)
    client.document(name)
    client.collection(name)
    client.create_collection(name)
    client.drop_collection(name)
    heads = ["/v1/documents/", *["/v1/collections/"] * 3]
    for (path, _), head in zip(server.seen, heads, strict=True):
        plain = path.partition("?")[0]
        assert plain.startswith(head)
        segment = plain.removeprefix(head)
        assert "/" not in segment
        assert unquote(segment, errors="strict") == name
