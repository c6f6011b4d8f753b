from __future__ import annotations

import errno
import json
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pytest

from loadtests.generate.asking import Answer, Asker, read_answer
from loadtests.judge.failures import is_own
from loadtests.run.evidence import Arrival, Ranking, WriteBatch
from loadtests.run.queries import Query, QuerySet
from loadtests.run.schedule import Due

HITS = json.dumps({"hits": [{"source_id": "aws/a"}, {"source_id": "aws/b"}], "partial": True}).encode()


def test_proper_answer() -> None:
    assert read_answer(200, HITS, None) == Answer("answered", ("aws/a", "aws/b"), True)
    assert read_answer(200, b'{"hits": []}', None) == Answer("answered")


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"[]", b"{}", b'{"hits": [{}]}', b'{"hits": null}', b"\xff"])
def test_anything_else_with_200_is_a_failure(body: bytes | None) -> None:
    assert read_answer(200, body, None).outcome == "failed"


def test_status_and_lost_connection_are_failures() -> None:
    assert read_answer(503, b"", None) == Answer("failed", problem="status 503")
    assert read_answer(0, None, ConnectionRefusedError()).problem == "connection refused"


def test_timeout_is_told_apart() -> None:
    assert read_answer(0, None, TimeoutError()).outcome == "timeout"


class Reply:
    """The parts of a Locust session's reply that the asker reads."""

    status_code = 200
    content = HITS

    def __init__(self) -> None:
        self.request_meta: dict[str, Any] = {}
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def failure(self, problem: str) -> None:
        self.failures.append(problem)


class Session:
    """Answers every POST with the reply it was made with, after ``seconds``, or raises ``error``."""

    def __init__(self, reply: Reply, seconds: float = 0.0, error: BaseException | None = None) -> None:
        self._reply, self._seconds, self._error = reply, seconds, error

    def post(self, path: str, **request: Any) -> Reply:
        if self._error:
            raise self._error
        time.sleep(self._seconds)
        return self._reply


QUERIES = QuerySet((Query("q", ("aws/a", "aws/c")),), 2, "aws/")


def asked(session: Session, due_seconds_ago: float, timeout_seconds: float = 5.0) -> Arrival:
    kept: list[Arrival] = []
    asker = Asker(session, time.perf_counter() - due_seconds_ago, QUERIES, timeout_seconds, {})
    with suppress(KeyboardInterrupt):
        asker.search(Due(7, 0.0, 0.5), kept.append)
    (record,) = kept
    return record


def test_time_counts_from_the_intended_instant() -> None:
    """Also in the row that Locust shows."""
    reply = Reply()
    record = asked(Session(reply), due_seconds_ago=1.0)
    assert record.lag_ms is not None
    assert record.service_ms is not None
    assert record.response_ms is not None
    assert 1000 <= record.lag_ms <= record.response_ms
    assert record.service_ms < 500
    assert reply.request_meta["response_time"] == record.response_ms
    assert (record.number, record.outcome, record.partial) == (7, "answered", True)
    assert record.ranking == Ranking(2, (0,))


def test_answer_after_the_timeout_is_a_timeout() -> None:
    reply = Reply()
    assert asked(Session(reply, seconds=0.02), 0.0, timeout_seconds=0.01).outcome == "timeout"
    assert reply.failures == ["no answer in time"]


def test_search_that_is_cut_off_leaves_its_record() -> None:
    assert asked(Session(Reply(), error=KeyboardInterrupt()), 0.0) == Arrival(
        7, 0.0, 0, "timeout", reason="no answer in time"
    )


def test_error_of_the_generator_is_no_time_out() -> None:
    session = Session(Reply(), error=ValueError("no port"))
    assert asked(session, 0.0) == Arrival(7, 0.0, 0, "raised", reason="ValueError: no port")
    batch = Asker(session, time.perf_counter(), QUERIES, 5.0, {}).write(Due(2, 0.5, 0.0), [{}, {}], 4)
    assert batch == WriteBatch(4, 0.5, 2, 0, None, reason="ValueError: no port", raised=True)


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
        (ValueError("HTTP parse error"), False),
    ],
)
def test_sockets_that_the_generator_lacks_are_its_own_error(error: Exception, own: bool) -> None:
    assert is_own(error) == own
    assert read_answer(0, None, error).outcome == ("raised" if own else "failed")


def test_too_few_hits_are_marked() -> None:
    two, twice = HITS, HITS.replace(b"aws/b", b"aws/a")
    for truth, content, short in (("abc", two, True), ("ab", two, False), ("ab", twice, True)):
        reply, kept = Reply(), list[Arrival]()
        reply.content = content
        asker = Asker(Session(reply), time.perf_counter(), QuerySet((Query("q", tuple(truth)),), 3, "aws/"), 5.0, {})
        asker.search(Due(7, 0.0, 0.5), kept.append)
        assert (kept[0].outcome, kept[0].short) == ("answered", short)
        assert reply.failures == [f"fewer than {len(truth)} hits"] * short
