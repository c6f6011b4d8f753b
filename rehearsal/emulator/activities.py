"""What Auto Scaling groups did, and the API parameters of groups that moto's front end drops.

Corrects in moto 5.2.5: DescribeScalingActivities is always empty; DeleteAutoScalingGroup ignores ForceDelete;
SetInstanceHealth ignores ShouldRespectGracePeriod.
"""

from __future__ import annotations

import json
from typing import Any

from moto.autoscaling.models import Activity
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow

from rehearsal.emulator.answers import changed

_KEPT_PER_GROUP = 500


def _append(group: Any, activity: Any) -> None:
    log: list[Any] = group.__dict__.setdefault("activity_log", [])
    log.append(activity)
    changed()
    del log[:-_KEPT_PER_GROUP]


def record(group: Any, description: str, zone: str, subnet: str | None, why: str = "") -> Any:
    """Note a finished activity. Returns moto's activity object, as the API answers with it."""
    now = utcnow()
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = why or "was started in response to a difference between desired and actual capacity"
    activity = Activity(description, f"At {stamp} an instance {reason}.", group, status_code="Successful")
    activity.progress = 100
    activity.start_time = activity.end_time = now
    activity.details = json.dumps({"Subnet ID": subnet, "Availability Zone": zone})
    _append(group, activity)
    return activity


def record_failure(group: Any, description: str, problem: str) -> None:
    """Note a failed activity once, however often it is retried with the same outcome."""
    log = group.__dict__.get("activity_log") or [None]
    if getattr(log[-1], "status_message", None) == problem:
        return
    stamp = utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    activity = Activity(description, f"At {stamp} a launch was tried and failed.", group, status_code="Failed")
    activity.status_message = problem
    activity.progress = 100
    _append(group, activity)


def await_hook(activity: Any) -> None:
    """A launch is not over before its lifecycle hooks are."""
    activity.status_code, activity.progress, activity.end_time = "MidLifecycleAction", 50, None


def succeed(activity: Any) -> None:
    """A launch that waited is over."""
    _finish(activity, "Successful")


def cancel(activity: Any, problem: str) -> None:
    """A launch that waited has failed; `problem` says why."""
    activity.status_message = problem
    _finish(activity, "Cancelled")


def _finish(activity: Any, status: str) -> None:
    activity.status_code, activity.progress, activity.end_time = status, 100, utcnow()
    changed()


def _describe(self: Any) -> Any:
    """Activities newest first, of one group or of all, optionally only those asked for by id."""
    name, wanted = self._get_param("AutoScalingGroupName"), self._get_param("ActivityIds", [])
    groups = self.autoscaling_backend.autoscaling_groups.values()
    found = [a for g in groups if name in (None, g.name) for a in g.__dict__.get("activity_log", [])]
    found.sort(key=lambda activity: activity.start_time, reverse=True)
    shown = [a for a in found if not wanted or a.activity_id in wanted]
    return ActionResult({"Activities": shown[: self._get_int_param("MaxRecords", 100)]})


def _delete(self: Any) -> Any:
    force = self._get_bool_param("ForceDelete", False)
    self.autoscaling_backend.delete_auto_scaling_group(self._get_param("AutoScalingGroupName"), force)
    return EmptyResult()


def _set_health(self: Any) -> Any:
    self.autoscaling_backend.set_instance_health(
        self._get_param("InstanceId"),
        self._get_param("HealthStatus"),
        self._get_bool_param("ShouldRespectGracePeriod", True),
    )
    return EmptyResult()


def install() -> None:
    """Put the corrections on moto's classes."""
    AutoScalingResponse.describe_scaling_activities = _describe
    AutoScalingResponse.delete_auto_scaling_group = _delete
    AutoScalingResponse.set_instance_health = _set_health
