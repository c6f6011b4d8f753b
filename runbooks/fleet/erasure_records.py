"""The records of erasures: which documents are to be erased, and what was done."""

from __future__ import annotations

import msgspec

from infra.stack.outputs import Fleet
from service.storage.objects import ObjectStore
from service.storage.versions import VersionedBucket

PREFIX = "erasures/"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one erasure: its documents while it goes on, and their number.

    `position` is that of their deletion, 0 before it. Copies in the vault end at `vault_until_ms`; 0 without a vault.
    """

    id: str
    begun_ms: int
    count: int
    collection: int = 0
    source_ids: list[str] = []
    position: int = 0
    rewritten: int = 0
    done_ms: int = 0
    vault_until_ms: int = 0


class Records:
    """The records of all erasures of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._store = ObjectStore(fleet.documents_bucket, fleet.aws)
        self._versions = VersionedBucket(fleet.aws("s3"), fleet.documents_bucket)

    def all(self) -> list[Record]:
        """Return all records, in the order of their ids."""
        return [self._read(key)[0] for key in self._store.keys(PREFIX)]

    def begin(self, record: Record) -> None:
        """Store a new record."""
        self._store.create(_key(record), msgspec.json.encode(record))

    def update(self, record: Record) -> None:
        """Replace a record, and delete its older versions, which may name documents."""
        key = _key(record)
        self._store.replace(key, msgspec.json.encode(record), self._read(key)[1])
        self._versions.delete([one for one in self._versions.versions(key) if not one.current])

    def _read(self, key: str) -> tuple[Record, str]:
        stored = self._store.get(key)
        return msgspec.json.decode(stored.body, type=Record), stored.etag


def _key(record: Record) -> str:
    return f"{PREFIX}{record.id}.json"
