"""Objects whose content the program gives."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind, found, tag_list
from rehearsal.deploy.s3 import empty
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters
from rehearsal.deploy.values import asset_bytes

CONTENT = ("content", "contentBase64", "source")


class BucketObject(Kind):
    """aws_s3_object with content from the program or from a file."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    service = "s3"
    replaced_by = frozenset({"bucket", "key"})
    updated_by = frozenset(
        {
            *CONTENT,
            "bucketKeyEnabled",
            "cacheControl",
            "contentEncoding",
            "contentType",
            "forceDestroy",
            "kmsKeyId",
            "metadata",
            "serverSideEncryption",
        }
    )
    renames: ClassVar[Mapping[str, str]] = {"kmsKeyId": "SSEKMSKeyId"}
    digested = frozenset({"content", "contentBase64"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("s3")
        asked = {k: v for k, v in inputs.items() if k in self._settings() | self.replaced_by}
        if "kmsKeyId" in asked:
            # A key alone means KMS to the provider.
            asked["serverSideEncryption"] = "aws:kms"
        client.put_object(
            **parameters(client, "PutObject", asked, self.renames), Body=_content(inputs), **self._tagging(inputs)
        )
        return f"{inputs['bucket']}/{inputs['key']}"

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        id_ = f"{inputs['bucket']}/{inputs['key']}"
        return [id_] if self.read(cloud, id_, inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        bucket, key = inputs["bucket"], inputs["key"]
        head = found(lambda: cloud.client("s3").head_object(Bucket=bucket, Key=key))
        return head and {
            "arn": f"arn:aws:s3:::{bucket}/{key}",
            "etag": head["ETag"].strip('"'),
            "versionId": head.get("VersionId", ""),
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & (self._settings() | set(CONTENT)):
            self.create(cloud, inputs)
        elif "tagsAll" in changed:
            self._tag(cloud, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        bucket, key = resource.inputs["bucket"], resource.inputs["key"]
        if found(lambda: cloud.client("s3").head_bucket(Bucket=bucket)):
            # Only a forced deletion of the object itself may pass over its retention.
            empty(cloud.client("s3"), bucket, key, bypass=bool(resource.inputs.get("forceDestroy")))

    def _settings(self) -> frozenset[str]:
        return self.updated_by - {*CONTENT, "forceDestroy"}

    def _tagging(self, inputs: Properties) -> dict[str, str]:
        tags = inputs.get("tagsAll")
        return {"Tagging": urlencode(tags)} if tags else {}

    def _tag(self, cloud: Cloud, inputs: Properties) -> None:
        client, object_ = cloud.client("s3"), {"Bucket": inputs["bucket"], "Key": inputs["key"]}
        if inputs.get("tagsAll"):
            client.put_object_tagging(**object_, Tagging={"TagSet": tag_list(inputs["tagsAll"])})
        else:
            client.delete_object_tagging(**object_)


class OldBucketObject(BucketObject):
    """aws_s3_object under its older Pulumi name."""

    token = "aws:s3/bucketObject:BucketObject"


def _content(inputs: Properties) -> bytes:
    if "source" in inputs:
        return asset_bytes(inputs["source"])
    text, encoded = inputs.get("content"), inputs.get("contentBase64")
    if isinstance(text, dict) or isinstance(encoded, dict):
        raise UnsupportedError("the object's content is ignored, so its other properties cannot be put without it")
    return base64.b64decode(encoded) if encoded is not None else str(text or "").encode()


KINDS = (BucketObject(), OldBucketObject())
