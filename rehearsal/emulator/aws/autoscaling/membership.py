"""Members of an Auto Scaling group: launched, retired, chosen for scale-in, and registered as targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.models import InstanceState

from rehearsal.emulator.aws.autoscaling import activities, lifecycle
from rehearsal.emulator.description_cache import changed

_GONE = frozenset({"shutting-down", "terminated"})


def suspended(group: Any, process: str) -> bool:
    """Return whether one of the group's processes (Launch, Terminate, ...) is suspended."""
    return any(entry["ProcessName"] == process for entry in group.suspended_processes)


def counted(group: Any) -> list[Any]:
    """Return the members that count towards the capacity: all but those in standby."""
    return [state for state in group.instance_states if state.lifecycle_state != "Standby"]


def capacity(group: Any) -> int:
    """Return the desired capacity plus the instances that an instance refresh launches above it."""
    return int(group.desired_capacity or 0) + int(group.__dict__.get("surge", 0))


def _slots(group: Any) -> list[tuple[str | None, str]]:
    """Return the (subnet id or None, zone) pairs in which instances may start."""
    if not group.vpc_zone_identifier:
        return [(None, zone) for zone in group.availability_zones]
    subnets = [group.ec2_backend.get_subnet(name) for name in group.vpc_zone_identifier.split(",")]
    return [(subnet.id, subnet.availability_zone) for subnet in subnets]


def _emptiest(group: Any) -> tuple[str | None, str]:
    slots = _slots(group)
    used = Counter(state.instance.subnet_id for state in group.instance_states)
    zones = Counter(state.availability_zone for state in group.instance_states)
    return min(slots, key=lambda slot: (used[slot[0]], zones[slot[1]], slots.index(slot)))


def _template(group: Any) -> dict[str, str] | None:
    if group.ec2_launch_template is None:
        return None
    version = group.ec2_launch_template.get_version(group.launch_template_version)
    return {"LaunchTemplateId": group.ec2_launch_template.id, "Version": str(version.number)}


def _launch(group: Any) -> None:
    subnet, zone = _emptiest(group)
    reservation = group.ec2_backend.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        instance_type=group.instance_type,
        is_instance_type_default=False,
        tags={"instance": {**group.get_propagated_tags(), models.ASG_NAME_TAG: group.name}},
        placement=zone,
        subnet_id=subnet,
        launch_config=group.launch_config,
        launch_template=_template(group),
        associate_public_ip=group.launch_config.associate_public_ip_address if group.launch_config else None,
    )
    instance = reservation.instances[0]
    instance.autoscaling_group = group
    protected = group.new_instances_protected_from_scale_in
    state = InstanceState(instance, protected_from_scale_in=protected)
    group.instance_states.append(state)
    activity = activities.record(group, f"Launching a new EC2 instance: {instance.id}", zone, subnet)
    lifecycle.begin(group, state, activity)


def retire(group: Any, state: Any, cause: str) -> Any:
    """Take an instance out of its group, and terminate it if it still exists."""
    group.instance_states = [other for other in group.instance_states if other is not state]
    if state.instance.state not in _GONE:
        # Not by terminate_instances(): termination protection of the API does not bind the group.
        state.instance.terminate()
    state.lifecycle_state = "Terminated"
    what = f"Terminating EC2 instance: {state.instance_id}"
    return activities.record(group, what, state.availability_zone, state.instance.subnet_id, cause)


def dead(group: Any) -> Iterator[tuple[Any, str]]:
    """Yield the members that must be replaced, each with the reason."""
    for state in list(group.instance_states):
        status = state.instance.state
        if status in _GONE:
            yield state, "was terminated outside of the group"
        elif state.lifecycle_state != lifecycle.IN_SERVICE or suspended(group, "ReplaceUnhealthy"):
            # The health of an instance counts only once it is in service.
            continue
        elif status in ("stopping", "stopped"):
            yield state, f"failed its EC2 health check: it is {status}"
        elif state.health_status == "Unhealthy":
            yield state, "was marked Unhealthy"


def surplus(group: Any, count: int) -> list[Any]:
    """Return the members that leave a shrinking group: those not yet in service, then the oldest of the fullest zone.

    A protected member never leaves.
    """
    chosen: list[Any] = []
    newest = "NewestInstance" in group.termination_policies
    for _ in range(count):
        rest = [s for s in counted(group) if s not in chosen and not s.protected_from_scale_in]
        if not rest:
            break
        zones = Counter(state.availability_zone for state in rest)
        order = reversed(rest) if newest else iter(rest)
        chosen.append(max(order, key=lambda s: (s.lifecycle_state != lifecycle.IN_SERVICE, zones[s.availability_zone])))
    return chosen


def fill(group: Any, missing: int) -> None:
    """Launch `missing` instances; a failed launch is recorded and ends the attempt."""
    if suspended(group, "Launch"):
        return
    for _ in range(missing):
        try:
            _launch(group)
        except Exception as problem:
            activities.record_failure(group, "Launching a new EC2 instance", str(problem))
            return


def sync_targets(group: Any) -> None:
    """Register exactly the group's running instances in each target group."""
    present = {s.instance_id for s in group.active_instances() if s.instance.state == "running"}
    known: set[str] = group.__dict__.setdefault("registered", set())
    for arn in group.target_group_arns:
        target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
        if target_group is None or suspended(group, "AddToLoadBalancer"):
            continue
        leaving = [{"Id": name} for name in known - present if name in target_group.targets]
        joining = [{"Id": name, "Port": target_group.port} for name in sorted(present - set(target_group.targets))]
        if leaving:
            target_group.deregister(leaving)
        if joining:
            target_group.register(joining)
        if leaving or joining:
            changed()
    group.registered = present
