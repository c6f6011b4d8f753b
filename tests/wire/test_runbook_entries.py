"""Restoring changed log entries, in an S3 that keeps versions and enforces the bucket's policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.components import policies
from infra.stack.outputs import Stack
from runbooks.fleet.entries import Repair, repairs
from runbooks.fleet.status import FleetView, ReplicaView
from service.storage.builds import Slots
from service.storage.documents import Document, documents_log, to_rows
from service.storage.log import Append, Log, Tail, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log
from service.storage.shards import to_rows as to_shard_rows
from tests.service.small_space import recipe
from tests.stack_outputs import a_stack
from tests.wire.service_fleet import new_bucket

ENTRIES = 5
Connect = Callable[[str], Any]


@pytest.fixture
def s3(connect: Connect) -> Any:
    return connect("s3")


@pytest.fixture
def stack(s3: Any, connect: Connect, emulator: str) -> Stack:
    """Return a stack with two versioned buckets that have the program's policies."""
    documents, index = new_bucket(connect, "documents"), new_bucket(connect, "index")
    rules = {documents: policies.documents_log_is_append_only, index: policies.shard_logs_are_append_only}
    for bucket, statements in rules.items():
        arn = f"arn:aws:s3:::{bucket}"
        policy = policies.text(policies.bucket(arn, statements(arn, "123456789012")))
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    return a_stack(aws_endpoint=emulator, documents_bucket=documents, index_bucket=index)


@pytest.fixture
def log(stack: Stack) -> Log:
    """Return the documents log with some entries."""
    found = documents_log(ObjectStore(stack.documents_bucket, stack.aws))
    fill(found)
    return found


def fill(log: Log) -> None:
    tail = Tail()
    for number in range(1, ENTRIES + 1):
        tail = tail_of(Append(log, tail, to_rows([Document("r", f"d/{number}", text="t")]), f"id-{number}").run())


def view(position: int, stale: str = "") -> FleetView:
    replica = ReplicaView(0, "a", "i-1", "z", True, position, 1, 1, "", stale)
    return FleetView(ENTRIES, 1, (replica,))


def spoil(s3: Any, log: Log, number: int) -> None:
    """Put other bytes over the entry as the policy still allows: over a delete marker."""
    key, bucket = log.key(number), log.store.bucket
    body = bytearray(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    body[100] ^= 1
    s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(body), IfNoneMatch="*")


def restored(stack: Stack, position: int, *, dry_run: bool = False, stale: str = "") -> list[Repair]:
    return list(repairs(stack, view(position, stale), dry_run=dry_run))


def numbers(found: list[Repair]) -> list[int]:
    return [int(repair.key.rpartition("/")[2].partition(".")[0]) for repair in found]


def whole(log: Log) -> list[int]:
    return [entry.header.number for entry in log.follow(Tail())]


def test_deleted_and_spoiled_entries_are_whole_again(stack: Stack, s3: Any, log: Log) -> None:
    for number in (2, 3):
        s3.delete_object(Bucket=stack.documents_bucket, Key=log.key(number))
    spoil(s3, log, 4)
    found = restored(stack, 1)
    assert [(len(repair.over), repair.problem) for repair in found] == [(1, ""), (1, ""), (2, "")]
    assert whole(log) == [1, 2, 3, 4, 5]
    assert restored(stack, 1) == []
    versions = s3.list_object_versions(Bucket=stack.documents_bucket)
    assert (len(versions["Versions"]), "DeleteMarkers" in versions) == (ENTRIES, False)


def test_no_put_or_copy_goes_over_an_entry(stack: Stack, s3: Any, log: Log) -> None:
    bucket, key = stack.documents_bucket, log.key(3)
    (version,) = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    source = {"Bucket": bucket, "Key": key, "VersionId": version["VersionId"]}
    put = {"Bucket": bucket, "Key": key}
    with pytest.raises(ClientError, match="403"):
        s3.put_object(**put, Body=body)
    with pytest.raises(ClientError, match="403"):
        s3.copy_object(**put, CopySource=source, MetadataDirective="REPLACE")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**put, Body=body, IfNoneMatch="*")
    s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    assert whole(log) == [1, 2, 3, 4, 5]


