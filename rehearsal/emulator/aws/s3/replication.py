"""Replication between buckets; moto stores its configuration and copies nothing.

Each new object that a rule selects is copied with its metadata, tags and version id within moments, and older ones on
demand. One thread copies, so that versions keep their order. Rules with metrics publish them in S3's regions. Left
out: changes of tags, retention or ACLs after the object was stored, delete markers and deletions (S3 copies those only
on demand).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from rehearsal.emulator.account import ACCOUNT
from rehearsal.emulator.aws.s3.objects import lock_for
from rehearsal.emulator.corrections import Method, corrects

_COPIER = ThreadPoolExecutor(1, thread_name_prefix="replication")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """The parts of a rule that decide what is copied, where to, and how."""

    priority: int
    enabled: bool
    prefix: str
    tags: frozenset[tuple[str, str]]
    encrypted: bool
    bucket: str
    storage_class: str | None
    key: str | None
    id: str = ""
    measured: bool = False

    def selects(self, key: Any, tags: frozenset[tuple[str, str]]) -> bool:
        hidden = key.encryption == "aws:kms" and not self.encrypted
        return self.enabled and key.name.startswith(self.prefix) and self.tags <= tags and not hidden


def _rule(parsed: dict[str, Any]) -> Rule:
    selection = parsed.get("Filter") or {}
    both = selection.get("And") or selection
    tags = both.get("Tag") or []
    destination = parsed["Destination"]
    criteria = (parsed.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects") or {}
    return Rule(
        priority=int(parsed.get("Priority", 0)),
        enabled=parsed["Status"] == "Enabled",
        prefix=both.get("Prefix") or parsed.get("Prefix") or "",
        tags=frozenset((t["Key"], t.get("Value") or "") for t in (tags if isinstance(tags, list) else [tags])),
        encrypted=criteria.get("Status") == "Enabled",
        bucket=destination["Bucket"].rpartition(":")[2],
        storage_class=destination.get("StorageClass"),
        key=(destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID"),
        id=parsed.get("ID") or "",
        measured=(destination.get("Metrics") or {}).get("Status") == "Enabled",
    )


def _refusal(backend: Any, parsed: dict[str, Any]) -> str | None:
    """Return why S3 refuses a rule; None if it accepts it."""
    destination, rule = parsed["Destination"], _rule(parsed)
    target = backend.buckets.get(rule.bucket)
    if target is None:
        return "Destination bucket must exist."
    if not target.is_versioned:
        return "Destination bucket must have versioning enabled."
    if "Filter" in parsed and "DeleteMarkerReplication" not in parsed:
        return "DeleteMarkerReplication must be specified for this version of Cross Region Replication configuration."
    if rule.key and not rule.encrypted:
        return "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present."
    if "ReplicationTime" in destination and "Metrics" not in destination:
        return "Metrics must be enabled when ReplicationTime is."
    return None


@corrects(S3Backend, "put_bucket_replication")
def _put_bucket_replication(plain: Method, self: Any, bucket_name: str, replication: dict[str, Any]) -> None:
    """Refuse what S3 refuses, and publish the metrics of the rules."""
    rules = replication["Rule"] if isinstance(replication["Rule"], list) else [replication["Rule"]]
    refusal = next(filter(None, (_refusal(self, rule) for rule in rules)), None)
    if refusal:
        raise S3ClientError("InvalidRequest", refusal)
    plain(self, bucket_name, replication)
    _measure(self, bucket_name, [_rule(rule) for rule in rules])


@corrects(S3Backend, "delete_bucket_replication")
def _delete_bucket_replication(plain: Method, self: Any, bucket_name: str) -> None:
    """End the metrics with the rules."""
    plain(self, bucket_name)
    _measure(self, bucket_name, [])


def _tags(backend: Any, key: Any) -> dict[str, str]:
    tags: dict[str, str] = backend.tagger.get_tag_dict_for_resource(key.arn)
    return tags


def _selected(backend: Any, bucket: Any, key: Any) -> Iterator[Rule]:
    """Yield the rules that copy an object: for each destination the one with the highest priority."""
    configuration = bucket.__dict__.get("replication") or {"Rule": []}
    tags = frozenset(_tags(backend, key).items())
    fitting = [rule for rule in map(_rule, configuration["Rule"]) if rule.selects(key, tags)]
    yield from {rule.bucket: rule for rule in sorted(fitting, key=lambda rule: rule.priority)}.values()


def _copy(backend: Any, source: Any, rule: Rule) -> None:
    target = backend.get_bucket(rule.bucket)
    if not target.is_versioned:
        raise S3ClientError("InvalidRequest", "Destination bucket must have versioning enabled.")
    # The retention of the source wins over the default of the destination.
    mode, until = source.lock_mode, source.lock_until
    if mode is None and target.has_default_lock:
        mode, until = target.default_lock_mode, target.default_retention()
    copy = backend.put_object(
        rule.bucket,
        source.name,
        source.value,
        storage=rule.storage_class or source.storage_class,
        etag=source._etag,
        encryption="aws:kms" if rule.key else None,
        kms_key_id=rule.key,
        lock_mode=mode,
        lock_until=until,
    )
    copy._version_id = source.version_id
    copy.checksum_algorithm, copy.checksum_value = source.checksum_algorithm, source.checksum_value
    copy.set_metadata(source.metadata, replace=True)
    backend.put_object_tagging(copy, _tags(backend, source))
    copy.replication_status = "REPLICA"


# A metric's value and unit, by its name.
Values = dict[str, tuple[float, str]]


@dataclass
class Progress:
    """The pending objects of a rule with their times, and its attempts and failures since the last publication."""

    region: str
    destination: str
    pending: deque[tuple[float, int]] = field(default_factory=deque)
    tried: int = 0
    failed: int = 0

    def pending_values(self) -> Values:
        """Return what S3 publishes in the region of the destination."""
        waiting = list(self.pending)
        return {
            "ReplicationLatency": (time.monotonic() - waiting[0][0] if waiting else 0.0, "Seconds"),
            "OperationsPendingReplication": (float(len(waiting)), "Count"),
            "BytesPendingReplication": (float(sum(size for _, size in waiting)), "Bytes"),
        }

    def take_failures(self) -> Values:
        """Return what S3 publishes in the region of the source, nothing without attempts, and reset the counts."""
        tried, failed = self.tried, self.failed
        self.tried = self.failed = 0
        return {"OperationsFailedReplication": (float(failed), "Count")} if tried else {}


_PROGRESS: dict[tuple[str, str, str], Progress] = {}


def metric_data(region: str) -> list[dict[str, Any]]:
    """Return the data that rules with metrics publish in this region now."""
    found = []
    for place, progress in list(_PROGRESS.items()):
        there = progress.destination == region and place[1] in s3_backends[ACCOUNT]["aws"].buckets
        values = progress.pending_values() if there else {}
        values |= progress.take_failures() if progress.region == region else {}
        names = ("SourceBucket", "DestinationBucket", "RuleId")
        dimensions = [{"Name": name, "Value": value} for name, value in zip(names, place, strict=True)]
        found += [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}
            for name, (value, unit) in values.items()
        ]
    return found


def _progress(bucket: str, rule: Rule) -> Progress:
    # The progress of a rule without metrics is counted and dropped.
    return _PROGRESS.get((bucket, rule.bucket, rule.id)) or Progress("", "")


def _measure(backend: Any, bucket: str, rules: list[Rule]) -> None:
    """Publish the metrics of exactly these rules of a bucket from now on."""
    region = backend.get_bucket(bucket).region_name
    wanted = {
        (bucket, rule.bucket, rule.id): Progress(region, backend.get_bucket(rule.bucket).region_name)
        for rule in rules
        if rule.enabled and rule.measured
    }
    for place in [place for place in _PROGRESS if place[0] == bucket and place not in wanted]:
        del _PROGRESS[place]
    for place, fresh in wanted.items():
        _PROGRESS.setdefault(place, fresh)


def _replicate(backend: Any, source: Any, rules: list[Rule]) -> None:
    try:
        _copy_by(backend, source, rules)
    finally:
        for rule in rules:
            pending = _progress(source.bucket_name, rule).pending
            if pending:
                pending.popleft()


def _copy_by(backend: Any, source: Any, rules: list[Rule]) -> None:
    if source.disposed:
        return
    status = "COMPLETED"
    for rule in rules:
        try:
            with lock_for(rule.bucket, source.name):
                _copy(backend, source, rule)
        except Exception:
            _log.exception("%s/%s could not be copied to %s", source.bucket_name, source.name, rule.bucket)
            status = "FAILED"
            _progress(source.bucket_name, rule).failed += 1
        _progress(source.bucket_name, rule).tried += 1
    source.replication_status = status


def _replicate_new(backend: Any, bucket_name: str, key_name: str) -> None:
    """Submit a new object for copying if a rule selects it."""
    bucket = backend.get_bucket(bucket_name)
    if not bucket.__dict__.get("replication"):
        return
    key = backend.get_object(bucket_name, key_name)
    rules = list(_selected(backend, bucket, key)) if key else []
    if rules:
        key.replication_status = "PENDING"
        for rule in rules:
            _progress(bucket_name, rule).pending.append((time.monotonic(), key.size))
        _COPIER.submit(_replicate, backend, key, rules)


def is_configured(bucket_name: str) -> bool:
    return bool(_backend().get_bucket(bucket_name).__dict__.get("replication"))


def eligible(bucket_name: str, statuses: frozenset[str] | None) -> list[Any]:
    """Return the current objects that rules select, with one of these statuses (None: any; NONE: no status)."""
    bucket = _backend().get_bucket(bucket_name)
    found = [key for key in list(bucket.keys.values()) if isinstance(key, FakeKey)]
    wanted = [key for key in found if statuses is None or key.__dict__.get("replication_status", "NONE") in statuses]
    return [key for key in wanted if any(_selected(_backend(), bucket, key))]


def copy_again(key: Any) -> bool:
    """Copy an object by the present rules after all pending copies, and return whether that succeeded."""
    backend = _backend()
    rules = list(_selected(backend, backend.get_bucket(key.bucket_name), key))
    key.replication_status = "PENDING"
    _COPIER.submit(_copy_by, backend, key, rules).result()
    return bool(key.replication_status == "COMPLETED")


def _backend() -> Any:
    return s3_backends[ACCOUNT]["aws"]


@corrects(S3Response, "put_object", "copy_object")
def _put_object(plain: Method, self: Any) -> Any:
    """Replicate an object that was stored."""
    answer = plain(self)
    _replicate_new(self.backend, self.bucket_name, self.parse_key_name())
    return answer


@corrects(S3Backend, "complete_multipart_upload")
def _complete_multipart_upload(plain: Method, self: Any, bucket_name: str, *args: Any, **kwargs: Any) -> Any:
    """Replicate an object that was uploaded in parts."""
    key = plain(self, bucket_name, *args, **kwargs)
    if key is not None:
        _replicate_new(self, bucket_name, key.name)
    return key


@corrects(FakeKey, "response_dict")
def _response_dict(plain: Method, self: Any) -> dict[str, Any]:
    """Show the replication status of an object."""
    status = self.__dict__.get("replication_status")
    return {**plain(self), **({"x-amz-replication-status": status} if status else {})}
