from __future__ import annotations

import json
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pytest

from loadtests.arrivals import Arrival, Due
from loadtests.asking import Answer, Asker, read_answer
from loadtests.queries import Query, QuerySet

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
    """What a Locust session gives back, as far as the asker looks at it."""

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
    """Answers every POST with the reply it was made with, after ``seconds``; raises when that is negative."""

    def __init__(self, reply: Reply, seconds: float = 0.0) -> None:
        self._reply, self._seconds = reply, seconds

    def post(self, path: str, **request: Any) -> Reply:
        if self._seconds < 0:
            raise KeyboardInterrupt
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
    assert (record.number, record.outcome, record.recall, record.partial) == (7, "answered", 0.5, True)


def test_answer_after_the_timeout_is_a_timeout() -> None:
    reply = Reply()
    assert asked(Session(reply, seconds=0.02), 0.0, timeout_seconds=0.01).outcome == "timeout"
    assert reply.failures == ["no answer in time"]


def test_search_that_is_cut_off_leaves_its_record() -> None:
    assert asked(Session(Reply(), seconds=-1), 0.0) == Arrival(7, 0.0, 0, "timeout", reason="no answer in time")
