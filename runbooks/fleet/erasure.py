"""The erasure of documents: no object of the fleet holds their contents afterwards, in any version.

Each step may be done again, so a call that was killed is made good by the next one. The record in the documents bucket
says which documents are to be erased. It is there before the first step, and names none of them after the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec

from infra.facts import naming
from infra.stack.outputs import Fleet
from runbooks.fleet.backups import take
from runbooks.fleet.erasure_records import Record, Records
from runbooks.fleet.status import FleetError, answered, connect, see
from service.client import Client
from service.embedding.segments import PREFIX as MEMORY
from service.embedding.segments import Segments
from service.embedding.splitter import SPLITTER, heading, split
from service.indexer.shard_writes import ShardWrites
from service.storage import snapshot
from service.storage.builds import Build, Recipe, Slots
from service.storage.documents import documents_log, from_entry
from service.storage.erasing import Version, VersionedBucket, erased_documents, erased_records, has_row, rewrite
from service.storage.log import Log
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log, shard_of
from service.storage.sorted_keys import each_key
from service.storage.sources import Source, Sources
from service.storage.voids import voids_at
from vectorfleet.refusal import Failure, Refusal
from vectorfleet.waiting import until

BUILDS = "builds/"
POLL_SECONDS = 0.5
DELETED_AT_ONCE = 1_000
SNAPSHOT_TIMEOUT_SECONDS = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Served:
    """A deployed slot and its build."""

    slot: str
    shards: int
    build: Build


class Erasure:
    """One erasure, step by step. Raises botocore's errors, StoreError, Damaged, NotErased, Failure and Refusal.

    A Refusal comes before the first step: there is a build that is not to be changed now.
    """

    def __init__(self, fleet: Fleet, record: Record, say: Say) -> None:
        self._fleet, self._say = fleet, say
        self.record = record
        self._sources = {Source(record.collection, source_id) for source_id in record.source_ids}
        s3 = fleet.aws("s3")
        self._documents = ObjectStore(fleet.documents_bucket, fleet.aws)
        self._index = ObjectStore(fleet.index_bucket, fleet.aws)
        self._documents_versions = VersionedBucket(s3, fleet.documents_bucket)
        self._index_versions = VersionedBucket(s3, fleet.index_bucket)
        self._served = self._find_served()
        self._positions: list[int] = []

    def run(self, within_seconds: float) -> Record:
        """Erase; return the record of what was done."""
        self._delete_documents()
        self._await_position(within_seconds)
        self._positions = self._find_positions()
        if self._fleet.vault_bucket:
            self._refuse_while_copied()
        self._forget_vectors()
        rewritten = self._rewrite_documents() + self._rewrite_shard_logs()
        self._renew_snapshots(within_seconds)
        self._delete_old_versions()
        until_ms = self._tag_vault() if self._fleet.vault_bucket else 0
        return msgspec.structs.replace(
            self.record,
            source_ids=[],
            rewritten=rewritten,
            done_ms=time.time_ns() // 1_000_000,
            vault_until_ms=until_ms,
        )

    def _find_served(self) -> list[Served]:
        """Return the deployed slots. Raise Refusal if a build exists that is not to be changed now."""
        slots, served = Slots(self._index), []
        for slot in self._fleet.slots:
            status = answered(connect(self._fleet.endpoint, slot).status)
            build = slots.find(slot)
            if build is None or build.id != status["build"] or slots.find_next(slot) is not None:
                raise Refusal(f"Slot {slot} has no build yet, or gets a new one; call it again when that has ended.")
            if status.get("until") is not None:
                raise Refusal(f"Slot {slot} holds the documents of a past position; remove and retire it first.")
            served.append(Served(slot, build.recipe.shards, build))
        known = {one.build.id for one in served}
        for key in self._index.keys(BUILDS):
            if (found := key.split("/")[1]) not in known:
                raise Refusal(f"Build {found} belongs to no deployed slot; delete it with `vectorfleet slots retire`.")
        return served

    def _delete_documents(self) -> None:
        """Delete the documents as a caller does, so that no slot returns them from now on."""
        if self.record.position:
            return
        client = connect(self._fleet.endpoint)
        named = {"collection": self._collection_reference()} if self.record.collection else {}
        deletions = [{"source_id": source_id, "delete": True} for source_id in self.record.source_ids]
        for first in range(0, len(deletions), DELETED_AT_ONCE):
            some = deletions[first : first + DELETED_AT_ONCE]
            position = int(answered(partial(client.write, some, **named))["position"])
        self.record = msgspec.structs.replace(self.record, position=position)
        Records(self._fleet).update(self.record)
        self._say(f"{len(deletions)} documents are deleted at position {position}")

    def _collection_reference(self) -> str:
        listed = answered(connect(self._fleet.endpoint).collections)["collections"]
        found = next((one for one in listed if one["id"] == self.record.collection), None)
        if found is None:
            raise Failure(f"Collection {self.record.collection} was dropped meanwhile.")
        return f"{found['name']}@{found['id']}"

    def _await_position(self, within_seconds: float) -> None:
        """Wait until every slot has deleted them; what is indexed later comes from entries without contents."""

        def reached() -> bool:
            try:
                views = [see(connect(self._fleet.endpoint, one.slot), one.shards) for one in self._served]
            except FleetError:
                return False
            return all(view.position >= self.record.position for view in views)

        if not until(reached, within_seconds, POLL_SECONDS):
            raise Failure(f"Not every slot reached position {self.record.position} in time; call it again.")

    def _find_positions(self) -> list[int]:
        """Return the positions at which the documents may have been written."""
        found = Sources(self._documents).positions(self._sources, self.record.position + 1)
        return sorted({position for some in found for position in some})

    def _forget_vectors(self) -> None:
        """Delete segments of the embedding memory that hold one of the texts, and those of other models.

        The texts are still in the documents log, so this step can be done again until it is complete.
        """
        kept: list[Version] = []
        texts = self._texts()
        spaces = {one.prefix: one for one in map(self._segments, self._served) if one is not None}
        for prefix, segments in spaces.items():
            keys = {segments.key_of(text) for served, text in texts if self._segments_prefix(served) == prefix}
            for segment in segments.list():
                if keys.isdisjoint(each_key(segments.keys(segment))):
                    kept += [one for one in self._index_versions.versions(prefix + segment.name) if one.current]
        gone = [one for one in self._index_versions.versions(MEMORY) if one not in kept]
        self._index_versions.delete(gone)
        self._say(f"{len(gone)} versions of the embedding memory are deleted")

    def _texts(self) -> list[tuple[Served, str]]:
        """Return every text that was embedded for the documents, with the slot that has it so."""
        log, found = documents_log(self._documents), []
        for position in self._positions:
            for document in (one.document for one in from_entry(log.read(position))):
                if Source(document.collection, document.source_id) in self._sources and not document.delete:
                    found += [
                        (served, heading(document.title, chunk))
                        for served in self._served
                        for chunk in split(document.title, document.text, served.build.recipe.chunking)
                    ]
        return found

    def _segments(self, served: Served) -> Segments | None:
        recipe: Recipe = served.build.recipe
        if recipe.embedding.given:
            return None
        return Segments(self._index, recipe.fingerprint.removeprefix(f"{SPLITTER} "), recipe.embedding.dims)

    def _segments_prefix(self, served: Served) -> str:
        segments = self._segments(served)
        return segments.prefix if segments is not None else ""

    def _rewrite_documents(self) -> int:
        log = documents_log(self._documents)
        count = sum(
            rewrite(self._documents_versions, log, position, lambda entry: erased_documents(entry, self._sources))
            for position in self._positions
        )
        self._say(f"{count} entries of the documents log are rewritten")
        return count

    def _rewrite_shard_logs(self) -> int:
        entries = [*self._shard_entries()]
        count = sum(
            rewrite(self._index_versions, log, number, lambda entry: erased_records(entry, self._sources))
            for log, number in entries
        )
        self._say(f"{count} entries of shard logs are rewritten")
        return count

    def _shard_entries(self) -> Iterator[tuple[Log, int]]:
        """Yield the entries with rows of the documents: of their positions, and of voids, which write them again."""
        documents = documents_log(self._documents)
        voids = [one.position for one in voids_at(documents, documents.tail().voids).voids]
        for served in self._served:
            for shard in sorted({shard_of(source.source_id, served.shards) for source in self._sources}):
                log = shard_log(self._index, served.build.id, shard, served.build.recipe.embedding.dims)
                for entry in ShardWrites(log, log.tail()).entries(sorted({*self._positions, *voids})):
                    if has_row(entry, self._sources):
                        yield log, entry.header.number

    def _entry_keys(self) -> Iterator[tuple[VersionedBucket, str]]:
        """Yield the key of each entry with rows of the documents, with its bucket."""
        log = documents_log(self._documents)
        yield from ((self._documents_versions, log.key(position)) for position in self._positions)
        yield from ((self._index_versions, own.key(number)) for own, number in self._shard_entries())

    def _renew_snapshots(self, within_seconds: float) -> None:
        """Have new snapshots made, which lack the documents, and delete all older ones."""
        for served in self._served:
            client = Client(self._fleet.endpoint, timeout_seconds=SNAPSHOT_TIMEOUT_SECONDS, slot=served.slot)
            if take(client, 1, within_seconds) is None:
                raise Failure(f"Slot {served.slot} made no snapshot of every shard in time; call it again.")
            for shard in range(served.shards):
                prefix = snapshot.prefix_of(served.build.id, shard)
                old = [one for one in self._index_versions.versions(prefix) if self._is_old(one.key, prefix)]
                self._index_versions.delete(old)
        self._say("older snapshots are deleted")

    def _is_old(self, key: str, prefix: str) -> bool:
        position = snapshot.position_of(key.removeprefix(prefix).split("/")[0])
        return position is None or position < self.record.position

    def _delete_old_versions(self) -> None:
        """Delete what is no current version any more: earlier builds, and entries before they were rewritten."""
        self._index_versions.delete([one for one in self._index_versions.versions(BUILDS) if not one.current])
        current = [one for one in self._index_versions.versions(BUILDS) if one.marker]
        self._index_versions.delete(current)

    def _tag_vault(self) -> int:
        """Tag the vault's copies, so that S3 deletes each when its lock ends; return when the last lock ends, in ms."""
        vault = VersionedBucket(self._fleet.aws("s3"), str(self._fleet.vault_bucket))
        ends = [vault.tag(one, naming.ERASED_TAG) for one in self._copies(vault)]
        self._say(f"{len(ends)} copies in the vault are tagged; S3 deletes each when its lock ends")
        return max((int(one.timestamp() * 1000) for one in ends if one is not None), default=0)

    def _copies(self, vault: VersionedBucket) -> Iterator[Version]:
        """Yield the vault's copies that may hold the documents. A copy has the version id of its original."""
        for bucket, key in self._entry_keys():
            kept = {one.identity for one in bucket.versions(key)}
            yield from (one for one in vault.versions(key) if not one.marker and one.identity not in kept)
        current = {one.build.id for one in self._served}
        for version in vault.versions(BUILDS):
            build, folder, *rest = version.key.removeprefix(BUILDS).split("/")
            prefix = f"{BUILDS}{build}/{folder}/snapshots/"
            is_old_snapshot = rest[:1] == ["snapshots"] and self._is_old(version.key, prefix)
            if not version.marker and (build not in current or is_old_snapshot):
                yield version

    def _refuse_while_copied(self) -> None:
        """Raise Failure while replication of an entry with the documents is under way: its copy would come later."""
        for bucket, key in self._entry_keys():
            if not all(bucket.is_copied(one) for one in bucket.versions(key) if not one.marker):
                raise Failure(f"s3://{bucket.name}/{key} is on its way into the vault; call it again in 15 minutes.")
