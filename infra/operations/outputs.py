"""The outputs of a stack that stands, as the verbs that act on it read them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY_FILE = "key"
NEEDED = (
    "region",
    "access_keys",
    "endpoint",
    "alarms",
    "cells",
    "router_group",
    "indexer_group",
    "instance_types",
    "listener_arn",
    "parameters",
    "target_groups",
)


class OutputsError(Exception):
    """The outputs can't be used; the message says what to do."""


@dataclass(frozen=True)
class Cell:
    """One replica's Auto Scaling group."""

    shard: int
    replica: str
    group: str


@dataclass(frozen=True)
class Outputs:
    """
    What `pulumi stack output --json` says, as far as it is needed.

    `aws_endpoint` is None on AWS itself; `key` is what the caller asks the API with, empty for none.
    """

    region: str
    endpoint: str
    alarms: Mapping[str, str]
    cells: tuple[Cell, ...]
    router_group: str
    indexer_group: str
    instance_types: Mapping[str, tuple[str, ...]]
    listener_arn: str
    target_groups: Mapping[str, str]
    access_keys: str
    key: str
    aws_endpoint: str | None
    parameters: str = ""
    generator_group: str | None = None
    generator_port: int = 0
    documents_bucket: str = ""
    index_bucket: str = ""
    vault_bucket: str | None = None
    vault_copy_role: str | None = None


def read_outputs(path: Path) -> Outputs:
    """
    Read a file with the stack's outputs. Raises OutputsError.

    The AWS endpoint is AWS_ENDPOINT_URL, else the emulator's whose `emulator.json` lies beside the file, else AWS's.
    VECTORFLEET_ENDPOINT is another way to the API than the outputs name, such as a tunnel.
    The key is VECTORFLEET_KEY, else what a file `key` beside it holds.
    """
    found = _read(path)
    return Outputs(
        region=found["region"],
        endpoint=os.environ.get("VECTORFLEET_ENDPOINT") or found["endpoint"],
        alarms=found["alarms"],
        cells=tuple(Cell(int(cell["shard"]), cell["replica"], cell["group"]) for cell in found["cells"]),
        router_group=found["router_group"],
        indexer_group=found["indexer_group"],
        instance_types={role: tuple(names) for role, names in found["instance_types"].items()},
        listener_arn=found["listener_arn"],
        target_groups=found["target_groups"],
        access_keys=found["access_keys"],
        key=os.environ.get("VECTORFLEET_KEY") or _key_beside(path),
        aws_endpoint=os.environ.get("AWS_ENDPOINT_URL") or _emulator_beside(path),
        parameters=found["parameters"],
        generator_group=found.get("generator_group"),
        generator_port=(found.get("generator_master") or {}).get("port", 0),
        documents_bucket=found.get("documents_bucket", ""),
        index_bucket=found.get("index_bucket", ""),
        vault_bucket=found.get("vault_bucket"),
        vault_copy_role=found.get("vault_copy_role"),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputsError(
            f"{path} is not there. Write it with `pulumi stack output --json > {path}`, or name another with --outputs"
        ) from None
    except (OSError, ValueError) as error:
        raise OutputsError(f"{path} can't be read as JSON: {error}") from None
    missing = [name for name in NEEDED if not isinstance(found, dict) or name not in found]
    if missing:
        raise OutputsError(f"{path} lacks the stack outputs {', '.join(missing)}; is it from an older deployment?")
    return dict(found)


def _key_beside(path: Path) -> str:
    key = path.with_name(KEY_FILE)
    return key.read_text(encoding="utf-8").strip() if key.exists() else ""


def _emulator_beside(path: Path) -> str | None:
    emulator = path.with_name("emulator.json")
    return str(json.loads(emulator.read_text(encoding="utf-8"))["endpoint"]) if emulator.exists() else None
