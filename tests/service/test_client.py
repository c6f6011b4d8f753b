"""The client returns answers, raises what the service says, and never hides that no reply came."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from service.client import Client, ServiceError, Unanswered


class Replying(BaseHTTPRequestHandler):
    """Remembers requests; replies what the test asked for."""

    seen: list[tuple[str, Any]]
    status: int
    reply: bytes
    endpoint: str

    def do_GET(self) -> None:
        """Reply."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
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
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[type[Replying]]:
    """A handler class whose `endpoint` is served."""

    class handler(Replying):  # noqa: N801
        seen, status, reply = [], 200, b"{}"

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
    with pytest.raises(Unanswered, match=r"POST http.*/v1/documents"):
        _client(server).delete("a")
    assert len(server.seen) == 1


def test_nobody_listening_is_unanswered() -> None:
    with pytest.raises(Unanswered):
        Client("http://127.0.0.1:1", timeout_seconds=1).status()


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
