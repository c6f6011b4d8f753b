"""Target tracking on requests per target: out in proportion, in slowly, within the limits."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from moto.autoscaling.models import TargetTrackingConfiguration

from rehearsal.emulator.alarms.metrics import Metric, Store, summarise
from rehearsal.emulator.aws.autoscaling.scaling_policies import (
    IN_PERIODS,
    PERIOD_SECONDS,
    Size,
    TrackingPolicy,
    step,
    tracking_of,
    wanted,
)
from rehearsal.emulator.aws.cloudwatch.metrics import store_of

BALANCER, GROUP = "app/front/0123456789abcdef", "targetgroup/blue/0123456789abcdef"
METRIC = Metric("AWS/ApplicationELB", "RequestCountPerTarget", (("LoadBalancer", BALANCER), ("TargetGroup", GROUP)))
POLICY = TrackingPolicy(METRIC, 100.0)
NOW = 600_000.0


def measured(*per_minute: float, metric: Metric = METRIC) -> Store:
    """Make a store with a value for each of the last minutes, the newest last, published every ten seconds."""
    store = Store()
    for back, value in enumerate(reversed(per_minute), 1):
        for part in range(6):
            store.put(metric, NOW - PERIOD_SECONDS * back + 10 * part, summarise({"Value": value / 6}))
    return store


def asked(
    *per_minute: float, policy: TrackingPolicy = POLICY, low: int = 0, high: int = 9, now: int = 2, warm: int = 2
) -> int:
    """Return the capacity of a group after these minutes."""
    return wanted([policy], Size(low, high, now, warm), measured(*per_minute).summaries, NOW)


def test_scale_out_is_in_proportion_after_three_minutes() -> None:
    assert asked(250, 250) == 2
    assert asked(250, 90, 250) == 2
    assert asked(250, 250, 250) == 5
    assert asked(300, 300, 101) == 3
    assert asked(900, 900, 900) == 9
    assert asked(900, 900, 900, high=4) == 4


def test_instances_that_warm_up_do_not_count() -> None:
    assert asked(250, 250, 250, now=5, warm=2) == 5
    assert asked(400, 400, 400, now=5, warm=2) == 8
    assert asked(250, 250, 250, now=2, warm=0) == 2


def test_scale_in_is_by_one_after_fifteen_minutes() -> None:
    assert asked(*[0] * (IN_PERIODS - 1)) == 2
    assert asked(*[0] * IN_PERIODS) == 1
    assert asked(*[0] * IN_PERIODS, low=2) == 2
    assert asked(*[0] * IN_PERIODS, now=8, warm=8) == 7
    assert asked(*[0] * IN_PERIODS, now=8, warm=7) == 8
    # One instance alone would get 170 requests.
    assert asked(*[85] * IN_PERIODS) == 2
    assert asked(*[45] * IN_PERIODS) == 1
    assert asked(*[95] * IN_PERIODS, now=20, warm=20, high=30) == 20
    assert asked(*[0] * IN_PERIODS, policy=TrackingPolicy(METRIC, 100.0, scales_in=False)) == 2


def test_a_group_without_metrics_keeps_its_size() -> None:
    assert asked() == 2


def test_the_largest_policy_counts_and_all_must_agree_to_shrink() -> None:
    other = Metric("AWS/ApplicationELB", "RequestCountPerTarget", (("LoadBalancer", "other"),))
    both = [POLICY, TrackingPolicy(other, 10.0)]
    size = Size(0, 9, 2, 2)

    def together(first: list[float], second: list[float]) -> int:
        stores = {METRIC: measured(*first), other: measured(*second, metric=other)}
        return wanted(both, size, lambda metric, *rest: stores[metric].summaries(metric, *rest), NOW)

    assert together([250] * 3, [40] * 3) == 8
    assert together([0] * IN_PERIODS, [9.5] * IN_PERIODS) == 2
    assert together([0] * IN_PERIODS, [0] * IN_PERIODS) == 1


figures = st.lists(st.floats(0, 1000), max_size=IN_PERIODS + 5)


@given(figures, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_the_size_stays_within_limits_and_drops_by_one_at_most(
    per_minute: list[float], low: int, extra: int, warm: int
) -> None:
    now = low + extra // 2
    found = asked(*per_minute, low=low, high=low + extra, now=now, warm=min(warm, now))
    assert low <= found <= low + extra
    assert found >= now - 1


def policy(**more: Any) -> SimpleNamespace:
    """Make a policy of moto."""
    named = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": f"{BALANCER}/{GROUP}"}
    configuration = TargetTrackingConfiguration({"PredefinedMetricSpecification": named, "TargetValue": 100.0, **more})
    return SimpleNamespace(
        target_tracking_configuration=configuration,
        enabled=True,
        auto_scaling_group_name="routers",
        estimated_instance_warmup=30,
    )


def test_policies_are_read_as_they_were_put() -> None:
    assert tracking_of(policy()) == POLICY
    assert tracking_of(policy(DisableScaleIn=True)) == TrackingPolicy(METRIC, 100.0, scales_in=False)
    off = policy()
    off.enabled = False
    other = policy(PredefinedMetricSpecification={"PredefinedMetricType": "ASGAverageCPUUtilization"})
    assert [tracking_of(one) for one in (off, other)] == [None, None]
    assert tracking_of(SimpleNamespace(target_tracking_configuration=None)) is None


class Group(SimpleNamespace):
    """A group that only stores its size."""

    def set_desired_capacity(self, capacity: int) -> None:
        self.desired_capacity = capacity


def cloud(region: str, *ages: float) -> tuple[Any, Group]:
    """Make a backend with a policy, and a group with instances that have served for these seconds."""
    now = time.monotonic()
    states = [SimpleNamespace(lifecycle_state="InService", in_service_since=now - age) for age in ages]
    group = Group(
        name="routers",
        min_size=1,
        max_size=9,
        desired_capacity=len(ages),
        default_cooldown=300,
        suspended_processes=[],
        instance_states=states,
    )
    return SimpleNamespace(region_name=region, policies={"requests": policy()}), group


def test_a_group_is_resized_once_a_minute_by_its_regions_metrics() -> None:
    backend, group = cloud("eu-test-1", 100, 100)
    for part in range(18):
        store_of(backend).put(METRIC, NOW - 180 + 10 * part, summarise({"Value": 250 / 6}))
    step(backend, group, NOW - 1)
    assert group.desired_capacity == 2
    step(backend, group, NOW)
    assert group.desired_capacity == 5
    group.desired_capacity = 2
    step(backend, group, NOW + 59)
    assert group.desired_capacity == 2
    elsewhere, other = cloud("eu-test-2", 100, 100)
    step(elsewhere, other, NOW - 1)
    step(elsewhere, other, NOW)
    assert other.desired_capacity == 2


def test_warm_up_and_suspended_process_hold_the_size() -> None:
    backend, group = cloud("eu-test-3", 100, 10)
    for part in range(18):
        store_of(backend).put(METRIC, NOW - 180 + 10 * part, summarise({"Value": 250 / 6}))
    step(backend, group, NOW - 1)
    step(backend, group, NOW)
    assert group.desired_capacity == 3
    backend, group = cloud("eu-test-3", 100, 100)
    group.suspended_processes = [{"ProcessName": "AlarmNotification"}]
    step(backend, group, NOW - 1)
    step(backend, group, NOW)
    assert group.desired_capacity == 2
