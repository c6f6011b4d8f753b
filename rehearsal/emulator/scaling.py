"""Scaling policies that say whether they are on.

Corrects in moto 5.2.5: `Enabled` is dropped, and a policy that predicts nothing shows an empty prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse


def _put(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def put_scaling_policy(self: Any) -> Any:
        answer = plain(self)
        policy = self.autoscaling_backend.policies[self._get_param("PolicyName")]
        policy.enabled = self._get_bool_param("Enabled", True)
        policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None
        return answer

    return put_scaling_policy


def install() -> None:
    """Put the correction on moto's class."""
    AutoScalingResponse.put_scaling_policy = _put(AutoScalingResponse.put_scaling_policy)