def test_a_dry_run_finds_the_same_and_changes_nothing(stack: Stack, s3: Any, log: Log) -> None:
    spoil(s3, log, 3)
    before = s3.list_object_versions(Bucket=stack.documents_bucket)["Versions"]
    assert numbers(restored(stack, 1, dry_run=True)) == [3]
    assert s3.list_object_versions(Bucket=stack.documents_bucket)["Versions"] == before
    assert numbers(restored(stack, 1)) == [3]


def test_entries_that_every_replica_has_are_left_alone(stack: Stack, s3: Any, log: Log) -> None:
    s3.delete_object(Bucket=stack.documents_bucket, Key=log.key(2))
    assert restored(stack, 2) == []


def test_an_entry_without_a_whole_version_is_reported(stack: Stack, s3: Any, log: Log) -> None:
    key = log.key(3)
    (version,) = s3.list_object_versions(Bucket=stack.documents_bucket, Prefix=key)["Versions"]
    spoil(s3, log, 3)
    s3.delete_object(Bucket=stack.documents_bucket, Key=key, VersionId=version["VersionId"])
    (found,) = restored(stack, 1)
    assert "none of its versions is whole: documents entry 3: sha256 differs" in found.problem
    assert (found.over, "can't be restored" in found.render("removed")) == ((), True)


def test_two_acknowledged_entries_are_both_kept(stack: Stack, s3: Any, log: Log) -> None:
    s3.delete_object(Bucket=stack.documents_bucket, Key=log.key(ENTRIES))
    another = Append(log, tail_of(log.read(ENTRIES - 1)), to_rows([Document("r", "x")]), "id-x").run()
    (found,) = restored(stack, ENTRIES - 1)
    assert ("several of its versions are whole" in found.problem, found.over) == (True, ())
    assert log.read(ENTRIES).header == another.header


def test_a_version_that_fits_no_predecessor_is_removed(stack: Stack, s3: Any, log: Log) -> None:
    stranger = Append(log, Tail(3, "another", 0), to_rows([Document("r", "x")]), "id-x")
    s3.delete_object(Bucket=stack.documents_bucket, Key=log.key(4))
    stranger.run()
    (found,) = restored(stack, 3)
    assert [version.marker for version in found.over] == [False, True]
    assert whole(log) == [1, 2, 3, 4, 5]


def test_a_shard_log_is_searched_from_where_a_replica_stopped(stack: Stack, s3: Any) -> None:
    store = ObjectStore(stack.index_bucket, stack.aws)
    build = Slots(store).claim("blue", recipe(shards=1))
    log = shard_log(store, build.id, 0, build.recipe.embedding.dims)
    tail = Tail()
    for number in range(1, 5):
        rows = to_shard_rows([], build.recipe.embedding.dims)
        tail = tail_of(Append(log, tail, rows, f"id-{number}", (number, number + 1)).run())
    for number in (2, 3):
        s3.delete_object(Bucket=stack.index_bucket, Key=log.key(number))
    assert restored(stack, ENTRIES, stale="another-build/shard-00 entry 3: sha256 differs") == []
    # The named entry is not the first that the replica lacks.
    stale = f"{log.name} entry 3 is missing, but entry 4 is there"
    assert numbers(restored(stack, 1, stale=stale)) == [2, 3]
    assert whole(log) == [1, 2, 3, 4]
    # An indexer may make a lost entry of a shard log again, so two whole ones are allowed.
    s3.delete_object(Bucket=stack.index_bucket, Key=log.key(4))
    Append(log, tail_of(log.read(3)), to_shard_rows([], build.recipe.embedding.dims), "id-again", (4, 5)).run()
    assert restored(stack, 1, stale=stale) == []
    spoil(s3, log, 4)
    assert numbers(restored(stack, 1, stale=stale)) == [4]
    assert log.read(4).header.append_id == "id-again"
