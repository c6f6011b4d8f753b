"""The rules of infra.review.rules.iam, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from infra.review.rules.iam import RESOURCELESS
from tests.infra.review.rules.cases import Case, allow, deny, fine, made, policy, wrong

NAMESPACE = {"StringEquals": {"cloudwatch:namespace": "vectorfleet"}}
PUT = "cloudwatch:PutMetricData"


def grant(*actions: str, type_: str = tokens.ROLE_POLICY, **more: Any) -> Resource:
    return made(type_, {"policy": policy(allow(*actions, **more))})


def inline(*actions: str) -> Resource:
    return made(tokens.ROLE, {"inlinePolicies": [{"policy": policy(allow(*actions))}]})


def trust(principal: object, key: str = "Principal") -> Resource:
    statement = {"Effect": "Allow", key: principal, "Action": "sts:AssumeRole"}
    return made(tokens.ROLE, {"assumeRolePolicy": policy(statement)})


OPEN = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::b"}
AWS_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
NAMING = (
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/*/claims/*",
    "arn:aws:ssm:us-east-1:1:parameter/fleet/*",
    "arn:aws:logs:us-east-1:1:log-group:/fleet/service:*",
    "arn:aws:sns:us-east-1:1:alerts",
)
OPEN_ARNS = (
    "arn:aws:s3:::*",
    "arn:aws:s3:::*/*",
    "arn:aws:iam::*:role/*",
    "arn:aws:iam::1:role/*",
    "arn:aws:iam::*:role/mine",
    "arn:*:*:*:*:*",
    "arn:aws:ssm:us-east-1:1:parameter*",
    "arn:aws:sns:us-east-1:1:*",
    "arn:aws:s3*",
)
OF_A_TYPE = "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:*:autoScalingGroupName/*"
TAGGED = {"StringEquals": {"aws:ResourceTag/vectorfleet:fleet": "f"}}
BESIDE_NAMESPACE = (
    {"StringNotEquals": {"cloudwatch:namespace": "vectorfleet"}},
    {"StringEqualsIfExists": {"cloudwatch:namespace": "vectorfleet"}},
    {"StringLike": {"cloudwatch:namespace": "*"}},
    {"StringEquals": {"aws:PrincipalTag/cloudwatch:namespace": "vectorfleet"}},
)
CASES = (
    fine("iam-actions", "named", grant("s3:GetObject")),
    fine("iam-actions", "denied", made(tokens.ROLE_POLICY, {"policy": policy(deny(None, "*"))})),
    wrong("iam-actions", "a wildcard", grant("s3:GetObject", "s3:Put*"), says="allows s3:Put*;"),
    wrong("iam-actions", "one letter", grant("s3:?etObject"), says="allows s3:?etObject;"),
    wrong("iam-actions", "a user's", grant("s3:*", type_=tokens.USER_POLICY), says="allows s3:*;"),
    wrong("iam-actions", "a group's", grant("s3:*", type_=tokens.GROUP_POLICY), says="allows s3:*;"),
    wrong("iam-actions", "a role's own", inline("s3:*"), says="allows s3:*;"),
    wrong("iam-actions", "NotAction", made(tokens.IAM_POLICY, {"policy": policy(OPEN)}), says="all but some"),
    fine("iam-resources", "named", grant("s3:GetObject")),
    fine("iam-resources", "takes none", grant("ec2:DescribeInstances", resource="*")),
    fine("iam-resources", "takes none, on its condition", grant(PUT, resource="*", Condition=NAMESPACE)),
    wrong("iam-resources", "takes none, without it", grant(PUT, resource="*"), says=f"allows {PUT} on every"),
    wrong("iam-resources", "takes some", grant("s3:GetObject", resource="*"), says="s3:GetObject on every resource"),
    *(fine("iam-resources", f"names {arn}", grant("any:Thing", resource=arn)) for arn in NAMING),
    *(wrong("iam-resources", f"is {arn}", grant("any:Thing", resource=arn), says=f" on {arn};") for arn in OPEN_ARNS),
    wrong("iam-resources", "twice every", grant("any:Thing", resource="**"), says="on every resource"),
    wrong("iam-resources", "a listing", grant("s3:ListBucket", resource="*"), says="s3:ListBucket on every resource"),
    *(
        wrong(
            "iam-resources",
            f"takes none, on {condition}",
            grant(PUT, resource="*", Condition=condition),
            says=f"allows {PUT} on every",
        )
        for condition in BESIDE_NAMESPACE
    ),
    fine("iam-resources", "of a type, by tag", grant("any:Thing", resource=OF_A_TYPE, Condition=TAGGED)),
    wrong("iam-resources", "of a type", grant("any:Thing", resource=OF_A_TYPE), says=f"on {OF_A_TYPE};"),
    wrong("iam-resources", "all, by tag", grant("any:Thing", resource="*", Condition=TAGGED), says="on every resource"),
    fine("iam-managed", "our own", made(tokens.ROLE_ATTACHMENT, {"policyArn": "arn:aws:iam::1:policy/ours"})),
    wrong("iam-managed", "attached", made(tokens.ROLE_ATTACHMENT, {"policyArn": AWS_POLICY}), says="Administrator"),
    *(
        wrong("iam-managed", f"by {type_}", made(type_, {"policyArn": AWS_POLICY}), says="Administrator")
        for type_ in (tokens.POLICY_ATTACHMENT, tokens.USER_ATTACHMENT, tokens.GROUP_ATTACHMENT)
    ),
    wrong("iam-managed", "listed", made(tokens.ROLE, {"managedPolicyArns": [AWS_POLICY]}), says="Administrator"),
    fine("iam-governance", "denied", made(tokens.BUCKET_POLICY, {"policy": policy(deny(None, "*"))})),
    fine("iam-governance", "not allowed", grant("s3:PutObject")),
    wrong("iam-governance", "allowed", grant("s3:BypassGovernanceRetention"), says="statement Given allows"),
    wrong("iam-governance", "by a wildcard", grant("s3:*"), says="allows s3:BypassGovernanceRetention"),
    wrong("iam-governance", "by the bucket", grant("S3:bypass*", type_=tokens.BUCKET_POLICY), says="allows s3:Bypass"),
    fine("iam-trust", "a service", trust({"Service": "ec2.amazonaws.com"})),
    wrong("iam-trust", "everyone", trust({"AWS": "*"}), says="lets everyone take the role"),
    wrong(
        "iam-trust",
        "everyone else",
        trust({"AWS": "arn:aws:iam::1:role/r"}, "NotPrincipal"),
        says="lets everyone take the role",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_iam_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()


def test_an_action_without_resources_has_its_reason() -> None:
    assert all(known.reason for known in RESOURCELESS)


def test_these_actions_and_no_others_take_no_resource() -> None:
    assert {(known.actions, known.condition) for known in RESOURCELESS} == {
        ("ec2:Describe*", ""),
        ("autoscaling:Describe*", ""),
        ("cloudwatch:PutMetricData", "cloudwatch:namespace"),
        ("ssmmessages:*", ""),
        ("ssm:UpdateInstanceInformation", ""),
    }
