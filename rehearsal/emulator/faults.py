"""Faults of S3 on request, at a place that a drill names.

A rule applies to the next `count` matching requests. Rules are tried in their order.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from werkzeug.wrappers import Response

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
_ANSWERS = {
    "conflict": (
        "409 Conflict",
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    "unavailable": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
}
FAULTS = ("conflict", "lost_reply", "delay", "unavailable")


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """A fault rule; None for method or bucket means any."""

    fault: str
    method: str | None = None
    bucket: str | None = None
    key_prefix: str = ""
    count: int = 1
    seconds: float = 0.2

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r} is unknown; choose one of {', '.join(FAULTS)}.")
        if self.count < 1 or not 0 <= self.seconds <= 60:
            raise ValueError("count must be at least 1 and seconds between 0 and 60.")


class _Rules(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[Rule]


class Faults:
    """The active rules."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def replace(self, body: bytes) -> int:
        """Make {"rules": […]} the active set, and return their number. Raises ValueError."""
        rules = msgspec.json.decode(body, type=_Rules).rules
        with self._lock:
            self._rules = rules
        return len(rules)

    def remaining(self) -> list[dict[str, Any]]:
        """Return the rules that still apply to requests."""
        with self._lock:
            return [msgspec.to_builtins(rule) for rule in self._rules]

    def take(self, method: str, bucket: str, key: str) -> Rule | None:
        """Return the rule that applies to a request, and lower its count."""
        with self._lock:
            for rule in self._rules:
                if rule.method in (None, method) and rule.bucket in (None, bucket) and key.startswith(rule.key_prefix):
                    rule.count -= 1
                    self._rules = [other for other in self._rules if other.count > 0]
                    return rule
        return None


def _object_of(environ: dict[str, Any]) -> tuple[str, str] | None:
    """Return (bucket, key) of an S3 request in path style; None for a request to another service."""
    if "/s3/aws4_request" not in environ.get("HTTP_AUTHORIZATION", "") + environ.get("QUERY_STRING", ""):
        return None
    bucket, _, key = unquote(environ["REQUEST_URI"].partition("?")[0]).lstrip("/").partition("/")
    return bucket, key


def with_faults(inner: Wsgi, faults: Faults) -> Wsgi:

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        place = _object_of(environ) if faults._rules else None
        rule = faults.take(environ["REQUEST_METHOD"], *place) if place else None
        return inner(environ, start_response) if rule is None else _fail(rule, inner, environ, start_response)

    return application


def _fail(rule: Rule, inner: Wsgi, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if rule.fault == "delay":
        time.sleep(rule.seconds)
        return inner(environ, start_response)
    if rule.fault == "lost_reply":
        answer = inner(environ, lambda *_: lambda _data: None)
        b"".join(answer)
        # Without this the server and the client would wait on the kept-alive connection.
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError("the reply to this request is lost on purpose")
    status, code, message = _ANSWERS[rule.fault]
    body = _XML.format(code=code, message=message)
    return Response(body, status, content_type="application/xml")(environ, start_response)
