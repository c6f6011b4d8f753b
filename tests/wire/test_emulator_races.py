"""Concurrent requests to the emulator, with thread switches every 10 µs."""

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

from rehearsal.emulator import processes
from rehearsal.emulator.launch import free_port, healthy
from tests.wire.fleet import eventually

PROJECT = Path(__file__).resolve().parents[2]
WRITERS, ROUNDS = 12, 100
REFUSALS = {"PreconditionFailed", "ConditionalRequestConflict"}


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Return clients of an emulator that switches threads every 10 µs."""
    folder, port = tmp_path_factory.mktemp("races"), free_port()
    argv = [sys.executable, str(PROJECT / "tests/wire/emulator_with_races.py"), str(port)]
    argv += os.environ.get("RACES_OPTIONS", "").split()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with (folder / "log").open("wb") as log:
        child = processes.spawn(argv, environment=environment, directory=folder, log=log)
    eventually(lambda: healthy(port), seconds=60)
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=WRITERS)
    session = boto3.Session("test", "test", region_name="us-east-1")
    yield lambda service: session.client(service, endpoint_url=f"http://127.0.0.1:{port}", config=config)
    child.kill()
    child.wait()


@pytest.fixture(scope="module")
def s3(connect: Callable[[str], Any]) -> Any:
    client = connect("s3")
    client.create_bucket(Bucket="races")
    return client


def _wins(s3: Any, action: Callable[[int], object]) -> int:
    """Return how many of the writers succeed when all start together."""
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


def test_concurrent_changes_of_rules_lose_none(connect: Callable[[str], Any]) -> None:
    ec2 = connect("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="races", Description="d", VpcId=vpc)["GroupId"]

    def opened(port: int) -> str:
        ports = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        answer = ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[ports])
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def closed(rule: str) -> None:
        ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[rule])

    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(ROUNDS // 2):
            old = list(pool.map(opened, range(1000 * number, 1000 * number + WRITERS)))
            closing = [pool.submit(closed, rule) for rule in old]
            new = list(pool.map(opened, range(1000 * number + 500, 1000 * number + 500 + WRITERS)))
            for one in closing:
                one.result()
            filters = [{"Name": "group-id", "Values": [group]}]
            rows = ec2.describe_security_group_rules(Filters=filters, MaxResults=1000)["SecurityGroupRules"]
            there = {row["SecurityGroupRuleId"] for row in rows}
            assert (there & {*old}, {*new} - there) == (set(), set())
            list(pool.map(closed, new))
