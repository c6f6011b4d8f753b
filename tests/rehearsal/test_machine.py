"""What an instance's process is told: by its manifest, and by the machine that it runs on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rehearsal.compute.compute import Compute
from rehearsal.compute.machine import START_LIMIT, Facts, Machine, Site, environment
from rehearsal.compute.userdata import Artifact, Manifest

SITE, FACTS = Site(Path("/site"), "http://127.0.0.1:4566"), Facts("i-1", "127.0.0.5", "us-east-1a")
CODE, MODEL = (Artifact("b", f"{name}/1.zip", name) for name in ("code", "model"))


def test_the_manifests_environment_is_completed_by_the_machine() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {"VECTORFLEET_ROLE": "router"}))
    assert told["VECTORFLEET_ROLE"] == "router"
    assert told["VECTORFLEET_HOST"] == "127.0.0.5"
    assert told["PYTHONPATH"] == "/site/instances/i-1/artifact"
    assert "VECTORFLEET_MODEL_FOLDER" not in told


def test_who_embeds_by_a_model_of_the_fleets_own_is_told_where_it_lies() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {}, MODEL))
    assert told["VECTORFLEET_MODEL_FOLDER"] == "/site/cache/model"


class Ec2:
    """EC2 that says of one instance that it runs."""

    def get_paginator(self, name: str) -> Ec2:
        assert name == "describe_instances"
        return self

    def paginate(self) -> list[dict[str, Any]]:
        return [{"Reservations": [{"Instances": [{"InstanceId": "i-1", "State": {"Name": "running"}}]}]}]


class Store:
    """A store in which there is nothing."""

    def get_object(self, **_: str) -> dict[str, Any]:
        raise OSError("there is no such object")


def exhausted(root: Path) -> tuple[Compute, Machine]:
    """A machine that started as often as it may, just now."""
    compute = Compute(Site(root, SITE.endpoint), Ec2(), Store(), grace_seconds=0)
    machine = compute.machines["i-1"] = Machine(compute.site, FACTS, Manifest(CODE, ("python",), {}))
    machine.starts.extend([time.monotonic()] * START_LIMIT)
    return compute, machine


def test_a_machine_that_was_powered_on_again_counts_its_starts_anew(tmp_path: Path) -> None:
    compute, machine = exhausted(tmp_path)
    machine.state = "stopped"
    compute.poll()
    assert (machine.state, len(machine.starts)) == ("restarting", 1)
    assert "there is no such object" in machine.log_path.read_text()


def test_a_machine_that_crashes_goes_on_counting(tmp_path: Path) -> None:
    _, machine = exhausted(tmp_path)
    machine.state = "restarting"
    machine.step(Store())
    assert (machine.state, len(machine.starts)) == ("exhausted", START_LIMIT)
