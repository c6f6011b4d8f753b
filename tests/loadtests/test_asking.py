from __future__ import annotations

import json

import pytest

from loadtests.asking import Answer, read_answer

HITS = json.dumps({"hits": [{"source_id": "aws/a"}, {"source_id": "aws/b"}], "partial": True}).encode()


def test_proper_answer() -> None:
    assert read_answer(200, HITS, None) == Answer("answered", ("aws/a", "aws/b"), True)
    assert read_answer(200, b'{"hits": []}', None) == Answer("answered")


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"[]", b"{}", b'{"hits": [{}]}', b'{"hits": null}', b"\xff"])
def test_anything_else_with_200_is_a_failure(body: bytes | None) -> None:
    assert read_answer(200, body, None).outcome == "failed"


def test_status_and_lost_connection_are_failures() -> None:
    assert read_answer(503, b"", None) == Answer("failed", problem="status 503")
    assert read_answer(0, None, ConnectionRefusedError()).problem == "no answer: ConnectionRefusedError"


def test_timeout_is_told_apart() -> None:
    assert read_answer(0, None, TimeoutError()).outcome == "timeout"
