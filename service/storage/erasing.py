"""Log entries without the contents of erased documents, and objects without their older versions.

An entry keeps its number, its append_id and its other rows, so the chain of its log holds. An erased write has become a
deletion, which every later reader folds as one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np

from service.storage import documents, shards
from service.storage.content import content_hash
from service.storage.entry import Damaged, Entry, decode, encode, in_oldest_format
from service.storage.log import Log
from service.storage.objects import PreconditionFailed
from service.storage.sources import Source

PAGE_VERSIONS = 1_000  # the most that S3 deletes with one request
ERASED = "erased"


class Version(NamedTuple):
    """A version of a key, or a delete marker."""

    key: str
    identity: str
    current: bool
    marker: bool


class NotErased(Exception):
    """S3 kept a version that was to be deleted, or another process wrote the object at the same moment."""


def erased_documents(entry: Entry, sources: Collection[Source]) -> Entry | None:
    """Return an entry of the documents log without the contents of some sources; None if it has none of them."""
    written = [one.document for one in documents.from_entry(entry)]
    changed = [_erased_document(one) if Source(one.collection, one.source_id) in sources else one for one in written]
    if changed == written:
        return None
    return Entry(entry.header, documents.to_rows(changed))


def _erased_document(written: documents.Document) -> documents.Document:
    return msgspec.structs.replace(written, delete=True, title="", text="", metadata="", vector=b"")


def erased_records(entry: Entry, sources: Collection[Source]) -> Entry | None:
    """Return an entry of a shard log without the contents of some sources; None if it has none of them."""
    records, dims = list(shards.from_entry(entry)), shards.dims_of(entry)
    erased = [Source(one.collection, one.source_id) in sources and _has_contents(one) for one in records]
    if not any(erased):
        return None
    changed = [_erased_record(one, dims) if gone else one for one, gone in zip(records, erased, strict=True)]
    return Entry(entry.header, shards.to_rows(changed, dims))


def _has_contents(record: shards.Record) -> bool:
    return bool(record.chunks or record.title or record.metadata or record.rejected not in ("", ERASED))


def _erased_record(record: shards.Record, dims: int) -> shards.Record:
    return msgspec.structs.replace(
        record,
        title="",
        metadata="",
        content_hash=content_hash("", "", "", b""),
        chunks=[],
        vectors=np.empty((0, dims), np.float32),
        # A model's reason may repeat the text.
        rejected=ERASED if record.rejected else "",
    )


class VersionedBucket:
    """A bucket with versions, seen with all of them. Calls raise botocore's errors."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self.name = s3, bucket

    def versions(self, prefix: str) -> Iterator[Version]:
        """Yield all versions and delete markers below a prefix, in the order of keys, newest first."""
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix):
            found = [
                Version(one["Key"], one["VersionId"], one["IsLatest"], marker)
                for kind, marker in (("Versions", False), ("DeleteMarkers", True))
                for one in page.get(kind, ())
            ]
            yield from sorted(found, key=lambda one: (one.key, not one.current))

    def delete(self, versions: Sequence[Version]) -> None:
        """Delete versions for ever. Raise NotErased if S3 keeps one."""
        for first in range(0, len(versions), PAGE_VERSIONS):
            some = versions[first : first + PAGE_VERSIONS]
            objects = [{"Key": one.key, "VersionId": one.identity} for one in some]
            answer = self._s3.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise NotErased(f"s3://{self.name}/{error['Key']} was kept: {error['Code']} {error['Message']}")

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


def rewrite(bucket: VersionedBucket, log: Log, number: int, erased: Callable[[Entry], Entry | None]) -> bool:
    """Replace entry `number` by what `erased` makes of it, and delete its older versions. Return whether it changed.

    The bucket refuses every put over an entry, so the entry is deleted first. Its last version stays until the new one
    is written, so a call that ends between them is made good by the next call. A reader that meets the gap, some
    milliseconds long, tries again. Raise Damaged and NotErased.
    """
    key = log.key(number)
    found = [one for one in bucket.versions(key) if one.key == key]
    whole = next((one for one in found if not one.marker), None)
    if whole is None:
        raise Damaged(f"{log.name} entry {number}: no version of it is left")
    entry = erased(decode(bucket.body(whole), log=log.name, number=number, schema=log.schema))
    if entry is not None:
        if found[0].current and not found[0].marker:
            log.store.delete(key)
        _create(log, key, entry)
    elif found[0].marker:
        # A call before this one has deleted the entry, and has written nothing yet.
        raise Damaged(f"{log.name} entry {number} was deleted from outside; restore it first, with restore-entry")
    older = [one for one in bucket.versions(key) if one.key == key and not one.current]
    bucket.delete(older)
    return entry is not None


def _create(log: Log, key: str, entry: Entry) -> None:
    plain = in_oldest_format(entry)
    try:
        log.store.create(key, encode(plain.header, plain.rows))
    except PreconditionFailed:
        # An indexer makes a lost entry of its shard log again, from documents that have no contents any more.
        raise NotErased(f"s3://{log.store.bucket}/{key} was written at the same moment; call it again") from None


def has_row(entry: Entry, sources: Collection[Source]) -> bool:
    """Return whether an entry has a row of one of the sources."""
    columns = (entry.rows.column(name).to_pylist() for name in Source._fields)
    return any(Source(*values) in sources for values in zip(*columns, strict=True))
