"""Metrics of an Application Load Balancer, by balancer and by target group.

As on AWS, a count is published only if it is not zero. Numbers of targets and requests per target are always published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NAMESPACE = "AWS/ApplicationELB"
EVERY_SECONDS = 10.0  # AWS publishes every minute, which is too rare for a drill
# The dimensions of a count: a balancer as CloudWatch names it, and the ARN of a target group or None.
Place = tuple[str, str | None]


@dataclass(frozen=True)
class Hosts:
    """Numbers of targets of a group behind a balancer."""

    balancer: str
    group: str
    registered: int
    healthy: int
    unhealthy: int


class Counts:
    """Requests and their answers since the last publication."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[Place, str]] = Counter()

    def answered(self, balancer: str, status: int, *, group: str | None, by_target: bool) -> None:
        """Count a request that a target or the balancer itself answered; `group` is where a target was chosen."""
        whole, part = (balancer, None), (balancer, group)
        if group is not None:
            # AWS counts the requests for which a target was chosen.
            self._counted[whole, "RequestCount"] += 1
            self._counted[part, "RequestCount"] += 1
        if by_target and status >= 200:
            name = f"HTTPCode_Target_{status // 100}XX_Count"
            self._counted[whole, name] += 1
            self._counted[part, name] += 1
        elif not by_target and status >= 400:
            self._counted[whole, f"HTTPCode_ELB_{status // 100}XX_Count"] += 1

    def take(self, hosts: Iterable[Hosts] = ()) -> list[dict[str, Any]]:
        """Return the data for PutMetricData, with those of the target groups, and reset the counts."""
        counted, self._counted = self._counted, Counter()
        data = [_datum(name, count, place) for (place, name), count in counted.items()]
        for one in hosts:
            data += _of_hosts(one, counted[(one.balancer, one.group), "RequestCount"])
        return data


def _of_hosts(hosts: Hosts, requests: int) -> list[dict[str, Any]]:
    place = (hosts.balancer, hosts.group)
    data = [
        _datum("HealthyHostCount", hosts.healthy, place),
        _datum("UnHealthyHostCount", hosts.unhealthy, place),
    ]
    sharing = hosts.healthy or hosts.registered
    if sharing:
        share = _datum("RequestCountPerTarget", requests / sharing, place)
        data += [share, share | {"Dimensions": share["Dimensions"][:1]}]
    return data


def _datum(name: str, value: float, place: Place) -> dict[str, Any]:
    balancer, group = place
    dimensions = [{"Name": "TargetGroup", "Value": group.rpartition(":")[2]}] if group else []
    dimensions.append({"Name": "LoadBalancer", "Value": balancer})
    return {"MetricName": name, "Dimensions": dimensions, "Value": float(value), "Unit": "Count"}
