"""The rules of infra.review.rules.firewall, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong

GROUP = made(tokens.SECURITY_GROUP)


def ingress(cidr: str = "0.0.0.0/0", first: int = 443, last: int = 443) -> Resource:
    ports = {"ipProtocol": "tcp", "fromPort": first, "toPort": last}
    family = "cidrIpv6" if ":" in cidr else "cidrIpv4"
    return made(tokens.INGRESS_RULE, {family: cidr, **ports}, securityGroupId=GROUP)


def egress(cidr: str, protocol: str) -> Resource:
    return made(tokens.EGRESS_RULE, {"cidrIpv4": cidr, "ipProtocol": protocol}, securityGroupId=GROUP)


def front(*, internal: bool) -> tuple[Resource, ...]:
    balancer = made(tokens.BALANCER, {"internal": internal}, securityGroups=GROUP)
    return GROUP, balancer, made(tokens.LISTENER, {"port": 443}, loadBalancerArn=balancer)


def rule(**inputs: Any) -> Resource:
    return made(tokens.INGRESS_RULE, inputs)


CASES = (
    fine("ingress-from-world", "a known range", GROUP, ingress("10.0.0.0/8")),
    fine("ingress-from-world", "a public front door", ingress(), *front(internal=False)),
    wrong("ingress-from-world", "an internal front door", ingress(), *front(internal=True), says="0.0.0.0/0 may"),
    wrong("ingress-from-world", "another port", ingress(first=22, last=22), *front(internal=False), says="may connect"),
    wrong("ingress-from-world", "more ports", ingress(first=443, last=999), *front(internal=False), says="may connect"),
    wrong("ingress-from-world", "no front door", GROUP, ingress("::/0"), says="::/0 may connect"),
    wrong("ingress-from-world", "half of it", GROUP, ingress("0.0.0.0/1"), says="0.0.0.0/1 may connect"),
    wrong("ingress-from-world", "two of its smaller parts", GROUP, ingress("10.0.0.0/7"), says="10.0.0.0/7 may"),
    wrong("ingress-from-world", "written otherwise", GROUP, ingress("::0/0"), says="::0/0 may connect"),
    wrong("ingress-from-world", "an eighth of IPv6", GROUP, ingress("2000::/3"), says="2000::/3 may connect"),
    wrong("ingress-from-world", "too many of IPv6", GROUP, ingress("2000::/15"), says="2000::/15 may connect"),
    fine("ingress-from-world", "few enough of IPv6", GROUP, ingress("2000::/16")),
    fine("ingress-from-world", "one network of IPv6", GROUP, ingress("2001:db8::/32")),
    fine("ingress-from-world", "another group", GROUP, made(tokens.INGRESS_RULE, referencedSecurityGroupId=GROUP)),
    fine("egress-to-world", "one protocol", egress("0.0.0.0/0", "tcp")),
    fine("egress-to-world", "everything inside", egress("10.0.0.0/16", "-1")),
    wrong("egress-to-world", "everything", egress("0.0.0.0/0", "-1"), says="everything may leave to 0.0.0.0/0"),
    wrong("egress-to-world", "everything by its name", egress("0.0.0.0/0", "all"), says="everything may leave"),
    wrong("egress-to-world", "half of it", egress("128.0.0.0/1", "-1"), says="everything may leave to 128.0.0.0/1"),
    fine("firewall-rule-described", "described", rule(description="Clients", cidrIpv4="10.0.0.0/8")),
    wrong("firewall-rule-described", "a tag", rule(tags={"Name": "x"}, referencedSecurityGroupId="sg-1"), says="say"),
    wrong("firewall-rule-described", "nothing", rule(prefixListId="pl-1"), says="does not say what it is for"),
    fine("security-group-described", "described", made(tokens.SECURITY_GROUP, {"description": "Nodes"})),
    wrong(
        "security-group-described",
        "the default",
        made(tokens.SECURITY_GROUP, {"description": "Managed by Pulumi"}),
        says="is Managed by Pulumi",
    ),
    fine("security-group-rules-apart", "apart", GROUP, ingress()),
    wrong(
        "security-group-rules-apart",
        "inside",
        made(tokens.SECURITY_GROUP, {"ingress": [{"cidrBlocks": ["0.0.0.0/0"]}]}),
        says="escape the other checks",
    ),
    wrong("security-group-rules-apart", "the older kind", made(tokens.LEGACY_RULE), says="escape the other checks"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_firewall_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
