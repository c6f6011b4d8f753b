"""Load generators: instances that run Locust workers inside the network; a load test starts them."""

from __future__ import annotations

from dataclasses import replace

import pulumi

from infra.components.group import GroupArgs, InstanceGroup


class LoadGenerators(pulumi.ComponentResource):
    """A group over every zone that `vectorfleet generators` grows up to `maximum` and empties."""

    def __init__(self, common: GroupArgs, maximum: int, opts: pulumi.ResourceOptions | None = None) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:LoadGenerators", name, None, opts)
        self.instances = InstanceGroup(
            name, replace(common, size=0, maximum=maximum), opts=pulumi.ResourceOptions(parent=self)
        )
        self.register_outputs({"group": self.instances.group.name})
