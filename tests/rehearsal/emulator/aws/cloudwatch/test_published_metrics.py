"""Values of the metrics that Auto Scaling groups publish."""

from __future__ import annotations

from types import SimpleNamespace

from rehearsal.emulator.aws.cloudwatch.published_metrics import group_values


def test_only_instances_in_service_are_counted_so() -> None:
    states = [SimpleNamespace(lifecycle_state=name) for name in ("InService", "Pending:Wait", "Standby", "InService")]
    group = SimpleNamespace(instance_states=states, desired_capacity=3, min_size=1, max_size=5)
    assert group_values(group) == {
        "GroupDesiredCapacity": 3,
        "GroupInServiceInstances": 2,
        "GroupMinSize": 1,
        "GroupMaxSize": 5,
        "GroupTotalInstances": 4,
    }
