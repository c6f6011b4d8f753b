"""Steps of an instance refresh: within its bounds, and to its end."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.aws.autoscaling import instance_refresh
from rehearsal.emulator.aws.autoscaling.instance_refresh import (
    PATIENCE_SECONDS,
    Member,
    Preferences,
    Refresh,
    moves,
    step,
)
from rehearsal.emulator.aws.autoscaling.mixed_instances import Source


def run(desired: int, least: int, most: int | None) -> tuple[int, int]:
    """Replace a whole group, with launches that are ready at once; return the fewest ready and the most running."""
    members = [Member(f"old-{number}", True, True) for number in range(desired)]
    fewest, peak, launched = desired, desired, 0
    for _ in range(10 * desired + 10):
        step = moves(desired, members, least, most)
        members = [member for member in members if member.id not in step.retire]
        fewest = min(fewest, len(members))
        missing = desired + step.surge - len(members)
        members += [Member(f"new-{launched + number}", False, True) for number in range(missing)]
        launched += max(missing, 0)
        peak = max(peak, len(members))
        if not step.left:
            break
    assert [member for member in members if member.outdated] == []
    assert len(members) == desired
    return fewest, peak


@given(desired=st.integers(1, 12), least=st.integers(0, 100), spread=st.integers(0, 100))
def test_a_refresh_stays_within_its_bounds_and_arrives(desired: int, least: int, spread: int) -> None:
    most = max(100, min(200, least + spread))
    fewest, peak = run(desired, least, most)
    bound = math.ceil(desired * least / 100)
    stuck = bound == desired and desired * most // 100 == desired
    assert fewest >= (desired - 1 if stuck else bound)
    assert peak <= max(desired, desired * most // 100)


def test_a_cell_launches_before_it_terminates() -> None:
    assert run(1, 100, 200) == (1, 2)


def test_members_that_do_not_serve_are_replaced_first() -> None:
    waiting = Member("new", True, False)
    assert moves(1, [Member("old", False, True), waiting], 100, 200) == (0, ("new",), 0)


def stuck(auto_rollback: bool) -> tuple[SimpleNamespace, Refresh]:
    """Make a group that lacks its one instance, and its refresh without progress for more than an hour."""
    begun = Refresh(
        "cell", Preferences(auto_rollback=auto_rollback), previous=Source("1"), target=Source("2"), wanted=Source("2")
    )
    begun.moved -= PATIENCE_SECONDS + 1
    backend = SimpleNamespace(account_id="123456789012", region_name="us-east-1")
    group = SimpleNamespace(
        autoscaling_backend=backend,
        instance_states=[],
        instance_refreshes=[begun],
        desired_capacity=1,
        launch_template_version="2",
        provided_launch_template_version="1",
        surge=1,
    )
    return group, begun


def test_a_refresh_without_progress_for_an_hour_fails() -> None:
    group, begun = stuck(auto_rollback=False)
    step(group)
    assert (begun.status, begun.active) == ("Failed", False)
    assert (group.launch_template_version, group.surge) == ("1", 0)
    assert "healthy in time" in begun.reason


def test_auto_rollback_fails_after_an_hour_too() -> None:
    group, begun = stuck(auto_rollback=True)
    step(group)
    assert (begun.status, begun.target, group.launch_template_version) == ("RollbackInProgress", Source("1"), "1")
    step(group)
    assert begun.status == "RollbackInProgress"
    begun.moved -= PATIENCE_SECONDS + 1
    step(group)
    assert begun.status == "RollbackFailed"
    assert group.provided_launch_template_version == "1"


def test_only_the_bake_time_ends_baking() -> None:
    group, begun = stuck(auto_rollback=True)
    begun.preferences = Preferences(auto_rollback=True, bake_seconds=int(2 * PATIENCE_SECONDS))
    begun.status, group.mixed_instances_policy = "Baking", None
    step(group)
    assert (begun.status, begun.percent, group.provided_launch_template_version) == ("Baking", 100, "1")
    begun.moved -= PATIENCE_SECONDS
    step(group)
    assert (begun.status, begun.reason, group.provided_launch_template_version) == ("Successful", "", "2")


@pytest.mark.parametrize(
    ("lifecycle", "health", "checks", "probed", "serves"),
    [
        ("InService", "Healthy", "EC2", "unhealthy", True),
        ("Pending:Wait", "Healthy", "EC2", None, False),
        ("InService", "Unhealthy", "EC2", None, False),
        ("InService", "Healthy", "ELB", "healthy", True),
        ("InService", "Healthy", "EC2,ELB", "initial", False),
        ("InService", "Healthy", "ELB", "unhealthy", False),
        ("InService", "Healthy", "ELB", None, True),
    ],
)
def test_a_serving_member_is_healthy_in_every_target_group(
    monkeypatch: pytest.MonkeyPatch, lifecycle: str, health: str, checks: str, probed: str | None, serves: bool
) -> None:
    said = {("first", "i-1"): "healthy", ("second", "i-1"): probed}
    monkeypatch.setattr(instance_refresh, "published_state", lambda arn, instance: said[arn, instance])
    group = SimpleNamespace(health_check_type=checks, target_group_arns=["first", "second"], suspended_processes=[])
    state = SimpleNamespace(instance_id="i-1", lifecycle_state=lifecycle, health_status=health)
    assert instance_refresh._serves(group, state) is serves
    group.suspended_processes = [{"ProcessName": "HealthCheck"}]
    assert instance_refresh._serves(group, state) is (serves or (lifecycle, health) == ("InService", "Healthy"))
