"""The indexer of one slot: a group of one that may stand in any zone, always or at set times."""

from __future__ import annotations

from dataclasses import replace

import pulumi
import pulumi_aws as aws

from infra.group import GroupArgs, InstanceGroup
from infra.sections import Indexing


class Indexer(pulumi.ComponentResource):
    """One is enough, two are harmless, and it may go at any time: every step of an indexer is idempotent."""

    def __init__(self, common: GroupArgs, indexing: Indexing, opts: pulumi.ResourceOptions | None = None) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:Indexer", name, None, opts)
        batch = indexing.mode == "batch"
        self.instances = InstanceGroup(
            name,
            # The first build is made at once also by a batch: nodes wait for it.
            replace(common, size=0 if batch else 1, first_size=1, maximum=1),
            opts=pulumi.ResourceOptions(parent=self),
        )
        if batch:
            self._schedule(f"{name}-begin", indexing.schedule, 1)
            self._schedule(f"{name}-end", indexing.end, 0)
        self.register_outputs({"group": self.instances.group.name})

    def _schedule(self, name: str, recurrence: str, size: int) -> None:
        aws.autoscaling.Schedule(
            name,
            scheduled_action_name=name,
            autoscaling_group_name=self.instances.group.name,
            recurrence=recurrence,
            time_zone="Etc/UTC",
            min_size=0,
            max_size=1,
            desired_capacity=size,
            opts=pulumi.ResourceOptions(parent=self),
        )
