"""S3 objects of the emulator: conditional writes, faults, versions."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.wire.fleet import unique

Connect = Callable[[str], Any]
WRITERS = 12


@pytest.fixture
def bucket(connect: Connect) -> str:
    name = unique("bucket")
    connect("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def faults(emulator: str) -> Iterator[Callable[..., None]]:
    """Return a function that sets one fault rule; the fixture removes all rules afterwards."""

    def send(method: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{emulator}/_vectorfleet/s3-faults", data=data, method=method)
        with urllib.request.urlopen(request, timeout=5) as reply:
            assert reply.status == 200

    yield lambda **rule: send("POST", {"rules": [rule]})
    send("DELETE")


def _try_put(s3: Any, bucket: str, key: str, writer: int) -> bool:
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % writer, IfNoneMatch="*")
    except s3.exceptions.ClientError as refusal:
        if refusal.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return False
    return True


def test_one_of_many_conditional_writers_wins(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(20):
            barrier = threading.Barrier(WRITERS)

            def attempt(writer: int, key: str = f"log/{number:020d}", gate: Any = barrier) -> bool:
                gate.wait()
                return _try_put(s3, bucket, key, writer)

            won = list(pool.map(attempt, range(WRITERS)))
            assert sum(won) == 1
            body = s3.get_object(Bucket=bucket, Key=f"log/{number:020d}")["Body"].read()
            assert body == b"%d" % won.index(True)


def test_a_conflict_stores_nothing_and_is_spent(connect: Connect, bucket: str, faults: Callable[..., None]) -> None:
    s3 = connect("s3")
    faults(method="PUT", bucket=bucket, key_prefix="log/", fault="conflict", count=1)
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    with pytest.raises(ClientError, match="ConditionalRequestConflict") as refused:
        s3.put_object(Bucket=bucket, Key="log/1", Body=b"x", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    s3.put_object(Bucket=bucket, Key="log/1", Body=b"y", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="log/1")["Body"].read() == b"y"


def test_a_lost_reply_stores_but_says_nothing(connect: Connect, bucket: str, faults: Callable[..., None]) -> None:
    s3 = connect("s3")
    faults(method="PUT", key_prefix="log/", fault="lost_reply")
    with pytest.raises((HTTPClientError, ConnectionError)):
        s3.put_object(Bucket=bucket, Key="log/1", Body=b"x", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="log/1")["Body"].read() == b"x"


def test_an_unavailable_store_stores_nothing(connect: Connect, bucket: str, faults: Callable[..., None]) -> None:
    s3 = connect("s3")
    faults(method="PUT", fault="unavailable", count=2)
    for _ in range(2):
        with pytest.raises(ClientError, match="SlowDown"):
            s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_delay_serves_late(connect: Connect, bucket: str, faults: Callable[..., None]) -> None:
    s3 = connect("s3")
    faults(method="PUT", fault="delay", seconds=0.3)
    started = time.monotonic()
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert time.monotonic() - started >= 0.3


def test_an_unknown_fault_is_refused(emulator: str) -> None:
    body = b'{"rules":[{"fault":"fire"}]}'
    request = urllib.request.Request(f"{emulator}/_vectorfleet/s3-faults", data=body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    with refused.value as reply:
        assert reply.code == 400
        assert "fault 'fire' is unknown" in json.load(reply)["error"]


def test_a_versioned_bucket_that_was_used_can_be_emptied(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a")
    found = s3.list_object_versions(Bucket=bucket)
    versions = [*found["Versions"], *found["DeleteMarkers"]]
    doomed = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
    assert len(doomed) == 2
    # A stack is destroyed in reverse order, so versioning is suspended before the bucket is deleted.
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
    s3.delete_bucket(Bucket=bucket)


def test_versions_are_listed_from_behind_a_key(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("b", "b", "c", "e"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="c")

    def after(key: str) -> list[str]:
        found = s3.list_object_versions(Bucket=bucket, KeyMarker=key)
        return sorted(one["Key"] for kind in ("Versions", "DeleteMarkers") for one in found.get(kind, ()))

    assert after("a") == ["b", "b", "c", "c", "e"]
    assert after("b") == ["c", "c", "e"]
    assert after("d") == ["e"]
    assert after("e") == []
