"""Settings of buckets: lifecycle, logging and replication documents, Object Lock, versioning."""

from __future__ import annotations

import json
import uuid
from fnmatch import fnmatchcase
from typing import Any
from xml.etree import ElementTree

from moto.s3.exceptions import InvalidBucketState
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

from rehearsal.emulator.corrections import Method, corrects, replaces

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
LOG_DELIVERY = "logging.s3.amazonaws.com"
# The query parameters of settings that moto stores in part.
_DOCUMENTS = ("lifecycle", "logging", "replication")


def _with_rule_ids(body: bytes) -> bytes:
    """Return the document with an ID in every rule; S3 makes one for each rule that lacks it."""
    root = ElementTree.fromstring(body)
    for rule in root.iter(f"{{{NAMESPACE}}}Rule"):
        if rule.find(f"{{{NAMESPACE}}}ID") is None:
            ElementTree.SubElement(rule, f"{{{NAMESPACE}}}ID").text = uuid.uuid4().hex
    return ElementTree.tostring(root, default_namespace=NAMESPACE)


@corrects(S3Response, "_bucket_response_put")
def _bucket_response_put(plain: Method, self: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
    """
    Keep the document of a setting as it was put.

    moto drops NewerNoncurrentVersions and the filter by size of a lifecycle rule. Of a replication rule it drops the
    filter, the choice of encrypted objects and the treatment of delete markers; of a logging status the key format.
    """
    setting = next((name for name in _DOCUMENTS if name in querystring), None)
    if setting is None or not self.body:
        return plain(self, request, bucket_name, querystring)
    self.body = _with_rule_ids(self.body)
    answer = plain(self, request, bucket_name, querystring)
    bucket = self.backend.get_bucket(bucket_name)
    bucket.__dict__.setdefault("documents", {})[setting] = self.body
    return answer


@corrects(S3Response, "get_bucket_lifecycle")
def _get_bucket_lifecycle(plain: Method, self: Any) -> Any:
    return _document(self, "lifecycle", plain(self))


@corrects(S3Response, "get_bucket_logging")
def _get_bucket_logging(plain: Method, self: Any) -> Any:
    return _document(self, "logging", plain(self))


@corrects(S3Response, "get_bucket_replication")
def _get_bucket_replication(plain: Method, self: Any) -> Any:
    return _document(self, "replication", plain(self))


def _document(response: Any, setting: str, answer: tuple[int, Any, Any]) -> tuple[int, Any, Any]:
    """Return the answer of moto, which refuses a missing setting, with the document as it was put."""
    # Some of a setting is in the headers.
    status, headers, body = answer
    documents = response.backend.get_bucket(response.bucket_name).__dict__.get("documents", {})
    return status, headers, documents.get(setting, body)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _admits(statement: dict[str, Any], target: str, prefix: str) -> bool:
    """Return whether a statement of the target's policy lets the logging service write below the prefix."""
    principal = statement.get("Principal")
    services = _listed(principal.get("Service")) if isinstance(principal, dict) else []
    written = f"arn:aws:s3:::{target}/{prefix}2026-01-01-00-00-00-0123456789ABCDEF"
    return (
        statement.get("Effect") == "Allow"
        and LOG_DELIVERY in services
        and any(fnmatchcase("s3:PutObject", action) for action in _listed(statement.get("Action")))
        and any(fnmatchcase(written, resource) for resource in _listed(statement.get("Resource")))
    )


@replaces(FakeBucket, "_log_permissions_enabled_policy")
def _log_permissions_enabled_policy(target_bucket: Any, target_prefix: str | None) -> bool:
    """Read any form of principal, action and resource in the policy of the log bucket; moto reads one form."""
    if not target_bucket.policy:
        return False
    statements = json.loads(target_bucket.policy.decode())["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return any(_admits(statement, target_bucket.name, target_prefix or "") for statement in listed)


@replaces(S3Backend, "log_incoming_request")
def _log_incoming_request(self: Any, request: Any, bucket_name: str) -> None:
    """
    Deliver no access logs: S3 promises none at any time.

    moto stores an object in the target for every request. These objects multiply the requests of a rehearsal, and fill
    buckets that are about to be deleted.
    """


@replaces(S3Backend, "put_object_lock_configuration")
def _put_object_lock_configuration(
    self: Any, bucket_name: str, lock_enabled: bool, mode: str | None, days: int | None, years: int | None
) -> None:
    """Set the default retention of any bucket with versioning; moto requires that the bucket is empty."""
    bucket = self.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = mode, days, years


@corrects(S3Backend, "put_bucket_versioning")
def _put_bucket_versioning(plain: Method, self: Any, bucket_name: str, status: str) -> None:
    """Refuse to suspend the versioning of a locked or replicated bucket; in moto a deletion then ignores retention."""
    bucket = self.get_bucket(bucket_name)
    bound = "An Object Lock" if bucket.object_lock_enabled else None
    bound = "A replication" if bucket.__dict__.get("replication") else bound
    if bound and status != "Enabled":
        raise InvalidBucketState(
            f"{bound} configuration is present on this bucket, so the versioning state cannot be changed."
        )
    plain(self, bucket_name, status)
