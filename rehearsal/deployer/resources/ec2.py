"""Resources of the EC2 API: networks, routes and flow logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore import xform_name

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import DeployError
from rehearsal.deployer.kind import Kind, Tagging, names, only
from rehearsal.deployer.state import Properties, Resource

TAGGING = Tagging(add="CreateTags", remove="DeleteTags", resource="Resources", keys="Tags")
GONE = ("deleted", "deleting")
# The type that CreateFlowLogs wants, by the property that names the watched resource.
WATCHED: Mapping[str, str] = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}


@dataclass(frozen=True, kw_only=True)
class Ec2Kind(Kind):
    """A resource of the EC2 API. An interrupted create is found by tags and by the properties in `filters`."""

    service: str = "ec2"
    tag_type: str
    filters: Mapping[str, str] = field(default_factory=dict)
    tagging: Tagging = TAGGING

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        wanted = {api: str(inputs[name]) for name, api in self.filters.items() if name in inputs}
        wanted |= {f"tag:{key}": value for key, value in inputs.get("tagsAll", {}).items()}
        return [str(one[self.identifier]) for one in self.listed(cloud, wanted)]

    def listed(self, cloud: Cloud, filters: Mapping[str, str]) -> list[Any]:
        """Return the descriptions that match all filters."""
        given = [{"Name": name, "Values": [value]} for name, value in filters.items()]
        # DescribeFlowLogs alone writes it without the "s".
        parameter = "Filters" if "Filters" in cloud.members("ec2", self.read_with) else "Filter"
        answer = cloud.call("ec2", self.read_with, **{parameter: given})
        return [one for one in answer[self.described] if not _is_gone(one)]

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        described = super().describe(cloud, id_, inputs)
        return None if described is None or _is_gone(described) else described

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        arn = cloud.arn("ec2", f"{self.tag_type}/{id_}")
        return {"arn": arn, **super().outputs_in(cloud, id_, described, inputs)}

    def tags_at_create(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        if not inputs.get("tagsAll"):
            return {}
        tags = self.tags_for(cloud, "CreateTags", inputs["tagsAll"])
        return {"TagSpecifications": [{"ResourceType": self.tag_type, **tags}]}


def ec2_kind(of: type[Ec2Kind], noun: str, **table: Any) -> Ec2Kind:
    """Return the kind of a resource whose operations, parameters and tags all have its noun in their names."""
    named = {
        "token": f"aws:ec2/{noun[0].lower()}{noun[1:]}:{noun}",
        "tag_type": xform_name(noun, "-"),
        "identifier": f"{noun}Id",
        "create_with": f"Create{noun}",
        "id": f"{noun}.{noun}Id",
        "read_with": f"Describe{noun}s",
        "described": f"{noun}s",
        "delete_with": f"Delete{noun}",
        "outputs": {"ownerId": "{account}"},
    }
    return of(**{**named, **table})


@dataclass(frozen=True, kw_only=True)
class AttributeKind(Ec2Kind):
    """A resource whose attributes `update_with` sets one at a time. `defaults` names them in their order."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        id_ = super().create(cloud, inputs)
        self._set(cloud, id_, inputs, frozenset(n for n, value in self.defaults.items() if inputs[n] != value))
        return id_

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self._set(cloud, old.id, inputs, changed)

    def _set(self, cloud: Cloud, id_: str, inputs: Properties, changed: frozenset[str]) -> None:
        for name in (name for name in self.defaults if name in changed):
            value = {f"{name[0].upper()}{name[1:]}": {"Value": bool(inputs[name])}}
            cloud.call("ec2", self.update_with, **{self.identifier: id_}, **value)


class Vpc(AttributeKind):
    """aws_vpc."""

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        ours = {"Name": "vpc-id", "Values": [id_]}
        default = [ours, {"Name": "group-name", "Values": ["default"]}]
        groups = cloud.call("ec2", "DescribeSecurityGroups", Filters=default)["SecurityGroups"]
        tables = _tables(cloud, "association.main", "true", ours)
        return super().outputs_in(cloud, id_, described, inputs) | {
            "defaultSecurityGroupId": groups[0]["GroupId"],
            **dict.fromkeys(("mainRouteTableId", "defaultRouteTableId"), tables[0]["RouteTableId"]),
        }


