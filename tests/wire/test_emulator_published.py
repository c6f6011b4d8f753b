"""Metrics that Auto Scaling groups of the emulator publish."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.wire.fleet import Fleet, eventually

Connect = Callable[[str], Any]


def test_enabled_metrics_of_a_group_are_published(fleet: Fleet, connect: Connect) -> None:
    cloudwatch, autoscaling = connect("cloudwatch"), connect("autoscaling")

    def newest(group: str, metric: str) -> float | None:
        now = datetime.now(UTC)
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/AutoScaling",
            MetricName=metric,
            Dimensions=[{"Name": "AutoScalingGroupName", "Value": group}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return float(max(found, key=lambda point: point["Timestamp"])["Maximum"]) if found else None

    with fleet.group(fleet.template(), 2) as loud, fleet.group(fleet.template(), 1) as silent:
        autoscaling.enable_metrics_collection(
            AutoScalingGroupName=loud,
            Metrics=["GroupInServiceInstances", "GroupDesiredCapacity"],
            Granularity="1Minute",
        )
        eventually(lambda: newest(loud, "GroupInServiceInstances") == 2)
        assert newest(loud, "GroupDesiredCapacity") == 2
        assert newest(loud, "GroupMaxSize") is None
        assert newest(silent, "GroupInServiceInstances") is None
