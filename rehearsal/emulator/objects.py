"""S3 whose conditional writes are atomic and whose used buckets can be emptied.

Corrects in moto 5.2.5: If-None-Match and If-Match are checked and the object stored without a lock, so two
writers can both win; deleting a version fails where versioning is suspended and the key has a delete marker, so no
bucket that was used can be emptied on the way to its deletion; a list of versions after a key begins with other
versions of that key, or leaves out the next one where there is no such key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from moto.s3.models import FakeDeleteMarker, S3Backend
from moto.s3.responses import S3Response

# Striped rather than one per key: bounded memory, and two keys on one stripe only wait for each other.
_STRIPES = [threading.RLock() for _ in range(1021)]


def lock_for(bucket: str, key: str) -> threading.RLock:
    """The lock that every change of one object holds."""
    return _STRIPES[hash((bucket, key)) % len(_STRIPES)]


def _locked(plain: Callable[..., Any]) -> Callable[..., Any]:
    def key_response(self: Any, request: Any, full_url: str) -> Any:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return plain(self, request, full_url)
        bucket = self.parse_bucket_name_from_url(request, full_url)
        with lock_for(bucket, self.parse_key_name()):
            return plain(self, request, full_url)

    return key_response


def _after_key(plain: Callable[..., Any]) -> Callable[..., Any]:
    def list_object_versions(self: Any, bucket_name: str, **asked: Any) -> Any:
        marker = asked.get("key_marker")
        if marker and not asked.get("version_id_marker") and not asked.get("delimiter"):
            keys = dict(self.get_bucket(bucket_name).keys.iterlists())
            # moto leaves out the version that is named, and all before it: that is the oldest of the last such key.
            last = max((key for key in keys if key <= marker), default=None)
            oldest = None if last is None else min(keys[last], key=lambda version: version.last_modified).version_id
            asked |= {"key_marker": last, "version_id_marker": oldest}
        return plain(self, bucket_name, **asked)

    return list_object_versions


def install() -> None:
    """Put the corrections on moto's classes."""
    S3Response._key_response = _locked(S3Response._key_response)
    # A delete marker holds no bytes, so there is nothing to let go of.
    FakeDeleteMarker.dispose = lambda self: None
    S3Backend.list_object_versions = _after_key(S3Backend.list_object_versions)
