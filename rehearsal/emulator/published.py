"""What EC2 Auto Scaling publishes of a group whose metrics are enabled; moto stores the wish and publishes nothing."""

from __future__ import annotations

import time
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from rehearsal.emulator.monitoring import PUBLISHED

(NAMESPACE,) = PUBLISHED
EVERY_SECONDS = 10.0  # AWS's own would be a minute, and a drill is shorter

_last: dict[str, float] = {}


def figures(group: Any) -> dict[str, int]:
    """The metrics that a group can publish, of this moment."""
    in_service = [state for state in group.instance_states if state.lifecycle_state == "InService"]
    return {
        "GroupDesiredCapacity": group.desired_capacity or 0,
        "GroupInServiceInstances": len(in_service),
        "GroupMinSize": group.min_size or 0,
        "GroupMaxSize": group.max_size or 0,
        "GroupTotalInstances": len(group.instance_states),
    }


def publish_all(backend: Any) -> None:
    """Publish the enabled metrics of every group of a region when it is time; the emulator calls this each second."""
    now = time.monotonic()
    if now - _last.get(backend.region_name, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    _last[backend.region_name] = now
    store = cloudwatch_backends[backend.account_id][backend.region_name]
    for group in list(backend.autoscaling_groups.values()):
        wanted = set(group.metrics or ())
        data = [_datum(group.name, name, value) for name, value in figures(group).items() if name in wanted]
        if data:
            store.put_metric_data(NAMESPACE, data)


def _datum(group: str, name: str, value: int) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
        "Value": float(value),
        "Unit": "None",
    }
