"""Descriptions for the processes that poll: compute, the balancer, and service discovery.

moto needs several milliseconds to describe one instance, and every process of a fleet describes all of them again and
again. An answer is repeated until something may have changed it: a request that is not a description, or a step of the
emulator itself. A description that a change breaks halfway is made again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.test import run_wsgi_app

from rehearsal.emulator.faults import Wsgi

_REPEATABLE = re.compile(
    rb"(?:^|&)Action=(DescribeInstances|DescribeTargetHealth|DescribeTargetGroups|DescribeListeners"
    rb"|DescribeRules|DescribeLoadBalancerAttributes)(?:&|$)"
)
_DESCRIPTION = re.compile(rb"(?:^|&)Action=(Describe|Get|List)")
_SERVICE = re.compile(r"/(ec2|autoscaling|elasticloadbalancing|iam)/aws4_request")
_MOST_ANSWERS = 256
ATTEMPTS = 5
Answer = tuple[str, list[tuple[str, str]], bytes]

# A new object stands for a new generation of what descriptions show; it needs no lock.
_generation = object()


def changed() -> None:
    """Begin a new generation: something that descriptions show has changed."""
    global _generation
    _generation = object()


def _answer(inner: Wsgi, environ: dict[str, Any]) -> Answer:
    parts, status, headers = run_wsgi_app(inner, environ, buffered=True)
    return status, list(headers), b"".join(parts)


def _described(inner: Wsgi, environ: dict[str, Any], body: bytes) -> Answer:
    """Answer a description. moto fails while another request changes what it lists; AWS does not."""
    for _ in range(ATTEMPTS):
        answer = _answer(inner, environ | {"wsgi.input": io.BytesIO(body)})
        if not answer[0].startswith("500"):
            break
    return answer


class DescriptionCache:
    """The last answers, each with the generation that it describes."""

    def __init__(self, inner: Wsgi) -> None:
        self._inner = inner
        self._answers: dict[tuple[str, bytes], tuple[object, Answer]] = {}

    def describe(self, environ: dict[str, Any], body: bytes) -> Answer:
        """Return the last answer if nothing has changed since, or a new one."""
        key = environ.get("HTTP_AUTHORIZATION", "").partition(",")[0], body
        generation, known = _generation, self._answers.get(key)
        if known and known[0] is generation:
            return known[1]
        answer = _described(self._inner, environ, body)
        if answer[0].startswith("200"):
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            self._answers[key] = generation, answer
        return answer

    def change(self, environ: dict[str, Any]) -> Answer:
        """Pass on a request that may change something."""
        # Before and after, so that no answer is kept that was made halfway through the change.
        changed()
        try:
            return _answer(self._inner, environ)
        finally:
            changed()


def with_description_cache(inner: Wsgi) -> Wsgi:
    cache = DescriptionCache(inner)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _SERVICE.search(environ.get("HTTP_AUTHORIZATION", "")):
            return inner(environ, start_response)
        body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if _REPEATABLE.search(body):
            status, headers, content = cache.describe(environ, body)
        elif _DESCRIPTION.search(body):
            status, headers, content = _described(inner, environ, body)
        else:
            status, headers, content = cache.change(environ | {"wsgi.input": io.BytesIO(body)})
        start_response(status, headers)
        return [content]

    return application
