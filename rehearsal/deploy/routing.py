"""Route tables, what they are attached to, and internet gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.ec2 import Ec2Kind
from rehearsal.deploy.kind import Kind, found, only
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class RouteTable(Ec2Kind):
    """aws_route_table without inline routes: those come as resources of their own or not at all."""

    token = "aws:ec2/routeTable:RouteTable"
    tag_type = "route-table"
    replaced_by = frozenset({"vpcId"})
    identity: ClassVar[Mapping[str, str]] = {"vpcId": "vpc-id"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        made = cloud.client("ec2").create_route_table(
            VpcId=inputs["vpcId"], TagSpecifications=self.tag_specifications(inputs)
        )
        return str(made["RouteTable"]["RouteTableId"])

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        tables: list[dict[str, Any]] = cloud.client("ec2").describe_route_tables(**query)["RouteTables"]
        return tables

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # Every VPC comes with a main table, which goes with it.
        main = self.listed(cloud, Filters=[{"Name": "association.main", "Values": ["true"]}])
        return sorted(set(super().find(cloud, inputs)) - {self.id_of(table) for table in main})

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["RouteTableId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        table = only(found(lambda: self.listed(cloud, RouteTableIds=[id_])) or [])
        return table and {"arn": cloud.arn("ec2", f"route-table/{id_}"), "ownerId": cloud.account}

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_route_table(RouteTableId=resource.id))


class RouteTableAssociation(Kind):
    """aws_route_table_association of a subnet."""

    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    service = "ec2"
    tagged = False
    replaced_by = frozenset({"subnetId"})
    updated_by = frozenset({"routeTableId"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        made = cloud.client("ec2").associate_route_table(
            SubnetId=inputs["subnetId"], RouteTableId=inputs["routeTableId"]
        )
        return str(made["AssociationId"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        association = self._association(cloud, inputs)
        return [association["RouteTableAssociationId"]] if association else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        # By subnet, which has one association at most: moving it to another table gives it another id.
        table = self._association(cloud, inputs).get("RouteTableId")
        return {} if table == inputs["routeTableId"] else None

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        current = self._association(cloud, inputs)
        if current["RouteTableId"] != inputs["routeTableId"]:
            cloud.client("ec2").replace_route_table_association(
                AssociationId=current["RouteTableAssociationId"], RouteTableId=inputs["routeTableId"]
            )

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        for id_ in self.find(cloud, resource.inputs):
            cloud.client("ec2").disassociate_route_table(AssociationId=id_)

    def _association(self, cloud: Cloud, inputs: Properties) -> dict[str, str]:
        query = [{"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}]
        tables = cloud.client("ec2").describe_route_tables(Filters=query)["RouteTables"]
        associations = [a for t in tables for a in t["Associations"] if a.get("SubnetId") == inputs["subnetId"]]
        return only(associations) or {}


class InternetGateway(Ec2Kind):
    """aws_internet_gateway, attached to its VPC."""

    token = "aws:ec2/internetGateway:InternetGateway"
    tag_type = "internet-gateway"
    replaced_by = frozenset({"vpcId"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("ec2")
        made = client.create_internet_gateway(TagSpecifications=self.tag_specifications(inputs))
        id_: str = made["InternetGateway"]["InternetGatewayId"]
        client.attach_internet_gateway(InternetGatewayId=id_, VpcId=inputs["vpcId"])
        return id_

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        # Attached to our VPC (one at most), or made with our tags and not attached yet.
        attached = [{"Name": "attachment.vpc-id", "Values": [inputs["vpcId"]]}]
        mine = self.listed(cloud, Filters=attached)
        loose = [g for g in self.listed(cloud) if not g["Attachments"] and _same_tags(g, inputs)]
        return [self.id_of(gateway) for gateway in [*mine, *loose]]

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        gateways: list[dict[str, Any]] = cloud.client("ec2").describe_internet_gateways(**query)["InternetGateways"]
        return gateways

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["InternetGatewayId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        gateway = only(found(lambda: self.listed(cloud, InternetGatewayIds=[id_])) or [])
        return gateway and {"arn": cloud.arn("ec2", f"internet-gateway/{id_}"), "ownerId": cloud.account}

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        client = cloud.client("ec2")
        for gateway in found(lambda: self.listed(cloud, InternetGatewayIds=[resource.id])) or []:
            for attachment in gateway["Attachments"]:
                client.detach_internet_gateway(InternetGatewayId=resource.id, VpcId=attachment["VpcId"])
            client.delete_internet_gateway(InternetGatewayId=resource.id)


class Route(Kind):
    """aws_route to an internet gateway."""

    token = "aws:ec2/route:Route"
    service = "ec2"
    tagged = False
    replaced_by = frozenset({"routeTableId", "destinationCidrBlock"})
    updated_by = frozenset({"gatewayId"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        cloud.client("ec2").create_route(
            RouteTableId=inputs["routeTableId"],
            DestinationCidrBlock=inputs["destinationCidrBlock"],
            GatewayId=inputs["gatewayId"],
        )
        return f"r-{inputs['routeTableId']}:{inputs['destinationCidrBlock']}"

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        id_ = f"r-{inputs['routeTableId']}:{inputs['destinationCidrBlock']}"
        return [id_] if self.read(cloud, id_, inputs) is not None else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        query = {"RouteTableIds": [inputs["routeTableId"]]}
        table = found(lambda: cloud.client("ec2").describe_route_tables(**query)["RouteTables"][0])
        routes = (table or {}).get("Routes", [])
        there = any(r.get("DestinationCidrBlock") == inputs["destinationCidrBlock"] for r in routes)
        return {"state": "active"} if there else None

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        cloud.client("ec2").replace_route(
            RouteTableId=inputs["routeTableId"],
            DestinationCidrBlock=inputs["destinationCidrBlock"],
            GatewayId=inputs["gatewayId"],
        )

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        route = {key: resource.inputs[key] for key in ("routeTableId", "destinationCidrBlock")}
        client = cloud.client("ec2")
        found(lambda: client.delete_route(**parameters(client, "DeleteRoute", route)))


def _same_tags(described: dict[str, Any], inputs: Properties) -> bool:
    carried = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    return bool(carried == inputs.get("tagsAll", {}))


KINDS = (RouteTable(), RouteTableAssociation(), InternetGateway(), Route())
