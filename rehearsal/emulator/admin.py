"""The admin API of the emulator, under /_vectorfleet/ on the port of the AWS API.

GET health · POST target-health · POST metrics · GET/POST/DELETE s3-faults. Bodies and answers are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from rehearsal.emulator.aws import elbv2
from rehearsal.emulator.aws.cloudwatch import published_metrics
from rehearsal.emulator.faults import Faults, Wsgi

PREFIX = "/_vectorfleet/"
Verbs = dict[tuple[str, str], Callable[[bytes], object]]


def _publish_target_health(body: bytes) -> object:
    entries = json.loads(body)["targets"]
    elbv2.publish(entries)
    return {"targets": len(entries)}


def _publish_metrics(body: bytes) -> object:
    """Publish a part's own metrics: PutMetricData refuses the namespaces of AWS."""
    given = json.loads(body)
    published_metrics.put(given["namespace"], given["data"])
    return {"data": len(given["data"])}


def _answer(verbs: Verbs, request: Request) -> tuple[int, object]:
    name = request.path[len(PREFIX) :].strip("/")
    verb = verbs.get((request.method, name))
    if verb is None:
        known = ", ".join(f"{method} {PREFIX}{known}" for method, known in verbs)
        return 404, {"error": f"{request.method} {PREFIX}{name} is unknown; there is {known}."}
    try:
        return 200, verb(request.get_data())
    except (ValueError, KeyError, TypeError) as problem:
        return 400, {"error": f"{request.method} {PREFIX}{name}: {problem}"}


def with_admin(inner: Wsgi, faults: Faults) -> Wsgi:
    verbs: Verbs = {
        ("GET", "health"): lambda _: {"status": "ok"},
        ("POST", "target-health"): _publish_target_health,
        ("POST", "metrics"): _publish_metrics,
        ("GET", "s3-faults"): lambda _: {"rules": faults.remaining()},
        ("POST", "s3-faults"): lambda body: {"rules": faults.replace(body)},
        ("DELETE", "s3-faults"): lambda _: {"rules": faults.replace(b'{"rules":[]}')},
    }

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return inner(environ, start_response)
        status, value = _answer(verbs, Request(environ))
        return Response(json.dumps(value), status, content_type="application/json")(environ, start_response)

    return application
