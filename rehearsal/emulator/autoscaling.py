"""Auto Scaling groups that keep their desired instances in their zones and target groups.

Corrects in moto 5.2.5: all instances land in the first subnet, from the template's default version; a
replacement does not join the target groups; dead targets stay in them; stopped or unhealthy instances are
not replaced; capacity outside the group's limits is accepted; a group with instances is deleted without
force; the activity list is always empty. Every change of a group goes through `reconcile`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.ec2.models import EC2Backend

from rehearsal.emulator import lifecycle
from rehearsal.emulator.health import published_state
from rehearsal.emulator.membership import capacity, counted, dead, fill, retire, surplus, suspended, sync_targets

# moto's groups, instances and target groups are shared between request threads without any lock.
LOCK = threading.RLock()


def reconcile(group: Any) -> None:
    """Bury the dead, then launch or end instances until the desired capacity runs, then sync targets."""
    with LOCK:
        for leavers in (lifecycle.overdue, dead):
            for state, cause in leavers(group):
                retire(group, state, cause)
        missing = capacity(group) - len(counted(group))
        for state in surplus(group, -missing):
            retire(group, state, "was taken out because the group shrank")
        fill(group, missing)
        sync_targets(group)


def reconcile_all(backend: Any) -> None:
    """Apply load balancer health and reconcile every group; the emulator calls this each second."""
    with LOCK:
        for group in list(backend.autoscaling_groups.values()):
            _apply_balancer_health(group)
            reconcile(group)


def _apply_balancer_health(group: Any) -> None:
    if "ELB" not in group.health_check_type or suspended(group, "HealthCheck"):
        return
    for state in group.active_instances():
        states = {published_state(arn, state.instance_id) for arn in group.target_group_arns}
        if "unhealthy" in states and not _in_grace(group, state):
            state.health_status = "Unhealthy"


def _in_grace(group: Any, state: Any) -> bool:
    return lifecycle.seconds_in_service(state) < int(group.health_check_grace_period or 0)


def named(backend: Any, name: str) -> Any:
    """The group of this name. Raises ValidationError."""
    group = backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def _find(backend: Any, instance_id: str) -> Any:
    for group in backend.autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return state
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _set_group_capacity(self: Any, wanted: int | None) -> None:
    self.desired_capacity = self.min_size if wanted is None else wanted
    reconcile(self)


def _set_desired_capacity(self: Any, group_name: str, wanted: int) -> None:
    group = self.autoscaling_groups.get(group_name)
    if group is None:
        raise ValidationError("AutoScalingGroup name not found - null")
    if wanted > group.max_size or wanted < group.min_size:
        side, limit = ("above max", group.max_size) if wanted > group.max_size else ("below min", group.min_size)
        raise ValidationError(
            f"New SetDesiredCapacity value {wanted} is {side} value {limit} for the AutoScalingGroup."
        )
    group.set_desired_capacity(wanted)


def _terminate_instance(self: Any, instance_id: str, should_decrement: bool) -> Any:
    with LOCK:
        state = _find(self, instance_id)
        group = state.auto_scaling_group
        if should_decrement:
            if group.desired_capacity <= group.min_size:
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without "
                    "replacement will violate group's min size constraint."
                )
            group.desired_capacity -= 1
        activity = retire(group, state, "was taken out of service in response to a user request")
        reconcile(group)
        return activity


def _set_instance_health(self: Any, instance_id: str, health: str, respect_grace: bool = True) -> None:
    with LOCK:
        state = _find(self, instance_id)
        if health == "Unhealthy" and respect_grace and _in_grace(state.auto_scaling_group, state):
            return
        state.health_status = health
        reconcile(state.auto_scaling_group)


def _delete(self: Any, group_name: str, force: bool = False) -> None:
    with LOCK:
        group = named(self, group_name)
        if group.instance_states and not force:
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances still in the group.",
            )
        for state in group.instance_states:
            state.protected_from_scale_in = False
        group.min_size = group.desired_capacity = 0
        reconcile(group)
        del self.autoscaling_groups[group_name]


def _notify_terminated(self: Any, instance_ids: list[str]) -> None:
    reconcile_all(self)


def _update_targets(self: Any, group_name: str) -> None:
    reconcile(self.autoscaling_groups[group_name])


def _locked(plain: Callable[..., Any]) -> Callable[..., Any]:
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with LOCK:
            return plain(self, *args, **kwargs)

    return locked


def _stop_instances(plain: Callable[..., Any]) -> Callable[..., Any]:
    def stop_instances(self: Any, instance_ids: list[str]) -> Any:
        with LOCK:
            result = plain(self, instance_ids)
            reconcile_all(models.autoscaling_backends[self.account_id][self.region_name])
            return result

    return stop_instances


def _launched_from(self: Any) -> dict[str, str] | None:
    """The template version an instance really came from, from the tags AWS itself puts on it."""
    tags = {tag["key"]: tag["value"] for tag in self.instance.get_tags()}
    template = self.auto_scaling_group.ec2_launch_template
    if template is None:
        return None
    version = tags.get("aws:ec2launchtemplate:version", str(template.default_version_number))
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": version}


def install() -> None:
    """Put the corrections on moto's classes."""
    FakeAutoScalingGroup.set_desired_capacity = _set_group_capacity
    InstanceState.launch_template = property(_launched_from)
    for name in (
        "create_auto_scaling_group",
        "update_auto_scaling_group",
        "attach_instances",
        "detach_instances",
    ):
        setattr(AutoScalingBackend, name, _locked(getattr(AutoScalingBackend, name)))
    AutoScalingBackend.set_desired_capacity = _set_desired_capacity
    AutoScalingBackend.terminate_instance = _terminate_instance
    AutoScalingBackend.set_instance_health = _set_instance_health
    AutoScalingBackend.delete_auto_scaling_group = _delete
    AutoScalingBackend.notify_terminate_instances = _notify_terminated
    AutoScalingBackend.update_attached_target_groups = _update_targets
    EC2Backend.stop_instances = _stop_instances(EC2Backend.stop_instances)
    EC2Backend.terminate_instances = _locked(EC2Backend.terminate_instances)
