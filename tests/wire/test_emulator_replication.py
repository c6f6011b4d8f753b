"""Replication of the emulator, within a region and to another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.rehearsal.programs.project import client
from tests.wire.fleet import eventually, unique

Connect = Callable[[str], Any]
ROLE = "arn:aws:iam::123456789012:role/copier"
KEY = "arn:aws:kms:us-west-2:123456789012:key/replica"


@pytest.fixture
def source(connect: Connect) -> str:
    return versioned(connect("s3"), unique("source"))


@pytest.fixture
def vault(connect: Connect) -> str:
    """Return a bucket in another region with a default retention."""
    s3, name = connect("s3"), unique("vault")
    s3.create_bucket(
        Bucket=name,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "us-west-2"},
    )
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return name


def versioned(s3: Any, name: str) -> str:
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def rule(target: str, prefix: str = "", *, priority: int = 1, key: str | None = None, **more: Any) -> dict[str, Any]:
    destination: dict[str, Any] = {"Bucket": f"arn:aws:s3:::{target}"}
    encrypted = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}} if key else {}
    if key:
        destination["EncryptionConfiguration"] = {"ReplicaKmsKeyID": key}
    return {
        "ID": f"to {target} {prefix}",
        "Status": "Enabled",
        "Priority": priority,
        "Filter": {"Prefix": prefix},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": destination,
        **encrypted,
        **more,
    }


def replicate(s3: Any, source: str, *rules: dict[str, Any]) -> None:
    s3.put_bucket_replication(Bucket=source, ReplicationConfiguration={"Role": ROLE, "Rules": list(rules)})


def finished(s3: Any, bucket: str, key: str) -> str:
    """Wait until an object is not pending, and return its replication status."""

    def status() -> str | None:
        found: str = s3.head_object(Bucket=bucket, Key=key).get("ReplicationStatus", "none")
        return None if found == "PENDING" else found

    return str(eventually(status))


def keys(s3: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_copy_has_version_metadata_tags_and_retention(connect: Connect, source: str, vault: str) -> None:
    s3 = connect("s3")
    s3.put_object(Bucket=source, Key="log/0", Body=b"before the rule")
    replicate(s3, source, rule(vault, "log/", key=KEY))
    said = {"ContentType": "text/plain", "Metadata": {"position": "1"}, "Tagging": "kind=log"}
    version = s3.put_object(Bucket=source, Key="log/1", Body=b"one", **said)["VersionId"]
    assert finished(s3, source, "log/1") == "COMPLETED"
    copy = s3.get_object(Bucket=vault, Key="log/1")
    assert copy["Body"].read() == b"one"
    assert (copy["VersionId"], copy["ReplicationStatus"]) == (version, "REPLICA")
    assert (copy["ContentType"], copy["Metadata"]) == ("text/plain", {"position": "1"})
    assert (copy["ObjectLockMode"], copy["SSEKMSKeyId"]) == ("GOVERNANCE", KEY)
    assert s3.get_object_tagging(Bucket=vault, Key="log/1")["TagSet"] == [{"Key": "kind", "Value": "log"}]
    assert keys(s3, vault) == ["log/1"]


def test_objects_that_no_rule_selects_are_not_copied(connect: Connect, source: str, vault: str) -> None:
    s3 = connect("s3")
    off = rule(vault, "off/", priority=2, Status="Disabled")
    tagged = rule(vault, priority=3, Filter={"And": {"Prefix": "t/", "Tags": [{"Key": "keep", "Value": "yes"}]}})
    replicate(s3, source, rule(vault, "log/"), off, tagged)
    for key, more in (
        ("other", {}),
        ("off/1", {}),
        ("t/no", {"Tagging": "keep=no"}),
        ("log/secret", {"ServerSideEncryption": "aws:kms"}),
        ("t/yes", {"Tagging": "keep=yes"}),
    ):
        s3.put_object(Bucket=source, Key=key, Body=b"x", **more)
    assert [finished(s3, source, key) for key in ("other", "off/1", "t/no", "log/secret")] == ["none"] * 4
    assert finished(s3, source, "t/yes") == "COMPLETED"
    assert keys(s3, vault) == ["t/yes"]


def test_multipart_uploads_and_copies_replicate_in_order(connect: Connect, source: str, vault: str) -> None:
    s3 = connect("s3")
    replicate(s3, source, rule(vault))
    upload = s3.create_multipart_upload(Bucket=source, Key="big", Metadata={"a": "b"})["UploadId"]
    part = s3.upload_part(Bucket=source, Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    etag = s3.complete_multipart_upload(Bucket=source, Key="big", UploadId=upload, MultipartUpload=parts)["ETag"]
    s3.copy_object(Bucket=source, Key="same", CopySource={"Bucket": source, "Key": "big"})
    versions = [s3.put_object(Bucket=source, Key="often", Body=b"%d" % n)["VersionId"] for n in range(20)]
    assert [finished(s3, source, key) for key in ("big", "same", "often")] == ["COMPLETED"] * 3
    head = s3.head_object(Bucket=vault, Key="big")
    assert (head["ETag"], head["Metadata"]) == (etag, {"a": "b"})
    listed = s3.list_object_versions(Bucket=vault, Prefix="often")["Versions"]
    assert [version["VersionId"] for version in listed] == versions[::-1]


def test_deletions_stay_where_they_are(connect: Connect, source: str, vault: str) -> None:
    s3 = connect("s3")
    replicate(s3, source, rule(vault))
    version = s3.put_object(Bucket=source, Key="a", Body=b"x")["VersionId"]
    assert finished(s3, source, "a") == "COMPLETED"
    s3.delete_object(Bucket=source, Key="a")
    s3.delete_object(Bucket=source, Key="a", VersionId=version)
    s3.put_object(Bucket=source, Key="b", Body=b"x")
    assert finished(s3, source, "b") == "COMPLETED"
    assert keys(s3, vault) == ["a", "b"]
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=vault)


def test_a_failed_copy_has_the_status_failed(connect: Connect, source: str) -> None:
    s3 = connect("s3")
    target = versioned(s3, unique("target"))
    measured = {"Bucket": f"arn:aws:s3:::{target}", "Metrics": {"Status": "Enabled"}}
    replicate(s3, source, rule(target, Destination=measured))
    s3.delete_bucket(Bucket=target)
    s3.put_object(Bucket=source, Key="a", Body=b"x")
    assert finished(s3, source, "a") == "FAILED"

    here = connect("cloudwatch")
    eventually(lambda: published(here, source, target, "OperationsFailedReplication") == [1.0])
    # S3 stops saying what is pending when the destination is gone.
    assert published(here, source, target, "ReplicationLatency") == []


def published(cloudwatch: Any, source: str, target: str, metric: str) -> list[float]:
    """Return a region's metrics of the rule to a target."""
    place = {"SourceBucket": source, "DestinationBucket": target, "RuleId": f"to {target}"}
    found = cloudwatch.get_metric_statistics(
        Namespace="AWS/S3",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in place.items()],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return [point["Sum"] for point in found]


