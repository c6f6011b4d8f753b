"""Buckets, their settings, and their objects."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import RefusedError, UnsupportedError
from rehearsal.deployer.kind import Kind, found, names
from rehearsal.deployer.state import Properties, Resource
from rehearsal.deployer.translate import parameters
from rehearsal.deployer.values import asset_bytes

DEFAULT_REGION = "us-east-1"
CONTENT = names("content contentBase64 source")


@dataclass(frozen=True, kw_only=True)
class StorageKind(Kind):
    """A bucket or an object, whose tags are set as a whole by operations with its noun in their names."""

    service: str = "s3"
    noun: str

    def retag(self, cloud: Cloud, old: Resource, inputs: Properties) -> None:
        if old.inputs.get("tagsAll", {}) != inputs.get("tagsAll", {}):
            self.set_tags(cloud, old.id, inputs)

    def set_tags(self, cloud: Cloud, id_: str, inputs: Properties) -> None:
        """Set all tags, or delete them if there are none."""
        tags = inputs.get("tagsAll")
        operation = f"{'Put' if tags else 'Delete'}{self.noun}Tagging"
        given = parameters(cloud.client("s3"), operation, {"tagging": {"tagSet": tags}} if tags else {})
        cloud.call("s3", operation, **self.identity(cloud, operation, id_, inputs), **given)

    def tags_at_create(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        return {}


class Bucket(StorageKind):
    """aws_s3_bucket. Everything but its existence and its tags is a resource of its own."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        here = {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
        self.put(cloud, inputs, **(here if cloud.region != DEFAULT_REGION else {}))
        if inputs.get("tagsAll"):
            self.set_tags(cloud, inputs["bucket"], inputs)
        return str(inputs["bucket"])

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        name = resource.id
        if self.describe(cloud, name, resource.inputs) is None:
            return
        if resource.inputs.get("forceDestroy"):
            empty(cloud, name, bypass=bool(resource.inputs.get("objectLockEnabled")))
        elif cloud.call("s3", "ListObjectVersions", Bucket=name, MaxKeys=1).keys() & {"Versions", "DeleteMarkers"}:
            raise RefusedError(f"the bucket {name} is not empty; set forceDestroy on it first, or empty it by hand")
        super().delete(cloud, resource)


@dataclass(frozen=True, kw_only=True)
class BucketSetting(Kind):
    """One setting of a bucket, whose id is the bucket's name."""

    # The parameter, or the path of parameters, that holds the properties in the request.
    wrapper: str = ""
    # The properties with which a setting is put when it is deleted, if the API has no operation for that.
    reset: Properties = field(default_factory=dict)

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        answer = super().describe(cloud, id_, inputs)
        return None if answer is None or set(answer) == {"ResponseMetadata"} else answer

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        super().delete(cloud, resource)
        if not self.delete_with:
            query = parameters(cloud.client("s3"), self.create_with, {"bucket": resource.id, **self.reset})
            found(lambda: cloud.call("s3", self.create_with, **query))

    def shaped(self, properties: Properties) -> Properties:
        given = {key: value for key, value in properties.items() if key != "bucket"}
        wrapped = reduce(lambda inner, name: {name: inner}, reversed(self.wrapper.split(".")), given)
        return {"bucket": properties["bucket"], **(wrapped if self.wrapper else given)}


class BucketVersioning(BucketSetting):
    """aws_s3_bucket_versioning. Versioning can only be suspended, and not on a bucket with Object Lock."""

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        try:
            super().delete(cloud, resource)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidBucketState" or "Object Lock" not in str(error):
                raise


class BucketOwnership(BucketSetting):
    """aws_s3_bucket_ownership_controls, of which the API has a list with exactly one rule."""

    def shaped(self, properties: Properties) -> Properties:
        return {"bucket": properties["bucket"], "ownershipControls": {"rules": [properties["rule"]]}}


