"""The indexer of one slot: a group of one instance in any zone, running always or by schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi
import pulumi_aws as aws

from infra.components.group import GroupArgs, InstanceGroup
from infra.configuration.settings_sections import Indexing


class Indexer(pulumi.ComponentResource):
    """An indexer. Two at once do no harm, and one may end at any time: each of its steps is idempotent."""

    def __init__(self, common: GroupArgs, indexing: Indexing, opts: pulumi.ResourceOptions | None = None) -> None:
        name = common.role.title
        super().__init__("vectorfleet:infra:Indexer", name, None, opts)
        self._title, self._indexing = name, indexing
        batch = indexing.mode == "batch"
        self.instances = InstanceGroup(
            name,
            # Nodes wait for the first build, so a batch makes it at once, too.
            replace(common, size=0 if batch else 1, first_size=1, maximum=1),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"group": self.instances.group.name})

    def run_by_schedule(self, first_build: Sequence[pulumi.Resource]) -> None:
        """Register the batch's times after `first_build`: an end before that would leave no indexer to make it."""
        if self._indexing.mode == "batch":
            self._schedule(f"{self._title}-begin", self._indexing.schedule, 1, first_build)
            self._schedule(f"{self._title}-end", self._indexing.end, 0, first_build)

    def _schedule(self, name: str, recurrence: str, size: int, after: Sequence[pulumi.Resource]) -> None:
        # An update sends the start time that AWS filled in for the old recurrence, and AWS refuses a time that has
        # passed. Two actions of one name cannot exist side by side.
        anew = pulumi.ResourceOptions(replace_on_changes=["*"], delete_before_replace=True)
        aws.autoscaling.Schedule(
            name,
            scheduled_action_name=name,
            autoscaling_group_name=self.instances.group.name,
            recurrence=recurrence,
            time_zone="Etc/UTC",
            min_size=0,
            max_size=1,
            desired_capacity=size,
            opts=pulumi.ResourceOptions.merge(anew, pulumi.ResourceOptions(parent=self, depends_on=list(after))),
        )
