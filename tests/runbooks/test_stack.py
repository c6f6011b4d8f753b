"""Reading the stack's outputs, and which AWS they lead to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from runbooks.faults.fault import FaultError
from runbooks.faults.shard_lost import ShardLost
from runbooks.faults.target import RemoteTargetError
from runbooks.stack import StackError, is_loopback, read_stack

OUTPUTS: dict[str, Any] = {
    "fleet": "f",
    "region": "us-east-1",
    "slot": "blue",
    "endpoint": "http://127.64.0.10:8080",
    "shards": 2,
    "cells": [{"shard": 0, "replica": "a", "zone": "z", "group": "g"}],
    "alarms": {"error_rate": "f-blue-error-rate"},
}


@pytest.fixture(autouse=True)
def _no_endpoint_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def written(folder: Path, emulator: str | None = None, **changes: Any) -> Path:
    path = folder / "outputs.json"
    path.write_text(json.dumps(OUTPUTS | changes))
    if emulator:
        (folder / "emulator.json").write_text(json.dumps({"endpoint": emulator}))
    return path


def test_the_emulator_beside_the_outputs_is_the_aws(tmp_path: Path) -> None:
    stack = read_stack(written(tmp_path, "http://127.0.0.1:4566"))
    assert (stack.aws_endpoint, stack.is_loopback) == ("http://127.0.0.1:4566", True)


def test_without_an_emulator_it_is_aws_itself(tmp_path: Path) -> None:
    stack = read_stack(written(tmp_path))
    assert (stack.aws_endpoint, stack.is_loopback) == (None, False)


def test_a_page_s_commands_run_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    environment = read_stack(written(tmp_path)).environment()
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert environment["VECTORFLEET_OUTPUTS"] == str(tmp_path / "outputs.json")


def test_missing_outputs_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="pulumi stack output --json"):
        read_stack(tmp_path / "nothing.json")


def test_outputs_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text('{"fleet": "f"}')
    with pytest.raises(StackError, match="region, slot, endpoint, shards, cells, alarms"):
        read_stack(path)
    path.write_text("{")
    with pytest.raises(StackError, match="can't be read as JSON"):
        read_stack(path)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.64.3.4:8080", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://10.0.0.1", False),
        ("https://ec2.us-east-1.amazonaws.com", False),
        ("http://127.0.0.1.example.com", False),
        ("nonsense", False),
    ],
)
def test_loopback_is_an_address_and_no_name(url: str, local: bool) -> None:
    assert is_loopback(url) is local


@pytest.mark.parametrize(
    ("endpoint", "emulator"),
    [
        ("http://search.example.com", "http://127.0.0.1:4566"),
        ("http://127.64.0.10:8080", None),
        ("http://127.64.0.10:8080", "https://ec2.us-east-1.amazonaws.com"),
    ],
)
def test_a_fault_is_refused_unless_the_whole_stack_is_here(tmp_path: Path, endpoint: str, emulator: str | None) -> None:
    stack = read_stack(written(tmp_path, emulator, endpoint=endpoint))
    with pytest.raises(RemoteTargetError, match="--allow-remote"):
        ShardLost(stack, 0)
    assert ShardLost(stack, 0, allow_remote=True).name == "shard_lost"


def test_a_shard_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="there is no shard 2; the fleet has 0 to 1"):
        ShardLost(read_stack(written(tmp_path, "http://127.0.0.1:4566")), 2)
