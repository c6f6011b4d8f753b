"""Rules for security groups: only a public front is open to the world, and each rule has a reason."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, is_on, said, shown

WIDEST = {4: 8, 6: 16}  # the shortest prefix that is not the world, by version of IP
DEFAULT_DESCRIPTION = "Managed by Pulumi"


def is_world(cidr: object) -> bool:
    """
    Return True for a network as wide as the world; False for text that is not a network.

    >>> is_world("0.0.0.0/0"), is_world("0.0.0.0/1"), is_world("::0/0"), is_world("10.0.0.0/8"), is_world(None)
    (True, True, True, False, False)
    """
    try:
        network = ip_network(str(cidr), strict=False)
    except ValueError:
        return False
    return network.prefixlen < WIDEST[network.version]


def _opens_to_world(rule: Resource) -> str:
    return next((str(rule.at(name)) for name in ("cidrIpv4", "cidrIpv6") if is_world(rule.at(name))), "")


def _ingress(rule: Resource, graph: Graph) -> Iterator[str]:
    world = _opens_to_world(rule)
    if world and not _is_front_door(rule, graph):
        yield said(
            f"{world} may connect",
            allowed="the world at a listener's port of an internet-facing load balancer, known ranges elsewhere",
            remedy="Narrow the range",
        )


def _is_front_door(rule: Resource, graph: Graph) -> bool:
    groups = graph.targets(rule, "securityGroupId", tokens.SECURITY_GROUP)
    balancers = {
        one.urn: one
        for group in groups
        for one in graph.referring(group, tokens.BALANCER, "securityGroups")
        if not is_on(one.at("internal"))
    }
    listeners = [
        listener
        for balancer in balancers.values()
        for listener in graph.referring(balancer, tokens.LISTENER, "loadBalancerArn")
    ]
    ports = {listener.at("port") for listener in listeners}
    return rule.at("fromPort") == rule.at("toPort") and rule.at("fromPort") in ports


def _egress(rule: Resource, _: Graph) -> Iterator[str]:
    world = _opens_to_world(rule)
    if world and str(rule.at("ipProtocol")) in ("-1", "all"):
        yield said(
            f"everything may leave to {world}",
            allowed="named protocols and ports",
            remedy="Name what the role connects to",
        )


def _described(rule: Resource, _: Graph) -> Iterator[str]:
    if not rule.at("description"):
        yield said(
            "the rule does not say what it is for", allowed="a description", remedy="Say who connects to whom and why"
        )


def _group_described(group: Resource, _: Graph) -> Iterator[str]:
    found = group.at("description")
    if not found or found == DEFAULT_DESCRIPTION:
        yield said(f"the description is {shown(found)}", allowed="whose group it is", remedy="Describe it")


def _inline(group: Resource, _: Graph) -> Iterator[str]:
    if group.type == tokens.LEGACY_RULE or group.each("ingress") or group.each("egress"):
        yield said(
            "inline rules escape the other checks",
            allowed="SecurityGroupIngressRule and SecurityGroupEgressRule",
            remedy="Register each as a resource of its own",
        )


RULES = (
    Rule(
        id="ingress-from-world",
        demand="only the listener of an internet-facing load balancer is open to the world",
        types=(tokens.INGRESS_RULE,),
        check=_ingress,
        sources=("AwsSolutions-EC23", "CKV_AWS_24", "CKV_AWS_25", "CKV_AWS_260", "CKV_AWS_277"),
    ),
    Rule(
        id="egress-to-world",
        demand="no egress rule allows all traffic to everywhere",
        types=(tokens.EGRESS_RULE,),
        check=_egress,
        sources=("CKV_AWS_382",),
    ),
    Rule(
        id="firewall-rule-described",
        demand="every firewall rule has a description",
        types=(tokens.INGRESS_RULE, tokens.EGRESS_RULE),
        check=_described,
        sources=("CKV_AWS_23",),
    ),
    Rule(
        id="security-group-described",
        demand="every security group has a description",
        types=(tokens.SECURITY_GROUP,),
        check=_group_described,
        sources=("AwsSolutions-EC27", "CKV_AWS_23"),
    ),
    Rule(
        id="security-group-rules-apart",
        demand="firewall rules are resources of their own",
        types=(tokens.SECURITY_GROUP, tokens.LEGACY_RULE),
        check=_inline,
    ),
)
