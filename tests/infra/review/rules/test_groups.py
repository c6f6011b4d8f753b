"""The rules of infra.review.rules.groups, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong


def group(**inputs: Any) -> Resource:
    return made(tokens.GROUP, inputs)


def version(name: str) -> Resource:
    return group(launchTemplate={"id": "lt-1", "version": name})


def mixed(name: str) -> Resource:
    specification = {"launchTemplateId": "lt-1", "version": name}
    return group(mixedInstancesPolicy={"launchTemplate": {"launchTemplateSpecification": specification}})


def counted(metric: str = "GroupInServiceInstances", comparison: str = "LessThanThreshold") -> Resource:
    return made(tokens.ALARM, {"metricName": metric, "comparisonOperator": comparison}, dimensions=group())


OTHER = made(tokens.GROUP, name="other")
CASES = (
    fine("group-template-version", "a number", version("7")),
    fine("group-template-version", "a number among several types", mixed("7")),
    wrong("group-template-version", "the latest", version("$Latest"), says="version is $Latest"),
    wrong("group-template-version", "the latest of several types", mixed("$Default"), says="version is $Default"),
    wrong("group-template-version", "none", group(), says="version is nothing"),
    fine("group-health-check", "EC2", group(healthCheckType="EC2")),
    fine("group-health-check", "ELB behind a target group", group(healthCheckType="ELB", targetGroupArns=["t"])),
    wrong("group-health-check", "EC2 there", group(healthCheckType="EC2", targetGroupArns=["t"]), says="is EC2"),
    wrong("group-health-check", "not chosen", group(), says="is nothing"),
    fine("group-notifications", "somebody", group(), made(tokens.GROUP_NOTIFICATION, groupNames=group())),
    fine("group-notifications", "an alarm", group(), counted()),
    wrong("group-notifications", "nobody", group(), says="nobody hears"),
    wrong("group-notifications", "of another metric", group(), counted("GroupDesiredCapacity"), says="nobody hears"),
    wrong(
        "group-notifications", "of too many", group(), counted(comparison="GreaterThanThreshold"), says="nobody hears"
    ),
    wrong("group-notifications", "of another group", OTHER, counted(), says="nobody hears"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_group_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
