"""The longest time that a launch hook holds an instance."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from rehearsal.emulator.aws.autoscaling import lifecycle


@pytest.mark.parametrize(("timeout", "longest"), [(60, 6_000), (7_200, 172_800)])
def test_heartbeats_end_after_a_hundred_timeouts_or_two_days(timeout: int, longest: int) -> None:
    action = lifecycle._action(SimpleNamespace(heartbeat_timeout=timeout))
    now = time.monotonic()
    assert action.expires == pytest.approx(now + timeout, abs=1)
    assert action.ends == pytest.approx(now + longest, abs=1)
    action.ends = now + timeout / 2
    action.extend()
    assert action.expires == action.ends


def test_no_heartbeat_extends_a_hook_past_its_end() -> None:
    hook = SimpleNamespace(heartbeat_timeout=60, default_result="ABANDON")
    action, activity = lifecycle._action(hook), SimpleNamespace()
    state = SimpleNamespace(actions={"ready": action}, launch_activity=activity)
    group = SimpleNamespace(instance_states=[state])
    assert list(lifecycle.overdue(group)) == []
    action.ends = time.monotonic()
    action.extend()
    assert [found for found, _ in lifecycle.overdue(group)] == [state]
    assert activity.status_code == "Cancelled"
