"""Object Lock that outlives the first object.

Corrects in moto 5.2.5: the default retention can only be set while the bucket is empty; versioning of a locked or
replicated bucket can be suspended, after which a deletion passes over every retention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.s3.exceptions import InvalidBucketState
from moto.s3.models import S3Backend


def _put_lock(
    self: Any, bucket_name: str, lock_enabled: bool, mode: str | None, days: int | None, years: int | None
) -> None:
    bucket = self.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = mode, days, years


def _put_versioning(plain: Callable[..., None]) -> Callable[..., None]:
    def put_bucket_versioning(self: Any, bucket_name: str, status: str) -> None:
        bucket = self.get_bucket(bucket_name)
        bound = "An Object Lock" if bucket.object_lock_enabled else None
        bound = "A replication" if bucket.__dict__.get("replication") else bound
        if bound and status != "Enabled":
            raise InvalidBucketState(
                f"{bound} configuration is present on this bucket, so the versioning state cannot be changed."
            )
        plain(self, bucket_name, status)

    return put_bucket_versioning


def install() -> None:
    """Put the corrections on moto's class."""
    S3Backend.put_object_lock_configuration = _put_lock
    S3Backend.put_bucket_versioning = _put_versioning(S3Backend.put_bucket_versioning)
