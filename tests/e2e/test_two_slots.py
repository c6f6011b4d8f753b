"""A standing fleet that gets a second slot, moves to it, goes back, moves again, and loses the first one.

The second slot's processes are killed while it is filled, and so are the verbs at work. No search may notice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.run.settings import Settings
from rehearsal import deployer
from service.client import Client, ServiceError, Unanswered
from tests.e2e.hostile.faults import Target
from tests.e2e.rehearsal import STEP_SECONDS, Rehearsal, until
from tests.e2e.test_standing import LENIENT, Standing, Trickle
from tests.rehearsal.programs.project import real_project
from vectorfleet import waiting

GREEN = {"shards": 1, "index": {"type": "flat"}}
WRITE_SECONDS = 0.2
SEED = 13
FILL_KILLS = 8


class Ledger:
    """Documents written one after the other, each with its position."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.written: dict[str, int] = {}
        self.wrong: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(WRITE_SECONDS):
                name = f"ledger/{len(self.written)}"
                try:
                    written = self._client.write([{"source_id": name, "text": f"note {name} of a switch"}])
                    self.written[name] = written["position"]
                except (ServiceError, Unanswered) as error:
                    self.wrong.append(str(error))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def lost(self, slot: Client) -> list[str]:
        """Return the documents that a slot does not have at their positions."""
        names, last = list(self.written), max(self.written.values())
        found: dict[str, Any] = {}
        for at in range(0, len(names), 500):
            found |= slot.lookup(names[at : at + 500], min_position=last)["documents"]
        return [name for name in names if (found[name] or {}).get("position") != self.written[name]]


class Stack:
    """The stack `rehearsal` with other slots, applied as `pulumi up` applies it."""

    def __init__(self, standing: Standing, folder: Path) -> None:
        self._standing, self._folder = standing, folder

    def up(self, name: str, slots: Mapping[str, Any], **changes: Any) -> deployer.Summary:
        project = real_project(self._folder / name, slots=slots, minimumShards=1, **changes)
        return deployer.up("rehearsal", self._standing.root, self._standing.endpoint, project=project)

    def is_unchanged(self, name: str, slots: Mapping[str, Any], **changes: Any) -> bool:
        return self.up(name, slots, **changes).writes == 0


class Killer:
    """SIGKILLs by a seeded chance."""

    def __init__(self, standing: Standing, seed: int) -> None:
        self.chance = random.Random(seed)
        self._target = Target(standing.root, "", "", s3=None, ec2=None, chance=self.chance)

    def kill(self, **wanted: str) -> None:
        """Kill one running process of these values, with its children; wait for one if there is none."""
        found = waiting.until(lambda: self._target.machines(**wanted), STEP_SECONDS, 0.1)
        assert found, f"no process of {wanted}"
        with suppress(ProcessLookupError):
            os.killpg(self.chance.choice(found)["pid"], signal.SIGKILL)


def _end(verb: subprocess.Popen[bytes]) -> None:
    """SIGKILL a verb and what it started."""
    assert verb.poll() is None
    os.killpg(verb.pid, signal.SIGKILL)
    verb.wait()


def _slot(standing: Standing, name: str) -> dict[str, Any]:
    done = standing.call("slots", "list", "--json")
    assert done.returncode == 0, done.stderr
    return next(slot for slot in json.loads(done.stdout) if slot["slot"] == name)


def _weights(standing: Standing) -> dict[str, int]:
    return {name: _slot(standing, name)["weight"] for name in ("blue", "green")}


@pytest.fixture
def standing(tmp_path: Path, rehearsal: Rehearsal) -> Standing:
    rehearsal.up()
    standing = Standing(rehearsal)
    standing.keep_golden_answers()
    return standing


