"""Documents erased from a running fleet, and a scanner that reads every version of every object for what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.components import policies
from service.client import Client
from service.storage.objects import ObjectStore
from tests.stack_outputs import SLOT, written
from tests.wire.fleet import unique
from tests.wire.service_fleet import PROJECT, ServiceFleet, aws_environment, booted_fleet, documents, eventually
from tests.wire.test_emulator_replication import rule

Connect = Callable[[str], Any]
SECRET = "Ada keeps the seventh key in a blue tin"
SECRETS = [f"person/{number}" for number in range(3)]
OTHERS = [f"guide/{number}" for number in range(40)]
PLACES = ("log/", "/log/", "/snapshots/", "memory/")
# Objects that were deleted before, as of a retired build and of merged segments; their versions stay.
GONE = {"builds/b-gone/shard-00/snapshots/7-d-c/rows.arrow", "memory/263c/1-1-1.arrow"}
KILLS = 6


@pytest.fixture
def fleet(
    connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vault: str
) -> Iterator[ServiceFleet]:
    """A fleet with versioned buckets that refuse every put over a log entry and are copied into a vault."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    with booted_fleet(connect, emulator, tmp_path / "fleet", shards=2, replicas=1) as one:
        s3 = connect("s3")
        rules = {one.documents: policies.documents_log_is_append_only, one.index: policies.shard_logs_are_append_only}
        for bucket, statements in rules.items():
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            policy = policies.bucket(f"arn:aws:s3:::{bucket}", statements(f"arn:aws:s3:::{bucket}", "1"))
            s3.put_bucket_policy(Bucket=bucket, Policy=policies.text(policy))
        _copy(s3, vault, one.documents, "log/")
        _copy(s3, vault, one.index, "builds/")
        yield one


@pytest.fixture
def vault(connect: Connect) -> str:
    """A bucket whose objects are locked for a day."""
    s3, name = connect("s3"), unique("vault")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return name


def _copy(s3: Any, vault: str, bucket: str, prefix: str) -> None:
    rules = {"Role": "arn:aws:iam::123456789012:role/copier", "Rules": [rule(vault, prefix)]}
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=rules)


def _tagged(s3: Any, vault: str, needles: list[bytes]) -> tuple[set[str], set[str]]:
    """Return the versions in the vault that hold one of the needles, and those with the tag of an erasure."""
    held, tagged = set(), set()
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=vault):
        for one in page.get("Versions", ()):
            named = {"Bucket": vault, "Key": one["Key"], "VersionId": one["VersionId"]}
            body = s3.get_object(**named)["Body"].read()
            if any(needle in body for needle in needles):
                held.add(f"{one['Key']} {one['VersionId']}")
            if s3.get_object_tagging(**named)["TagSet"] == [{"Key": "vectorfleet:erased", "Value": "true"}]:
                tagged.add(f"{one['Key']} {one['VersionId']}")
    return held, tagged


class Scanner:
    """All versions of all objects of a fleet, searched for the bytes of texts and vectors."""

    def __init__(self, s3: Any, fleet: ServiceFleet) -> None:
        self._s3, self._buckets = s3, (fleet.documents, fleet.index)
        self.needles: list[bytes] = [SECRET.encode()]

    def found(self) -> set[str]:
        """Return the keys of versions that hold one of them."""
        return {key for key, body in self._bodies() if any(needle in body for needle in self.needles)}

    def _bodies(self) -> Iterator[tuple[str, bytes]]:
        for bucket in self._buckets:
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for one in page.get("Versions", ()):
                    named = {"Bucket": bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
                    yield one["Key"], self._s3.get_object(**named)["Body"].read()


def _vectors(fleet: ServiceFleet) -> list[bytes]:
    """Return the bytes of the vectors of the secrets, as every part of the service writes them."""
    from service.embedding.model import Access
    from service.embedding.patience import PATIENT
    from service.embedding.providers import load
    from service.embedding.splitter import heading
    from service.storage.builds import Slots

    build = Slots(fleet.index_store()).find("blue")
    assert build is not None
    texts = [heading(one["title"], one["text"]) for one in _secrets("")]
    return [row.astype(np.float32).tobytes() for row in load(build.recipe.embedding, Access(), PATIENT).embed(texts)]


def _secrets(more: str) -> list[dict[str, Any]]:
    return [{"source_id": name, "title": f"Note {name}", "text": f"{SECRET}{more}."} for name in SECRETS]


def _fill(fleet: ServiceFleet) -> Client:
    """Write secrets among other documents, twice, and once more by an undo, with snapshots in between."""
    client = fleet.client()
    client.write(_secrets(""))
    for name in OTHERS:
        last = client.write(documents([name], "keys are rotated"))["position"]
    fleet.await_position(last)
    _snapshots(fleet, client)
    bad = client.write([{"source_id": name, "delete": True} for name in SECRETS])["position"]
    undone = client.undo(bad, bad)["position"]
    fleet.await_position(undone)
    last = client.write(_secrets(" now"))["position"]
    fleet.await_position(last)
    _snapshots(fleet, client)
    return client


def _snapshots(fleet: ServiceFleet, client: Client) -> None:
    wanted = {one["shard"]: one["position"] for one in client.take_snapshots()["shards"]}

    def listed() -> bool:
        shards = client.snapshots()["shards"]
        return all(any(one["position"] >= wanted[shard["shard"]] for one in shard["newest"]) for shard in shards)

    eventually(listed, "snapshots")


@pytest.fixture
def erase(fleet: ServiceFleet, tmp_path: Path, vault: str) -> Callable[..., subprocess.Popen[str]]:
    """The verb as a process."""
    buckets = {"documents_bucket": fleet.documents, "index_bucket": fleet.index, "vault_bucket": vault}
    outputs = written(tmp_path, slots={"blue": SLOT | {"shards": 2}}, endpoint=fleet.client().endpoint, **buckets)

    def called(*words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "vectorfleet", *words, "--outputs", str(outputs), "--json"]
        environment = {**os.environ, **aws_environment(fleet.endpoint)}
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=PROJECT, env=environment, stdout=pipe, stderr=pipe, text=True)

    return called


