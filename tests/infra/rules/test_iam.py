"""The rules of infra.rules.iam, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rules import tokens
from infra.rules.graph import Resource
from infra.rules.iam import RESOURCELESS
from tests.infra.rules.cases import Case, allow, deny, fine, made, policy, wrong

NAMESPACE = {"StringEquals": {"cloudwatch:namespace": "vectorfleet"}}
PUT = "cloudwatch:PutMetricData"


def grant(*actions: str, type_: str = tokens.ROLE_POLICY, **more: Any) -> Resource:
    return made(type_, {"policy": policy(allow(*actions, **more))})


def inline(*actions: str) -> Resource:
    return made(tokens.ROLE, {"inlinePolicies": [{"policy": policy(allow(*actions))}]})


def trust(principal: object) -> Resource:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return made(tokens.ROLE, {"assumeRolePolicy": policy(statement)})


OPEN = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::b"}
AWS_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
CASES = (
    fine("iam-actions", "named", grant("s3:GetObject")),
    fine("iam-actions", "denied", made(tokens.ROLE_POLICY, {"policy": policy(deny(None, "*"))})),
    wrong("iam-actions", "a wildcard", grant("s3:GetObject", "s3:Put*"), says="allows s3:Put*;"),
    wrong("iam-actions", "a role's own", inline("s3:*"), says="allows s3:*;"),
    wrong("iam-actions", "NotAction", made(tokens.IAM_POLICY, {"policy": policy(OPEN)}), says="all but some"),
    fine("iam-resources", "named", grant("s3:GetObject")),
    fine("iam-resources", "takes none", grant("ec2:DescribeInstances", resource="*")),
    fine("iam-resources", "takes none, on its condition", grant(PUT, resource="*", Condition=NAMESPACE)),
    wrong("iam-resources", "takes none, without it", grant(PUT, resource="*"), says=f"allows {PUT} on every"),
    wrong("iam-resources", "takes some", grant("s3:GetObject", resource="*"), says="s3:GetObject on every resource"),
    fine("iam-managed", "our own", made(tokens.ROLE_ATTACHMENT, {"policyArn": "arn:aws:iam::1:policy/ours"})),
    wrong("iam-managed", "attached", made(tokens.ROLE_ATTACHMENT, {"policyArn": AWS_POLICY}), says="Administrator"),
    wrong("iam-managed", "listed", made(tokens.ROLE, {"managedPolicyArns": [AWS_POLICY]}), says="Administrator"),
    fine("iam-governance", "denied", made(tokens.BUCKET_POLICY, {"policy": policy(deny(None, "*"))})),
    fine("iam-governance", "not allowed", grant("s3:PutObject")),
    wrong("iam-governance", "allowed", grant("s3:BypassGovernanceRetention"), says="statement Given allows"),
    wrong("iam-governance", "by a wildcard", grant("s3:*"), says="allows s3:BypassGovernanceRetention"),
    wrong("iam-governance", "by the bucket", grant("S3:bypass*", type_=tokens.BUCKET_POLICY), says="allows s3:Bypass"),
    fine("iam-trust", "a service", trust({"Service": "ec2.amazonaws.com"})),
    wrong("iam-trust", "everyone", trust({"AWS": "*"}), says="lets everyone take the role"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_iam_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()


def test_an_action_without_resources_has_its_reason() -> None:
    assert all(known.reason for known in RESOURCELESS)
