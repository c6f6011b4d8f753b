"""Repeated answers to those who poll: compute, the balancer, and service discovery.

moto takes several milliseconds to describe one instance, and every process of a fleet asks about all of them
again and again. A description is answered from the last one as long as nothing that could change it happened:
no request that is not itself a description, and no step of the emulator's own.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from rehearsal.emulator.faults import Wsgi

_REPEATABLE = re.compile(
    rb"(?:^|&)Action=(DescribeInstances|DescribeTargetHealth|DescribeTargetGroups|DescribeListeners"
    rb"|DescribeLoadBalancerAttributes)(?:&|$)"
)
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_SERVICE = re.compile(r"/(ec2|autoscaling|elasticloadbalancing|iam)/aws4_request")
_KEPT = 256
Answer = tuple[str, list[tuple[str, str]], bytes]


class _Generation:
    """Counts changes of what descriptions show."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def advance(self) -> None:
        with self._lock:
            self.number += 1


_generation = _Generation()


def changed() -> None:
    """Something that descriptions show has changed outside of a request."""
    _generation.advance()


def _read_body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _ask(inner: Wsgi, environ: dict[str, Any]) -> Answer:
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
        head[:] = [status, headers]
        return lambda _data: None

    parts = inner(environ, start_response)
    body = b"".join(parts)
    return head[0], head[1], body


class _Answers:
    """The last answers, each with the generation that it describes."""

    def __init__(self, inner: Wsgi) -> None:
        self._inner = inner
        self._kept: dict[tuple[str, bytes], tuple[int, Answer]] = {}

    def describe(self, environ: dict[str, Any], body: bytes) -> Answer:
        key = environ.get("HTTP_AUTHORIZATION", "").partition(",")[0], body
        generation = _generation.number
        found = self._kept.get(key)
        if found and found[0] == generation:
            return found[1]
        answer = _ask(self._inner, environ)
        if answer[0].startswith("200"):
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = generation, answer
        return answer

    def change(self, environ: dict[str, Any]) -> Answer:
        # Before and after: an answer built halfway through the change must not be kept either.
        changed()
        try:
            return _ask(self._inner, environ)
        finally:
            changed()


def _describes(body: bytes) -> bool:
    action = _ACTION.search(body)
    return bool(action and action[1].startswith((b"Describe", b"Get", b"List")))


def with_answers(inner: Wsgi) -> Wsgi:
    """The application with kept answers in front of it."""
    answers = _Answers(inner)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _SERVICE.search(environ.get("HTTP_AUTHORIZATION", "")):
            return inner(environ, start_response)
        body = _read_body(environ)
        if _REPEATABLE.search(body):
            answer = answers.describe(environ, body)
        elif _describes(body):
            return inner(environ, start_response)
        else:
            answer = answers.change(environ)
        start_response(answer[0], answer[1])
        return [answer[2]]

    return application
