"""Load balancers with a reachable address, and target health as their balancer process publishes it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from rehearsal.emulator.aws.ec2.instances import reserve
from rehearsal.emulator.corrections import Method, corrects
from rehearsal.emulator.description_cache import changed

STATES = ("initial", "healthy", "unhealthy", "draining", "unused", "unavailable")


@dataclass(frozen=True)
class TargetHealth:
    """One probe result, in the words of DescribeTargetHealth."""

    state: str
    reason: str | None = None
    description: str | None = None


_UNPROBED = TargetHealth("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_UNUSED = TargetHealth(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
_lock = threading.Lock()
_published: dict[tuple[str, str], TargetHealth] = {}


def publish(entries: list[dict[str, Any]]) -> None:
    """Replace all results. Each entry: target_group (ARN), id, state, and optionally reason and description.

    Raises ValueError, naming the entry, when one is malformed; nothing is replaced then.
    """
    fresh: dict[tuple[str, str], TargetHealth] = {}
    for entry in entries:
        missing = {"target_group", "id", "state"} - set(entry)
        if missing or entry["state"] not in STATES:
            raise ValueError(f"{entry}: needs target_group, id and a state out of {', '.join(STATES)}.")
        health = TargetHealth(entry["state"], entry.get("reason"), entry.get("description"))
        fresh[entry["target_group"], entry["id"]] = health
    global _published
    with _lock:
        if _published != fresh:
            _published = fresh
            changed()


def published_state(target_group: str, target: str) -> str | None:
    """Return the last state of a target, None when it was never probed."""
    health = _published.get((target_group, target))
    return health.state if health else None


@corrects(ELBv2Backend, "create_load_balancer")
def _create_load_balancer(plain: Method, self: Any, *args: Any, **kwargs: Any) -> Any:
    """Name the load balancer by an address of its first subnet: a rehearsal has no DNS that could resolve a name."""
    balancer = plain(self, *args, **kwargs)
    balancer.dns_name = reserve(balancer.subnets[0], balancer)
    return balancer


@corrects(ELBv2Backend, "delete_load_balancer")
def _delete_load_balancer(plain: Method, self: Any, arn: str) -> None:
    """Refuse where deletion protection is on, and release the target groups; moto does neither."""
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


@corrects(FakeTargetGroup, "health_for")
def _health_for(plain: Method, self: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
    """Return the published health; to moto every running target is healthy."""
    status = plain(self, target, ec2_backend)
    if status.status != "healthy":
        return status
    unprobed = _UNPROBED if self.load_balancer_arns else _UNUSED
    found = _published.get((self.arn, target["Id"]), unprobed)
    return FakeHealthStatus(
        status.instance_id, status.port, str(status.port), found.state, found.reason, found.description
    )
