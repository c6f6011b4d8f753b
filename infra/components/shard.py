"""A shard: its replicas as cells, each in another zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.components.cell import Cell
from infra.components.group import GroupArgs
from infra.planning.zone_loss import Placement


class Shard(pulumi.ComponentResource):
    """All cells of one shard of one slot."""

    def __init__(
        self,
        number: int,
        placements: Sequence[Placement],
        subnets: Mapping[str, pulumi.Input[str]],
        common: GroupArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        role = common.role
        super().__init__("vectorfleet:infra:Shard", f"{role.fleet}-{role.slot}-shard-{number}", None, opts)
        self.cells = [
            Cell(placement, subnets[placement.zone], common, opts=pulumi.ResourceOptions(parent=self))
            for placement in placements
        ]
        self.register_outputs({"cells": len(self.cells)})
