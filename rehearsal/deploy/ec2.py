"""Networks: VPCs, subnets, endpoints, and what resources of the EC2 API have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, only, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

GONE = ("deleted", "deleting")


class Ec2Kind(Kind):
    """A resource of the EC2 API: found by filters, tagged by create_tags."""

    service = "ec2"
    tag_type: ClassVar[str]
    # The Pulumi properties that tell one such resource from another, and the API's filters for them.
    identity: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        """The API's descriptions for `Filters=…` or for a list of ids."""

    @abstractmethod
    def id_of(self, described: dict[str, Any]) -> str:
        """The id in a description."""

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        filters = [{"Name": f, "Values": [str(inputs[p])]} for p, f in self.identity.items() if p in inputs]
        filters += [{"Name": f"tag:{k}", "Values": [v]} for k, v in inputs.get("tagsAll", {}).items()]
        described = self.listed(cloud, Filters=filters)
        return [self.id_of(d) for d in described if str(d.get("State")).lower() not in GONE]

    def tag_specifications(self, inputs: Properties) -> list[dict[str, Any]]:
        """Tags to give while creating."""
        tags = inputs.get("tagsAll")
        return [{"ResourceType": self.tag_type, "Tags": tag_list(tags)}] if tags else []

    def retag(self, cloud: Cloud, old: Resource, inputs: Properties) -> None:
        """Bring the tags up to date."""
        new, gone = tag_changes(old.inputs, inputs)
        if gone:
            cloud.client("ec2").delete_tags(Resources=[old.id], Tags=[{"Key": key} for key in gone])
        if new:
            cloud.client("ec2").create_tags(Resources=[old.id], Tags=tag_list(new))

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.retag(cloud, old, inputs)


