"""Every way in which a request can go unanswered, provoked on a real connection, has its outcome and its reason."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from loadtests.generate.asking import Asker
from loadtests.judge.failures import count_kinds, kind_of, summary
from loadtests.run.evidence import Arrival, WriteBatch
from loadtests.run.queries import load_queries
from loadtests.run.schedule import Due
from tests.real_locust import EventHook, FastHttpSession

Answer = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n"
LIMIT_SECONDS = 0.3
TLS_GREETING = b"\x16"


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that reads one request of each connection, gives this answer, and hangs up."""
    ended = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if ended.is_set():
                    return
                read_request(connection)
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        ended.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def read_request(connection: socket.socket) -> None:
    """Read it to its end: a connection that is closed with something unread is reset. A TLS greeting has none."""
    received = connection.recv(65_536)
    while b"\r\n\r\n" not in received and not received.startswith(TLS_GREETING):
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        missing -= len(connection.recv(missing))


@contextmanager
def refusing() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def not_accepting() -> Iterator[str]:
    """A listener whose queue is full, so that the next connection is never made."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            caller = open_sockets.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def not_tls() -> Iterator[str]:
    with answering(says(b"SSH-2.0-OpenSSH")) as endpoint:
        yield endpoint.replace("http", "https")


def says(sent: bytes) -> Answer:
    return lambda connection: connection.sendall(sent)


def says_nothing(sent: bytes = b"") -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(sent)
        # Until the caller hangs up.
        connection.recv(1)

    return answer


def resets(sent: bytes = b"") -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(sent)
        if sent:
            time.sleep(0.05)  # a reset that overtakes what was sent would hide it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def problem(status: bytes, body: bytes) -> Answer:
    # The connection ends behind the answer, and a caller that is not told might send the next request on it.
    return says(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


CASES: dict[str, tuple[Any, str, str]] = {
    "refused": (refusing, "failed", "connection refused"),
    "connecting": (not_accepting, "timeout", "no connection in time"),
    "not TLS": (not_tls, "failed", "TLS: WRONG_VERSION_NUMBER"),
    "silent": (says_nothing(), "timeout", "no answer in time"),
    "silent in the body": (says_nothing(HEAD + b"\r\n{"), "timeout", "no answer in time"),
    "reset": (resets(), "failed", "connection reset"),
    "reset in the body": (resets(HEAD + b"\r\n{"), "failed", "connection reset"),
    "closed": (says(b""), "failed", "connection closed before the answer"),
    "closed in the head": (says(b"HTTP/1.1 200 O"), "failed", "connection closed within the answer"),
    "closed in the body": (says(HEAD + b"\r\n{"), "failed", "connection closed within the answer"),
    "not HTTP": (says(b"SSH-2.0-OpenSSH\r\n\r\n"), "failed", "malformed answer"),
    "broken compression": (
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        "failed",
        "malformed answer: its compression is broken",
    ),
    "no search": (problem(b"200 OK", b"{}"), "failed", "not an answer to a search"),
    "status": (problem(b"502 Bad Gateway", b"<html>"), "failed", "status 502"),
    "status with detail": (
        problem(b"503 No", json.dumps({"detail": "behind 12 positions"}).encode()),
        "failed",
        "status 503: behind 12 positions",
    ),
    "redirected": (says(b"HTTP/1.1 307 No\r\nLocation: /x\r\n\r\n"), "failed", "redirected too often"),
}


@pytest.mark.parametrize("name", CASES)
def test_request_that_fails_has_its_outcome_and_reason(name: str) -> None:
    made, outcome, reason = CASES[name]
    server = made() if made in (refusing, not_accepting, not_tls) else answering(made)
    kept: list[Arrival] = []
    shown: list[str] = []
    events = EventHook()
    events.add_listener(lambda exception, **_: shown.append(str(exception)))
    with server as endpoint:
        limits = {"connection_timeout": LIMIT_SECONDS, "network_timeout": LIMIT_SECONDS, "max_redirects": 3}
        session = FastHttpSession(endpoint, events, None, concurrency=2, **limits)
        asker = Asker(session, time.perf_counter(), load_queries("", 10), 5.0, {})
        asker.search(Due(0, 0.0, 0.0), kept.append)
        written = asker.write(Due(0, 0.0, 0.0), [{"source_id": "a", "text": "a"}], 0)
        session.client.close()
    assert [(one.outcome, one.reason) for one in kept] == [(outcome, reason)]
    assert shown[0] == kind_of(reason)
    if name != "no search":
        assert (written.reason, written.acknowledged) == (reason, 0)
        assert written.status == (int(reason[7:10]) if reason.startswith("status") else 0)


def arrival(outcome: str, reason: str = "", status: int = 0, partial: bool = False) -> Arrival:
    return Arrival(0, 0.0, 0, outcome, status, reason=reason, partial=partial)  # type: ignore[arg-type]


def test_failures_are_counted_by_status_and_reason() -> None:
    arrivals = [
        *(arrival("failed", f"status 503: behind {count:,} positions", 503) for count in range(998, 1_003)),
        *(arrival("timeout", "no answer in time") for _ in range(3)),
        arrival("failed", status=429),  # as older versions recorded it
        arrival("answered", status=200),
        arrival("answered", status=200, partial=True),
    ]
    writes = [WriteBatch(0, 0.0, 5, 200, 0.1, 7), WriteBatch(5, 0.0, 5, 507, 0.1, None, "status 507: 91.5 % used")]
    kinds = count_kinds(arrivals, writes)
    assert kinds == (
        ("search: status 503: behind N positions", 5),
        ("search: no answer in time", 3),
        ("search: status 429", 1),
        ("search: a shard did not answer", 1),
        ("write: status 507: N % used", 1),
    )
    assert summary((*kinds, ("write: status 400", 2)))[:92] == (
        "5 × search: status 503: behind N positions; 3 × search: no answer in time; 2 × write: status"
    )
    assert summary((*kinds, ("write: status 400", 2))).endswith("; 1 × other kinds")
    assert summary([]) == ""


def test_request_never_made_is_an_error_of_the_generator() -> None:
    """As `//v1/search` is, which an endpoint with a last slash would make."""
    session, kept = FastHttpSession("http://127.0.0.1:9/", EventHook(), None), list[Arrival]()
    asker = Asker(session, time.perf_counter(), load_queries("", 10), 5.0, {})
    asker.search(Due(0, 0.0, 0.0), kept.append)
    written = asker.write(Due(0, 0.0, 0.0), [{"source_id": "a", "text": "a"}], 0)
    assert [one.outcome for one in kept] == ["raised"]
    assert kept[0].reason.startswith("ValueError: invalid request URI '//v1/search'")
    assert (written.status, written.raised) == (0, True)
