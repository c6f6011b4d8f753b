"""Groups that follow the requests per target of a load balancer, by policies of target tracking.

moto 5.2.5 stores such policies. Here those on ALBRequestCountPerTarget act, by the rules of the Auto Scaling user
guide, "Target tracking scaling policies": out as soon as the metric says so, in proportion to it and without counting
who still warms up; in slowly, one instance a minute, when nobody warms up and the rest can bear the load. The alarms
that AWS would make for a policy are decided, and not shown.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from rehearsal.alarms.evaluation import Definition, Query, Summaries, Verdict, evaluate
from rehearsal.alarms.metrics import Metric
from rehearsal.emulator import lifecycle
from rehearsal.emulator.answers import changed
from rehearsal.emulator.autoscaling import LOCK
from rehearsal.emulator.membership import counted, suspended
from rehearsal.emulator.monitoring import store_of

REQUESTS = "ALBRequestCountPerTarget"
PERIOD_SECONDS = 60
OUT_PERIODS = 3
IN_PERIODS = 15
# AWS begins to think of fewer instances at nine tenths of the target.
IN_SHARE = 0.9


@dataclass(frozen=True)
class Tracking:
    """One policy: the metric per target that shall be near the target value."""

    metric: Metric
    target: float
    scales_in: bool = True

    def above(self) -> Definition:
        """The alarm for more instances."""
        return self._alarm(OUT_PERIODS, "GreaterThanThreshold", self.target)

    def below(self) -> Definition:
        """The alarm for fewer."""
        return self._alarm(IN_PERIODS, "LessThanThreshold", self.target * IN_SHARE)

    def _alarm(self, periods: int, comparison: str, threshold: float) -> Definition:
        queries = (Query("m1", self.metric, "Sum"),)
        return Definition(queries, PERIOD_SECONDS, periods, periods, comparison, threshold)


@dataclass(frozen=True)
class Size:
    """A group's limits, what it wants now, and how many of its instances serve and are warm."""

    low: int
    high: int
    desired: int
    warm: int


def wanted(policies: list[Tracking], size: Size, summaries: Summaries, now_seconds: float) -> int:
    """
    The capacity that a group with these policies shall have: the largest that any asks for; fewer than now only when
    all that scale in agree.
    """
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


def _needed(instances: int, policy: Tracking, verdict: Verdict) -> int:
    """How many would get no more than the target of what these instances got last."""
    # A sum of shares is not exact, and one instance too many is not needed for it.
    return math.ceil(round(instances * verdict.points[-1] / policy.target, 6))


def _loud(definition: Definition, summaries: Summaries, now_seconds: float) -> Verdict | None:
    verdict = evaluate(definition, summaries, now_seconds, "OK")
    return verdict if verdict.state == "ALARM" else None


def tracking_of(policy: Any) -> Tracking | None:
    """What a policy of moto's follows; None for one that does not act here, or is off."""
    configuration = policy.target_tracking_configuration
    named = getattr(configuration, "PredefinedMetricSpecification", None) or {}
    if not getattr(policy, "enabled", True) or named.get("PredefinedMetricType") != REQUESTS:
        return None
    balancer, _, group = named["ResourceLabel"].partition("/targetgroup/")
    dimensions = (("LoadBalancer", balancer), ("TargetGroup", f"targetgroup/{group}"))
    metric = Metric("AWS/ApplicationELB", "RequestCountPerTarget", dimensions)
    disabled = str(getattr(configuration, "DisableScaleIn", False)).lower() == "true"
    return Tracking(metric, float(configuration.TargetValue), scales_in=not disabled)


def warm_up(group: Any, policy: Any) -> int:
    """How long a new instance does not count: as the policy says, or the group, or its cooldown."""
    own = getattr(group, "default_instance_warmup", None)
    inherited = group.default_cooldown if own in (None, -1) else own
    return int(policy.estimated_instance_warmup or inherited or 0)


def step(backend: Any, group: Any, now_seconds: float) -> None:
    """Size a group by its policies, once for each complete period."""
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
    """Size every group that has such policies; the emulator calls this each second."""
    now = time.time()
    with LOCK:
        for group in list(backend.autoscaling_groups.values()):
            step(backend, group, now)