class Vpc(Ec2Kind):
    """aws_vpc."""

    token = "aws:ec2/vpc:Vpc"
    tag_type = "vpc"
    replaced_by = frozenset({"cidrBlock", "instanceTenancy"})
    updated_by = frozenset({"enableDnsHostnames", "enableDnsSupport"})
    defaults: ClassVar[Mapping[str, Any]] = {"enableDnsHostnames": False, "enableDnsSupport": True}
    identity: ClassVar[Mapping[str, str]] = {"cidrBlock": "cidr"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        asked = {key: inputs[key] for key in sorted(self.replaced_by) if key in inputs}
        client = cloud.client("ec2")
        made = client.create_vpc(
            **parameters(client, "CreateVpc", asked), TagSpecifications=self.tag_specifications(inputs)
        )
        id_: str = made["Vpc"]["VpcId"]
        self._set_dns(cloud, id_, inputs)
        return id_

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        vpcs: list[dict[str, Any]] = cloud.client("ec2").describe_vpcs(**query)["Vpcs"]
        return vpcs

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["VpcId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        vpc = only(found(lambda: self.listed(cloud, VpcIds=[id_])) or [])
        if vpc is None:
            return None
        ours = [{"Name": "vpc-id", "Values": [id_]}]
        client = cloud.client("ec2")
        groups = client.describe_security_groups(Filters=[*ours, {"Name": "group-name", "Values": ["default"]}])
        tables = client.describe_route_tables(Filters=[*ours, {"Name": "association.main", "Values": ["true"]}])
        main = tables["RouteTables"][0]["RouteTableId"]
        return {
            "arn": cloud.arn("ec2", f"vpc/{id_}"),
            "cidrBlock": vpc["CidrBlock"],
            "ownerId": cloud.account,
            "defaultSecurityGroupId": groups["SecurityGroups"][0]["GroupId"],
            "mainRouteTableId": main,
            "defaultRouteTableId": main,
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & self.updated_by:
            self._set_dns(cloud, old.id, inputs)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_vpc(VpcId=resource.id))

    def _set_dns(self, cloud: Cloud, id_: str, inputs: Properties) -> None:
        # Two calls: the API takes one attribute at a time.
        for name in ("enableDnsSupport", "enableDnsHostnames"):
            value = {"Value": bool(inputs[name])}
            cloud.client("ec2").modify_vpc_attribute(VpcId=id_, **{name[0].upper() + name[1:]: value})


class Subnet(Ec2Kind):
    """aws_subnet."""

    token = "aws:ec2/subnet:Subnet"
    tag_type = "subnet"
    replaced_by = frozenset({"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"})
    updated_by = frozenset({"mapPublicIpOnLaunch"})
    defaults: ClassVar[Mapping[str, Any]] = {"mapPublicIpOnLaunch": False}
    identity: ClassVar[Mapping[str, str]] = {"vpcId": "vpc-id", "cidrBlock": "cidr-block"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("ec2")
        asked = {key: inputs[key] for key in sorted(self.replaced_by) if key in inputs}
        made = client.create_subnet(
            **parameters(client, "CreateSubnet", asked), TagSpecifications=self.tag_specifications(inputs)
        )
        id_: str = made["Subnet"]["SubnetId"]
        if inputs["mapPublicIpOnLaunch"]:
            self._set_public(cloud, id_, inputs)
        return id_

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        subnets: list[dict[str, Any]] = cloud.client("ec2").describe_subnets(**query)["Subnets"]
        return subnets

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["SubnetId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        subnet = only(found(lambda: self.listed(cloud, SubnetIds=[id_])) or [])
        return subnet and {
            "arn": cloud.arn("ec2", f"subnet/{id_}"),
            "ownerId": cloud.account,
            "vpcId": subnet["VpcId"],
            "cidrBlock": subnet["CidrBlock"],
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if "mapPublicIpOnLaunch" in changed:
            self._set_public(cloud, old.id, inputs)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_subnet(SubnetId=resource.id))

    def _set_public(self, cloud: Cloud, id_: str, inputs: Properties) -> None:
        value = {"Value": bool(inputs["mapPublicIpOnLaunch"])}
        cloud.client("ec2").modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch=value)


class VpcEndpoint(Ec2Kind):
    """aws_vpc_endpoint, gateway or interface."""

    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    tag_type = "vpc-endpoint"
    replaced_by = frozenset({"vpcId", "serviceName", "vpcEndpointType"})
    updated_by = frozenset({"routeTableIds", "subnetIds", "securityGroupIds", "policy", "privateDnsEnabled"})
    json_texts = frozenset({"policy"})
    sets = frozenset({"routeTableIds", "subnetIds", "securityGroupIds"})
    defaults: ClassVar[Mapping[str, Any]] = {"vpcEndpointType": "Gateway"}
    identity: ClassVar[Mapping[str, str]] = {"vpcId": "vpc-id", "serviceName": "service-name"}
    renames: ClassVar[Mapping[str, str]] = {"policy": "PolicyDocument"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("ec2")
        asked = {key: value for key, value in inputs.items() if key in self.replaced_by | self.updated_by}
        made = client.create_vpc_endpoint(
            **parameters(client, "CreateVpcEndpoint", asked, self.renames),
            TagSpecifications=self.tag_specifications(inputs),
        )
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        endpoints: list[dict[str, Any]] = cloud.client("ec2").describe_vpc_endpoints(**query)["VpcEndpoints"]
        return endpoints

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["VpcEndpointId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        endpoint = only(found(lambda: self.listed(cloud, VpcEndpointIds=[id_])) or [])
        if endpoint is None or str(endpoint.get("State")).lower() in GONE:
            return None
        outputs = {
            "arn": cloud.arn("ec2", f"vpc-endpoint/{id_}"),
            "ownerId": cloud.account,
            "state": endpoint["State"],
        }
        gateway = endpoint["VpcEndpointType"] == "Gateway"
        return outputs | (self._prefix_list(cloud, endpoint["ServiceName"]) if gateway else {})

    def _prefix_list(self, cloud: Cloud, service: str) -> Properties:
        named = [{"Name": "prefix-list-name", "Values": [service]}]
        lists = cloud.client("ec2").describe_prefix_lists(Filters=named)["PrefixLists"]
        return {"prefixListId": only(lists)["PrefixListId"]} if lists else {}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        query: dict[str, Any] = {}
        for name in sorted(changed & self.sets):
            api = name[0].upper() + name[1:]
            before, after = set(old.inputs.get(name, [])), set(inputs.get(name, []))
            query |= {f"Add{api}": sorted(after - before), f"Remove{api}": sorted(before - after)}
        if "policy" in changed:
            query |= {"PolicyDocument": inputs["policy"]} if "policy" in inputs else {"ResetPolicy": True}
        if "privateDnsEnabled" in changed:
            query["PrivateDnsEnabled"] = bool(inputs.get("privateDnsEnabled", False))
        query = {key: value for key, value in query.items() if value != []}
        if query:
            cloud.client("ec2").modify_vpc_endpoint(VpcEndpointId=old.id, **query)
        self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[resource.id]))


KINDS = (Vpc(), Subnet(), VpcEndpoint())
