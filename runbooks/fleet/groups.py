"""The cells' Auto Scaling groups: their instances, failed launches, and launching what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from infra.stack.outputs import Cell, Stack, StackError

ALIVE = ("pending", "running")
REPLACEABLE = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")


@dataclass(frozen=True)
class Instance:
    """One instance of a cell as EC2 reports it; its Auto Scaling group learns later that it ended."""

    identity: str
    state: str
    launched: str
    shard: int

    @property
    def alive(self) -> bool:
        return self.state in ALIVE


@dataclass(frozen=True)
class CellView:
    """A cell's group and its instances. `last_failure` says why the last launch failed if none is alive."""

    cell: Cell
    desired: int
    suspended: tuple[str, ...]
    instances: tuple[Instance, ...]
    last_failure: str

    @property
    def replaced(self) -> bool:
        """True if an instance starts or runs in the cell."""
        return any(instance.alive for instance in self.instances)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"replaced": self.replaced}


def nodes(stack: Stack, shards: list[int] | None = None, ec2: Any = None) -> list[Instance]:
    """Return the fleet's node instances, of the given shards or all, with those that ended lately."""
    filters = [
        {"Name": "tag:vectorfleet:fleet", "Values": [stack.fleet]},
        {"Name": "tag:vectorfleet:slot", "Values": [stack.slot]},
        {"Name": "tag:vectorfleet:role", "Values": ["node"]},
    ]
    if shards is not None:
        filters.append({"Name": "tag:vectorfleet:shard", "Values": [str(shard) for shard in shards]})
    pages = (ec2 or stack.aws("ec2")).get_paginator("describe_instances").paginate(Filters=filters)
    return [
        _instance(found) for page in pages for reservation in page["Reservations"] for found in reservation["Instances"]
    ]


def _instance(found: dict[str, Any]) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return Instance(
        identity=found["InstanceId"],
        state=found["State"]["Name"],
        launched=str(found.get("LaunchTime", "")),
        shard=int(tags.get("vectorfleet:shard", -1)),
    )


def see_cells(stack: Stack, shards: list[int] | None = None) -> list[CellView]:
    """Return the cells of the given shards, or all."""
    scaling = stack.aws("autoscaling")
    cells = stack.cells_of(shards)
    groups = _groups(scaling, [cell.group for cell in cells])
    members = _members(stack, groups.values())
    return [_cell_view(scaling, cell, groups[cell.group], members) for cell in cells if cell.group in groups] + [
        CellView(cell, 0, (), (), "there is no such group") for cell in cells if cell.group not in groups
    ]


def group_of(scaling: Any, name: str) -> dict[str, Any]:
    """Return a group as AWS describes it. Raises StackError if there is none of this name."""
    found = _groups(scaling, [name])
    if name not in found:
        raise StackError(f"there is no Auto Scaling group {name}; are the outputs from an older deployment?")
    return found[name]


def _groups(scaling: Any, names: list[str]) -> dict[str, dict[str, Any]]:
    pages = scaling.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=names)
    return {group["AutoScalingGroupName"]: group for page in pages for group in page["AutoScalingGroups"]}


def _members(stack: Stack, groups: Iterable[dict[str, Any]]) -> dict[str, Instance]:
    wanted = {member["InstanceId"] for group in groups for member in group["Instances"]}
    return {found.identity: found for found in nodes(stack) if found.identity in wanted}


def _cell_view(scaling: Any, cell: Cell, group: dict[str, Any], members: dict[str, Instance]) -> CellView:
    own = tuple(members[m["InstanceId"]] for m in group["Instances"] if m["InstanceId"] in members)
    alive = any(instance.alive for instance in own)
    return CellView(
        cell=cell,
        desired=group["DesiredCapacity"],
        suspended=tuple(process["ProcessName"] for process in group.get("SuspendedProcesses", [])),
        instances=own,
        last_failure="" if alive else last_failure(scaling, cell.group),
    )


def last_failure(scaling: Any, group: str) -> str:
    """Return why one of the group's last launches failed; empty if none did."""
    found = scaling.describe_scaling_activities(AutoScalingGroupName=group, MaxRecords=5)["Activities"]
    for activity in found:
        if activity.get("StatusCode") == "Failed":
            return str(activity.get("StatusMessage") or activity.get("Description") or "failed without a reason")
    return ""


def unreplaced(cells: list[CellView]) -> list[str]:
    """Return the names of the groups in which nothing starts or runs."""
    return [view.cell.group for view in cells if not view.replaced]


def launch(stack: Stack, cells: list[CellView]) -> list[str]:
    """Launch an instance in each cell that has none; return the names of their groups.

    Suspended processes are resumed, dead members reported, and the capacity is set to at least one.
    """
    scaling = stack.aws("autoscaling")
    asked = []
    for view in cells:
        if view.replaced:
            continue
        if view.suspended:
            scaling.resume_processes(AutoScalingGroupName=view.cell.group)
        for instance in view.instances:
            # Until its next health check, a group counts a member that was terminated from outside.
            scaling.set_instance_health(
                InstanceId=instance.identity, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
            )
        scaling.set_desired_capacity(
            AutoScalingGroupName=view.cell.group, DesiredCapacity=max(1, view.desired), HonorCooldown=False
        )
        asked.append(view.cell.group)
    return asked


def replace_instances(stack: Stack, name: str) -> list[str]:
    """Terminate every instance of a group and return their ids; the group keeps its size, so it launches others."""
    scaling = stack.aws("autoscaling")
    members = group_of(scaling, name)["Instances"]
    ended = [member["InstanceId"] for member in members if member["LifecycleState"] in REPLACEABLE]
    for instance in ended:
        scaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    return ended
