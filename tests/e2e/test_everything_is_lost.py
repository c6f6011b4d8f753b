"""The promise that the whole design rests on: every machine may go at once, and no acknowledged write goes with it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import boto3

from rehearsal.fleet import all_ready, await_status, replicas
from service.client import Client, ServiceError, Unanswered
from tests.e2e.rehearsal import STEP_SECONDS, Rehearsal, until

PAUSE_SECONDS = 0.02
WRITES_BEFORE = 60
REPLICAS = 2
INSTANCES = 7


@dataclass
class Writer:
    """Writes, updates and deletes one after another, and remembers what was acknowledged and what is unknown."""

    client: Client
    expected: dict[str, str | None] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    acknowledged: int = 0
    position: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.ended.is_set():
            number += 1
            # Every third touches an earlier document again; every ninth deletes it.
            name = f"lost/{number if number % 3 else number // 3}"
            text = None if number % 9 == 0 else f"note {number} about a machine that went away"
            self.write(name, text)
            time.sleep(PAUSE_SECONDS)

    def write(self, name: str, text: str | None) -> None:
        document: dict[str, Any] = {"source_id": name}
        document |= {"delete": True} if text is None else {"title": name, "text": text}
        try:
            position = self.client.write([document])["position"]
        except (ServiceError, Unanswered):
            self.unknown.add(name)
        else:
            self.expected[name] = text
            self.unknown.discard(name)
            self.acknowledged += 1
            self.position = max(self.position, position)


def terminate_everything(endpoint: str) -> set[str]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    ec2 = boto3.client("ec2", endpoint_url=endpoint, **keys)
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    ids = {instance["InstanceId"] for reservation in found for instance in reservation["Instances"]}
    ec2.terminate_instances(InstanceIds=sorted(ids))
    return ids


def renewed(status: dict[str, Any], lost: set[str]) -> bool:
    """Return True if the fleet is whole again without its old machines, which drain for a moment."""
    return all_ready(status, REPLICAS) and not lost & {replica["instance"] for replica in replicas(status)}


def held(client: Client, names: list[str], position: int) -> dict[str, Any]:
    until_answered = time.monotonic() + STEP_SECONDS
    while True:
        with contextlib.suppress(ServiceError, Unanswered):
            return dict(client.lookup(names, position)["documents"])
        assert time.monotonic() < until_answered, "the fleet did not answer a look-up any more"
        time.sleep(0.2)


def test_no_acknowledged_write_is_lost_when_every_machine_is(rehearsal: Rehearsal) -> None:
    rehearsal.up()
    client = Client(rehearsal.outputs()["endpoint"], timeout_seconds=5)
    writer = Writer(Client(client.endpoint, timeout_seconds=2))
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        until(lambda: writer.acknowledged >= WRITES_BEFORE, "writing", STEP_SECONDS)
        lost = terminate_everything(f"http://127.0.0.1:{rehearsal.port}")
        assert len(lost) == INSTANCES
        await_status(client, lambda status: renewed(status, lost), "a new fleet", STEP_SECONDS)
        before = writer.acknowledged
        until(lambda: writer.acknowledged > before, "writing to the new fleet", STEP_SECONDS)
    finally:
        writer.ended.set()
        thread.join()
    sure = sorted(set(writer.expected) - writer.unknown)
    # Every acknowledged write is at or below the newest acknowledged position.
    found = held(client, sure, writer.position)
    assert len(sure) >= WRITES_BEFORE // 3
    wrong = [name for name in sure if (found[name] is None) != (writer.expected[name] is None)]
    assert not wrong, f"lost or resurrected: {wrong}"
    for name in sure:
        if (text := writer.expected[name]) is not None:
            assert client.search(text=f"{name}. {text}", k=3)["hits"], name
            assert found[name]["content_hash"] == digest(name, text)


def digest(title: str, text: str) -> str:
    return hashlib.sha256(f"{title}\0{text}".encode()).hexdigest()
