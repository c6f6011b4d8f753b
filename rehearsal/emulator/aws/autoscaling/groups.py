"""
Auto Scaling groups that keep their desired instances in their zones and target groups.

Every change of a group goes through `reconcile`.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult
from moto.ec2.models import EC2Backend

from rehearsal.emulator.aws.autoscaling import lifecycle
from rehearsal.emulator.aws.autoscaling.membership import (
    capacity,
    counted,
    dead,
    fill,
    retire,
    surplus,
    suspended,
    sync_targets,
)
from rehearsal.emulator.aws.elbv2 import published_state
from rehearsal.emulator.corrections import Method, adds, corrects, replaces

# moto's groups, instances and target groups are shared between request threads without any lock.
LOCK = threading.RLock()

# API parameter -> attribute of moto's group, from which the answer is built.
_SETTINGS = {
    "DefaultInstanceWarmup": "default_instance_warmup",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "DesiredCapacityType": "desired_capacity_type",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "AvailabilityZoneDistribution": "availability_zone_distribution",
    "DefaultCooldown": "default_cooldown",
    "TerminationPolicies": "termination_policies",
    "CapacityRebalance": "capacity_rebalance",
    "HealthCheckGracePeriod": "health_check_grace_period",
}
_NUMBERS = frozenset({"DefaultInstanceWarmup", "MaxInstanceLifetime", "DefaultCooldown", "HealthCheckGracePeriod"})


def reconcile(group: Any) -> None:
    """Retire dead members, launch or end instances until the desired capacity runs, then sync the target groups."""
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


def group_of_request(response: Any) -> Any:
    """Return the group that a request names. Raises ValidationError."""
    name = response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def _member(backend: Any, instance_id: str) -> Any:
    for group in backend.autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return state
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


@replaces(FakeAutoScalingGroup, "set_desired_capacity")
def _set_capacity_of_group(self: Any, wanted: int | None) -> None:
    """Launch into all subnets of the group from its own template version; moto uses the first and the default one."""
    self.desired_capacity = self.min_size if wanted is None else wanted
    reconcile(self)


@corrects(FakeAutoScalingGroup, "enable_metrics_collection")
def _enable_metrics_collection(plain: Method, self: Any, metrics: list[str]) -> None:
    """Keep the metrics that were enabled before, which moto forgets."""
    plain(self, list(dict.fromkeys([*self.metrics, *(metrics or [])])))


@adds(AutoScalingResponse, "disable_metrics_collection")
def _disable_metrics_collection(self: Any) -> Any:
    """Disable the listed metrics, or all where none is listed."""
    group = group_of_request(self)
    disabled = self._get_param("Metrics") or list(group.metrics)
    group.metrics = [metric for metric in group.metrics if metric not in disabled]
    return EmptyResult()


@replaces(InstanceState, "launch_template")
def _launch_template(self: Any) -> dict[str, str] | None:
    """Return the template version of the instance, from the tags that AWS puts on it; moto returns the default one."""
    tags = {tag["key"]: tag["value"] for tag in self.instance.get_tags()}
    template = self.auto_scaling_group.ec2_launch_template
    if template is None:
        return None
    version = tags.get("aws:ec2launchtemplate:version", str(template.default_version_number))
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": version}


@corrects(
    AutoScalingBackend,
    "create_auto_scaling_group",
    "update_auto_scaling_group",
    "attach_instances",
    "detach_instances",
)
@corrects(EC2Backend, "terminate_instances")
def _locked(plain: Method, self: Any, *args: Any, **kwargs: Any) -> Any:
    """Let one thread at a time change groups and their instances."""
    with LOCK:
        return plain(self, *args, **kwargs)


@corrects(AutoScalingResponse, "create_auto_scaling_group", "update_auto_scaling_group")
def _store_settings(plain: Method, self: Any) -> Any:
    """Store the settings that moto drops, and a grace period of 0, which becomes 300 in moto."""
    answer = plain(self)
    group = group_of_request(self)
    for parameter, attribute in _SETTINGS.items():
        value = self._get_param(parameter)
        if value is not None and value != []:
            setattr(group, attribute, int(value) if parameter in _NUMBERS else value)
    return answer


@replaces(AutoScalingBackend, "set_desired_capacity")
def _set_desired_capacity(self: Any, group_name: str, wanted: int) -> None:
    """Refuse a capacity outside the group's limits, which moto accepts."""
    group = self.autoscaling_groups.get(group_name)
    if group is None:
        raise ValidationError("AutoScalingGroup name not found - null")
    if wanted > group.max_size or wanted < group.min_size:
        side, limit = ("above max", group.max_size) if wanted > group.max_size else ("below min", group.min_size)
        raise ValidationError(
            f"New SetDesiredCapacity value {wanted} is {side} value {limit} for the AutoScalingGroup."
        )
    group.set_desired_capacity(wanted)


@replaces(AutoScalingBackend, "terminate_instance")
def _terminate_instance(self: Any, instance_id: str, should_decrement: bool) -> Any:
    """Replace the instance, or shrink the group within its limits; the replacement joins the target groups."""
    with LOCK:
        state = _member(self, instance_id)
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


@replaces(AutoScalingResponse, "set_instance_health")
def _set_instance_health(self: Any) -> Any:
    """Replace an unhealthy instance after its grace period or, if the request says so, at once; moto never does."""
    health, respects_grace = self._get_param("HealthStatus"), self._get_bool_param("ShouldRespectGracePeriod", True)
    with LOCK:
        state = _member(self.autoscaling_backend, self._get_param("InstanceId"))
        group = state.auto_scaling_group
        if not (health == "Unhealthy" and respects_grace and _in_grace(group, state)):
            state.health_status = health
            reconcile(group)
    return EmptyResult()


@replaces(AutoScalingResponse, "delete_auto_scaling_group")
def _delete_auto_scaling_group(self: Any) -> Any:
    """Refuse to delete a group with instances without ForceDelete, which moto ignores."""
    with LOCK:
        group = group_of_request(self)
        if group.instance_states and not self._get_bool_param("ForceDelete", False):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances still in the group.",
            )
        for state in group.instance_states:
            state.protected_from_scale_in = False
        group.min_size = group.desired_capacity = 0
        reconcile(group)
        del self.autoscaling_backend.autoscaling_groups[group.name]
    return EmptyResult()


@replaces(AutoScalingBackend, "notify_terminate_instances")
def _notify_terminate_instances(self: Any, instance_ids: list[str]) -> None:
    """Replace instances that were terminated outside of their group, and take them out of the target groups."""
    reconcile_all(self)


@replaces(AutoScalingBackend, "update_attached_target_groups")
def _update_attached_target_groups(self: Any, group_name: str) -> None:
    """Take dead targets out of the target groups; moto leaves them in."""
    reconcile(self.autoscaling_groups[group_name])


@corrects(EC2Backend, "stop_instances")
def _stop_instances(plain: Method, self: Any, instance_ids: list[str]) -> Any:
    """Replace members of groups that are stopped; moto keeps them."""
    with LOCK:
        answer = plain(self, instance_ids)
        reconcile_all(models.autoscaling_backends[self.account_id][self.region_name])
        return answer
