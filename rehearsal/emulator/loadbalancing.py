"""Load balancers that have a reachable address and report what their balancer process measured.

Corrects in moto 5.2.5: a load balancer's name resolves nowhere; every running target is healthy; a deleted
balancer keeps its listeners' target groups marked as used; one that is protected from deletion is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from rehearsal.emulator import health
from rehearsal.emulator.networking import reserve

_UNPROBED = health.TargetHealth("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_UNUSED = health.TargetHealth(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)


def _create(plain: Callable[..., Any]) -> Callable[..., Any]:
    def create_load_balancer(self: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = plain(self, *args, **kwargs)
        # No DNS in a rehearsal: the name is an address of the first subnet that no instance gets.
        balancer.dns_name = reserve(balancer.subnets[0], balancer)
        return balancer

    return create_load_balancer


def _delete(plain: Callable[..., Any]) -> Callable[..., Any]:
    def delete_load_balancer(self: Any, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        plain(self, arn)
        if balancer:
            balancer.subnets[0].del_subnet_ip(balancer.dns_name)
        for group in self.target_groups.values():
            group.load_balancer_arns = [other for other in group.load_balancer_arns if other != arn]

    return delete_load_balancer


def _health_for(plain: Callable[..., Any]) -> Callable[..., Any]:
    def health_for(self: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
        status = plain(self, target, ec2_backend)
        if status.status != "healthy":
            return status
        found = health.published(self.arn, target["Id"]) or (_UNPROBED if self.load_balancer_arns else _UNUSED)
        return FakeHealthStatus(
            status.instance_id, status.port, str(status.port), found.state, found.reason, found.description
        )

    return health_for


def install() -> None:
    """Put the corrections on moto's classes."""
    ELBv2Backend.create_load_balancer = _create(ELBv2Backend.create_load_balancer)
    ELBv2Backend.delete_load_balancer = _delete(ELBv2Backend.delete_load_balancer)
    FakeTargetGroup.health_for = _health_for(FakeTargetGroup.health_for)
