"""Scaling policies, of which target tracking on ALBRequestCountPerTarget changes the size of groups.

The rules are those of the Auto Scaling user guide, "Target tracking scaling policies". A group scales out at once, in
proportion to the metric, and does not count instances that warm up. It scales in slowly, one instance a minute, while
none warms up and the rest can bear the load. The alarms that AWS creates for a policy are evaluated, but not shown.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse

from rehearsal.emulator.alarms.evaluation import Definition, Query, Summaries, Verdict, evaluate
from rehearsal.emulator.alarms.metrics import Metric
from rehearsal.emulator.aws.autoscaling import lifecycle
from rehearsal.emulator.aws.autoscaling.groups import LOCK
from rehearsal.emulator.aws.autoscaling.membership import counted, suspended
from rehearsal.emulator.aws.cloudwatch.metrics import store_of
from rehearsal.emulator.corrections import Method, corrects
from rehearsal.emulator.description_cache import changed

REQUESTS = "ALBRequestCountPerTarget"
PERIOD_SECONDS = 60
OUT_PERIODS = 3
IN_PERIODS = 15
# AWS considers fewer instances below nine tenths of the target.
IN_SHARE = 0.9


@dataclass(frozen=True)
class TrackingPolicy:
    """A policy that keeps a metric per target near the target value."""

    metric: Metric
    target: float
    scales_in: bool = True

    def above(self) -> Definition:
        """Return the alarm for more instances."""
        return self._alarm(OUT_PERIODS, "GreaterThanThreshold", self.target)

    def below(self) -> Definition:
        """Return the alarm for fewer instances."""
        return self._alarm(IN_PERIODS, "LessThanThreshold", self.target * IN_SHARE)

    def _alarm(self, periods: int, comparison: str, threshold: float) -> Definition:
        queries = (Query("m1", self.metric, "Sum"),)
        return Definition(queries, PERIOD_SECONDS, periods, periods, comparison, threshold)


@dataclass(frozen=True)
class Size:
    """A group's limits, its desired capacity, and the number of its instances that serve and are warm."""

    low: int
    high: int
    desired: int
    warm: int


def wanted(policies: list[TrackingPolicy], size: Size, summaries: Summaries, now_seconds: float) -> int:
    """Return the largest capacity that any policy needs; scale in only if all policies that scale in agree."""
    above = [(policy, _loud(policy.above(), summaries, now_seconds)) for policy in policies]
    more = [_needed(size.warm, policy, verdict) for policy, verdict in above if verdict]
    if max(more, default=0) > size.desired:
        return min(max(more), size.high)
    shrinking = [policy for policy in policies if policy.scales_in]
    below = [(policy, _loud(policy.below(), summaries, now_seconds)) for policy in shrinking]
    fewer = [_needed(size.desired, policy, verdict) for policy, verdict in below if verdict]
    calm = shrinking and len(fewer) == len(shrinking) and not more and size.warm >= size.desired
    if calm and max(fewer) < size.desired:
        return max(size.desired - 1, size.low)
    return size.desired


def _needed(instances: int, policy: TrackingPolicy, verdict: Verdict) -> int:
    """Return how many instances get the target at most, if they share what these got last."""
    # A sum of shares is not exact, and its error must not cost an instance.
    return math.ceil(round(instances * verdict.points[-1] / policy.target, 6))


def _loud(definition: Definition, summaries: Summaries, now_seconds: float) -> Verdict | None:
    verdict = evaluate(definition, summaries, now_seconds, "OK")
    return verdict if verdict.state == "ALARM" else None


def tracking_of(policy: Any) -> TrackingPolicy | None:
    """Return the tracking of a policy; None if it is disabled or has no effect here."""
    configuration = policy.target_tracking_configuration
    named = getattr(configuration, "PredefinedMetricSpecification", None) or {}
    if not getattr(policy, "enabled", True) or named.get("PredefinedMetricType") != REQUESTS:
        return None
    balancer, _, group = named["ResourceLabel"].partition("/targetgroup/")
    dimensions = (("LoadBalancer", balancer), ("TargetGroup", f"targetgroup/{group}"))
    metric = Metric("AWS/ApplicationELB", "RequestCountPerTarget", dimensions)
    disabled = str(getattr(configuration, "DisableScaleIn", False)).lower() == "true"
    return TrackingPolicy(metric, float(configuration.TargetValue), scales_in=not disabled)


def warm_up(group: Any, policy: Any) -> int:
    """Return the seconds for which a new instance does not count: the policy's, the group's, or the cooldown."""
    own = getattr(group, "default_instance_warmup", None)
    inherited = group.default_cooldown if own in (None, -1) else own
    return int(policy.estimated_instance_warmup or inherited or 0)


def step(backend: Any, group: Any, now_seconds: float) -> None:
    """Resize a group by its policies, once for each complete period."""
    policies = [policy for policy in backend.policies.values() if policy.auto_scaling_group_name == group.name]
    followed = [(policy, tracking) for policy in policies if (tracking := tracking_of(policy))]
    period = int(now_seconds) // PERIOD_SECONDS
    if not followed or suspended(group, "AlarmNotification") or group.__dict__.get("tracked", period) == period:
        group.tracked = period
        return
    group.tracked = period
    needed = max(warm_up(group, policy) for policy, _ in followed)
    warm = [s for s in counted(group) if s.lifecycle_state == lifecycle.IN_SERVICE]
    warm = [state for state in warm if lifecycle.seconds_in_service(state) >= needed]
    size = Size(int(group.min_size), int(group.max_size), int(group.desired_capacity or 0), len(warm))
    capacity = wanted([tracking for _, tracking in followed], size, store_of(backend).summaries, now_seconds)
    if capacity != size.desired:
        group.set_desired_capacity(capacity)
        changed()


def step_all(backend: Any) -> None:
    """Resize every group that has such policies; the emulator calls this each second."""
    now = time.time()
    with LOCK:
        for group in list(backend.autoscaling_groups.values()):
            step(backend, group, now)


@corrects(AutoScalingResponse, "put_scaling_policy")
def _put_scaling_policy(plain: Method, self: Any) -> Any:
    """Store `Enabled`, which moto drops, and show no prediction where the policy has none."""
    answer = plain(self)
    policy = self.autoscaling_backend.policies[self._get_param("PolicyName")]
    policy.enabled = self._get_bool_param("Enabled", True)
    policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None
    return answer
