"""S3 whose conditional writes are atomic and whose TLS-only policies admit the loopback.

Corrects in moto 5.2.5: If-None-Match and If-Match are checked and the object stored without a lock, so two
writers can both win; deleting a version fails where versioning is suspended and the key has a delete marker, so no
bucket that was used can be emptied on the way to its deletion; a policy statement whose condition can't be
evaluated denies everybody, be it Allow or Deny, so the usual `Deny unless aws:SecureTransport` locks everyone out.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.s3.responses import S3Response

# Striped rather than one per key: bounded memory, and two keys on one stripe only wait for each other.
_STRIPES = [threading.RLock() for _ in range(1021)]


def lock_for(bucket: str, key: str) -> threading.RLock:
    """The lock that every change of one object holds."""
    return _STRIPES[hash((bucket, key)) % len(_STRIPES)]


def _locked(plain: Callable[..., Any]) -> Callable[..., Any]:
    def key_response(self: Any, request: Any, full_url: str) -> Any:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return plain(self, request, full_url)
        bucket = self.parse_bucket_name_from_url(request, full_url)
        with lock_for(bucket, self.parse_key_name()):
            return plain(self, request, full_url)

    return key_response


def _only_about_tls(statement: dict[str, Any]) -> bool:
    """Whether a statement denies nothing but requests without TLS."""
    condition = statement.get("Condition") or {}
    keys = {key.lower() for block in condition.values() for key in block}
    return statement.get("Effect") == "Deny" and keys == {"aws:securetransport"}


def _judged(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements moto can judge: loopback counts as secure, a conditional Allow grants nothing."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    return [
        statement
        for statement in statements
        if not _only_about_tls(statement) and not (statement.get("Effect") == "Allow" and statement.get("Condition"))
    ]


def _get_permission(self: Any, action: str, resource: str) -> Any:
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy.decode())
    return IAMPolicy(json.dumps({**policy, "Statement": _judged(policy)})).is_action_permitted(action, resource)


def install() -> None:
    """Put the corrections on moto's classes."""
    S3Response._key_response = _locked(S3Response._key_response)
    FakeBucket.get_permission = _get_permission
    # A delete marker holds no bytes, so there is nothing to let go of.
    FakeDeleteMarker.dispose = lambda self: None
