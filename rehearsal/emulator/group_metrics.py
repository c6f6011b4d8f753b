"""Groups that publish the metrics they were told to. Nothing here computes them.

Corrects in moto 5.2.5: EnableMetricsCollection forgets the metrics that were on before; DisableMetricsCollection is
not implemented.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult


def _enable(plain: Callable[[Any, list[str]], None]) -> Callable[[Any, list[str]], None]:
    def enable_metrics_collection(self: Any, metrics: list[str]) -> None:
        plain(self, list(dict.fromkeys([*self.metrics, *(metrics or [])])))

    return enable_metrics_collection


def _disable(self: Any) -> Any:
    group = self.autoscaling_backend.describe_auto_scaling_groups([self._get_param("AutoScalingGroupName")])[0]
    # Without a list all of them.
    gone = self._get_param("Metrics") or list(group.metrics)
    group.metrics = [metric for metric in group.metrics if metric not in gone]
    return EmptyResult()


def install() -> None:
    """Put the corrections on moto's classes."""
    FakeAutoScalingGroup.enable_metrics_collection = _enable(FakeAutoScalingGroup.enable_metrics_collection)
    AutoScalingResponse.disable_metrics_collection = _disable
