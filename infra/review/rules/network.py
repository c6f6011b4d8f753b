"""Rules for the VPC: flow logs, no route from instances to the internet, endpoints for what they call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.review.rules import tokens
from infra.review.rules.firewall import is_world
from infra.review.rules.graph import Graph, Resource, at
from infra.review.rules.iam import granted
from infra.review.rules.rule import Rule, is_on, said, shown
from infra.review.rules.statements import statements

DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "cidrBlock", "ipv6CidrBlock")
EC2 = "ec2.amazonaws.com"
ENDPOINTS = {
    "cloudwatch": "monitoring",
    "bedrock": "bedrock-runtime",
}  # endpoints with another name than the action's prefix
CALLED_FOR_US = ("kms",)  # S3 and SSM call it on behalf of the role


def _flow_logs(vpc: Resource, graph: Graph) -> Iterator[str]:
    found = [one.at("trafficType") for one in graph.referring(vpc, tokens.FLOW_LOG, "vpcId")]
    if "ALL" not in found:
        yield said(
            f"flow logs record {shown(*found or [None])}",
            allowed="a FlowLog of trafficType ALL",
            remedy="Add one on the VPC",
        )


def _default_group(vpc: Resource, graph: Graph) -> Iterator[str]:
    found = graph.referring(vpc, tokens.DEFAULT_GROUP, "vpcId")
    rules = [rule for one in found for side in ("ingress", "egress") for rule in one.each(side)]
    if not found or rules:
        yield said(
            "the VPC's default security group has rules" if found else "nobody took the default group's rules away",
            allowed="a DefaultSecurityGroup without any",
            remedy="Add one: what is launched without a group of its own gets the default one",
        )


def _endpoint_policy(endpoint: Resource, _: Graph) -> Iterator[str]:
    if endpoint.at("vpcEndpointType") in (None, "Gateway") and not endpoint.at("policy"):
        yield said(
            "it lets everybody through to everybody's buckets",
            allowed="a policy that names whose",
            remedy="Give it one: this is the way by which data would leave",
        )


def _public_address(subnet: Resource, _: Graph) -> Iterator[str]:
    if is_on(subnet.at("mapPublicIpOnLaunch")):
        yield said("it gives public addresses", allowed="mapPublicIpOnLaunch false", remedy="Switch it off")


def _no_internet(subnet: Resource, graph: Graph) -> Iterator[str]:
    if not graph.referring(subnet, tokens.GROUP, "vpcZoneIdentifiers"):
        return
    for route in _routes(subnet, graph):
        world = next((str(at(route, name)) for name in DESTINATIONS if is_world(at(route, name))), "")
        if world:
            yield said(
                f"instances stand here and there is a route to {world}",
                allowed="routes inside the network and to endpoints",
                remedy="Move the route to a subnet without instances",
            )


def _routes(subnet: Resource, graph: Graph) -> list[Any]:
    """Return the routes of the subnet's own table: its resources and its own rows."""
    associations = graph.referring(subnet, tokens.ROUTE_TABLE_ASSOCIATION, "subnetId")
    tables = [table for one in associations for table in graph.targets(one, "routeTableId", tokens.ROUTE_TABLE)]
    apart = [route.inputs for table in tables for route in graph.referring(table, tokens.ROUTE, "routeTableId")]
    return apart + [route for table in tables for route in table.each("routes")]


def _endpoints(vpc: Resource, graph: Graph) -> Iterator[str]:
    there = {
        str(one.at("serviceName")).rsplit(".", 1)[-1] for one in graph.referring(vpc, tokens.VPC_ENDPOINT, "vpcId")
    }
    for service, role in sorted(_called(graph).items()):
        if service not in there:
            yield said(
                f"{role} calls {service}, which has no endpoint here",
                allowed="a VpcEndpoint for each service that an instance's role may call",
                remedy="Add one, or take the permission away",
            )


def _called(graph: Graph) -> dict[str, str]:
    """Return the endpoint services that instances call, each with a role that may call it."""
    called: dict[str, str] = {}
    for role in graph.of_type(tokens.ROLE):
        if not any(EC2 in one.principals for one in statements(role.at("assumeRolePolicy"))):
            continue
        holders = (role, *graph.referring(role, tokens.ROLE_POLICY, "role"))
        actions = (action for holder in holders for one in granted(holder) for action in one.actions)
        for prefix in {action.split(":")[0] for action in actions} - {*CALLED_FOR_US}:
            called.setdefault(ENDPOINTS.get(prefix, prefix), role.name)
    return called


RULES = (
    Rule(
        id="vpc-flow-logs",
        demand="flow logs record all traffic of the VPC",
        types=(tokens.VPC,),
        check=_flow_logs,
        sources=("AwsSolutions-VPC7", "CKV2_AWS_11"),
    ),
    Rule(
        id="default-group-closed",
        demand="the VPC's default security group lets nothing in or out",
        types=(tokens.VPC,),
        check=_default_group,
        sources=("VPCDefaultSecurityGroupClosed", "CKV2_AWS_12"),
    ),
    Rule(
        id="gateway-endpoint-policy",
        demand="a gateway endpoint reaches only known accounts",
        types=(tokens.VPC_ENDPOINT,),
        check=_endpoint_policy,
    ),
    Rule(
        id="subnet-no-address",
        demand="no subnet gives public addresses",
        types=(tokens.SUBNET,),
        check=_public_address,
        sources=("CKV_AWS_130",),
    ),
    Rule(
        id="subnet-no-internet",
        demand="no route leads from a subnet with instances to the internet",
        types=(tokens.SUBNET,),
        check=_no_internet,
        sources=("VPCNoUnrestrictedRouteToIGW",),
    ),
    Rule(
        id="vpc-endpoints",
        demand="every service that an instance's role may call has an endpoint",
        types=(tokens.VPC,),
        check=_endpoints,
    ),
)
