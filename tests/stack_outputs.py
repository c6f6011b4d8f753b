"""Outputs of a deployed stack, for every test that needs some."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.stack.outputs import Cell, Stack

SLOT: dict[str, Any] = {
    "shards": 1,
    "replicas": 1,
    "cells": [{"shard": 0, "replica": "a", "zone": "us-east-1a", "group": "main-blue-node-0-a-1234567"}],
    "alarms": {"retrieval_p95": "main-blue-retrieval-p95"},
    "router_group": "main-blue-router-1234567",
    "indexer_group": "main-blue-indexer-1234567",
    "instance_types": {"node": ["r6i.large", "r7i.large"], "router": ["m7i.large"], "indexer": ["m7i.xlarge"]},
}
VALUES: dict[str, Any] = {
    "fleet": "main",
    "region": "us-east-1",
    "slots": {"blue": SLOT},
    "endpoint": "http://127.64.0.4:8080",
    "access_keys": "/vectorfleet-keys/main",
    "listener_arn": "arn:listener",
    "parameters": "/vectorfleet/main",
    "target_groups": {"blue": "arn:blue", "green": "arn:green"},
    "plan": {},
}
TWO_SLOTS = {"blue": SLOT, "green": SLOT | {"shards": 4, "router_group": "main-green-router-1234567"}}


def written(folder: Path, values: object = VALUES, **changes: Any) -> Path:
    """Write `outputs.json` as Pulumi does. A change of a slot's value is made in slot blue."""
    path = folder / "outputs.json"
    of_slot = {name: changes.pop(name) for name in SLOT if name in changes}
    if isinstance(values, dict):
        values = values | changes
    if of_slot:
        assert isinstance(values, dict)
        values["slots"] = values["slots"] | {"blue": values["slots"]["blue"] | of_slot}
    path.write_text(json.dumps(values))
    return path


def a_stack(**changes: Any) -> Stack:
    """A stack of two shards with two replicas each, on AWS itself."""
    cells = tuple(Cell(shard, name, "us-east-1a", f"cell-{shard}{name}") for shard in range(2) for name in "ab")
    stack = Stack(
        outputs=Path("outputs.json"),
        aws_endpoint=None,
        key="",
        fleet="main",
        region="us-east-1",
        slot="blue",
        slots=("blue",),
        endpoint="http://127.0.0.1:1",
        shards=2,
        cells=cells,
        alarms={"retrieval_p95": "p95"},
        access_keys="/vectorfleet-keys/main",
        router_group="routers",
        indexer_group="indexer",
        instance_types={},
        listener_arn="arn:listener",
        parameters="/vectorfleet/main",
        target_groups={"blue": "arn:blue", "green": "arn:green"},
    )
    return replace(stack, **changes)
