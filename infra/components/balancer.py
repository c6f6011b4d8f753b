"""The front load balancer: one listener, weighted by slot, with a rule for requests that name their slot."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.boot.user_data import PROCESS_PORT
from infra.components.firewall import Firewall
from infra.components.logs import AccessLogs
from infra.components.network import Network
from infra.configuration.settings import Settings
from infra.facts import naming
from vectorfleet.slots import SLOT_HEADER, SLOTS

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
# Rules that an operator adds for all slots find room before those of the slots.
FIRST_PRIORITY = 100
# A check of shards would make the group terminate every router when one shard is lost.
HEALTH_PATH = "/healthz"


class Balancer(pulumi.ComponentResource):
    """Load balancer, the target groups of both slots (they always exist), and the weighted listener with its rules."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        firewall: Firewall,
        logs: AccessLogs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Balancer", settings.fleet, None, opts)
        self._settings, self._network = settings, network
        self._child = pulumi.ResourceOptions(parent=self)
        name = naming.logical("load_balancer", settings.fleet)
        self.balancer = aws.lb.LoadBalancer(
            name,
            load_balancer_type="application",
            internal=settings.internal,
            subnets=[subnet.id for subnet in network.balancer_subnets],
            security_groups=[firewall.groups["balancer"].id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            enable_deletion_protection=settings.data_protection,
            access_logs={"bucket": logs.target.bucket, "prefix": "alb", "enabled": True},
            tags={"Name": settings.fleet, "vectorfleet:fleet": settings.fleet},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*logs.target.ready, *network.way_to_the_internet]),
        )
        self.target_groups = {slot: self._target_group(slot) for slot in SLOTS}
        self.listener = self._listener()
        for priority, slot in enumerate(SLOTS, FIRST_PRIORITY):
            self._rule(slot, priority)
        if settings.hosted_zone_id is not None:
            self._publish(settings.hosted_zone_id)
        scheme, host = "https" if settings.certificate_arn else "http", settings.hostname or self.balancer.dns_name
        self.endpoint = pulumi.Output.format("{0}://{1}:{2}", scheme, host, settings.port)
        self.register_outputs({"endpoint": self.endpoint})

    def _publish(self, zone: str) -> None:
        """Register the certificate's name in DNS."""
        aws.route53.Record(
            self._settings.fleet,
            zone_id=zone,
            name=self._settings.hostname,
            type="A",
            aliases=[
                {
                    "name": self.balancer.dns_name,
                    "zone_id": self.balancer.zone_id,
                    # There is one load balancer: an unhealthy answer is better than none.
                    "evaluate_target_health": False,
                }
            ],
            opts=self._child,
        )

    def _target_group(self, slot: str) -> aws.lb.TargetGroup:
        settings, probe = self._settings, self._settings.health_check
        return aws.lb.TargetGroup(
            naming.logical("target_group", settings.fleet, slot),
            vpc_id=self._network.vpc.id,
            port=PROCESS_PORT,
            protocol="HTTP",
            target_type="instance",
            deregistration_delay=settings.drain_seconds,
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check={
                "path": HEALTH_PATH,
                "protocol": "HTTP",
                "port": "traffic-port",
                "matcher": "200",
                "interval": probe.interval_seconds,
                "timeout": probe.timeout_seconds,
                "healthy_threshold": probe.healthy_threshold,
                "unhealthy_threshold": probe.unhealthy_threshold,
            },
            tags=self._tags(slot),
            opts=self._child,
        )

    def _tags(self, slot: str) -> dict[str, str]:
        fleet = self._settings.fleet
        return {"Name": f"{fleet}-{slot}", "vectorfleet:fleet": fleet, "vectorfleet:slot": slot}

    def _listener(self) -> aws.lb.Listener:
        settings = self._settings
        weights = settings.weights.model_dump()
        return aws.lb.Listener(
            settings.fleet,
            load_balancer_arn=self.balancer.arn,
            port=settings.port,
            protocol="HTTPS" if settings.certificate_arn else "HTTP",
            certificate_arn=settings.certificate_arn,
            ssl_policy=TLS_POLICY if settings.certificate_arn else None,
            default_actions=[
                {
                    "type": "forward",
                    "forward": {
                        "target_groups": [
                            {"arn": self.target_groups[slot].arn, "weight": weights[slot]} for slot in SLOTS
                        ]
                    },
                }
            ],
            # The first weights only: later `vectorfleet weights` moves them.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["default_actions"]),
        )

    def _rule(self, slot: str, priority: int) -> None:
        """Forward requests that name the slot in their header to it alone, whatever its weight."""
        aws.lb.ListenerRule(
            f"{self._settings.fleet}-{slot}",
            listener_arn=self.listener.arn,
            priority=priority,
            conditions=[{"http_header": {"http_header_name": SLOT_HEADER, "values": [slot]}}],
            actions=[{"type": "forward", "target_group_arn": self.target_groups[slot].arn}],
            tags=self._tags(slot),
            opts=self._child,
        )
