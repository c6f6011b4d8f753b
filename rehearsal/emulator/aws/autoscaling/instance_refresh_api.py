"""The API of instance refreshes: start, describe, cancel, roll back.

Checkpoints, preferences for scale-in protection and standby, and the replacement of root volumes are refused.
"""

from __future__ import annotations

import time
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult

from rehearsal.emulator.aws.autoscaling import instance_refresh as refreshes
from rehearsal.emulator.aws.autoscaling.groups import LOCK, group_of_request, reconcile
from rehearsal.emulator.aws.autoscaling.instance_refresh import Preferences, Refresh
from rehearsal.emulator.aws.autoscaling.membership import counted
from rehearsal.emulator.aws.autoscaling.mixed_instances import Source, source, types_of
from rehearsal.emulator.corrections import Method, adds, corrects

KNOWN = frozenset(
    {
        "AlarmSpecification",
        "AutoRollback",
        "BakeTime",
        "InstanceWarmup",
        "MaxHealthyPercentage",
        "MinHealthyPercentage",
        "SkipMatching",
    }
)
# Values that ask for the default behaviour.
HARMLESS = {"CheckpointDelay": 0, "ScaleInProtectedInstances": "Ignore", "StandbyInstances": "Ignore"}
LONGEST_BAKE_SECONDS = 172800
MOVING = ("$Latest", "$Default", None)


def _preferences(group: Any, asked: dict[str, Any]) -> Preferences:
    for name, value in asked.items():
        if name not in KNOWN and value not in (HARMLESS.get(name), []):
            raise ValidationError(f"Preferences.{name} is {value!r}: the emulated AWS does not do that; leave it out.")
    least, most = asked.get("MinHealthyPercentage"), asked.get("MaxHealthyPercentage")
    if most is not None and (least is None or int(most) - int(least) > 100):
        raise ValidationError("MaxHealthyPercentage needs a MinHealthyPercentage at most 100 below it.")
    if not 0 <= int(90 if least is None else least) <= 100 <= int(most or 100) <= 200:
        raise ValidationError("MinHealthyPercentage is from 0 to 100, MaxHealthyPercentage from 100 to 200.")
    bake = int(asked.get("BakeTime", 0))
    if not 0 <= bake <= LONGEST_BAKE_SECONDS:
        raise ValidationError(f"BakeTime is {bake}: it is from 0 to {LONGEST_BAKE_SECONDS} seconds.")
    return Preferences(
        least_percent=90 if least is None else int(least),
        most_percent=None if most is None else int(most),
        warmup_seconds=int(asked.get("InstanceWarmup", _default_warmup(group))),
        skip_matching=bool(asked.get("SkipMatching", False)),
        auto_rollback=bool(asked.get("AutoRollback", False)),
        alarms=_alarms(group, asked.get("AlarmSpecification") or {}),
        bake_seconds=bake,
    )


def _default_warmup(group: Any) -> int:
    own = getattr(group, "default_instance_warmup", None)
    return int((group.health_check_grace_period or 0) if own in (None, -1) else own)


def _alarms(group: Any, asked: dict[str, Any]) -> tuple[str, ...]:
    names = tuple(asked.get("Alarms") or ())
    backend = group.autoscaling_backend
    known = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValidationError(f"The alarm {unknown[0]} of the AlarmSpecification does not exist.")
    return names


