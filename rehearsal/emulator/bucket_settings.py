"""Settings of a bucket that are read back as they were put.

Corrects in moto 5.2.5: a lifecycle rule loses NewerNoncurrentVersions and its filter by size; a replication rule
loses its filter, its choice of encrypted objects and its treatment of delete markers; a logging status loses its key
format. Whoever compares what is there with what was asked for would put them anew for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from moto.s3.responses import S3Response

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# Setting by setting: the query parameter that names it, and moto's method that reads it.
_READERS = {
    "lifecycle": "get_bucket_lifecycle",
    "logging": "get_bucket_logging",
    "replication": "get_bucket_replication",
}


def with_rule_ids(body: bytes) -> bytes:
    """The document with an ID in every rule; S3 gives one to those that have none."""
    root = ElementTree.fromstring(body)
    for rule in root.iter(f"{{{NAMESPACE}}}Rule"):
        if rule.find(f"{{{NAMESPACE}}}ID") is None:
            ElementTree.SubElement(rule, f"{{{NAMESPACE}}}ID").text = uuid.uuid4().hex
    return ElementTree.tostring(root, default_namespace=NAMESPACE)


def _put(plain: Callable[..., Any]) -> Callable[..., Any]:
    def bucket_response_put(self: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        setting = next((name for name in _READERS if name in querystring), None)
        if setting is None or not self.body:
            return plain(self, request, bucket_name, querystring)
        self.body = with_rule_ids(self.body)
        answer = plain(self, request, bucket_name, querystring)
        bucket = self.backend.get_bucket(bucket_name)
        bucket.__dict__.setdefault("settings_as_put", {})[setting] = self.body
        return answer

    return bucket_response_put


def _read(setting: str, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        # moto knows whether there is one, and refuses otherwise. Some of a setting stands in its headers.
        status, headers, body = plain(self)
        kept = self.backend.get_bucket(self.bucket_name).__dict__.get("settings_as_put", {})
        return status, headers, kept.get(setting, body)

    return get


def install() -> None:
    """Put the corrections on moto's class."""
    S3Response._bucket_response_put = _put(S3Response._bucket_response_put)
    for setting, name in _READERS.items():
        setattr(S3Response, name, _read(setting, getattr(S3Response, name)))
