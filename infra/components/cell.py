"""A cell: one replica of one shard, as a group of size one in one zone."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from infra.components.group import GroupArgs, InstanceGroup
from infra.planning.zone_loss import Placement


class Cell(pulumi.ComponentResource):
    """A declared identity and zone: no rebalancing terminates a replica, and a bad roll-out reaches one."""

    def __init__(
        self,
        placement: Placement,
        subnet: pulumi.Input[str],
        common: GroupArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        role = replace(common.role, shard=placement.shard, replica=placement.replica)
        super().__init__("vectorfleet:infra:Cell", role.title, None, opts)
        self.placement = placement
        self.instances = InstanceGroup(
            role.title,
            replace(common, role=role, subnets=[subnet], size=1, ready_within_seconds=common.grace_seconds),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"group": self.instances.group.name})

    def described(self) -> dict[str, pulumi.Input[object]]:
        """Return the cell's row of the stack output `cells`."""
        return {
            "shard": self.placement.shard,
            "replica": self.placement.replica,
            "zone": self.placement.zone,
            "group": self.instances.group.name,
        }
