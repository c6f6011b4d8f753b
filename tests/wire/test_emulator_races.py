"""Conditional writes stay atomic under thread switches that are far more frequent than usual."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rehearsal import processes
from rehearsal.emulator.launch import free_port, healthy
from tests.wire.fleet import eventually

PROJECT = Path(__file__).resolve().parents[2]
WRITERS, ROUNDS = 12, 100
REFUSALS = {"PreconditionFailed", "ConditionalRequestConflict"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an emulator that switches threads every 10 µs."""
    folder, port = tmp_path_factory.mktemp("races"), free_port()
    argv = [sys.executable, str(PROJECT / "tests/wire/emulator_with_races.py"), str(port)]
    argv += os.environ.get("RACES_OPTIONS", "").split()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with (folder / "log").open("wb") as log:
        child = processes.spawn(argv, environment=environment, directory=folder, log=log)
    eventually(lambda: healthy(port), seconds=60)
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=WRITERS)
    session = boto3.Session("test", "test", region_name="us-east-1")
    client = session.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=config)
    client.create_bucket(Bucket="races")
    yield client
    child.kill()
    child.wait()


def _wins(s3: Any, action: Callable[[int], object]) -> int:
    """How many of the writers succeed when all start together."""
    barrier = threading.Barrier(WRITERS)

    def attempt(writer: int) -> bool:
        barrier.wait()
        try:
            action(writer)
        except s3.exceptions.ClientError as refusal:
            if refusal.response["Error"]["Code"] not in REFUSALS:
                raise
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(attempt, range(WRITERS)))


def test_one_creator_wins_each_key(s3: Any) -> None:
    won = [
        _wins(s3, lambda w, k=key: s3.put_object(Bucket="races", Key=k, Body=b"%d" % w, IfNoneMatch="*"))  # type: ignore[misc]
        for key in (f"create/{number}" for number in range(ROUNDS))
    ]
    assert won == [1] * ROUNDS


def test_one_replacer_wins_each_version(s3: Any) -> None:
    etag = s3.put_object(Bucket="races", Key="replace", Body=b"start")["ETag"]
    for number in range(ROUNDS // 3):

        def replace(writer: int, tag: str = etag, round_: int = number) -> None:
            s3.put_object(Bucket="races", Key="replace", Body=b"%d.%d" % (round_, writer), IfMatch=tag)

        assert _wins(s3, replace) == 1
        etag = s3.head_object(Bucket="races", Key="replace")["ETag"]


def _upload(s3: Any, key: str) -> dict[str, Any]:
    upload = s3.create_multipart_upload(Bucket="races", Key=key)["UploadId"]
    part = s3.upload_part(Bucket="races", Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return {"Bucket": "races", "Key": key, "UploadId": upload, "MultipartUpload": parts, "IfNoneMatch": "*"}


def test_one_multipart_upload_wins_each_key(s3: Any) -> None:
    for number in range(10):
        uploads = [_upload(s3, f"multi/{number}") for _ in range(WRITERS)]
        assert _wins(s3, lambda w, u=uploads: s3.complete_multipart_upload(**u[w])) == 1  # type: ignore[misc]


def test_listing_survives_concurrent_writers(s3: Any) -> None:
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            s3.put_object(Bucket="races", Key=f"list/{writer}/{number}", Body=b"x")
            number += 1

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(write, writer) for writer in range(4)]
        try:
            for _ in range(15):
                s3.list_objects_v2(Bucket="races", Prefix="list/")
        finally:
            stop.set()
        for future in futures:
            future.result()


def test_a_refusal_names_its_reason(s3: Any) -> None:
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="races", Key="replace", Body=b"", IfNoneMatch="*")
