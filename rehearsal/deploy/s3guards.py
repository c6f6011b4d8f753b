"""What keeps a bucket's content safe from its owner: access logs, Object Lock, and a copy elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import found
from rehearsal.deploy.s3 import BucketSetting
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class BucketLogging(BucketSetting):
    """aws_s3_bucket_logging; deletion puts a status without a target."""

    token = "aws:s3/bucketLogging:BucketLogging"
    updated_by = frozenset({"targetBucket", "targetObjectKeyFormat", "targetPrefix"})
    put, get, remove = "PutBucketLogging", "GetBucketLogging", None

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("s3").put_bucket_logging(Bucket=resource.id, BucketLoggingStatus={}))

    def _request(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        enabled = {key: value for key, value in inputs.items() if key in self.updated_by}
        asked = {"bucket": inputs["bucket"], "bucketLoggingStatus": {"loggingEnabled": enabled}}
        return parameters(cloud.client("s3"), self.put, asked)


class BucketObjectLock(BucketSetting):
    """aws_s3_bucket_object_lock_configuration; a bucket keeps its lock for ever, deletion drops the default only."""

    token = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    replaced_by = frozenset({"bucket", "objectLockEnabled"})
    updated_by = frozenset({"rule"})
    defaults: ClassVar[Mapping[str, Any]] = {"objectLockEnabled": "Enabled"}
    put, get, remove = "PutObjectLockConfiguration", "GetObjectLockConfiguration", None

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        query = self._request(cloud, {"bucket": resource.id, "objectLockEnabled": "Enabled"})
        found(lambda: cloud.client("s3").put_object_lock_configuration(**query))

    def _request(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        lock = {key: inputs[key] for key in ("objectLockEnabled", "rule") if key in inputs}
        asked = {"bucket": inputs["bucket"], "objectLockConfiguration": lock}
        return parameters(cloud.client("s3"), self.put, asked)


class BucketReplication(BucketSetting):
    """aws_s3_bucket_replication_configuration."""

    token = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
    updated_by = frozenset({"role", "rules"})
    put, get, remove = "PutBucketReplication", "GetBucketReplication", "DeleteBucketReplication"
    wrapper = "replicationConfiguration"
    renames: ClassVar[Mapping[str, str]] = {"id": "ID", "replicaKmsKeyId": "ReplicaKmsKeyID"}

    def _request(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        # A rule with a filter always has a priority: the provider sends the 0 that its schema starts from.
        rules = [{"priority": 0} | rule if "filter" in rule else rule for rule in inputs["rules"]]
        return super()._request(cloud, inputs | {"rules": rules})


KINDS = (BucketLogging(), BucketObjectLock(), BucketReplication())
