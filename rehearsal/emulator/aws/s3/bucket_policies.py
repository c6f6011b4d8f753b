"""Bucket policies whose conditions are evaluated against the request.

Loopback counts as TLS of the newest version, and the conditional headers are those of the request. A Deny statement
with any other condition is left to moto; an Allow statement with one grants nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from rehearsal.emulator.corrections import Method, corrects, replaces

_request = threading.local()


def _facts() -> dict[str, str | None]:
    """Return the values of the present request for condition keys; None where it has none."""
    headers = getattr(_request, "headers", {})
    return {
        "aws:securetransport": "true",
        "s3:tlsversion": "1.3",
        "s3:if-none-match": headers.get("If-None-Match"),
        "s3:if-match": headers.get("If-Match"),
        # A put and the completion of a multipart upload create an object; no other request that moto checks does.
        "s3:objectcreationoperation": "true",
    }


_TESTS: dict[str, Callable[[str | None, str], bool]] = {
    "null": lambda found, wanted: (found is None) == (wanted == "true"),
    "bool": lambda found, wanted: (found or "").lower() == wanted.lower(),
    "numericlessthan": lambda found, wanted: found is not None and float(found) < float(wanted),
}


def _applies(condition: dict[str, dict[str, Any]]) -> bool | None:
    """Return whether every test of a condition holds; None where one of them is unknown here."""
    facts, known = _facts(), True
    for operator, tests in condition.items():
        for key, wanted in tests.items():
            if operator.lower() not in _TESTS or key.lower() not in facts:
                return None
            known = known and _TESTS[operator.lower()](facts[key.lower()], str(wanted))
    return known


def _undecided(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements that moto has to evaluate, without the conditions that are decided."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    kept = []
    for statement in statements:
        applies = _applies(statement.get("Condition") or {})
        if applies:
            kept.append({key: value for key, value in statement.items() if key != "Condition"})
        elif applies is None and statement.get("Effect") == "Deny":
            kept.append(statement)
    return kept


@replaces(FakeBucket, "get_permission")
def _get_permission(self: Any, action: str, resource: str) -> Any:
    """Evaluate conditions; moto denies everybody by a statement whose condition it can't evaluate, even by an Allow."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy.decode())
    return IAMPolicy(json.dumps({**policy, "Statement": _undecided(policy)})).is_action_permitted(action, resource)


@corrects(S3Response, "_key_response")
def _key_response(plain: Method, self: Any, request: Any, full_url: str) -> Any:
    """Keep the request's headers at hand for conditions, which moto does not pass on."""
    _request.headers = request.headers
    try:
        return plain(self, request, full_url)
    finally:
        del _request.headers
