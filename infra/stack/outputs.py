"""The outputs of a deployed stack."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.configuration.stack_file import is_loopback
from vectorfleet.api_key import find_key
from vectorfleet.options import OUTPUTS_VARIABLE
from vectorfleet.slots import SLOTS

NEEDED = ("fleet", "region", "slots", "endpoint", "access_keys", "listener_arn", "parameters", "target_groups")
NEEDED_OF_A_SLOT = ("shards", "cells", "alarms", "router_group", "indexer_group", "instance_types")


class StackError(Exception):
    """The outputs can't be used; the message says what to do."""


@dataclass(frozen=True)
class Cell:
    """One replica's Auto Scaling group."""

    shard: int
    replica: str
    zone: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """
    A deployed stack without its slots, from the file that `pulumi stack output --json` wrote.

    `aws_endpoint` is None on AWS itself; `key` is the caller's key of the API, empty without one; `target_groups` maps
    slots to ARNs. A slot may have a target group and no instances: `slots` names those that have some.
    `retrieval_p95_ms` maps slots to their objective.
    """

    outputs: Path
    aws_endpoint: str | None
    key: str
    fleet: str
    region: str
    slots: tuple[str, ...]
    endpoint: str
    access_keys: str
    listener_arn: str
    parameters: str
    target_groups: Mapping[str, str]
    generator_group: str | None = None
    generator_port: int = 0
    documents_bucket: str = ""
    index_bucket: str = ""
    vault_bucket: str | None = None
    vault_copy_role: str | None = None
    retrieval_p95_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Both the service and the AWS behind it are on this machine."""
        return is_loopback(self.endpoint) and self.aws_endpoint is not None and is_loopback(self.aws_endpoint)

    def aws(self, service: str, *, region: str = "", attempts: int | None = None) -> Any:
        """Make a boto3 client of the AWS that the stack is deployed on, in its region unless another is given."""
        from infra.stack.clients import ATTEMPTS, client

        return client(service, region or self.region, self.aws_endpoint, attempts or ATTEMPTS)

    def weights(self) -> dict[str, int]:
        """Return the listener's weight of each slot. Raises botocore's errors."""
        (listener,) = self.aws("elbv2").describe_listeners(ListenerArns=[self.listener_arn])["Listeners"]
        (action,) = listener["DefaultActions"]
        found = {group["TargetGroupArn"]: group["Weight"] for group in action["ForwardConfig"]["TargetGroups"]}
        return {slot: found.get(arn, 0) for slot, arn in sorted(self.target_groups.items())}


@dataclass(frozen=True, kw_only=True)
class Stack(Fleet):
    """A deployed stack and one slot of it. `alarms` maps keys to names of alarms, `instance_types` roles to types."""

    slot: str
    shards: int
    cells: tuple[Cell, ...]
    alarms: Mapping[str, str]
    router_group: str
    indexer_group: str
    instance_types: Mapping[str, tuple[str, ...]]

    def cells_of(self, shards: list[int] | None) -> list[Cell]:
        """Return the cells of the given shards, of all when None."""
        return [cell for cell in self.cells if shards is None or cell.shard in shards]


def read_stack(path: Path, aws_endpoint: str | None = None, *, slot: str = "") -> Stack:
    """
    Read a file with the stack's outputs, for one slot. Raises StackError, and botocore's errors as `Fleet.weights`.

    The slot is the one given, else the only one, else the one with all the weight.
    """
    found = _read(path)
    fleet = _fleet(path, found, aws_endpoint)
    chosen = slot or _serving(fleet)
    if chosen not in fleet.slots:
        raise StackError(f"{path} has no slot {chosen}; it has {' and '.join(fleet.slots)}, which --slot may name")
    own = found["slots"][chosen]
    if missing := [name for name in NEEDED_OF_A_SLOT if name not in own]:
        raise StackError(f"{path} lacks {', '.join(missing)} of slot {chosen}; is it from an older deployment?")
    return Stack(
        **vars(fleet),
        slot=chosen,
        shards=int(own["shards"]),
        cells=tuple(Cell(int(cell["shard"]), cell["replica"], cell["zone"], cell["group"]) for cell in own["cells"]),
        alarms=own["alarms"],
        router_group=own["router_group"],
        indexer_group=own["indexer_group"],
        instance_types={role: tuple(names) for role, names in own["instance_types"].items()},
    )


def _serving(fleet: Fleet) -> str:
    if len(fleet.slots) == 1:
        return fleet.slots[0]
    weights = fleet.weights()
    serving = [slot for slot, weight in weights.items() if weight]
    if len(serving) != 1:
        shown = ", ".join(f"{slot} {weight}" for slot, weight in weights.items())
        raise StackError(f"The stack has two slots, whose weights are {shown}; say which one with --slot blue or green")
    return serving[0]


def read_fleet(path: Path, aws_endpoint: str | None = None) -> Fleet:
    """
    Read a file with the stack's outputs, for what its slots share. Raises StackError.

    The AWS endpoint is the one given, else AWS_ENDPOINT_URL, else the emulator's whose `emulator.json` lies beside the
    file, else AWS's own. VECTORFLEET_ENDPOINT replaces the endpoint of the API, for a tunnel. The key beside the
    outputs is put into the environment (`find_key`).
    """
    return _fleet(path, _read(path), aws_endpoint)


def _fleet(path: Path, found: Mapping[str, Any], aws_endpoint: str | None) -> Fleet:
    generators = found.get("generator_master") or {}
    return Fleet(
        outputs=path,
        aws_endpoint=aws_endpoint or os.environ.get("AWS_ENDPOINT_URL") or _emulator_beside(path),
        key=find_key(path),
        **{name: found[name] for name in NEEDED}
        | {
            "endpoint": os.environ.get("VECTORFLEET_ENDPOINT") or found["endpoint"],
            "slots": tuple(slot for slot in SLOTS if slot in found["slots"]),
        },
        generator_group=found.get("generator_group"),
        generator_port=generators.get("port", 0),
        documents_bucket=found.get("documents_bucket", ""),
        index_bucket=found.get("index_bucket", ""),
        vault_bucket=found.get("vault_bucket"),
        vault_copy_role=found.get("vault_copy_role"),
        retrieval_p95_ms={
            slot: planned["retrieval_p95_ms"]
            for slot, planned in found.get("plan", {}).get("slots", {}).items()
            if "retrieval_p95_ms" in planned
        },
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(
            f"{path} does not exist. Write it with `pulumi stack output --json > {path}`, or name another file with "
            f"--outputs or {OUTPUTS_VARIABLE}"
        ) from None
    except (OSError, ValueError) as error:
        raise StackError(f"{path} can't be read as JSON: {error}") from None
    missing = [name for name in NEEDED if not isinstance(found, dict) or name not in found]
    if missing:
        raise StackError(f"{path} lacks the stack outputs {', '.join(missing)}; is it from an older deployment?")
    return dict(found)


def _emulator_beside(path: Path) -> str | None:
    emulator = path.with_name("emulator.json")
    return str(json.loads(emulator.read_text(encoding="utf-8"))["endpoint"]) if emulator.exists() else None
