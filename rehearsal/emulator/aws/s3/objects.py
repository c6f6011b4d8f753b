"""Objects of S3: atomic conditional writes, deletion of versions, lists of versions."""

from __future__ import annotations

import threading
from typing import Any

from moto.s3.models import FakeDeleteMarker, S3Backend
from moto.s3.responses import S3Response

from rehearsal.emulator.corrections import Method, adds, corrects

# Stripes bound the memory; two keys on one stripe only wait for each other.
_STRIPES = [threading.RLock() for _ in range(1021)]


def lock_for(bucket: str, key: str) -> threading.RLock:
    """Return the lock that every change of an object holds."""
    return _STRIPES[hash((bucket, key)) % len(_STRIPES)]


@corrects(S3Response, "_key_response")
def _key_response(plain: Method, self: Any, request: Any, full_url: str) -> Any:
    """Check If-None-Match and If-Match, and store, under one lock; in moto two writers can both win."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return plain(self, request, full_url)
    bucket = self.parse_bucket_name_from_url(request, full_url)
    with lock_for(bucket, self.parse_key_name()):
        return plain(self, request, full_url)


@adds(FakeDeleteMarker, "dispose")
def _dispose(self: Any) -> None:
    """
    Dispose of a delete marker, which holds no bytes.

    Without this method moto can't delete a version if versioning is suspended and the key has a delete marker. No used
    bucket could be emptied.
    """


@corrects(S3Backend, "list_object_versions")
def _list_object_versions(plain: Method, self: Any, bucket_name: str, **asked: Any) -> Any:
    """Begin a list after a key with the next key; moto lists other versions of that key, or leaves out the next key."""
    marker = asked.get("key_marker")
    if marker and not asked.get("version_id_marker") and not asked.get("delimiter"):
        keys = dict(self.get_bucket(bucket_name).keys.iterlists())
        # moto leaves out the named version and all before it, so name the oldest version of the last such key.
        last = max((key for key in keys if key <= marker), default=None)
        oldest = None if last is None else min(keys[last], key=lambda version: version.last_modified).version_id
        asked |= {"key_marker": last, "version_id_marker": oldest}
    return plain(self, bucket_name, **asked)
