"""Security groups by role, and the rules between them."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.boot.user_data import PROCESS_PORT
from infra.components.network import HTTPS_PORT, Network
from infra.configuration.settings import Settings

DESCRIPTIONS = {
    "balancer": "Front load balancer",
    "router": "Routers",
    "node": "Nodes",
    "indexer": "Indexers",
    "generator": "Load generators",
}


class Firewall(pulumi.ComponentResource):
    """One security group per role, in all slots. `rules` must exist before an instance boots; `processes` are roles."""

    def __init__(self, settings: Settings, network: Network, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:Firewall", settings.fleet, None, opts)
        self._settings, self._network = settings, network
        self._child = pulumi.ResourceOptions(parent=self)
        self.processes = ["router", "node", "indexer", *(["generator"] if settings.load_generators.maximum else [])]
        self.groups = {role: self._group(role) for role in ("balancer", *self.processes)}
        self.rules: list[pulumi.Resource] = [
            *self._clients(),
            *self._between("balancer", "router", PROCESS_PORT),
            *self._between("router", "node", PROCESS_PORT),
            *self._between("router", "indexer", PROCESS_PORT),
            *(rule for role in self.processes for rule in self._to_aws(role)),
            *(self._load() if "generator" in self.processes else ()),
            *self._embedding(),
            *(self._traces() if settings.traces.endpoint else ()),
        ]
        self.register_outputs({role: group.id for role, group in self.groups.items()})

    def _group(self, role: str) -> aws.ec2.SecurityGroup:
        fleet = self._settings.fleet
        return aws.ec2.SecurityGroup(
            f"{fleet}-{role}",
            description=f"{DESCRIPTIONS[role]} of fleet {fleet}",
            vpc_id=self._network.vpc.id,
            tags={"Name": f"{fleet}-{role}", "vectorfleet:fleet": fleet},
            opts=self._child,
        )

    def _clients(self) -> list[pulumi.Resource]:
        port = self._settings.port
        return [
            aws.vpc.SecurityGroupIngressRule(
                f"{self._settings.fleet}-balancer-from-{cidr.replace('/', '-')}",
                security_group_id=self.groups["balancer"].id,
                description=f"Clients in {cidr} to the front load balancer",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=cidr,
                opts=self._child,
            )
            for cidr in self._settings.allowed_clients
        ]

    def _load(self) -> list[pulumi.Resource]:
        """Let generators reach the front and their Locust master; the master never connects to them."""
        load = self._settings.load_generators
        masters = [
            self._egress("generator", cidr, cidr, load.master_port, "Load generators to Locust's master")
            for cidr in load.master_cidrs or (self._settings.vpc_cidr,)
        ]
        return [*self._between("generator", "balancer", self._settings.port), *masters]

    def _embedding(self) -> list[pulumi.Resource]:
        """Let routers and indexers reach the models' servers, in this network or in a peered one."""
        fleets_port = self._settings.embedding.port
        return [
            self._egress(role, f"embedding-{cidr}{suffix}", cidr, port, "The embedding model's server")
            for role in ("router", "indexer")
            for cidr, port in self._model_servers()
            # EC2 refuses a duplicate rule, and HTTPS inside the network is allowed for AWS's endpoints.
            if (cidr, port) != (self._settings.vpc_cidr, HTTPS_PORT)
            for suffix in ("" if port == fleets_port else f"-{port}",)
        ]

    def _model_servers(self) -> dict[tuple[str, int], None]:
        """Return networks and ports of the models' servers, each once."""
        servers = [one.embedding for one in self._settings.deployed if one.embedding.provider == "openai"]
        return dict.fromkeys((cidr, one.port) for one in servers for cidr in one.cidrs or (self._settings.vpc_cidr,))

    def _traces(self) -> list[pulumi.Resource]:
        """Let every process reach the collector of traces, in this network or in a peered one."""
        traces, vpc = self._settings.traces, self._settings.vpc_cidr
        there = {(vpc, HTTPS_PORT)}
        asked = there | self._model_servers().keys()
        return [
            self._egress(role, f"traces-{cidr}", cidr, traces.port, "The collector of traces")
            for role in ("router", "node", "indexer")
            for cidr in traces.cidrs or (vpc,)
            # EC2 refuses a duplicate rule.
            if (cidr, traces.port) not in (there if role == "node" else asked)
        ]

    def _egress(self, role: str, where: str, cidr: str, port: int, what: str) -> pulumi.Resource:
        """Let a role reach one port of a network."""
        return aws.vpc.SecurityGroupEgressRule(
            f"{self._settings.fleet}-{role}-to-{where.replace('/', '-')}",
            security_group_id=self.groups[role].id,
            description=f"{what} in {cidr}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr,
            opts=self._child,
        )

    def _between(self, source: str, target: str, port: int) -> list[pulumi.Resource]:
        """Let `source` open connections to this port of `target`: a rule at each end."""
        fleet = self._settings.fleet
        return [
            aws.vpc.SecurityGroupEgressRule(
                f"{fleet}-{source}-to-{target}",
                security_group_id=self.groups[source].id,
                description=f"{DESCRIPTIONS[source]} to {target}",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                referenced_security_group_id=self.groups[target].id,
                opts=self._child,
            ),
            aws.vpc.SecurityGroupIngressRule(
                f"{fleet}-{target}-from-{source}",
                security_group_id=self.groups[target].id,
                description=f"{DESCRIPTIONS[target]} from {source}",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                referenced_security_group_id=self.groups[source].id,
                opts=self._child,
            ),
        ]

    def _to_aws(self, role: str) -> list[pulumi.Resource]:
        fleet, group = self._settings.fleet, self.groups[role]
        return [
            aws.vpc.SecurityGroupEgressRule(
                f"{fleet}-{role}-to-s3",
                security_group_id=group.id,
                description="HTTPS to S3 through the gateway endpoint",
                ip_protocol="tcp",
                from_port=HTTPS_PORT,
                to_port=HTTPS_PORT,
                prefix_list_id=self._network.s3_endpoint.prefix_list_id,
                opts=self._child,
            ),
            aws.vpc.SecurityGroupEgressRule(
                f"{fleet}-{role}-to-endpoints",
                security_group_id=group.id,
                description="HTTPS to AWS API endpoints inside the network",
                ip_protocol="tcp",
                from_port=HTTPS_PORT,
                to_port=HTTPS_PORT,
                cidr_ipv4=self._settings.vpc_cidr,
                opts=self._child,
            ),
        ]
