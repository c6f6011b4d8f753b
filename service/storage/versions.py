"""A bucket seen with all versions of its objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.storage.objects import StoreError

PAGE_VERSIONS = 1_000  # the most that S3 deletes with one request


@dataclass(frozen=True)
class Version:
    """A version of a key, or a delete marker."""

    key: str
    identity: str
    current: bool
    marker: bool
    written: str


class VersionedBucket:
    """A bucket with versions. Calls raise botocore's errors."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self.name = s3, bucket

    def versions(self, prefix: str, after: str = "") -> Iterator[Version]:
        """Yield all versions and delete markers below a prefix, behind the key `after`, in the order of keys.

        Versions and markers come in separate lists, and those of a key may continue on the next page.
        """
        listing = {"Bucket": self.name, "Prefix": prefix} | ({"KeyMarker": after} if after else {})
        for page in self._s3.get_paginator("list_object_versions").paginate(**listing):
            found = [
                Version(one["Key"], one["VersionId"], one["IsLatest"], marker, one["LastModified"].isoformat())
                for kind, marker in (("Versions", False), ("DeleteMarkers", True))
                for one in page.get(kind, ())
            ]
            yield from sorted(found, key=lambda one: one.key)

    def delete(self, versions: Sequence[Version]) -> None:
        """Delete versions for ever, in their order. Raise StoreError if S3 keeps one."""
        for first in range(0, len(versions), PAGE_VERSIONS):
            some = versions[first : first + PAGE_VERSIONS]
            objects = [{"Key": one.key, "VersionId": one.identity} for one in some]
            answer = self._s3.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise StoreError(f"s3://{self.name}/{error['Key']} was kept: {error['Code']} {error['Message']}")

    def is_copied(self, version: Version) -> bool:
        """Return whether no replication of a version is under way."""
        found = self._s3.head_object(Bucket=self.name, Key=version.key, VersionId=version.identity)
        return found.get("ReplicationStatus") not in ("PENDING", "IN_PROGRESS")

    def tag(self, version: Version, tag: tuple[str, str]) -> datetime | None:
        """Give a version a tag; return when its lock ends, None if it has none."""
        named = {"Bucket": self.name, "Key": version.key, "VersionId": version.identity}
        self._s3.put_object_tagging(**named, Tagging={"TagSet": [{"Key": tag[0], "Value": tag[1]}]})
        until: datetime | None = self._s3.head_object(**named).get("ObjectLockRetainUntilDate")
        return until

    def body(self, version: Version) -> bytes:
        """Read one version."""
        answer = self._s3.get_object(Bucket=self.name, Key=version.key, VersionId=version.identity)
        return bytes(answer["Body"].read())
