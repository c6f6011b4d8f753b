"""Scaling activities: the log of each Auto Scaling group, which moto leaves empty."""

from __future__ import annotations

import json
from typing import Any

from moto.autoscaling.models import Activity
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from rehearsal.emulator.corrections import replaces
from rehearsal.emulator.description_cache import changed

_KEPT_PER_GROUP = 500


def _append(group: Any, activity: Any) -> None:
    log: list[Any] = group.__dict__.setdefault("activity_log", [])
    log.append(activity)
    changed()
    del log[:-_KEPT_PER_GROUP]


def record(group: Any, description: str, zone: str, subnet: str | None, why: str = "") -> Any:
    """Record a finished activity, and return moto's object of it."""
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
    """Record a failed activity once, however often it is retried with the same outcome."""
    log = group.__dict__.get("activity_log") or [None]
    if getattr(log[-1], "status_message", None) == problem:
        return
    stamp = utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    activity = Activity(description, f"At {stamp} a launch was tried and failed.", group, status_code="Failed")
    activity.status_message = problem
    activity.progress = 100
    _append(group, activity)


def await_hook(activity: Any) -> None:
    """Mark a launch as waiting for its lifecycle hooks."""
    activity.status_code, activity.progress, activity.end_time = "MidLifecycleAction", 50, None


def succeed(activity: Any) -> None:
    """End a launch that waited."""
    _finish(activity, "Successful")


def cancel(activity: Any, problem: str) -> None:
    """End a launch that waited and failed."""
    activity.status_message = problem
    _finish(activity, "Cancelled")


def _finish(activity: Any, status: str) -> None:
    activity.status_code, activity.progress, activity.end_time = status, 100, utcnow()
    changed()


@replaces(AutoScalingResponse, "describe_scaling_activities")
def _describe_scaling_activities(self: Any) -> Any:
    """Return activities newest first, of one group or of all, optionally only those with the given ids."""
    name, wanted = self._get_param("AutoScalingGroupName"), self._get_param("ActivityIds", [])
    groups = self.autoscaling_backend.autoscaling_groups.values()
    found = [a for g in groups if name in (None, g.name) for a in g.__dict__.get("activity_log", [])]
    found.sort(key=lambda activity: activity.start_time, reverse=True)
    shown = [a for a in found if not wanted or a.activity_id in wanted]
    return ActionResult({"Activities": shown[: self._get_int_param("MaxRecords", 100)]})
