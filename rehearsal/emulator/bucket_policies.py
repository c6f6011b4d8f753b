"""Bucket policies whose conditions are judged by the request.

Corrects in moto 5.2.5: a policy statement whose condition can't be evaluated denies everybody, be it Allow or Deny,
so `Deny unless aws:SecureTransport` locks everyone out, and so does `Deny unless If-None-Match`. Here loopback counts
as TLS of the newest version, and the conditional headers are those that the request carries. A statement with any
other condition is left to moto, or grants nothing where it allows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

_request = threading.local()


def _facts() -> dict[str, str | None]:
    """What the request at hand says about the keys that conditions may name; None: it says nothing."""
    headers = getattr(_request, "headers", {})
    return {
        "aws:securetransport": "true",
        "s3:tlsversion": "1.3",
        "s3:if-none-match": headers.get("If-None-Match"),
        "s3:if-match": headers.get("If-Match"),
        # Completing a multipart upload creates an object, and so does a put; what else moto asks about does not.
        "s3:objectcreationoperation": "true",
    }


_TESTS: dict[str, Callable[[str | None, str], bool]] = {
    "null": lambda found, wanted: (found is None) == (wanted == "true"),
    "bool": lambda found, wanted: (found or "").lower() == wanted.lower(),
    "numericlessthan": lambda found, wanted: found is not None and float(found) < float(wanted),
}


def _applies(condition: dict[str, dict[str, Any]]) -> bool | None:
    """Whether every test of a condition holds; None where one of them is not known here."""
    facts, known = _facts(), True
    for operator, tests in condition.items():
        for key, wanted in tests.items():
            if operator.lower() not in _TESTS or key.lower() not in facts:
                return None
            known = known and _TESTS[operator.lower()](facts[key.lower()], str(wanted))
    return known


def _judged(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements that moto has to look at, without the conditions that are decided."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    kept = []
    for statement in statements:
        applies = _applies(statement.get("Condition") or {})
        if applies:
            kept.append({key: value for key, value in statement.items() if key != "Condition"})
        elif applies is None and statement.get("Effect") == "Deny":
            kept.append(statement)
    return kept


def _get_permission(self: Any, action: str, resource: str) -> Any:
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy.decode())
    return IAMPolicy(json.dumps({**policy, "Statement": _judged(policy)})).is_action_permitted(action, resource)


def _remembering(plain: Callable[..., Any]) -> Callable[..., Any]:
    def key_response(self: Any, request: Any, full_url: str) -> Any:
        _request.headers = request.headers
        try:
            return plain(self, request, full_url)
        finally:
            del _request.headers

    return key_response


def install() -> None:
    """Put the corrections on moto's classes."""
    FakeBucket.get_permission = _get_permission
    S3Response._key_response = _remembering(S3Response._key_response)
