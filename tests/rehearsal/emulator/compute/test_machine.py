"""The environment and the starts of an instance's process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rehearsal.emulator.compute.compute import Compute
from rehearsal.emulator.compute.machine import START_LIMIT, Facts, Machine, Site, environment
from rehearsal.emulator.compute.userdata import Artifact, Manifest

SITE, FACTS = Site(Path("/site"), "http://127.0.0.1:4566"), Facts("i-1", "127.0.0.5", "us-east-1a")
CODE, MODEL = (Artifact("b", f"{name}/1.zip", name) for name in ("code", "model"))


def test_the_machine_completes_the_manifests_environment() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {"VECTORFLEET_ROLE": "router"}))
    assert told["VECTORFLEET_ROLE"] == "router"
    assert told["VECTORFLEET_HOST"] == "127.0.0.5"
    assert told["PYTHONPATH"] == "/site/instances/i-1/artifact"
    assert "VECTORFLEET_MODEL_FOLDER" not in told


def test_a_custom_model_adds_its_folder_to_the_environment() -> None:
    told = environment(SITE, FACTS, Manifest(CODE, ("python",), {}, MODEL))
    assert told["VECTORFLEET_MODEL_FOLDER"] == "/site/cache/model"


class Ec2:
    """EC2 with one running instance."""

    def get_paginator(self, name: str) -> Ec2:
        assert name == "describe_instances"
        return self

    def paginate(self) -> list[dict[str, Any]]:
        return [{"Reservations": [{"Instances": [{"InstanceId": "i-1", "State": {"Name": "running"}}]}]}]


class Store:
    """A store without objects."""

    def get_object(self, **_: str) -> dict[str, Any]:
        raise OSError("there is no such object")


def exhausted(root: Path) -> tuple[Compute, Machine]:
    """Make a machine that has just reached its start limit."""
    compute = Compute(Site(root, SITE.endpoint), Ec2(), Store(), grace_seconds=0)
    machine = compute.machines["i-1"] = Machine(compute.site, FACTS, Manifest(CODE, ("python",), {}))
    machine.starts.extend([time.monotonic()] * START_LIMIT)
    return compute, machine


def test_a_machine_that_is_powered_on_resets_its_starts(tmp_path: Path) -> None:
    compute, machine = exhausted(tmp_path)
    machine.state = "stopped"
    compute.poll()
    assert (machine.state, len(machine.starts)) == ("restarting", 1)
    assert "there is no such object" in machine.log_path.read_text()


def test_a_machine_that_crashes_keeps_its_starts(tmp_path: Path) -> None:
    _, machine = exhausted(tmp_path)
    machine.state = "restarting"
    machine.step(Store())
    assert (machine.state, len(machine.starts)) == ("exhausted", START_LIMIT)