def test_a_fleet_moves_to_a_second_slot_and_back(standing: Standing, tmp_path: Path) -> None:
    stack, ledger = Stack(standing, tmp_path / "stacks"), Ledger(standing.client)
    both = {"blue": {"shards": 2}, "green": GREEN}
    killer = Killer(standing, SEED)
    with Trickle(standing.client).running() as trickle, ledger.running():
        before = standing.versions()
        stack.up("both", both)
        assert standing.versions() == before
        _fill_and_verify_over_kills(standing, killer)
        _kill_a_switch(standing, killer)
        switched = standing.call("slots", "switch", "green", "--percent", "50,100", "--watch", "2s", "--json")
        assert switched.returncode == 0, switched.stderr
        assert _weights(standing) == {"blue": 0, "green": 100}
        assert stack.is_unchanged("both", both)
        back = standing.call("slots", "back", "--json")
        assert (back.returncode, _weights(standing)) == (0, {"blue": 100, "green": 0}), back.stderr
        print("back after", json.loads(back.stdout)["seconds"], "s")
        again = standing.call("slots", "switch", "green", "--percent", "100", "--watch", "1s")
        assert again.returncode == 0, again.stderr
    assert (trickle.wrong, ledger.wrong) == ([], [])
    assert trickle.complete > 100
    for slot in ("blue", "green"):
        assert ledger.lost(Client(standing.outputs["endpoint"], slot=slot)) == [], slot

    assert "is deployed" in standing.call("slots", "retire", "blue", "--yes").stderr
    alone = {"green": GREEN}, {"weights": {"blue": 0, "green": 100}}
    with Trickle(standing.client).running() as trickle:
        stack.up("green", alone[0], **alone[1])
        build = Client(standing.outputs["endpoint"], slot="green").status()["build"]
        retired = standing.call("slots", "retire", "blue", "--yes")
        assert retired.returncode == 0, retired.stderr
        assert stack.is_unchanged("green", alone[0], **alone[1])
    assert trickle.wrong == []
    listed = standing.api("s3").get_paginator("list_objects_v2")
    pages = listed.paginate(Bucket=standing.outputs["index_bucket"], Prefix="builds/")
    assert [one["Key"] for page in pages for one in page["Contents"] if build not in one["Key"]] == []
    assert ledger.lost(standing.client) == []


def _fill_and_verify_over_kills(standing: Standing, killer: Killer) -> None:
    for _ in range(FILL_KILLS):
        time.sleep(killer.chance.uniform(0.5, 2.5))  # the instants are by chance
        killer.kill(slot="green")
    until(lambda: _slot(standing, "green")["state"] == "complete", "a filled green slot", STEP_SECONDS)
    verifying = standing.start("slots", "verify", "green", "--relevance-floor", "0")
    with suppress(subprocess.TimeoutExpired):
        verifying.wait(killer.chance.uniform(1.0, 4.0))
    _end(verifying)
    refused = standing.call("slots", "switch", "green")
    assert (refused.returncode, "slots verify green" in refused.stderr) == (64, True), refused.stderr
    killer.kill(slot="green", role="indexer")
    _verify(standing)


def _kill_a_switch(standing: Standing, killer: Killer) -> None:
    """Kill a switch after its first step, and both indexers with it: the weights stay."""
    switching = standing.start("slots", "switch", "green", "--percent", "10,100", "--watch", "60s")
    until(lambda: _weights(standing) == {"blue": 90, "green": 10}, "the first step of a switch", STEP_SECONDS)
    _end(switching)
    for slot in ("blue", "green"):
        killer.kill(slot=slot, role="indexer")
    assert _weights(standing) == {"blue": 90, "green": 10}


def _verify(standing: Standing) -> None:
    """Verify green while documents are written. The load of the machine is not the subject of this test."""
    load = replace(LENIENT.load, rate=10.0, window_seconds=4.0, warmup_seconds=1.0)
    targets = replace(LENIENT.targets, p95_target_ms=5_000.0, alert_ms=5_000.0, error_share=0.1)
    settings = Settings(limits=LENIENT.limits, load=load, targets=targets)
    outputs = ("--outputs", str(standing.root / "outputs.json"))
    gate = ("--runs", "2", *settings.arguments(), "--recall-floor", "0")
    found = standing.call("slots", "verify", "green", "--relevance-floor", "0", "--json", *outputs, "--", *gate)
    assert found.returncode == 0, found.stdout + found.stderr
    verified = json.loads(found.stdout)
    names = ["current", "documents", "golden set", "relevance", "recall", "load"]
    assert [(check["name"], check["verdict"]) for check in verified["checks"]] == [(name, "PASS") for name in names]
    assert _slot(standing, "green")["not_verified"] == ""
