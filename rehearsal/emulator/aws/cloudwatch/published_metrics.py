"""Metrics that AWS publishes by itself and moto does not: of groups, replication rules and load balancers."""

from __future__ import annotations

import time
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends

from rehearsal.emulator.account import ACCOUNT, REGION
from rehearsal.emulator.aws.cloudwatch.metrics import PUBLISHED
from rehearsal.emulator.aws.s3 import replication

GROUPS, _, COPIES = PUBLISHED
EVERY_SECONDS = 10.0  # AWS publishes every minute, which is too rare for a drill

_last: dict[str, float] = {}


def group_values(group: Any) -> dict[str, int]:
    in_service = [state for state in group.instance_states if state.lifecycle_state == "InService"]
    return {
        "GroupDesiredCapacity": group.desired_capacity or 0,
        "GroupInServiceInstances": len(in_service),
        "GroupMinSize": group.min_size or 0,
        "GroupMaxSize": group.max_size or 0,
        "GroupTotalInstances": len(group.instance_states),
    }


def publish_all(backend: Any) -> None:
    """Publish the metrics of a region's groups and replication rules if due; the emulator calls this each second."""
    now = time.monotonic()
    if now - _last.get(backend.region_name, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    _last[backend.region_name] = now
    for group in list(autoscaling_backends[backend.account_id][backend.region_name].autoscaling_groups.values()):
        wanted = set(group.metrics or ())
        data = [_datum(group.name, name, value) for name, value in group_values(group).items() if name in wanted]
        if data:
            backend.put_metric_data(GROUPS, data)
    if copied := replication.metric_data(backend.region_name):
        backend.put_metric_data(COPIES, copied)


def put(namespace: str, data: list[dict[str, Any]]) -> None:
    """Publish what another part of the emulated AWS measured. Raises ValueError for any other namespace."""
    if namespace not in PUBLISHED:
        raise ValueError(
            f"namespace {namespace} is not published by the emulated AWS; allowed: {', '.join(PUBLISHED)}."
        )
    if data:
        cloudwatch_backends[ACCOUNT][REGION].put_metric_data(namespace, data)


def _datum(group: str, name: str, value: int) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
        "Value": float(value),
        "Unit": "None",
    }
