"""The erasure of documents: no object of the fleet holds their contents afterwards, in any version.

Each step may be done again, so a call that was killed is made good by the next one. The record in the documents bucket
says which documents are to be erased. It is there before the first step, and names none of them after the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from infra.facts import naming
from infra.stack.outputs import Fleet
from runbooks.fleet.backups import take
from runbooks.fleet.erasure_records import Record, Records
from runbooks.fleet.status import FleetError, answered, connect, see
from service.client import Client
from service.embedding.segments import PREFIX as MEMORY
from service.embedding.segments import Segments, segments_of
from service.embedding.splitter import texts_of
from service.indexer.shard_writes import ShardWrites
from service.storage import snapshot
from service.storage.builds import Build, Slots
from service.storage.documents import documents_log, from_entry
from service.storage.entry import Entry
from service.storage.erasing import close_gaps, erased_documents, erased_records, has_row, rewrite
from service.storage.log import Log
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log, shard_of
from service.storage.sorted_keys import each_key
from service.storage.sources import Source, Sources
from service.storage.versions import Version, VersionedBucket
from service.storage.voids import voids_at
from vectorfleet.refusal import Failure, Refusal
from vectorfleet.waiting import until

BUILDS = "builds/"
POLL_SECONDS = 0.5
DELETED_AT_ONCE = 1_000
SNAPSHOT_TIMEOUT_SECONDS = 30.0

Say = Callable[[str], None]


class Concerned(NamedTuple):
    """An entry of a log that may have rows of the documents, and how it is erased."""

    bucket: VersionedBucket
    log: Log
    number: int
    erased: Callable[[Entry, Collection[Source]], Entry | None]

    @property
    def key(self) -> str:
        return self.log.key(self.number)

    def rewrite(self, sources: Collection[Source]) -> bool:
        """Rewrite the entry without the contents of the sources; return whether it had some."""
        return rewrite(self.bucket, self.log, self.number, lambda entry: self.erased(entry, sources))


class Erasure:
    """One erasure, step by step. Raises botocore's errors, StoreError, Damaged, Failure and Refusal.

    A Refusal comes before the first step: there is a build that is not to be changed now.
    """

    def __init__(self, fleet: Fleet, records: Records, record: Record, say: Say) -> None:
        self._fleet, self._records, self._say = fleet, records, say
        self.record = record
        self._sources = {Source(record.collection, source_id) for source_id in record.source_ids}
        s3 = fleet.aws("s3")
        self._store = ObjectStore(fleet.documents_bucket, fleet.aws)
        self._log = documents_log(self._store)
        self._index = ObjectStore(fleet.index_bucket, fleet.aws)
        self._documents_versions = VersionedBucket(s3, fleet.documents_bucket)
        self._index_versions = VersionedBucket(s3, fleet.index_bucket)
        self._builds = self._find_builds()
        self._positions: list[int] = []
        self._concerned: list[Concerned] = []

    def run(self, within_seconds: float) -> Record:
        """Erase; return the record of what was done."""
        if self.record.position:
            self._close_gaps()
        else:
            self._delete_documents()
        self._await_position(within_seconds)
        self._positions = self._find_positions()
        self._concerned = [*self._find_concerned()]
        if self._fleet.vault_bucket:
            self._refuse_while_copied()
        self._forget_vectors()
        rewritten = self._rewrite()
        self._renew_snapshots(within_seconds)
        self._delete_old_versions()
        until_ms = self._tag_vault() if self._fleet.vault_bucket else 0
        self._keep(source_ids=[], rewritten=rewritten, done_ms=time.time_ns() // 1_000_000, vault_until_ms=until_ms)
        return self.record

    def _keep(self, **changes: object) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        self._records.update(self.record)

    def _find_builds(self) -> dict[str, Build]:
        """Return the builds of the deployed slots. Raise Refusal if one exists that is not to be changed now."""
        slots, builds = Slots(self._index), dict[str, Build]()
        for slot in self._fleet.slots:
            status = answered(connect(self._fleet.endpoint, slot).status)
            build = slots.find(slot)
            if build is None or build.id != status["build"] or slots.find_next(slot) is not None:
                raise Refusal(f"Slot {slot} has no build yet, or gets a new one; call it again when that has ended.")
            if status.get("until") is not None:
                raise Refusal(f"Slot {slot} holds the documents of a past position; remove and retire it first.")
            builds[slot] = build
        known = {one.id for one in builds.values()}
        for key in self._index.keys(BUILDS):
            if (found := key.split("/")[1]) not in known:
                raise Refusal(f"Build {found} belongs to no deployed slot; delete it with `vectorfleet slots retire`.")
        return builds

    def _close_gaps(self) -> None:
        """Bring back the entries that a killed call has deleted and not written again."""
        close_gaps(self._documents_versions, self._log)
        for log in self._shard_logs():
            close_gaps(self._index_versions, log)

    def _shard_logs(self) -> Iterator[Log]:
        """Yield the log of each shard of each build that has one of the documents."""
        for build in self._builds.values():
            for shard in sorted({shard_of(source.source_id, build.recipe.shards) for source in self._sources}):
                yield shard_log(self._index, build.id, shard, build.recipe.embedding.dims)

    def _delete_documents(self) -> None:
        """Delete the documents as a caller does, so that no slot returns them from now on."""
        client = connect(self._fleet.endpoint)
        named = {"collection": self._collection_reference()} if self.record.collection else {}
        deletions = [{"source_id": source_id, "delete": True} for source_id in self.record.source_ids]
        for first in range(0, len(deletions), DELETED_AT_ONCE):
            some = deletions[first : first + DELETED_AT_ONCE]
            position = int(answered(partial(client.write, some, **named))["position"])
        self._keep(position=position)
        self._say(f"documents deleted: {len(deletions)}, at position {position}")

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
                views = [
                    see(connect(self._fleet.endpoint, slot), build.recipe.shards)
                    for slot, build in self._builds.items()
                ]
            except FleetError:
                return False
            return all(view.position >= self.record.position for view in views)

        if not until(reached, within_seconds, POLL_SECONDS):
            raise Failure(f"Not every slot reached position {self.record.position} in time; call it again.")

    def _find_positions(self) -> list[int]:
        """Return the positions at which the documents may have been written."""
        found = Sources(self._store).positions(self._sources, self.record.position + 1)
        return sorted({position for some in found for position in some})

    def _find_concerned(self) -> Iterator[Concerned]:
        """Yield the entries to rewrite, those of the documents log first: an indexer makes shard entries from them.

        Voids write documents again, so their shard entries are among them.
        """
        for position in self._positions:
            yield Concerned(self._documents_versions, self._log, position, erased_documents)
        voids = {one.position for one in voids_at(self._log, self._log.tail().voids).voids}
        for log in self._shard_logs():
            for entry in ShardWrites(log, log.tail()).entries(sorted({*self._positions, *voids})):
                if has_row(entry, self._sources):
                    yield Concerned(self._index_versions, log, entry.header.number, erased_records)

    def _refuse_while_copied(self) -> None:
        """Raise Failure while replication of an entry with the documents is under way: its copy would come later."""
        for one in self._concerned:
            versions = one.bucket.versions(one.key)
            if not all(one.bucket.is_copied(version) for version in versions if not version.marker):
                raise Failure(
                    f"s3://{one.bucket.name}/{one.key} is on its way into the vault; call it again in 15 minutes."
                )

    def _forget_vectors(self) -> None:
        """Delete segments of the embedding memory that hold one of the texts, and those of other models.

        The texts are still in the documents log, so this step can be done again until it is complete.
        """
        written, kept = self._written(), set[str]()
        spaces: dict[str, tuple[Segments, set[bytes]]] = {}
        for recipe in (build.recipe for build in self._builds.values()):
            if (segments := segments_of(self._index, recipe)) is not None:
                texts = (text for title, body in written for text in texts_of(title, body, recipe.chunking))
                spaces.setdefault(segments.prefix, (segments, set()))[1].update(map(segments.key_of, texts))
        for prefix, (segments, keys) in spaces.items():
            kept |= {prefix + one.name for one in segments.list() if keys.isdisjoint(each_key(segments.keys(one)))}
        gone = [one for one in self._index_versions.versions(MEMORY) if not one.current or one.key not in kept]
        self._index_versions.delete(gone)
        self._say(f"versions of the embedding memory deleted: {len(gone)}")

    def _written(self) -> list[tuple[str, str]]:
        """Return title and text of every write of the documents."""
        documents = (one.document for position in self._positions for one in from_entry(self._log.read(position)))
        return [
            (one.title, one.text)
            for one in documents
            if Source(one.collection, one.source_id) in self._sources and not one.delete
        ]

    def _rewrite(self) -> int:
        count = sum(one.rewrite(self._sources) for one in self._concerned)
        self._say(f"entries of the logs rewritten: {count}")
        return count

    def _renew_snapshots(self, within_seconds: float) -> None:
        """Have new snapshots made, which lack the documents, and delete all older ones."""
        for slot, build in self._builds.items():
            client = Client(self._fleet.endpoint, timeout_seconds=SNAPSHOT_TIMEOUT_SECONDS, slot=slot)
            if take(client, 1, within_seconds) is None:
                raise Failure(f"Slot {slot} made no snapshot of every shard in time; call it again.")
            for shard in range(build.recipe.shards):
                prefix = snapshot.prefix_of(build.id, shard)
                old = [one for one in self._index_versions.versions(prefix) if self._is_old(one.key, prefix)]
                self._index_versions.delete(old)
        self._say("older snapshots are deleted")

    def _is_old(self, key: str, prefix: str) -> bool:
        position = snapshot.position_of(key.removeprefix(prefix).split("/")[0])
        return position is None or position < self.record.position

    def _delete_old_versions(self) -> None:
        """Delete what is no current version any more: earlier builds, and entries before they were rewritten."""
        old = [one for one in self._index_versions.versions(BUILDS) if one.marker or not one.current]
        # Markers last: what they hide must not come back.
        self._index_versions.delete(sorted(old, key=lambda one: one.current))

    def _tag_vault(self) -> int:
        """Tag the vault's copies, so that S3 deletes each when its lock ends; return when the last lock ends, in ms."""
        vault = VersionedBucket(self._fleet.aws("s3"), str(self._fleet.vault_bucket))
        ends = [vault.tag(one, naming.ERASED_TAG) for one in self._copies(vault)]
        self._say(f"copies in the vault tagged: {len(ends)}; S3 deletes each when its lock ends")
        return max((int(one.timestamp() * 1000) for one in ends if one is not None), default=0)

    def _copies(self, vault: VersionedBucket) -> Iterator[Version]:
        """Yield the vault's copies that may hold the documents. A copy has the version id of its original."""
        for one in self._concerned:
            kept = {version.identity for version in one.bucket.versions(one.key)}
            yield from (copy for copy in vault.versions(one.key) if not copy.marker and copy.identity not in kept)
        current = {build.id for build in self._builds.values()}
        for version in vault.versions(BUILDS):
            build, folder, *rest = version.key.removeprefix(BUILDS).split("/")
            prefix = f"{BUILDS}{build}/{folder}/snapshots/"
            is_old_snapshot = rest[:1] == ["snapshots"] and self._is_old(version.key, prefix)
            if not version.marker and (build not in current or is_old_snapshot):
                yield version