class VpcEndpoint(Ec2Kind):
    """aws_vpc_endpoint, gateway or interface."""

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        outputs = super().outputs_in(cloud, id_, described, inputs)
        if described["VpcEndpointType"] != "Gateway":
            return outputs
        named = [{"Name": "prefix-list-name", "Values": [described["ServiceName"]]}]
        lists = cloud.call("ec2", "DescribePrefixLists", Filters=named)["PrefixLists"]
        return outputs | ({"prefixListId": only(lists)["PrefixListId"]} if lists else {})

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
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
            cloud.call("ec2", self.update_with, VpcEndpointId=old.id, **query)


class RouteTable(Ec2Kind):
    """aws_route_table without inline routes, which are resources of their own."""

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # AWS creates and deletes the main table of a VPC together with the VPC.
        main = {table["RouteTableId"] for table in self.listed(cloud, {"association.main": "true"})}
        return sorted(set(super().find(cloud, inputs)) - main)


class RouteTableAssociation(Kind):
    """aws_route_table_association of a subnet, which has at most one. Another table gives it another id."""

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        association = self._association(cloud, inputs)
        return [association["RouteTableAssociationId"]] if association else []

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        association = self._association(cloud, inputs)
        return association if association.get("RouteTableId") == inputs["routeTableId"] else None

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        current = self._association(cloud, inputs)
        if current["RouteTableId"] != inputs["routeTableId"]:
            id_ = current["RouteTableAssociationId"]
            cloud.call("ec2", self.update_with, AssociationId=id_, RouteTableId=inputs["routeTableId"])

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        for id_ in self.find(cloud, resource.inputs):
            cloud.call("ec2", self.delete_with, AssociationId=id_)

    def _association(self, cloud: Cloud, inputs: Properties) -> dict[str, str]:
        tables = _tables(cloud, "association.subnet-id", inputs["subnetId"])
        associations = [a for t in tables for a in t["Associations"] if a.get("SubnetId") == inputs["subnetId"]]
        return only(associations) or {}


