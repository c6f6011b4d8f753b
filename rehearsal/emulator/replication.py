"""Replication that copies.

Corrects in moto 5.2.5: a replication configuration is stored and nothing is ever copied; what S3 would refuse is
taken. Here each later object that a rule selects is copied with its metadata, tags and version id within moments, by
one thread so that versions keep their order, and others on demand; rules with metrics publish them, each in the region
where S3 does. Left out: changes of tags, retention or lists after the object was stored, delete markers and deletions
(S3 copies those only on demand).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from rehearsal.emulator.account import ACCOUNT
from rehearsal.emulator.objects import lock_for

_COPIER = ThreadPoolExecutor(1, thread_name_prefix="replication")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """One rule of a configuration, as far as it decides what is copied, where to, and how."""

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
        """Whether the rule copies this object."""
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
    """Why S3 would not take a rule; None when it would."""
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


def _put_configuration(plain: Callable[..., None]) -> Callable[..., None]:
    def put_bucket_replication(self: Any, bucket_name: str, replication: dict[str, Any]) -> None:
        rules = replication["Rule"] if isinstance(replication["Rule"], list) else [replication["Rule"]]
        refusal = next(filter(None, (_refusal(self, rule) for rule in rules)), None)
        if refusal:
            raise S3ClientError("InvalidRequest", refusal)
        plain(self, bucket_name, replication)
        _measure(self, bucket_name, [_rule(rule) for rule in rules])

    return put_bucket_replication


def _delete_configuration(plain: Callable[..., None]) -> Callable[..., None]:
    def delete_bucket_replication(self: Any, bucket_name: str) -> None:
        plain(self, bucket_name)
        _measure(self, bucket_name, [])

    return delete_bucket_replication


def _tags(backend: Any, key: Any) -> dict[str, str]:
    tags: dict[str, str] = backend.tagger.get_tag_dict_for_resource(key.arn)
    return tags


def _selected(backend: Any, bucket: Any, key: Any) -> Iterator[Rule]:
    """The rules that copy an object, for each destination the one of the highest priority."""
    configuration = bucket.__dict__.get("replication") or {"Rule": []}
    tags = frozenset(_tags(backend, key).items())
    fitting = [rule for rule in map(_rule, configuration["Rule"]) if rule.selects(key, tags)]
    yield from {rule.bucket: rule for rule in sorted(fitting, key=lambda rule: rule.priority)}.values()


def _copy(backend: Any, source: Any, rule: Rule) -> None:
    target = backend.get_bucket(rule.bucket)
    if not target.is_versioned:
        raise S3ClientError("InvalidRequest", "Destination bucket must have versioning enabled.")
    # What the source's own retention says wins; else the copy is retained as everything else there.
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
Figures = dict[str, tuple[float, str]]


@dataclass
class Progress:
    """What one rule has before it, since when, and what it copied or failed to copy since the last look."""

    region: str
    destination: str
    pending: deque[tuple[float, int]] = field(default_factory=deque)
    tried: int = 0
    failed: int = 0

    def before_it(self) -> Figures:
        """What S3 publishes in the region of the destination."""
        waiting = list(self.pending)
        return {
            "ReplicationLatency": (time.monotonic() - waiting[0][0] if waiting else 0.0, "Seconds"),
            "OperationsPendingReplication": (float(len(waiting)), "Count"),
            "BytesPendingReplication": (float(sum(size for _, size in waiting)), "Bytes"),
        }

    def behind_it(self) -> Figures:
        """What S3 publishes in the region of the source, unless nothing was to be copied; counting begins anew."""
        tried, failed = self.tried, self.failed
        self.tried = self.failed = 0
        return {"OperationsFailedReplication": (float(failed), "Count")} if tried else {}


_PROGRESS: dict[tuple[str, str, str], Progress] = {}


def figures(region: str) -> list[dict[str, Any]]:
    """What every rule with metrics publishes in this region at this moment."""
    found = []
    for place, progress in list(_PROGRESS.items()):
        there = progress.destination == region and place[1] in s3_backends[ACCOUNT]["aws"].buckets
        values = progress.before_it() if there else {}
        values |= progress.behind_it() if progress.region == region else {}
        names = ("SourceBucket", "DestinationBucket", "RuleId")
        dimensions = [{"Name": name, "Value": value} for name, value in zip(names, place, strict=True)]
        found += [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}
            for name, (value, unit) in values.items()
        ]
    return found


def _progress(bucket: str, rule: Rule) -> Progress:
    # A rule without metrics is followed all the same, and shown to nobody.
    return _PROGRESS.get((bucket, rule.bucket, rule.id)) or Progress("", "")


def _measure(backend: Any, bucket: str, rules: list[Rule]) -> None:
    """Publish from now on what these rules of a bucket have metrics for, and nothing else of it."""
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


def _stored(backend: Any, bucket_name: str, key_name: str) -> None:
    """Something was stored: have it copied if a rule says so."""
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
    """Whether a bucket has rules, whatever they select."""
    return bool(_backend().get_bucket(bucket_name).__dict__.get("replication"))


def eligible(bucket_name: str, statuses: frozenset[str] | None) -> list[Any]:
    """The current objects that rules select, with any or one of these statuses; NONE is an object that has none."""
    bucket = _backend().get_bucket(bucket_name)
    found = [key for key in list(bucket.keys.values()) if isinstance(key, FakeKey)]
    wanted = [key for key in found if statuses is None or key.__dict__.get("replication_status", "NONE") in statuses]
    return [key for key in wanted if any(_selected(_backend(), bucket, key))]


def copy_again(key: Any) -> bool:
    """Copy an object by the rules of this moment, in its turn behind what is pending; whether that worked."""
    backend = _backend()
    rules = list(_selected(backend, backend.get_bucket(key.bucket_name), key))
    key.replication_status = "PENDING"
    _COPIER.submit(_copy_by, backend, key, rules).result()
    return bool(key.replication_status == "COMPLETED")


def _backend() -> Any:
    return s3_backends[ACCOUNT]["aws"]


def _then_stored(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def store(self: Any) -> Any:
        answer = plain(self)
        _stored(self.backend, self.bucket_name, self.parse_key_name())
        return answer

    return store


def _completed(plain: Callable[..., Any]) -> Callable[..., Any]:
    def complete_multipart_upload(self: Any, bucket_name: str, *args: Any, **kwargs: Any) -> Any:
        key = plain(self, bucket_name, *args, **kwargs)
        if key is not None:
            _stored(self, bucket_name, key.name)
        return key

    return complete_multipart_upload


def _with_status(plain: Callable[[Any], dict[str, Any]]) -> property:
    def response_dict(self: Any) -> dict[str, Any]:
        status = self.__dict__.get("replication_status")
        return plain(self) | ({"x-amz-replication-status": status} if status else {})

    return property(response_dict)


def install() -> None:
    """Put the corrections on moto's classes."""
    S3Backend.put_bucket_replication = _put_configuration(S3Backend.put_bucket_replication)
    S3Backend.delete_bucket_replication = _delete_configuration(S3Backend.delete_bucket_replication)
    S3Backend.complete_multipart_upload = _completed(S3Backend.complete_multipart_upload)
    S3Response.put_object = _then_stored(S3Response.put_object)
    S3Response.copy_object = _then_stored(S3Response.copy_object)
    FakeKey.response_dict = _with_status(FakeKey.response_dict.fget)