class BucketReplication(BucketSetting):
    """aws_s3_bucket_replication_configuration."""

    def shaped(self, properties: Properties) -> Properties:
        # A rule with a filter needs a priority. The provider sends the 0 of its schema.
        rules = [{"priority": 0} | rule if "filter" in rule else rule for rule in properties["rules"]]
        return super().shaped(properties | {"rules": rules})


class BucketObject(StorageKind):
    """aws_s3_object with content from the program or from a file."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        tags = {"Tagging": urlencode(inputs["tagsAll"])} if inputs.get("tagsAll") else {}
        return super().put(cloud, inputs, Body=_content(inputs), **tags)

    def shaped(self, properties: Properties) -> Properties:
        # A key alone means KMS to the provider.
        return properties | ({"serverSideEncryption": "aws:kms"} if "kmsKeyId" in properties else {})

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed - {"forceDestroy"}:
            super().change(cloud, old, inputs, changed)

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        return super().outputs_in(cloud, id_, described, inputs) | {
            "etag": described["ETag"].strip('"'),
            "versionId": described.get("VersionId", ""),
        }

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        bucket, key = resource.inputs["bucket"], resource.inputs["key"]
        if found(lambda: cloud.call("s3", "HeadBucket", Bucket=bucket)):
            # The object itself must allow a deletion in spite of its retention.
            empty(cloud, bucket, key, bypass=bool(resource.inputs.get("forceDestroy")))


def empty(cloud: Cloud, bucket: str, key: str | None = None, *, bypass: bool = False) -> None:
    """Delete every version of one key or of all. `bypass` includes those that are retained in GOVERNANCE mode.

    Raise RefusedError with the reason if a version cannot be deleted.
    """
    retained = {"BypassGovernanceRetention": True} if bypass else {}
    pages = cloud.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key or "")
    for page in pages:
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in listed if key in (None, v["Key"])]
        # A page has at most as many versions as one call deletes.
        query = {"Objects": doomed, "Quiet": True}
        answer = cloud.call("s3", "DeleteObjects", Bucket=bucket, Delete=query, **retained) if doomed else {}
        if failed := answer.get("Errors"):
            kept = {error["Key"] for error in failed}
            reason = _hold(cloud, bucket, [v for v in doomed if v["Key"] in kept]) or failed[0].get("Message")
            raise RefusedError(f"{len(failed)} objects of {bucket} cannot be deleted: {reason}")


def _hold(cloud: Cloud, bucket: str, versions: list[dict[str, str]]) -> str | None:
    """Return the reason why the first of these versions that still exists cannot be deleted."""
    for version in versions:
        head = found(partial(cloud.call, "s3", "HeadObject", Bucket=bucket, **version))
        if head is None:
            continue
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return f"{version['Key']} is under a legal hold; lift it by hand, then run again"
        if "ObjectLockMode" in head:
            until = f"{head['ObjectLockRetainUntilDate']:%Y-%m-%d %H:%M}"
            return f"{version['Key']} is retained until {until} in mode {head['ObjectLockMode']}; wait until then"
    return None


def _content(inputs: Properties) -> bytes:
    if "source" in inputs:
        return asset_bytes(inputs["source"])
    text, encoded = inputs.get("content"), inputs.get("contentBase64")
    if isinstance(text, dict) or isinstance(encoded, dict):
        raise UnsupportedError("the object's content is ignored, so its other properties cannot be put without it")
    return base64.b64decode(encoded) if encoded is not None else str(text or "").encode()


def setting(name: str, updated_by: str, *, of: type[BucketSetting] = BucketSetting, **table: Any) -> BucketSetting:
    """Return the kind of the bucket setting with this Pulumi name, put and read by operations of that name."""
    operation = table.pop("operation", name)
    common = {
        "token": f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        "service": "s3",
        "tagged": False,
        "repeatable": True,
        "identifier": "Bucket",
        "create_with": f"Put{operation}",
        "id": "{bucket}",
        "read_with": f"Get{operation}",
        "outputs": {"bucket": "{id}"},
        "update_with": f"Put{operation}",
        "delete_with": "" if "reset" in table else f"Delete{operation}",
        "replaced_by": names("bucket"),
        "updated_by": names(updated_by),
    }
    return of(**{**common, **table})


def object_kind(name: str) -> BucketObject:
    """Return the kind of objects under one of its two Pulumi names."""
    return BucketObject(
        token=f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        noun="Object",
        scope={"bucket": "Bucket", "key": "Key"},
        create_with="PutObject",
        id="{bucket}/{key}",
        read_with="HeadObject",
        outputs={"arn": "arn:aws:s3:::{id}"},
        update_with="PutObject",
        replaced_by=names("bucket key"),
        updated_by=CONTENT
        | names(
            "bucketKeyEnabled cacheControl contentEncoding contentType forceDestroy kmsKeyId metadata "
            "serverSideEncryption"
        ),
        renames={"kmsKeyId": "SSEKMSKeyId"},
        digested=names("content contentBase64"),
    )


ACCESS = "blockPublicAcls blockPublicPolicy ignorePublicAcls restrictPublicBuckets"
KINDS: tuple[Kind, ...] = (
    Bucket(
        token="aws:s3/bucket:Bucket",
        noun="Bucket",
        name_property="bucket",
        name_limit=63,
        lower_name=True,
        identifier="Bucket",
        create_with="CreateBucket",
        id="{bucket}",
        read_with="HeadBucket",
        delete_with="DeleteBucket",
        replaced_by=names("bucket objectLockEnabled"),
        updated_by=names("forceDestroy"),
        defaults={"forceDestroy": False},
        renames={"objectLockEnabled": "ObjectLockEnabledForBucket"},
        outputs={
            "arn": "arn:aws:s3:::{id}",
            "bucket": "{id}",
            "bucketDomainName": "{id}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{id}.s3.{region}.amazonaws.com",
        },
    ),
    setting(
        "BucketVersioning",
        "versioningConfiguration",
        of=BucketVersioning,
        reset={"versioningConfiguration": {"status": "Suspended"}},
    ),
    setting(
        "BucketPublicAccessBlock",
        ACCESS,
        operation="PublicAccessBlock",
        wrapper="publicAccessBlockConfiguration",
        defaults=dict.fromkeys(ACCESS.split(), False),
    ),
    setting(
        "BucketServerSideEncryptionConfiguration",
        "rules",
        operation="BucketEncryption",
        wrapper="serverSideEncryptionConfiguration",
        renames={"*.sseAlgorithm": "SSEAlgorithm", "*.kmsMasterKeyId": "KMSMasterKeyID"},
    ),
    setting("BucketOwnershipControls", "rule", of=BucketOwnership),
    setting("BucketPolicy", "policy", json_texts=names("policy")),
    setting(
        "BucketLifecycleConfiguration",
        "rules",
        delete_with="DeleteBucketLifecycle",
        wrapper="lifecycleConfiguration",
        renames={"*.id": "ID"},
    ),
    # A bucket always has a logging status and keeps its lock. Deletion removes the target and the default retention.
    setting(
        "BucketLogging",
        "targetBucket targetObjectKeyFormat targetPrefix",
        wrapper="bucketLoggingStatus.loggingEnabled",
        reset={"bucketLoggingStatus": {}},
    ),
    setting(
        "BucketObjectLockConfiguration",
        "rule",
        operation="ObjectLockConfiguration",
        wrapper="objectLockConfiguration",
        reset={"objectLockConfiguration": {"objectLockEnabled": "Enabled"}},
        replaced_by=names("bucket objectLockEnabled"),
        defaults={"objectLockEnabled": "Enabled"},
    ),
    setting(
        "BucketReplicationConfig",
        "role rules",
        of=BucketReplication,
        operation="BucketReplication",
        wrapper="replicationConfiguration",
        renames={"*.id": "ID", "*.replicaKmsKeyId": "ReplicaKmsKeyID"},
    ),
    object_kind("BucketObject"),
    object_kind("BucketObjectv2"),
)
