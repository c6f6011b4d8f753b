"""Settings of Auto Scaling groups that moto's front end drops.

Corrects in moto 5.2.5: warm-up, lifetime and maintenance settings are neither stored nor returned; changes of
cooldown, termination policies and rebalancing are ignored; a grace period of 0 becomes 300.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse

# API parameter -> attribute of moto's group, under which the answer is built.
_SETTINGS = {
    "DefaultInstanceWarmup": "default_instance_warmup",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "DesiredCapacityType": "desired_capacity_type",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "AvailabilityZoneDistribution": "availability_zone_distribution",
    "DefaultCooldown": "default_cooldown",
    "TerminationPolicies": "termination_policies",
    "CapacityRebalance": "capacity_rebalance",
    "HealthCheckGracePeriod": "health_check_grace_period",
}
_NUMBERS = frozenset({"DefaultInstanceWarmup", "MaxInstanceLifetime", "DefaultCooldown", "HealthCheckGracePeriod"})


def _store(response: Any, group: Any) -> None:
    for parameter, attribute in _SETTINGS.items():
        value = response._get_param(parameter)
        if value is not None and value != []:
            setattr(group, attribute, int(value) if parameter in _NUMBERS else value)


def _storing(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def store(self: Any) -> Any:
        result = plain(self)
        _store(self, self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")])
        return result

    return store


def install() -> None:
    """Put the corrections on moto's classes."""
    AutoScalingResponse.create_auto_scaling_group = _storing(AutoScalingResponse.create_auto_scaling_group)
    AutoScalingResponse.update_auto_scaling_group = _storing(AutoScalingResponse.update_auto_scaling_group)
