"""What the emulated AWS publishes by itself, computed from what there is."""

from __future__ import annotations

from types import SimpleNamespace

from rehearsal.emulator.published import figures


def test_only_who_is_in_service_counts_as_such() -> None:
    states = [SimpleNamespace(lifecycle_state=name) for name in ("InService", "Pending:Wait", "Standby", "InService")]
    group = SimpleNamespace(instance_states=states, desired_capacity=3, min_size=1, max_size=5)
    assert figures(group) == {
        "GroupDesiredCapacity": 3,
        "GroupInServiceInstances": 2,
        "GroupMinSize": 1,
        "GroupMaxSize": 5,
        "GroupTotalInstances": 4,
    }
