"""Load balancers as values: listeners, target groups, health checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator.balancer.rules import Rule, rules_of

_IDLE_TIMEOUT = "idle_timeout.timeout_seconds"


@dataclass(frozen=True)
class Target:
    """A registered target."""

    id: str
    address: str
    port: int


@dataclass(frozen=True)
class Check:
    """The health check of a target group. `codes` are inclusive ranges of healthy status codes."""

    path: str
    port: int | None
    interval_seconds: float
    timeout_seconds: float
    healthy_threshold: int
    unhealthy_threshold: int
    codes: tuple[tuple[int, int], ...]

    def accepts(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.codes)


@dataclass(frozen=True)
class Group:
    """A target group with its registered targets."""

    arn: str
    check: Check
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Listener:
    """A listening address and its rules, the default rule last; `balancer` is CloudWatch's name."""

    arn: str
    balancer: str
    address: str
    port: int
    rules: tuple[Rule, ...]
    idle_timeout_seconds: float = 60.0

    @property
    def groups(self) -> set[str]:
        """The target groups that get requests, or would with another weight."""
        return {arn for rule in self.rules for arn, _ in rule.weights}


@dataclass(frozen=True)
class View:
    """All listeners and target groups at one moment."""

    listeners: tuple[Listener, ...] = ()
    groups: Mapping[str, Group] = ()  # type: ignore[assignment]


def balancer_of(arn: str) -> str:
    """
    Return the name of a load balancer in the dimensions of its metrics.

    >>> balancer_of("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/front/50dc6c495c0c9188")
    'app/front/50dc6c495c0c9188'
    """
    return arn.partition(":loadbalancer/")[2]


def codes_of(matcher: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of a matcher such as `200`, `200,204` or `200-299`."""
    pairs = (part.partition("-") for part in matcher.split(","))
    return tuple((int(low), int(high or low)) for low, _, high in pairs)


def check_of(group: Mapping[str, Any]) -> Check:
    port = str(group.get("HealthCheckPort") or "traffic-port")
    return Check(
        path=group.get("HealthCheckPath") or "/",
        port=None if port == "traffic-port" else int(port),
        interval_seconds=float(group.get("HealthCheckIntervalSeconds", 30)),
        timeout_seconds=float(group.get("HealthCheckTimeoutSeconds", 5)),
        healthy_threshold=int(group.get("HealthyThresholdCount", 5)),
        unhealthy_threshold=int(group.get("UnhealthyThresholdCount", 2)),
        codes=codes_of(group.get("Matcher", {}).get("HttpCode", "200")),
    )


def _addresses(ec2: Any, targets: Iterable[str]) -> dict[str, str]:
    """Return the private addresses of running instances by id."""
    wanted = sorted({target for target in targets if target.startswith("i-")})
    if not wanted:
        return {}
    filters = [{"Name": "instance-state-name", "Values": ["running"]}]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = (i for page in pages for r in page["Reservations"] for i in r["Instances"])
    return {i["InstanceId"]: i["PrivateIpAddress"] for i in found if i["InstanceId"] in wanted}


def _listeners(elb: Any) -> list[Listener]:
    listeners = []
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        arn = balancer["LoadBalancerArn"]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        timeout = next((float(a["Value"]) for a in attributes if a["Key"] == _IDLE_TIMEOUT), 60.0)
        for entry in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
            pages = elb.get_paginator("describe_rules").paginate(ListenerArn=entry["ListenerArn"])
            rules = rules_of(rule for page in pages for rule in page["Rules"])
            place = balancer["DNSName"], int(entry["Port"])
            listeners.append(Listener(entry["ListenerArn"], balancer_of(arn), *place, rules, timeout))
    return listeners


def read(elb: Any, ec2: Any) -> View:
    """Read the present view with boto3 clients of elbv2 and EC2. Raises what boto3 raises."""
    listeners = _listeners(elb)
    described = {group["TargetGroupArn"]: group for group in elb.describe_target_groups()["TargetGroups"]}
    registered = {
        arn: [entry["Target"] for entry in elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]]
        for arn in described
    }
    addresses = _addresses(ec2, (target["Id"] for targets in registered.values() for target in targets))
    groups = {}
    for arn, targets in registered.items():
        placed = [(target, addresses.get(target["Id"], target["Id"])) for target in targets]
        reachable = tuple(
            Target(target["Id"], address, int(target["Port"]))
            for target, address in sorted(placed, key=lambda pair: str(pair[0]["Id"]))
            if not address.startswith("i-")
        )
        groups[arn] = Group(arn, check_of(described[arn]), reachable)
    return View(tuple(listeners), groups)
