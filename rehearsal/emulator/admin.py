"""The admin API of the emulator, under /_vectorfleet/ on the same port as the AWS API.

GET health · POST target-health · POST metrics · GET/POST/DELETE s3-faults. Bodies and answers are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from rehearsal.emulator import health, published
from rehearsal.emulator.faults import Faults, Wsgi

PREFIX = "/_vectorfleet/"
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found"}


class Admin:
    """Dispatches one admin request to its verb."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._verbs: dict[tuple[str, str], Callable[[bytes], object]] = {
            ("GET", "health"): lambda _: {"status": "ok"},
            ("POST", "target-health"): self._publish,
            ("POST", "metrics"): self._measure,
            ("GET", "s3-faults"): lambda _: {"rules": faults.remaining()},
            ("POST", "s3-faults"): lambda body: {"rules": faults.replace(body)},
            ("DELETE", "s3-faults"): lambda _: {"rules": faults.replace(b'{"rules":[]}')},
        }

    @staticmethod
    def _publish(body: bytes) -> object:
        entries = json.loads(body)["targets"]
        health.publish(entries)
        return {"targets": len(entries)}

    @staticmethod
    def _measure(body: bytes) -> object:
        """What a part of the emulated AWS measured: nobody else may put into AWS's own namespaces."""
        given = json.loads(body)
        published.put(given["namespace"], given["data"])
        return {"data": len(given["data"])}

    def answer(self, method: str, name: str, body: bytes) -> tuple[int, object]:
        """Status and JSON value for one request."""
        verb = self._verbs.get((method, name))
        if verb is None:
            known = ", ".join(f"{m} {PREFIX}{n}" for m, n in self._verbs)
            return 404, {"error": f"{method} {PREFIX}{name} is unknown; there is {known}."}
        try:
            return 200, verb(body)
        except (ValueError, KeyError, TypeError) as problem:
            return 400, {"error": f"{method} {PREFIX}{name}: {problem}"}


def with_admin(inner: Wsgi, faults: Faults) -> Wsgi:
    """The application with the admin API in front of it."""
    admin = Admin(faults)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return inner(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, value = admin.answer(environ["REQUEST_METHOD"], path[len(PREFIX) :].strip("/"), body)
        reply = json.dumps(value).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(reply)))]
        start_response(f"{status} {_REASONS[status]}", headers)
        return [reply]

    return application
