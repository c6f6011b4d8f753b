"""Security groups of EC2 and their rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import DeployError, UnsupportedError
from rehearsal.deployer.kind import names
from rehearsal.deployer.resources.ec2 import Ec2Kind, ec2_kind
from rehearsal.deployer.state import Properties, Resource

# For each property that names a rule's peer: the parameter of ModifySecurityGroupRules, and the list of
# AuthorizeSecurityGroup* that takes the peer, with the key in it.
PEERS = {
    "cidrIpv4": ("CidrIpv4", "IpRanges", "CidrIp"),
    "cidrIpv6": ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
    "prefixListId": ("PrefixListId", "PrefixListIds", "PrefixListId"),
    "referencedSecurityGroupId": ("ReferencedGroupId", "UserIdGroupPairs", "GroupId"),
}


class SecurityGroup(Ec2Kind):
    """aws_security_group whose rules are resources of their own."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        id_ = super().create(cloud, inputs)
        # EC2 opens a new group's egress. The AWS provider revokes that, so that a program says what it opens.
        self.revoke(cloud, id_, "egress")
        return id_

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if resource.inputs.get("revokeRulesOnDelete"):
            self.revoke(cloud, resource.id, "ingress", "egress")
        super().delete(cloud, resource)

    def revoke(self, cloud: Cloud, id_: str, *directions: str) -> None:
        """Revoke all rules of these directions."""
        group = self.describe(cloud, id_, {}) or {}
        for direction in directions:
            rules = group.get("IpPermissions" if direction == "ingress" else "IpPermissionsEgress")
            if rules:
                operation = f"RevokeSecurityGroup{direction.capitalize()}"
                cloud.call("ec2", operation, GroupId=id_, IpPermissions=rules)


class DefaultSecurityGroup(SecurityGroup):
    """aws_default_security_group without rules: the group of the VPC is adopted and closed, and never deleted."""

    def check(self, inputs: Properties) -> None:
        super().check(inputs)
        named = [name for name in ("egress", "ingress") if inputs.get(name)]
        if named:
            raise UnsupportedError(
                f"property {named[0]} has rules; the deployer closes a default group and opens none: take them out, "
                "or give them to a group of their own"
            )

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        ids = self.find(cloud, inputs)
        if not ids:
            raise DeployError(f"the network {inputs['vpcId']} has no default security group, or does not exist")
        self.revoke(cloud, ids[0], "ingress", "egress")
        if inputs["tagsAll"]:
            cloud.call("ec2", "CreateTags", Resources=ids, **self.tags_for(cloud, "CreateTags", inputs["tagsAll"]))
        return ids[0]

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        default = {"vpc-id": inputs["vpcId"], "group-name": "default"}
        return [str(group["GroupId"]) for group in self.listed(cloud, default)]

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Leave the group to its VPC."""


@dataclass(frozen=True, kw_only=True)
class SecurityGroupRule(Ec2Kind):
    """aws_vpc_security_group_ingress_rule and aws_vpc_security_group_egress_rule."""

    direction: str

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        group, rule = inputs["securityGroupId"], [_permission(inputs)]
        tags = self.tags_at_create(cloud, inputs)
        return self.id_in(cloud, cloud.call("ec2", self.create_with, GroupId=group, IpPermissions=rule, **tags), inputs)

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        rules = self.listed(cloud, {"group-id": inputs["securityGroupId"]})
        wanted = {key: value for key, value in _rule(inputs).items() if key != "Description"}
        ours = [rule for rule in rules if rule["IsEgress"] == (self.direction == "egress")]
        return [str(rule["SecurityGroupRuleId"]) for rule in ours if _opened(rule) == wanted]

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        rules = [{"SecurityGroupRuleId": old.id, "SecurityGroupRule": _rule(inputs)}]
        cloud.call("ec2", self.update_with, GroupId=inputs["securityGroupId"], SecurityGroupRules=rules)


def rule_kind(direction: str) -> Ec2Kind:
    """Return the kind of rules in one direction."""
    name = direction.capitalize()
    return ec2_kind(
        SecurityGroupRule,
        "SecurityGroupRule",
        token=f"aws:vpc/securityGroup{name}Rule:SecurityGroup{name}Rule",
        direction=direction,
        scope={"securityGroupId": "GroupId"},
        create_with=f"AuthorizeSecurityGroup{name}",
        id="SecurityGroupRules[0].SecurityGroupRuleId",
        update_with="ModifySecurityGroupRules",
        delete_with=f"RevokeSecurityGroup{name}",
        replaced_by=names("securityGroupId"),
        updated_by=frozenset({*PEERS, "description", "fromPort", "ipProtocol", "toPort"}),
        outputs={"securityGroupRuleId": "{id}"},
    )


def _ports(inputs: Properties) -> dict[str, Any]:
    ports = {"FromPort": inputs.get("fromPort"), "ToPort": inputs.get("toPort")}
    return {"IpProtocol": str(inputs["ipProtocol"])} | {k: int(v) for k, v in ports.items() if v is not None}


def _permission(inputs: Properties) -> dict[str, Any]:
    """Return the rule as AuthorizeSecurityGroup* takes it, with the peer in a list of its sort."""
    note = {"Description": inputs["description"]} if "description" in inputs else {}
    given = {listed: [{key: inputs[name], **note}] for name, (_, listed, key) in PEERS.items() if name in inputs}
    return _ports(inputs) | given


def _rule(inputs: Properties) -> dict[str, Any]:
    """Return the rule as ModifySecurityGroupRules takes it."""
    api = {name: flat for name, (flat, _, _) in PEERS.items()} | {"description": "Description"}
    return _ports(inputs) | {api[name]: inputs[name] for name in api if name in inputs}


def _opened(rule: dict[str, Any]) -> dict[str, Any]:
    """Return an existing rule in the words of `_rule`."""
    keys = ("IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId")
    seen = {key: rule[key] for key in keys if rule.get(key) not in (None, -1, "")}
    group = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    return seen | ({"ReferencedGroupId": group} if group else {})


GROUP: dict[str, Any] = {
    "tag_type": "security-group",
    "identifier": "GroupId",
    "id": "GroupId",
    "outputs": {"name": "GroupName", "ownerId": "{account}", "vpcId": "VpcId"},
}
KINDS = (
    ec2_kind(
        SecurityGroup,
        "SecurityGroup",
        name_property="name",
        replaced_by=names("name description vpcId"),
        updated_by=names("revokeRulesOnDelete"),
        defaults={"description": "Managed by Pulumi"},
        filters={"name": "group-name", "vpcId": "vpc-id"},
        renames={"name": "GroupName"},
        **GROUP,
    ),
    DefaultSecurityGroup(
        token="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        read_with="DescribeSecurityGroups",
        described="SecurityGroups",
        replaced_by=names("vpcId"),
        updated_by=names("egress ingress revokeRulesOnDelete"),
        **GROUP,
    ),
    rule_kind("ingress"),
    rule_kind("egress"),
)
