"""The routers of one slot: a stateless group over every zone behind the slot's target group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from infra.components.group import GroupArgs, InstanceGroup

USED_SHARE = 0.7  # of a router's measured capacity; above it, the group adds a router
GRACE_SECONDS = 300  # for boot and installation; a router loads no index
SECONDS_PER_COUNT = 60  # the load balancer counts requests by the minute


@dataclass(frozen=True)
class Scaling:
    """
    The bounds of scaling: the most routers, and the rate that one router carries.

    `label` is Auto Scaling's name of the load balancer with its target group.
    """

    maximum: int
    queries_per_second: float
    label: pulumi.Input[str]


class Routers(pulumi.ComponentResource):
    """Routers, replaced when the load balancer finds them unhealthy; a lost shard does not make them so."""

    def __init__(
        self,
        common: GroupArgs,
        target_group: pulumi.Input[str],
        count: int,
        scaling: Scaling,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:Routers", name, None, opts)
        self.instances = InstanceGroup(
            name,
            replace(
                common,
                size=count,
                maximum=scaling.maximum,
                target_groups=[target_group],
                health_check="ELB",
                grace_seconds=GRACE_SECONDS,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.autoscaling.Policy(
            f"{name}-load",
            autoscaling_group_name=self.instances.group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "predefined_metric_specification": {
                    "predefined_metric_type": "ALBRequestCountPerTarget",
                    "resource_label": scaling.label,
                },
                "target_value": round(USED_SHARE * scaling.queries_per_second * SECONDS_PER_COUNT),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"group": self.instances.group.name})