def _desired(group: Any, asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the desired configuration once its template version is known to exist. Raises ValidationError."""
    if not asked:
        return None
    kind = "MixedInstancesPolicy" if group.mixed_instances_policy else "LaunchTemplate"
    if set(asked) != {kind}:
        raise ValidationError(
            f"DesiredConfiguration needs a {kind}, as the group has; the emulated AWS changes no kind."
        )
    wanted = _specification(asked)
    own = group.ec2_launch_template
    if (
        own is None
        or own.id != wanted.get("LaunchTemplateId", own.id)
        or own.name != wanted.get("LaunchTemplateName", own.name)
    ):
        raise ValidationError("The emulated AWS refreshes to versions of the group's own launch template only.")
    own.get_version(wanted.get("Version") or "$Default")
    return asked


def _specification(desired: dict[str, Any]) -> dict[str, Any]:
    mixed = desired.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    return dict(desired.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification") or {})


def _source(group: Any, desired: dict[str, Any]) -> Source:
    """Return the source of a desired configuration; types that it does not mention stay."""
    types = types_of(desired.get("MixedInstancesPolicy")) or source(group).types
    return Source(_specification(desired).get("Version") or "$Default", types)


def _reversible(group: Any, desired: dict[str, Any] | None) -> bool:
    """Return whether a rollback has a previous configuration and fixed versions."""
    before = getattr(group, "provided_launch_template_version", None)
    return desired is not None and not {before, _specification(desired).get("Version")} & set(MOVING)


@adds(AutoScalingResponse, "start_instance_refresh")
def _start_instance_refresh(self: Any) -> Any:
    with LOCK:
        group = group_of_request(self)
        if refreshes.active(group):
            raise AutoscalingClientError(
                "InstanceRefreshInProgress",
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
            )
        if self._get_param("Strategy") not in (None, "Rolling"):
            raise ValidationError("The emulated AWS refreshes with the strategy Rolling only.")
        begun = _begin(group, self._get_params())
        refreshes.of_group(group).append(begun)
        refreshes.step(group)
        reconcile(group)
        return ActionResult({"InstanceRefreshId": begun.id})


def _begin(group: Any, parameters: dict[str, Any]) -> Refresh:
    """Begin a refresh by the parameters of a request. Raises ValidationError."""
    if group.ec2_launch_template is None:
        raise ValidationError("The emulated AWS refreshes groups with a launch template only.")
    asked = parameters.get("Preferences") or {}
    preferences = _preferences(group, asked)
    desired = _desired(group, parameters.get("DesiredConfiguration"))
    if preferences.auto_rollback and not _reversible(group, desired):
        raise ValidationError(
            "AutoRollback needs a DesiredConfiguration, and numbers as launch template versions in it and in the group."
        )
    own = group.ec2_launch_template
    previous = source(group)
    wanted = _source(group, desired) if desired else None
    heading = wanted or previous
    target = heading._replace(version=str(own.get_version(heading.version).number))
    everyone = frozenset(state.instance_id for state in counted(group))
    begun = Refresh(
        group.name,
        preferences,
        previous=previous,
        target=target,
        wanted=wanted,
        desired=desired,
        asked=asked,
        stale=frozenset() if preferences.skip_matching else everyone,
    )
    refreshes.head_for(group, begun, target)
    return begun


@adds(AutoScalingResponse, "describe_instance_refreshes")
def _describe_instance_refreshes(self: Any) -> Any:
    wanted, found = self._get_param("InstanceRefreshIds", []), refreshes.of_group(group_of_request(self))
    shown = [_shown(one) for one in reversed(found) if not wanted or one.id in wanted]
    return ActionResult({"InstanceRefreshes": shown[: self._get_int_param("MaxRecords", 50)]})


def _shown(one: Refresh) -> dict[str, Any]:
    preferences = {"MinHealthyPercentage": one.preferences.least_percent, "SkipMatching": False, "AutoRollback": False}
    shown = {
        "InstanceRefreshId": one.id,
        "AutoScalingGroupName": one.group,
        "Strategy": "Rolling",
        "Status": one.status,
        "StatusReason": one.reason or None,
        "StartTime": one.started,
        "EndTime": one.ended,
        "PercentageComplete": one.percent,
        "InstancesToUpdate": one.left,
        "Preferences": preferences | {"InstanceWarmup": one.preferences.warmup_seconds} | one.asked,
        "DesiredConfiguration": one.desired,
        "RollbackDetails": one.rollback,
    }
    return {key: value for key, value in shown.items() if value is not None}


@adds(AutoScalingResponse, "cancel_instance_refresh")
def _cancel_instance_refresh(self: Any) -> Any:
    with LOCK:
        group, one = _active(self)
        one.status, one.reason, one.moved = "Cancelling", "The instance refresh was cancelled.", time.monotonic()
        refreshes.step(group)
        reconcile(group)
        return ActionResult({"InstanceRefreshId": one.id})


@adds(AutoScalingResponse, "rollback_instance_refresh")
def _rollback_instance_refresh(self: Any) -> Any:
    with LOCK:
        group, one = _active(self)
        if not _reversible(group, one.desired):
            raise AutoscalingClientError(
                "IrreversibleInstanceRefresh",
                "The instance refresh has no desired configuration, or a launch template version that moves.",
            )
        if one.status in refreshes.FORWARD:
            refreshes.roll_back(group, one, "The rollback was requested.")
            refreshes.step(group)
            reconcile(group)
        return ActionResult({"InstanceRefreshId": one.id})


def _active(response: Any) -> tuple[Any, Refresh]:
    group = group_of_request(response)
    one = refreshes.active(group)
    if one is None:
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for the group."
        )
    return group, one


@corrects(AutoScalingResponse, "update_auto_scaling_group")
def _update_auto_scaling_group(plain: Method, self: Any) -> Any:
    """Refuse to change the launch template while a refresh with a desired configuration is active."""
    group = self.autoscaling_backend.autoscaling_groups.get(self._get_param("AutoScalingGroupName"))
    one = refreshes.active(group) if group else None
    if one and one.desired and (self._get_param("LaunchTemplate") or self._get_param("MixedInstancesPolicy")):
        raise ValidationError(
            "An active instance refresh with a desired configuration exists. All configuration options derived "
            "from the desired configuration are not available for update while the instance refresh is active."
        )
    return plain(self)


def step_all(backend: Any) -> None:
    """Take one step of every refresh; the emulator calls this each second, before it reconciles the groups."""
    with LOCK:
        for group in list(backend.autoscaling_groups.values()):
            refreshes.step(group)
