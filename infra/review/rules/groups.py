"""Rules for Auto Scaling groups: launches and health checks."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, said, shown

BY_TEMPLATE = ("launchTemplate",)
BY_POLICY = ("mixedInstancesPolicy", "launchTemplate", "launchTemplateSpecification")
IN_SERVICE = "GroupInServiceInstances"


def _version(group: Resource, _: Graph) -> Iterator[str]:
    named = group.at(*BY_TEMPLATE) or group.at(*BY_POLICY) or {}
    found = named.get("version")
    if not str(found).isdigit():
        yield said(
            f"the launch template's version is {shown(found)}",
            allowed="a number",
            remedy="Use latest_version: a name like $Latest starts no roll-out and allows no rollback",
        )


def _health_check(group: Resource, _: Graph) -> Iterator[str]:
    found = str(group.at("healthCheckType") or "")
    wanted = "ELB" if group.each("targetGroupArns") else "EC2"
    if wanted not in found.split(",") and "ELB" not in found.split(","):
        yield said(
            f"healthCheckType is {shown(found)}",
            allowed="EC2, or ELB behind a target group",
            remedy=f"Set {wanted}",
        )


def _notifications(group: Resource, graph: Graph) -> Iterator[str]:
    alarms = graph.referring(group, tokens.ALARM, "dimensions")
    if not graph.referring(group, tokens.GROUP_NOTIFICATION, "groupNames") and not any(map(_tells_too_few, alarms)):
        yield said(
            "nobody hears when it launches nothing",
            allowed=f"a Notification that names the group, or an alarm on too low a {IN_SERVICE}",
            remedy="Add one, or acknowledge with who hears of it instead",
        )


def _tells_too_few(alarm: Resource) -> bool:
    return alarm.at("metricName") == IN_SERVICE and str(alarm.at("comparisonOperator")).startswith("LessThan")


RULES = (
    Rule(
        id="group-template-version",
        demand="a group names its launch template's version by number",
        types=(tokens.GROUP,),
        check=_version,
    ),
    Rule(
        id="group-health-check",
        demand="a group's health check is chosen, and ELB behind a target group",
        types=(tokens.GROUP,),
        check=_health_check,
        sources=("AwsSolutions-AS2",),
    ),
    Rule(
        id="group-notifications",
        demand="a notification or an alarm reports a group that launches nothing",
        types=(tokens.GROUP,),
        check=_notifications,
        sources=("AwsSolutions-AS3",),
    ),
)
