"""Damaged or missing log entries, and their older whole versions, which S3 still keeps.

An entry is created once, so a log key with a second version or a delete marker was changed from outside. The bucket's
policy refuses every put that would overwrite an entry. To restore one, the versions and delete markers above the newest
whole version are removed by their version ids, so that this version is current again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from infra.stack.outputs import Stack
from runbooks.fleet.status import FleetView, ReplicaView
from service.storage.builds import Slots
from service.storage.documents import documents_log
from service.storage.entry import Damaged, Entry, Header, decode
from service.storage.log import Log, Tail, check_link, tail_of
from service.storage.objects import NoSuchKey, ObjectStore
from service.storage.shards import shard_log
from service.storage.versions import Version, VersionedBucket


@dataclass(frozen=True)
class Repair:
    """One changed entry and the versions over its newest whole one; `problem` says why it can't be restored."""

    bucket: str
    key: str
    over: tuple[Version, ...]
    problem: str

    def render(self, verb: str) -> str:
        """Return a line for a person; `verb` is the action on the versions."""
        where = f"s3://{self.bucket}/{self.key}"
        if self.problem:
            return f"{where} can't be restored: {self.problem}"
        kinds = [f"{'delete marker' if one.marker else 'version'} {one.identity} of {one.written}" for one in self.over]
        return f"{where}: {verb} {', '.join(kinds)}"


def repairs(stack: Stack, view: FleetView, *, dry_run: bool) -> Iterator[Repair]:
    """
    Restore the changed entries that a replica or an indexer may wait for; with `dry_run` only find them.

    They are the entries of each shard log from where a replica has stopped, and those of the documents log behind the
    position that every ready replica has reached. Raises botocore's errors, and StoreError or Damaged if the slot's
    build can't be read.
    """
    for log, number in _suspects(stack, view):
        bucket = VersionedBucket(stack.aws("s3"), log.store.bucket)
        for versions in _changed(log, number, bucket):
            whole, problem = _newest_whole(log, versions, bucket)
            over = () if whole is None else tuple(versions[:whole])
            if not dry_run:
                # The current one last and by itself, so that no reader meets a gap in between.
                for version in reversed(over):
                    bucket.delete([version])
            if over or problem:
                yield Repair(bucket.name, versions[0].key, over, problem)


def _suspects(stack: Stack, view: FleetView) -> Iterator[tuple[Log, int]]:
    """Yield logs, each with its first entry that may be damaged."""
    index, documents = (ObjectStore(bucket, stack.aws) for bucket in (stack.index_bucket, stack.documents_bucket))
    build = Slots(index).find(stack.slot)
    for shard in sorted({replica.shard for replica in view.stale if build}):
        assert build is not None
        log = shard_log(index, build.id, shard, build.recipe.embedding.dims)
        numbers = [_first_unapplied(log, replica) for replica in view.stale if replica.shard == shard]
        if any(numbers):
            yield log, min(filter(None, numbers))
    reached = min((replica.position for replica in view.replicas if replica.ready), default=0)
    yield documents_log(documents), reached + 1


def _first_unapplied(log: Log, replica: ReplicaView) -> int:
    """
    Return the first entry that a replica lacks: the one that its reason names, or one before it.

    Entries are fetched several at a time, so the named one need not be the first damaged one. Return 0 if the reason
    names no entry of `log`.
    """
    named = re.search(rf"{re.escape(log.name)} entry (\d+)\b", replica.stale)
    number = int(named[1]) if named else 0
    while number > 1 and not _applied(log, number - 1, replica.position):
        number -= 1
    return number


def _applied(log: Log, number: int, position: int) -> bool:
    """Return whether a replica at `position` has applied an entry; False if the entry can't be read."""
    try:
        return log.read(number).header.end <= position + 1
    except (NoSuchKey, Damaged):
        return False


def _changed(log: Log, number: int, bucket: VersionedBucket) -> Iterator[list[Version]]:
    """Yield the versions, newest first, of each key from entry `number` on that has more than its first one."""
    listed = bucket.versions(log.prefix, after=log.key(number - 1))
    for _, group in groupby(listed, lambda version: version.key):
        # Times are whole seconds. A marker of the same second counts as newer: removing one too many hides nothing.
        versions = sorted(group, key=lambda one: (one.current, one.written, one.marker), reverse=True)
        if len(versions) > 1 or versions[0].marker:
            yield versions


def _newest_whole(log: Log, versions: list[Version], bucket: VersionedBucket) -> tuple[int | None, str]:
    """Return the place of the newest version that belongs at its number, or a reason why there is none."""
    found: list[tuple[int, Header]] = []
    problem = "only delete markers are left of it"
    for place, version in enumerate(versions):
        if version.marker:
            continue
        try:
            found.append((place, _belonging(log, version.key, bucket.body(version)).header))
        except Damaged as error:
            problem = f"none of its versions is whole: {error}"
    # An entry of a shard log has an end, and the indexer may have made it again from the documents.
    if len({header.append_id for _, header in found if not header.end}) > 1:
        return None, "several of its versions are whole and differ: each was acknowledged, so none may be dropped"
    return (found[0][0], "") if found else (None, problem)


def _belonging(log: Log, key: str, body: bytes) -> Entry:
    """Decode an entry that belongs at its key. Raises Damaged, also if it does not follow the one before."""
    number = int(key.rpartition("/")[2].partition(".")[0])
    entry = decode(body, log=log.name, number=number, schema=log.schema)
    try:
        before = tail_of(log.read(number - 1)) if number > 1 else Tail()
    except (NoSuchKey, Damaged):
        return entry  # the entry before can't be read
    check_link(entry, before)
    return entry
