"""The outputs of a stack: what is read of them, which AWS they lead to, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from infra.configuration.stack_file import is_loopback
from infra.stack.outputs import Cell, Fleet, StackError, read_fleet, read_stack
from tests.stack_outputs import SLOT, TWO_SLOTS, VALUES, written

HERE = "http://127.0.0.1:4566"


@pytest.fixture(autouse=True)
def _no_endpoint_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "VECTORFLEET_ENDPOINT", "VECTORFLEET_KEY"):
        # Set first, so that what a test leaves behind is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def beside(path: Path, endpoint: str) -> Path:
    """Name an emulated AWS beside the outputs."""
    path.with_name("emulator.json").write_text(f'{{"endpoint": "{endpoint}"}}')
    return path


def test_cells_and_groups_are_read(tmp_path: Path) -> None:
    found = read_stack(written(tmp_path))
    assert found.cells == (Cell(0, "a", "us-east-1a", "main-blue-node-0-a-1234567"),)
    assert (found.router_group, found.indexer_group) == (SLOT["router_group"], SLOT["indexer_group"])
    assert found.instance_types["node"] == ("r6i.large", "r7i.large")
    assert (found.aws_endpoint, found.is_loopback) == (None, False)


def test_a_slot_is_chosen_by_name_or_as_the_only_one(tmp_path: Path) -> None:
    assert read_stack(written(tmp_path)).slot == "blue"
    with pytest.raises(StackError, match="has no slot green; it has blue, which --slot may name"):
        read_stack(written(tmp_path), slot="green")
    two = written(tmp_path, slots=TWO_SLOTS)
    assert read_fleet(two).slots == ("blue", "green")
    assert (read_stack(two, slot="green").shards, read_stack(two, slot="blue").shards) == (4, 1)
    broken = written(tmp_path, slots={"green": {"shards": 1}})
    with pytest.raises(StackError, match=r"lacks cells, alarms, .* of slot green"):
        read_stack(broken)


def test_of_two_slots_the_one_with_all_the_weight_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = written(tmp_path, slots=TWO_SLOTS)
    monkeypatch.setattr(Fleet, "weights", lambda _: {"blue": 0, "green": 7})
    assert read_stack(two).slot == "green"
    monkeypatch.setattr(Fleet, "weights", lambda _: {"blue": 90, "green": 10})
    with pytest.raises(StackError, match="weights are blue 90, green 10; say which one with --slot blue or green"):
        read_stack(two)


def test_a_tunnel_replaces_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    assert read_stack(path).endpoint == VALUES["endpoint"]
    monkeypatch.setenv("VECTORFLEET_ENDPOINT", "http://127.0.0.1:8081")
    assert read_stack(path).endpoint == "http://127.0.0.1:8081"


def test_the_aws_is_the_emulator_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = beside(written(tmp_path), HERE)
    assert (read_stack(path).aws_endpoint, read_stack(path).is_loopback) == (HERE, True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4600")
    assert read_stack(path).aws_endpoint == "http://127.0.0.1:4600"
    assert read_stack(path, "http://127.0.0.1:4700").aws_endpoint == "http://127.0.0.1:4700"


@pytest.mark.parametrize("endpoint", ["http://search.example.com", VALUES["endpoint"]])
@pytest.mark.parametrize("emulator", [HERE, "https://ec2.us-east-1.amazonaws.com"])
def test_a_stack_is_local_if_both_sides_are(tmp_path: Path, endpoint: str, emulator: str) -> None:
    stack = read_stack(beside(written(tmp_path, endpoint=endpoint), emulator))
    assert stack.is_loopback is ("example" not in endpoint and emulator == HERE)


def test_the_key_beside_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    assert read_stack(path).key == ""
    path.with_name("key").write_text("vf_a_secret\n")
    assert (read_stack(path).key, os.environ["VECTORFLEET_KEY"]) == ("vf_a_secret", "vf_a_secret")
    monkeypatch.setenv("VECTORFLEET_KEY", "vf_b_secret")
    assert read_stack(path).key == "vf_b_secret"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"region": "us-east-1"}, "lacks the stack outputs fleet, slots, endpoint, access_keys, listener_arn"),
        (["no", "object"], "lacks the stack outputs fleet, region"),
    ],
)
def test_outputs_that_lack_something_are_refused(tmp_path: Path, values: Any, sentence: str) -> None:
    with pytest.raises(StackError, match=sentence):
        read_stack(written(tmp_path, values))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="pulumi stack output --json"):
        read_stack(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(StackError, match="can't be read as JSON"):
        read_stack(tmp_path / "broken.json")


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


def test_each_slots_objective_is_read_from_its_plan(tmp_path: Path) -> None:
    plan = {"bill": {}, "slots": {"blue": {"retrieval_p95_ms": 120.0}, "green": {}}}
    assert read_fleet(written(tmp_path, plan=plan)).retrieval_p95_ms == {"blue": 120.0}
    assert read_fleet(written(tmp_path)).retrieval_p95_ms == {}
