"""The routers of one slot: a stateless group over every zone behind the slot's target group."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from infra.group import GroupArgs, InstanceGroup


class Routers(pulumi.ComponentResource):
    """Routers die when the load balancer finds them dead; a lost shard does not make them so."""

    def __init__(
        self,
        common: GroupArgs,
        target_group: pulumi.Input[str],
        count: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:Routers", name, None, opts)
        self.instances = InstanceGroup(
            name,
            replace(common, size=count, target_groups=[target_group], health_check="ELB"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"group": self.instances.group.name})
