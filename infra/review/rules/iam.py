"""Rules for permissions: named actions on named resources, in policies of the program's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource, at
from infra.review.rules.rule import Rule, said
from infra.review.rules.statements import EVERYONE, WILD, Statement, is_wild, matches, statements

GOVERNANCE_BYPASS = "s3:BypassGovernanceRetention"
AWS_MANAGED = ":iam::aws:policy/"
HOLDERS = (tokens.ROLE_POLICY, tokens.ROLE, tokens.IAM_POLICY, tokens.USER_POLICY, tokens.GROUP_POLICY)
ATTACHMENTS = (tokens.ROLE_ATTACHMENT, tokens.POLICY_ATTACHMENT, tokens.USER_ATTACHMENT, tokens.GROUP_ATTACHMENT)
WITHOUT_TYPE = ("s3", "sns", "sqs")  # services whose ARNs have no type before the name
RESOURCE_TAG = "aws:ResourceTag/"


class Resourceless(NamedTuple):
    """Actions that AWS restricts to no resource, and the condition key, if any, that must narrow them."""

    actions: str
    condition: str
    reason: str


RESOURCELESS = (
    Resourceless("ec2:Describe*", "", "AWS offers neither resources nor useful conditions"),
    Resourceless("autoscaling:Describe*", "", "AWS offers neither resources nor useful conditions"),
    Resourceless("cloudwatch:PutMetricData", "cloudwatch:namespace", "metrics are no resources; the namespace narrows"),
    Resourceless("ssmmessages:*", "", "channels of Session Manager are no resources"),
    Resourceless("ssm:UpdateInstanceInformation", "", "an agent reports for the instance whose credentials it has"),
)


def granted(holder: Resource) -> list[Statement]:
    """Return the statements by which a role or policy allows something."""
    inline = [at(one, "policy") for one in holder.each("inlinePolicies")]
    return [one for policy in (holder.at("policy"), *inline) for one in statements(policy) if one.allows]


def _actions(holder: Resource, _: Graph) -> Iterator[str]:
    for one in granted(holder):
        wild = ["all but some"] if one.inverted else [action for action in one.actions if not WILD.isdisjoint(action)]
        if wild:
            yield said(
                f"statement {one.sid} allows {', '.join(wild)}",
                allowed="actions by their full names",
                remedy="Name those that the process calls",
            )


def _resources(holder: Resource, _: Graph) -> Iterator[str]:
    for one in granted(holder):
        wide = [arn for arn in one.resources if names_nothing(arn) and not _is_narrowed_by_tags(arn, one)]
        narrow = [action for action in one.actions if wide and not _is_resourceless(action, one)]
        if narrow:
            yield said(
                f"statement {one.sid} allows {', '.join(narrow)} on {_shown(wide)}",
                allowed="ARNs with names, or types of resources with a condition on tags; * for what AWS restricts to "
                "none, with its condition",
                remedy="Name the resources, or add the action to RESOURCELESS with its reason",
            )


def names_nothing(arn: str) -> bool:
    """
    Return True if an ARN pattern leaves the owner or the name of the resource open.

    >>> names_nothing("*"), names_nothing("arn:aws:iam::*:role/*"), names_nothing("arn:aws:s3:::*")
    (True, True, True)
    >>> names_nothing("arn:aws:s3:::b/*"), names_nothing("arn:aws:ssm:us-east-1:1:parameter/fleet/*")
    (False, False)
    """
    begin, *owner, resource = arn.split(":", 5) if arn.count(":") >= 5 else ("", arn, "")
    if begin != "arn" or any(not WILD.isdisjoint(part) for part in owner):
        return True
    names = [part for part in resource.replace(":", "/").split("/") if part]
    name = names[0 if owner[1] in WITHOUT_TYPE else 1 :]
    return not name or name[0][0] in WILD


def _is_narrowed_by_tags(arn: str, statement: Statement) -> bool:
    return not is_wild(arn) and statement.narrowed_by(RESOURCE_TAG)


def _shown(wide: list[str]) -> str:
    return "every resource" if any(map(is_wild, wide)) else ", ".join(wide)


def _is_resourceless(action: str, statement: Statement) -> bool:
    return any(
        matches(action, known.actions) and (not known.condition or statement.narrowed_by(known.condition))
        for known in RESOURCELESS
    )


def _managed(holder: Resource, _: Graph) -> Iterator[str]:
    for arn in (*holder.each("managedPolicyArns"), *holder.each("policyArn")):
        if AWS_MANAGED in str(arn):
            yield said(
                f"it takes AWS's policy {str(arn).rsplit('/', 1)[1]}",
                allowed="inline policies of the program",
                remedy="Write the statements that are needed, or acknowledge it",
            )


def _governance(holder: Resource, _: Graph) -> Iterator[str]:
    for one in statements(holder.at("policy")) + granted(holder):
        if one.allows and (one.covers(GOVERNANCE_BYPASS) or one.inverted):
            yield said(
                f"statement {one.sid} allows {GOVERNANCE_BYPASS}",
                allowed="nobody",
                remedy="Name the actions that are needed: a lock that can be bypassed is none",
            )
            return


def _trust(role: Resource, _: Graph) -> Iterator[str]:
    for one in statements(role.at("assumeRolePolicy")):
        if one.allows and (EVERYONE in one.principals or one.inverted):
            yield said(
                f"statement {one.sid} lets everyone take the role",
                allowed="named services or principals",
                remedy="Name who takes it",
            )


RULES = (
    Rule(
        id="iam-actions",
        demand="no wildcard in an allowed action, and no NotAction",
        types=HOLDERS,
        check=_actions,
        sources=("AwsSolutions-IAM5", "CKV_AWS_62", "CKV_AWS_63"),
    ),
    Rule(
        id="iam-resources",
        demand="no resource pattern without a name, except for actions that AWS restricts to none or that tags narrow",
        types=HOLDERS,
        check=_resources,
        sources=("AwsSolutions-IAM5", "CKV_AWS_355"),
    ),
    Rule(
        id="iam-managed",
        demand="no policy managed by AWS, which may widen it",
        types=(tokens.ROLE, *ATTACHMENTS),
        check=_managed,
        sources=("AwsSolutions-IAM4", "CKV_AWS_274"),
    ),
    Rule(
        id="iam-governance",
        demand="nobody may bypass Object Lock",
        types=(*HOLDERS, tokens.BUCKET_POLICY),
        check=_governance,
    ),
    Rule(
        id="iam-trust",
        demand="only named principals may assume a role",
        types=(tokens.ROLE,),
        check=_trust,
        sources=("CKV_AWS_60",),
    ),
)
