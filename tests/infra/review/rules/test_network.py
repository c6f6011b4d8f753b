"""The rules of infra.review.rules.network, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, allow, fine, made, policy, wrong

VPC, SUBNET, TABLE = made(tokens.VPC), made(tokens.SUBNET), made(tokens.ROUTE_TABLE)
GROUP = made(tokens.GROUP, vpcZoneIdentifiers=SUBNET)
ASSOCIATION = made(tokens.ROUTE_TABLE_ASSOCIATION, subnetId=SUBNET, routeTableId=TABLE)


def flow(traffic: str) -> Resource:
    return made(tokens.FLOW_LOG, {"trafficType": traffic}, vpcId=VPC)


def route(**inputs: Any) -> Resource:
    return made(tokens.ROUTE, inputs, routeTableId=TABLE)


def endpoint(service: str) -> Resource:
    return made(tokens.VPC_ENDPOINT, {"serviceName": f"com.amazonaws.us-east-1.{service}"}, name=service, vpcId=VPC)


def role(*actions: str, services: tuple[str, ...] = ("ec2.amazonaws.com",)) -> tuple[Resource, Resource]:
    trust = [{"Effect": "Allow", "Principal": {"Service": one}, "Action": "sts:AssumeRole"} for one in services]
    taken = made(tokens.ROLE, {"assumeRolePolicy": policy(*trust)})
    return taken, made(tokens.ROLE_POLICY, {"policy": policy(allow(*actions))}, role=taken)


WITH_TABLE = made(tokens.ROUTE_TABLE, {"routes": [{"cidrBlock": "0.0.0.0/0", "natGatewayId": "nat-1"}]})
CASES = (
    fine("vpc-flow-logs", "all", VPC, flow("ALL")),
    wrong("vpc-flow-logs", "accepted alone", VPC, flow("ACCEPT"), says="record ACCEPT"),
    wrong("vpc-flow-logs", "none", VPC, says="record nothing"),
    fine("default-group-closed", "closed", VPC, made(tokens.DEFAULT_GROUP, vpcId=VPC)),
    wrong("default-group-closed", "left as it is", VPC, says="nobody took the default group's rules away"),
    wrong(
        "default-group-closed",
        "open",
        VPC,
        made(tokens.DEFAULT_GROUP, {"ingress": [{"protocol": "-1"}]}, vpcId=VPC),
        says="has rules",
    ),
    fine("gateway-endpoint-policy", "a policy", made(tokens.VPC_ENDPOINT, {"policy": policy(allow("s3:*"))})),
    fine("gateway-endpoint-policy", "an interface", made(tokens.VPC_ENDPOINT, {"vpcEndpointType": "Interface"})),
    wrong("gateway-endpoint-policy", "none", made(tokens.VPC_ENDPOINT), says="everybody's buckets"),
    fine("subnet-no-address", "none", made(tokens.SUBNET, {"mapPublicIpOnLaunch": False})),
    wrong("subnet-no-address", "public", made(tokens.SUBNET, {"mapPublicIpOnLaunch": True}), says="public addresses"),
    fine("subnet-no-internet", "no route", SUBNET, GROUP, TABLE, ASSOCIATION),
    fine(
        "subnet-no-internet",
        "no instances",
        SUBNET,
        TABLE,
        ASSOCIATION,
        route(destinationCidrBlock="0.0.0.0/0"),
    ),
    wrong(
        "subnet-no-internet",
        "a route",
        SUBNET,
        GROUP,
        TABLE,
        ASSOCIATION,
        route(destinationIpv6CidrBlock="::/0"),
        says="a route to ::/0",
    ),
    wrong(
        "subnet-no-internet",
        "a route to half of it",
        SUBNET,
        GROUP,
        TABLE,
        ASSOCIATION,
        route(destinationCidrBlock="0.0.0.0/1"),
        says="a route to 0.0.0.0/1",
    ),
    wrong(
        "subnet-no-internet",
        "a route in the table",
        SUBNET,
        GROUP,
        WITH_TABLE,
        ASSOCIATION,
        says="a route to 0.0.0.0/0",
    ),
    fine("vpc-endpoints", "all there", VPC, endpoint("monitoring"), *role("cloudwatch:PutMetricData")),
    fine("vpc-endpoints", "keys are used for us", VPC, *role("kms:Decrypt")),
    fine("vpc-endpoints", "no instance's role", VPC, *role("s3:PutObject", services=("vpc-flow-logs.amazonaws.com",))),
    wrong(
        "vpc-endpoints",
        "a role that others take, too",
        VPC,
        *role("s3:GetObject", services=("ec2.amazonaws.com", "lambda.amazonaws.com")),
        says="calls s3",
    ),
    wrong("vpc-endpoints", "one missing", VPC, endpoint("s3"), *role("s3:GetObject", "logs:PutLogEvents"), says="logs"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_network_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
