"""The VPC: private subnets in every zone, and the endpoints through which instances reach AWS."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.components.logs import AccessLogs
from infra.configuration.settings import Settings
from infra.facts.service_prices import interface_endpoints

HTTPS_PORT = 443


class Network(pulumi.ComponentResource):
    """
    Subnets, routes and endpoints; `routes` and `endpoints` must exist before an instance boots, and
    `way_to_the_internet` before a load balancer that faces it.
    """

    def __init__(self, settings: Settings, region: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:Network", settings.fleet, None, opts)
        self._settings, self._region = settings, region
        self._child = pulumi.ResourceOptions(parent=self)
        self.vpc = aws.ec2.Vpc(
            settings.fleet,
            cidr_block=settings.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        private, public = settings.subnet_cidrs
        self.private_subnets = self._subnets("private", private)
        self.table = aws.ec2.RouteTable(
            f"{settings.fleet}-private", vpc_id=self.vpc.id, tags=self._tags("private"), opts=self._child
        )
        self.routes: list[pulumi.Resource] = [*self._associate("private", self.private_subnets, self.table)]
        self.way_to_the_internet: list[pulumi.Resource] = []
        self.public_subnets = [] if settings.internal else self._public(public)
        self._close_default_group()
        self.s3_endpoint = self._s3_endpoint()
        self.endpoints: list[pulumi.Resource] = [self.s3_endpoint, *self._interface_endpoints()]
        self.register_outputs({"vpc": self.vpc.id})

    @property
    def balancer_subnets(self) -> list[aws.ec2.Subnet]:
        """Subnets of the front load balancer: private ones if it is internal."""
        return self.public_subnets or self.private_subnets

    def log_flows(self, logs: AccessLogs) -> None:
        """Register the flow logs of the VPC."""
        aws.ec2.FlowLog(
            self._settings.fleet,
            vpc_id=self.vpc.id,
            traffic_type="ALL",
            log_destination_type="s3",
            log_destination=logs.bucket.bucket.arn,
            max_aggregation_interval=600,
            tags=self._tags("flows"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(logs.target.ready)),
        )

    def _tags(self, name: str) -> dict[str, str]:
        fleet = self._settings.fleet
        return {"Name": f"{fleet}-{name}", "vectorfleet:fleet": fleet}

    def _subnets(self, kind: str, cidrs: Sequence[str]) -> list[aws.ec2.Subnet]:
        return [
            aws.ec2.Subnet(
                f"{self._settings.fleet}-{kind}-{zone}",
                vpc_id=self.vpc.id,
                availability_zone=zone,
                cidr_block=cidr,
                map_public_ip_on_launch=False,
                tags=self._tags(f"{kind}-{zone}"),
                opts=self._child,
            )
            for zone, cidr in zip(self._settings.zones, cidrs, strict=True)
        ]

    def _associate(
        self, kind: str, subnets: Sequence[aws.ec2.Subnet], table: aws.ec2.RouteTable
    ) -> list[aws.ec2.RouteTableAssociation]:
        return [
            aws.ec2.RouteTableAssociation(
                f"{self._settings.fleet}-{kind}-{zone}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=self._child,
            )
            for zone, subnet in zip(self._settings.zones, subnets, strict=True)
        ]

    def _public(self, cidrs: Sequence[str]) -> list[aws.ec2.Subnet]:
        """Register public subnets for an internet-facing load balancer; no instance is launched there."""
        fleet = self._settings.fleet
        gateway = aws.ec2.InternetGateway(fleet, vpc_id=self.vpc.id, tags=self._tags("internet"), opts=self._child)
        table = aws.ec2.RouteTable(f"{fleet}-public", vpc_id=self.vpc.id, tags=self._tags("public"), opts=self._child)
        route = aws.ec2.Route(
            f"{fleet}-internet",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )
        subnets = self._subnets("public", cidrs)
        self.way_to_the_internet += [gateway, route, *self._associate("public", subnets, table)]
        return subnets

    def _close_default_group(self) -> None:
        """Empty the VPC's default security group, which an instance without another one gets."""
        aws.ec2.DefaultSecurityGroup(
            f"{self._settings.fleet}-default", vpc_id=self.vpc.id, tags=self._tags("default"), opts=self._child
        )

    def _s3_endpoint(self) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            f"{self._settings.fleet}-s3",
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{self._region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[self.table.id],
            policy=self.vpc.owner_id.apply(lambda account: policies.text(policies.s3_endpoint(account, self._region))),
            tags=self._tags("s3"),
            opts=self._child,
        )

    def _interface_endpoints(self) -> list[aws.ec2.VpcEndpoint]:
        guard = self._endpoint_guard()
        return [
            aws.ec2.VpcEndpoint(
                f"{self._settings.fleet}-{service}",
                vpc_id=self.vpc.id,
                service_name=f"com.amazonaws.{self._region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in self.private_subnets],
                security_group_ids=[guard.id],
                tags=self._tags(service),
                opts=self._child,
            )
            for service in interface_endpoints(sessions=self._settings.sessions, bedrock=self._settings.calls_bedrock)
        ]

    def _endpoint_guard(self) -> aws.ec2.SecurityGroup:
        fleet = self._settings.fleet
        group = aws.ec2.SecurityGroup(
            f"{fleet}-endpoints",
            description="AWS API endpoints",
            vpc_id=self.vpc.id,
            tags=self._tags("endpoints"),
            opts=self._child,
        )
        rule = aws.vpc.SecurityGroupIngressRule(
            f"{fleet}-endpoints-from-vpc",
            security_group_id=group.id,
            description="HTTPS from the fleet's own network to AWS API endpoints",
            ip_protocol="tcp",
            from_port=HTTPS_PORT,
            to_port=HTTPS_PORT,
            cidr_ipv4=self._settings.vpc_cidr,
            opts=self._child,
        )
        self.routes.append(rule)
        return group