def _result(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    said, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    return list(json.loads(said))


@pytest.mark.parametrize("kills", [0, KILLS])
def test_nothing_of_erased_documents_can_be_read(
    fleet: ServiceFleet, connect: Connect, erase: Callable[..., subprocess.Popen[str]], vault: str, kills: int
) -> None:
    client, scanner = _fill(fleet), Scanner(connect("s3"), fleet)
    scanner.needles += _vectors(fleet)
    for key in GONE:
        connect("s3").put_object(Bucket=fleet.index, Key=key, Body=SECRET)
        connect("s3").delete_object(Bucket=fleet.index, Key=key)
    planted = scanner.found()
    assert planted >= GONE
    for place in PLACES:
        assert any(place in key if place.startswith("/") else key.startswith(place) for key in planted), place
    if kills:
        _kill_again_and_again(fleet, erase, random.Random(kills), kills)
        _result(erase("erase", "--resume"))
        assert _result(erase("erase", "--resume")) == []
    else:
        started = time.monotonic()
        (done,) = _result(erase("erase", *SECRETS, "--yes"))
        print(f"erased in {time.monotonic() - started:.1f} s, {done['rewritten']} entries rewritten")
        assert (done["documents"], done["rewritten"] > 3) == (3, True)
    (listed,) = _result(erase("erasures"))
    assert listed["state"].startswith("erased 20")
    assert scanner.found() == set()
    held, tagged = _tagged(connect("s3"), vault, scanner.needles)
    assert len(held) > 8
    assert held - tagged == set()
    assert not any(key.startswith("slots/") for key in tagged)
    assert listed["vault_until"] > datetime.now(UTC).isoformat()
    scanner.needles = [name.encode() for name in SECRETS]
    assert all(key.startswith(("log/", "builds/")) for key in scanner.found()), "ids alone are left, in the logs"
    _goes_on(fleet, client, listed["position"])


def _kill_again_and_again(
    fleet: ServiceFleet, erase: Callable[..., subprocess.Popen[str]], chance: random.Random, kills: int
) -> None:
    """Kill the verb once its documents are deleted, in the gap of both logs too, then its resumptions by chance."""
    documents, index = ObjectStore(fleet.documents), fleet.index_store()
    process = erase("erase", *SECRETS, "--yes")

    def has_deleted() -> bool:
        return any(json.loads(documents.get(key).body)["position"] for key in documents.keys("erasures/"))

    eventually(has_deleted, "the deletion")
    _end(process)
    documents.delete(next(documents.keys("log/")))
    index.delete(next(key for key in index.keys("builds/") if "/log/" in key))
    for _ in range(kills):
        process = erase("erase", "--resume")
        try:
            process.communicate(timeout=chance.uniform(1.0, 5.0))
        except subprocess.TimeoutExpired:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _goes_on(fleet: ServiceFleet, client: Client, position: int) -> None:
    """Restart every node with an empty disk: it holds what it held, and the fleet still takes writes."""
    before = {one["instance"]: one["digest"] for shard in client.status()["shards"] for one in shard["replicas"]}
    for node in fleet.nodes:
        node.kill()
        subprocess.run(["rm", "-r", str(fleet.root / node.instance)], check=True)
        node.start()
    fleet.await_ready()
    after = {one["instance"]: one["digest"] for shard in client.status()["shards"] for one in shard["replicas"]}
    assert before == after
    assert {name for name, place in client.lookup([*SECRETS, *OTHERS], position)["documents"].items() if place} == {
        *OTHERS
    }
    again = client.write(documents(SECRETS[:1], "something else"))["position"]
    assert client.document(SECRETS[0], again)["text"] == f"something else in note {SECRETS[0]}."
