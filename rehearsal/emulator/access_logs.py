"""Access logs of buckets: who may receive them.

Corrects in moto 5.2.5: the target's policy is read with a principal, an action and a resource of one form only, any
other is an internal error or no permission; and every request to a logging bucket stores an object in the target,
which multiplies the requests of a rehearsal and fills buckets that are about to be deleted. Deliveries are left out:
S3 promises none at any time.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from moto.s3.models import FakeBucket, S3Backend

DELIVERY = "logging.s3.amazonaws.com"


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _admits(statement: dict[str, Any], target: str, prefix: str) -> bool:
    """Whether a statement of the target's policy lets the service write below the prefix."""
    principal = statement.get("Principal")
    services = _listed(principal.get("Service")) if isinstance(principal, dict) else []
    written = f"arn:aws:s3:::{target}/{prefix}2026-01-01-00-00-00-0123456789ABCDEF"
    return (
        statement.get("Effect") == "Allow"
        and DELIVERY in services
        and any(fnmatchcase("s3:PutObject", action) for action in _listed(statement.get("Action")))
        and any(fnmatchcase(written, resource) for resource in _listed(statement.get("Resource")))
    )


def _permitted(target_bucket: Any, target_prefix: str | None) -> bool:
    if not target_bucket.policy:
        return False
    statements = json.loads(target_bucket.policy.decode())["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return any(_admits(statement, target_bucket.name, target_prefix or "") for statement in listed)


def install() -> None:
    """Put the corrections on moto's classes."""
    FakeBucket._log_permissions_enabled_policy = staticmethod(_permitted)
    S3Backend.log_incoming_request = lambda self, request, bucket_name: None
