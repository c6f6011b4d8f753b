"""The indexer of one slot: a group of one that may stand in any zone."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from infra.group import GroupArgs, InstanceGroup


class Indexer(pulumi.ComponentResource):
    """One is enough and two are harmless: every step of an indexer is idempotent."""

    def __init__(self, common: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:Indexer", name, None, opts)
        self.instances = InstanceGroup(name, replace(common, size=1), opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({"group": self.instances.group.name})