def test_replication_metrics_are_published_in_their_regions(
    emulator: str, connect: Connect, source: str, vault: str
) -> None:
    s3, here, there = connect("s3"), connect("cloudwatch"), client(emulator, "us-west-2")("cloudwatch")
    measured = {"Bucket": f"arn:aws:s3:::{vault}", "Metrics": {"Status": "Enabled"}}
    replicate(s3, source, rule(vault, Destination=measured))
    pending = ("ReplicationLatency", "OperationsPendingReplication", "BytesPendingReplication")
    eventually(lambda: all(published(there, source, vault, metric) for metric in pending))
    assert published(here, source, vault, "OperationsFailedReplication") == []
    s3.put_object(Bucket=source, Key="a", Body=b"x")
    eventually(lambda: published(here, source, vault, "OperationsFailedReplication") == [0.0])
    assert published(there, source, vault, "OperationsFailedReplication") == []
    assert [published(here, source, vault, metric) for metric in pending] == [[], [], []]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"DeleteMarkerReplication": None}, "DeleteMarkerReplication must be specified"),
        ({"SourceSelectionCriteria": None}, "SseKmsEncryptedObjects must be specified"),
        ({"Destination": {"Bucket": "arn:aws:s3:::no-such-bucket"}}, "Destination bucket must exist"),
    ],
)
def test_a_rule_that_s3_would_refuse_is_refused(
    connect: Connect, source: str, vault: str, change: dict[str, Any], words: str
) -> None:
    changed = {k: v for k, v in (rule(vault, key=KEY) | change).items() if v is not None}
    with pytest.raises(ClientError, match=words):
        replicate(connect("s3"), source, changed)


def test_replicated_buckets_must_stay_versioned(connect: Connect, source: str, vault: str) -> None:
    s3, plain = connect("s3"), unique("plain")
    s3.create_bucket(Bucket=plain)
    with pytest.raises(ClientError, match="must have versioning enabled"):
        replicate(s3, source, rule(plain))
    replicate(s3, source, rule(vault))
    with pytest.raises(ClientError, match="A replication configuration is present"):
        s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_replication(Bucket=source)
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})
