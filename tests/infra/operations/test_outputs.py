"""The outputs file of a stack: what is read of it, and what is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.operations.outputs import Cell, OutputsError, read_outputs

VALUES = {
    "region": "us-east-1",
    "access_keys": "/vectorfleet-keys/main",
    "endpoint": "http://127.64.0.4:8080",
    "alarms": {"retrieval_p95": "main-blue-retrieval-p95"},
    "cells": [{"shard": 0, "replica": "a", "zone": "us-east-1a", "group": "main-blue-node-0-a-1234567"}],
    "router_group": "main-blue-router-1234567",
    "indexer_group": "main-blue-indexer-1234567",
    "instance_types": {"node": ["r6i.large", "r7i.large"], "router": ["m7i.large"], "indexer": ["m7i.xlarge"]},
    "parameters": "/vectorfleet/main",
    "listener_arn": "arn:listener",
    "target_groups": {"blue": "arn:blue", "green": "arn:green"},
    "plan": {},
}


def written(folder: Path, values: object) -> Path:
    path = folder / "outputs.json"
    path.write_text(json.dumps(values))
    return path


def test_cells_and_groups_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    found = read_outputs(written(tmp_path, VALUES))
    assert found.cells == (Cell(0, "a", "main-blue-node-0-a-1234567"),)
    assert (found.router_group, found.indexer_group) == (VALUES["router_group"], VALUES["indexer_group"])
    assert found.instance_types["node"] == ("r6i.large", "r7i.large")
    assert found.aws_endpoint is None


def test_another_way_to_the_api_stands_for_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, VALUES)
    assert read_outputs(path).endpoint == VALUES["endpoint"]
    monkeypatch.setenv("VECTORFLEET_ENDPOINT", "http://127.0.0.1:8081")
    assert read_outputs(path).endpoint == "http://127.0.0.1:8081"


def test_the_emulator_beside_the_file_is_found_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (tmp_path / "emulator.json").write_text('{"endpoint": "http://127.0.0.1:4566"}')
    path = written(tmp_path, VALUES)
    assert read_outputs(path).aws_endpoint == "http://127.0.0.1:4566"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4600")
    assert read_outputs(path).aws_endpoint == "http://127.0.0.1:4600"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"region": "us-east-1"}, "lacks the stack outputs access_keys, endpoint, alarms"),
        (["no", "object"], "lacks the stack outputs region"),
    ],
)
def test_outputs_that_lack_something_are_refused(tmp_path: Path, values: object, sentence: str) -> None:
    with pytest.raises(OutputsError, match=sentence):
        read_outputs(written(tmp_path, values))


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputsError, match="pulumi stack output --json"):
        read_outputs(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(OutputsError, match="can't be read as JSON"):
        read_outputs(tmp_path / "broken.json")
