"""Buckets and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import RefusedError
from rehearsal.deploy.kind import Kind, found, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

DELETE_BATCH = 1000
DEFAULT_REGION = "us-east-1"


class Bucket(Kind):
    """aws_s3_bucket; everything about it besides existing and tags is a resource of its own."""

    token = "aws:s3/bucket:Bucket"
    service = "s3"
    name_property = "bucket"
    name_limit = 63
    lower_name = True
    replaced_by = frozenset({"bucket", "objectLockEnabled"})
    updated_by = frozenset({"forceDestroy"})
    defaults: ClassVar[Mapping[str, Any]] = {"forceDestroy": False}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        query: dict[str, Any] = {"Bucket": inputs["bucket"]}
        if cloud.region != DEFAULT_REGION:
            query["CreateBucketConfiguration"] = {"LocationConstraint": cloud.region}
        if inputs.get("objectLockEnabled"):
            query["ObjectLockEnabledForBucket"] = True
        cloud.client("s3").create_bucket(**query)
        self._tag(cloud, inputs["bucket"], inputs)
        return str(inputs["bucket"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["bucket"]] if self.read(cloud, inputs["bucket"], inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        return found(lambda: cloud.client("s3").head_bucket(Bucket=id_)) and {
            "arn": f"arn:aws:s3:::{id_}",
            "bucket": id_,
            "bucketDomainName": f"{id_}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{id_}.s3.{cloud.region}.amazonaws.com",
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if "tagsAll" in changed:
            self._tag(cloud, old.id, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        client, name = cloud.client("s3"), resource.id
        if found(lambda: client.head_bucket(Bucket=name)) is None:
            return
        if resource.inputs.get("forceDestroy"):
            empty(client, name, bypass=bool(resource.inputs.get("objectLockEnabled")))
        elif client.list_object_versions(Bucket=name, MaxKeys=1).keys() & {"Versions", "DeleteMarkers"}:
            raise RefusedError(f"the bucket {name} is not empty; set forceDestroy on it first, or empty it by hand")
        found(lambda: client.delete_bucket(Bucket=name))

    def _tag(self, cloud: Cloud, name: str, inputs: Properties) -> None:
        tags = inputs.get("tagsAll")
        if tags:
            cloud.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(tags)})
        elif found(lambda: cloud.client("s3").get_bucket_tagging(Bucket=name)):
            cloud.client("s3").delete_bucket_tagging(Bucket=name)


class BucketSetting(Kind):
    """One setting of a bucket: putting it again is harmless, its id is the bucket's name."""

    service = "s3"
    tagged = False
    replaced_by = frozenset({"bucket"})
    put: ClassVar[str]
    get: ClassVar[str]
    remove: ClassVar[str | None]
    # Where the request wraps the properties in one parameter; None when they stand at its top.
    wrapper: ClassVar[str | None] = None
    renames: ClassVar[Mapping[str, str]] = {}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        getattr(cloud.client("s3"), _method(self.put))(**self._request(cloud, inputs))
        return str(inputs["bucket"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        answer = found(lambda: getattr(cloud.client("s3"), _method(self.get))(Bucket=id_))
        return None if answer is None or set(answer) == {"ResponseMetadata"} else {"bucket": id_}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.create(cloud, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if self.remove is not None:
            remove = getattr(cloud.client("s3"), _method(self.remove))
            found(lambda: remove(Bucket=resource.id))

    def _request(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        given = {key: value for key, value in inputs.items() if key in self.updated_by}
        wrapped = {self.wrapper: given} if self.wrapper else given
        return parameters(cloud.client("s3"), self.put, {"bucket": inputs["bucket"], **wrapped}, self.renames)


class BucketVersioning(BucketSetting):
    """aws_s3_bucket_versioning; a bucket that was versioned can only be suspended, which deletion does."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    updated_by = frozenset({"versioningConfiguration"})
    put, get, remove = "PutBucketVersioning", "GetBucketVersioning", None

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        suspended = {"Status": "Suspended"}
        client = cloud.client("s3")
        try:
            found(lambda: client.put_bucket_versioning(Bucket=resource.id, VersioningConfiguration=suspended))
        except ClientError as error:
            # A bucket with Object Lock stays versioned as long as it lives.
            if error.response["Error"]["Code"] != "InvalidBucketState" or "Object Lock" not in str(error):
                raise


class BucketPublicAccessBlock(BucketSetting):
    """aws_s3_bucket_public_access_block."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    updated_by = frozenset({"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"})
    defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(sorted(updated_by), False)
    put, get, remove = "PutPublicAccessBlock", "GetPublicAccessBlock", "DeletePublicAccessBlock"
    wrapper = "publicAccessBlockConfiguration"


class BucketEncryption(BucketSetting):
    """aws_s3_bucket_server_side_encryption_configuration."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    updated_by = frozenset({"rules"})
    put, get, remove = "PutBucketEncryption", "GetBucketEncryption", "DeleteBucketEncryption"
    wrapper = "serverSideEncryptionConfiguration"
    renames: ClassVar[Mapping[str, str]] = {
        "sseAlgorithm": "SSEAlgorithm",
        "kmsMasterKeyId": "KMSMasterKeyID",
    }


class BucketOwnership(BucketSetting):
    """aws_s3_bucket_ownership_controls."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    updated_by = frozenset({"rule"})
    put, get, remove = "PutBucketOwnershipControls", "GetBucketOwnershipControls", "DeleteBucketOwnershipControls"

    def _request(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        # The API has a list of rules of which exactly one is allowed.
        asked = {"bucket": inputs["bucket"], "ownershipControls": {"rules": [inputs["rule"]]}}
        return parameters(cloud.client("s3"), self.put, asked)


class BucketPolicy(BucketSetting):
    """aws_s3_bucket_policy."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    updated_by = frozenset({"policy"})
    json_texts = frozenset({"policy"})
    put, get, remove = "PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"


class BucketLifecycle(BucketSetting):
    """aws_s3_bucket_lifecycle_configuration."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    updated_by = frozenset({"rules"})
    put = "PutBucketLifecycleConfiguration"
    get, remove = "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle"
    wrapper = "lifecycleConfiguration"
    renames: ClassVar[Mapping[str, str]] = {"id": "ID"}


def _method(operation: str) -> str:
    """boto3's method for an API operation: PutBucketPolicy is put_bucket_policy."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]


def empty(client: Any, bucket: str, key: str | None = None, *, bypass: bool = False) -> None:
    """Delete every version, of one key or of all; `bypass` also those that are retained in GOVERNANCE mode.

    Raises RefusedError when something stays, with what holds it.
    """
    retained = {"BypassGovernanceRetention": True} if bypass else {}
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key or "")
    for page in pages:
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in listed if key in (None, v["Key"])]
        for start in range(0, len(doomed), DELETE_BATCH):
            batch = doomed[start : start + DELETE_BATCH]
            query = {"Objects": batch, "Quiet": True}
            failed = client.delete_objects(Bucket=bucket, Delete=query, **retained).get("Errors")
            if failed:
                held = {error["Key"] for error in failed}
                reason = _hold(client, bucket, [v for v in batch if v["Key"] in held]) or failed[0].get("Message")
                raise RefusedError(f"{len(failed)} objects of {bucket} cannot be deleted: {reason}")


def _hold(client: Any, bucket: str, versions: list[dict[str, str]]) -> str | None:
    """What keeps the first of these versions that is still there and held, as a sentence's second half."""
    for version in versions:
        head = found(partial(client.head_object, Bucket=bucket, **version))
        if head is None:
            continue
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return f"{version['Key']} is under a legal hold; lift it by hand, then run again"
        if "ObjectLockMode" in head:
            until = f"{head['ObjectLockRetainUntilDate']:%Y-%m-%d %H:%M}"
            return f"{version['Key']} is retained until {until} in mode {head['ObjectLockMode']}; wait until then"
    return None


KINDS = (
    Bucket(),
    BucketVersioning(),
    BucketPublicAccessBlock(),
    BucketEncryption(),
    BucketOwnership(),
    BucketPolicy(),
    BucketLifecycle(),
)