class InternetGateway(Ec2Kind):
    """aws_internet_gateway, attached to its VPC."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        id_ = super().create(cloud, inputs)
        cloud.call("ec2", "AttachInternetGateway", InternetGatewayId=id_, VpcId=inputs["vpcId"])
        return id_

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # A VPC has at most one gateway. One with our tags may not be attached yet.
        attached = self.listed(cloud, {"attachment.vpc-id": inputs["vpcId"]})
        loose = [g for g in self.listed(cloud, {}) if not g["Attachments"] and _tags_of(g) == inputs.get("tagsAll", {})]
        return [str(gateway["InternetGatewayId"]) for gateway in [*attached, *loose]]

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        gateway = self.describe(cloud, resource.id, {}) or {"Attachments": []}
        for attachment in gateway["Attachments"]:
            vpc = attachment["VpcId"]
            cloud.call("ec2", "DetachInternetGateway", InternetGatewayId=resource.id, VpcId=vpc)
        super().delete(cloud, resource)


class Route(Kind):
    """aws_route to an internet gateway."""

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        table = super().describe(cloud, id_, inputs) or {}
        wanted = inputs["destinationCidrBlock"]
        return only([one for one in table.get("Routes", []) if one.get("DestinationCidrBlock") == wanted])

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        return {"state": "active"}


class FlowLog(Ec2Kind):
    """aws_flow_log, of which only the tags change in place."""

    def shaped(self, properties: Properties) -> Properties:
        watched = [name for name in WATCHED if name in properties]
        if len(watched) != 1:
            raise DeployError(f"it watches {len(watched)} resources; give it one of {', '.join(WATCHED)}")
        given = {key: value for key, value in properties.items() if key not in WATCHED}
        return given | {"resourceType": WATCHED[watched[0]], "resourceIds": [properties[watched[0]]]}

    def id_in(self, cloud: Cloud, answer: Any, inputs: Properties) -> str:
        if answer.get("Unsuccessful"):
            raise DeployError(f"the flow log was refused: {answer['Unsuccessful'][0]['Error']['Message']}")
        return super().id_in(cloud, answer, inputs)


def _is_gone(described: dict[str, Any]) -> bool:
    return str(described.get("State")).lower() in GONE


def _tables(cloud: Cloud, name: str, value: str, *more: dict[str, Any]) -> list[Any]:
    """Return the route tables that match a filter."""
    query = [{"Name": name, "Values": [value]}, *more]
    tables: list[Any] = cloud.call("ec2", "DescribeRouteTables", Filters=query)["RouteTables"]
    return tables


def _tags_of(described: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


KINDS = (
    ec2_kind(
        Vpc,
        "Vpc",
        update_with="ModifyVpcAttribute",
        replaced_by=names("cidrBlock instanceTenancy"),
        updated_by=names("enableDnsHostnames enableDnsSupport"),
        # Hostnames need DNS support first.
        defaults={"enableDnsSupport": True, "enableDnsHostnames": False},
        filters={"cidrBlock": "cidr"},
        outputs={"cidrBlock": "CidrBlock", "ownerId": "{account}"},
    ),
    ec2_kind(
        AttributeKind,
        "Subnet",
        update_with="ModifySubnetAttribute",
        replaced_by=names("vpcId cidrBlock availabilityZone availabilityZoneId"),
        updated_by=names("mapPublicIpOnLaunch"),
        defaults={"mapPublicIpOnLaunch": False},
        filters={"vpcId": "vpc-id", "cidrBlock": "cidr-block"},
        outputs={
            "ownerId": "{account}",
            "vpcId": "VpcId",
            "cidrBlock": "CidrBlock",
            "availabilityZone": "AvailabilityZone",
            "availabilityZoneId": "AvailabilityZoneId",
        },
    ),
    ec2_kind(
        VpcEndpoint,
        "VpcEndpoint",
        update_with="ModifyVpcEndpoint",
        delete_with="DeleteVpcEndpoints",
        replaced_by=names("vpcId serviceName vpcEndpointType"),
        updated_by=names("routeTableIds subnetIds securityGroupIds policy privateDnsEnabled"),
        json_texts=names("policy"),
        sets=names("routeTableIds subnetIds securityGroupIds"),
        defaults={"vpcEndpointType": "Gateway"},
        filters={"vpcId": "vpc-id", "serviceName": "service-name"},
        renames={"policy": "PolicyDocument"},
        outputs={"ownerId": "{account}", "state": "State"},
    ),
    ec2_kind(
        RouteTable,
        "RouteTable",
        replaced_by=names("vpcId"),
        filters={"vpcId": "vpc-id"},
    ),
    RouteTableAssociation(
        token="aws:ec2/routeTableAssociation:RouteTableAssociation",
        service="ec2",
        tagged=False,
        create_with="AssociateRouteTable",
        id="AssociationId",
        update_with="ReplaceRouteTableAssociation",
        delete_with="DisassociateRouteTable",
        replaced_by=names("subnetId"),
        updated_by=names("routeTableId"),
    ),
    ec2_kind(
        InternetGateway,
        "InternetGateway",
        replaced_by=names("vpcId"),
    ),
    Route(
        token="aws:ec2/route:Route",
        service="ec2",
        tagged=False,
        scope={"routeTableId": "RouteTableId", "destinationCidrBlock": "DestinationCidrBlock"},
        create_with="CreateRoute",
        id="r-{routeTableId}:{destinationCidrBlock}",
        read_with="DescribeRouteTables",
        described="RouteTables",
        update_with="ReplaceRoute",
        delete_with="DeleteRoute",
        replaced_by=names("routeTableId destinationCidrBlock"),
        updated_by=names("gatewayId"),
    ),
    ec2_kind(
        FlowLog,
        "FlowLog",
        tag_type="vpc-flow-log",
        create_with="CreateFlowLogs",
        id="FlowLogIds[0]",
        delete_with="DeleteFlowLogs",
        replaced_by=names(
            "vpcId subnetId eniId destinationOptions iamRoleArn logDestination logDestinationType logFormat "
            "maxAggregationInterval trafficType"
        ),
        defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
        filters={
            **dict.fromkeys(WATCHED, "resource-id"),
            "logDestinationType": "log-destination-type",
            "trafficType": "traffic-type",
        },
        renames={"iamRoleArn": "DeliverLogsPermissionArn"},
        outputs={},
    ),
)
