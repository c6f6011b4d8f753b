"""Security groups and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.ec2 import Ec2Kind
from rehearsal.deploy.errors import DeployError, UnsupportedError
from rehearsal.deploy.kind import found, only, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class SecurityGroup(Ec2Kind):
    """aws_security_group whose rules are resources of their own."""

    token = "aws:ec2/securityGroup:SecurityGroup"
    tag_type = "security-group"
    name_property: ClassVar[str | None] = "name"
    replaced_by = frozenset({"name", "description", "vpcId"})
    updated_by = frozenset({"revokeRulesOnDelete"})
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi"}
    identity: ClassVar[Mapping[str, str]] = {"name": "group-name", "vpcId": "vpc-id"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("ec2")
        asked = {key: inputs[key] for key in sorted(self.replaced_by) if key in inputs}
        made = client.create_security_group(
            **parameters(client, "CreateSecurityGroup", asked, {"name": "GroupName"}),
            TagSpecifications=self.tag_specifications(inputs),
        )
        id_: str = made["GroupId"]
        self._revoke_default(cloud, id_)
        return id_

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = cloud.client("ec2").describe_security_groups(**query)["SecurityGroups"]
        return groups

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["GroupId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        group = only(found(lambda: self.listed(cloud, GroupIds=[id_])) or [])
        return group and {
            "arn": cloud.arn("ec2", f"security-group/{id_}"),
            "name": group["GroupName"],
            "ownerId": cloud.account,
            "vpcId": group["VpcId"],
        }

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if resource.inputs.get("revokeRulesOnDelete"):
            self._revoke_all(cloud, resource.id)
        found(lambda: cloud.client("ec2").delete_security_group(GroupId=resource.id))

    def _revoke_default(self, cloud: Cloud, id_: str) -> None:
        # EC2 lets a new group reach everything; the AWS provider takes that back, so that a program says what it opens.
        group = only(self.listed(cloud, GroupIds=[id_]))
        if group["IpPermissionsEgress"]:
            cloud.client("ec2").revoke_security_group_egress(GroupId=id_, IpPermissions=group["IpPermissionsEgress"])

    def _revoke_all(self, cloud: Cloud, id_: str) -> None:
        client = cloud.client("ec2")
        for group in found(lambda: self.listed(cloud, GroupIds=[id_])) or []:
            if group["IpPermissions"]:
                client.revoke_security_group_ingress(GroupId=id_, IpPermissions=group["IpPermissions"])
            if group["IpPermissionsEgress"]:
                client.revoke_security_group_egress(GroupId=id_, IpPermissions=group["IpPermissionsEgress"])


class DefaultSecurityGroup(SecurityGroup):
    """aws_default_security_group without rules: the VPC's own group is adopted and closed, and left when it goes."""

    token = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    name_property = None
    replaced_by = frozenset({"vpcId"})
    updated_by = frozenset({"egress", "ingress", "revokeRulesOnDelete"})
    defaults: ClassVar[Mapping[str, Any]] = {}

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
            raise DeployError(f"the network {inputs['vpcId']} has no default security group, or is not there")
        self._revoke_all(cloud, ids[0])
        if inputs["tagsAll"]:
            cloud.client("ec2").create_tags(Resources=ids, Tags=tag_list(inputs["tagsAll"]))
        return ids[0]

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        of_vpc = [{"Name": "vpc-id", "Values": [inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        return [self.id_of(group) for group in self.listed(cloud, Filters=of_vpc)]

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Nothing: a VPC keeps its default group as long as it lives."""


class SecurityGroupRule(Ec2Kind):
    """A rule in one direction."""

    tag_type = "security-group-rule"
    replaced_by = frozenset({"securityGroupId"})
    updated_by = frozenset(
        {
            "cidrIpv4",
            "cidrIpv6",
            "description",
            "fromPort",
            "ipProtocol",
            "prefixListId",
            "referencedSecurityGroupId",
            "toPort",
        }
    )
    direction: ClassVar[str]

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        authorize = getattr(cloud.client("ec2"), f"authorize_security_group_{self.direction}")
        made = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            TagSpecifications=self.tag_specifications(inputs),
        )
        return self.id_of(only(made["SecurityGroupRules"]))

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = cloud.client("ec2").describe_security_group_rules(**query)["SecurityGroupRules"]
        return rules

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["SecurityGroupRuleId"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        of_group = [{"Name": "group-id", "Values": [inputs["securityGroupId"]]}]
        rules = [r for r in self.listed(cloud, Filters=of_group) if r["IsEgress"] == (self.direction == "egress")]
        return [self.id_of(rule) for rule in rules if _opened(rule) == _wanted(inputs)]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        rule = only(found(lambda: self.listed(cloud, SecurityGroupRuleIds=[id_])) or [])
        return rule and {"arn": cloud.arn("ec2", f"security-group-rule/{id_}"), "securityGroupRuleId": id_}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & self.updated_by:
            rule = {"SecurityGroupRuleId": old.id, "SecurityGroupRule": _rule(inputs)}
            cloud.client("ec2").modify_security_group_rules(
                GroupId=inputs["securityGroupId"], SecurityGroupRules=[rule]
            )
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        revoke = getattr(cloud.client("ec2"), f"revoke_security_group_{self.direction}")
        found(lambda: revoke(GroupId=resource.inputs["securityGroupId"], SecurityGroupRuleIds=[resource.id]))


class IngressRule(SecurityGroupRule):
    """aws_vpc_security_group_ingress_rule."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    direction = "ingress"


class EgressRule(SecurityGroupRule):
    """aws_vpc_security_group_egress_rule."""

    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    direction = "egress"


def _ports(inputs: Properties) -> dict[str, Any]:
    ports = {"FromPort": inputs.get("fromPort"), "ToPort": inputs.get("toPort")}
    return {"IpProtocol": str(inputs["ipProtocol"])} | {k: int(v) for k, v in ports.items() if v is not None}


def _permission(inputs: Properties) -> dict[str, Any]:
    """The rule as authorize_* takes it: the peer stands in a list of its sort."""
    note = {"Description": inputs["description"]} if "description" in inputs else {}
    peers: dict[str, list[dict[str, str]]] = {
        "IpRanges": [{"CidrIp": inputs["cidrIpv4"], **note}] if "cidrIpv4" in inputs else [],
        "Ipv6Ranges": [{"CidrIpv6": inputs["cidrIpv6"], **note}] if "cidrIpv6" in inputs else [],
        "PrefixListIds": [{"PrefixListId": inputs["prefixListId"], **note}] if "prefixListId" in inputs else [],
        "UserIdGroupPairs": [{"GroupId": inputs["referencedSecurityGroupId"], **note}]
        if "referencedSecurityGroupId" in inputs
        else [],
    }
    return _ports(inputs) | {name: items for name, items in peers.items() if items}


def _rule(inputs: Properties) -> dict[str, Any]:
    """The rule as modify_security_group_rules takes it."""
    names = {
        "cidrIpv4": "CidrIpv4",
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
        "description": "Description",
    }
    return _ports(inputs) | {api: inputs[name] for name, api in names.items() if name in inputs}


def _wanted(inputs: Properties) -> dict[str, Any]:
    return {key: value for key, value in _rule(inputs).items() if key != "Description"}


def _opened(rule: dict[str, Any]) -> dict[str, Any]:
    """What an existing rule opens, in the words of `_wanted`."""
    keys = ("IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId")
    seen = {key: rule[key] for key in keys if rule.get(key) not in (None, -1, "")}
    group = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    return seen | ({"ReferencedGroupId": group} if group else {})


KINDS = (SecurityGroup(), DefaultSecurityGroup(), IngressRule(), EgressRule())
