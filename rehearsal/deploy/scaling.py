"""What changes a group's size by itself: target tracking and schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.kind import Kind, found, only
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

UNCHANGED = -1
TIME = "%Y-%m-%dT%H:%M:%SZ"  # as the provider writes times


class Policy(Kind):
    """aws_autoscaling_policy of type TargetTrackingScaling."""

    token = "aws:autoscaling/policy:Policy"
    service = "autoscaling"
    tagged = False
    name_property = "name"
    replaced_by = frozenset({"name", "autoscalingGroupName"})
    updated_by = frozenset({"enabled", "estimatedInstanceWarmup", "policyType", "targetTrackingConfiguration"})
    defaults: ClassVar[Mapping[str, Any]] = {"enabled": True}
    renames: ClassVar[Mapping[str, str]] = {
        "autoscalingGroupName": "AutoScalingGroupName",
        "metricDimensions": "Dimensions",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("autoscaling")
        # Without its own name: dimensions of metrics have names, too.
        known = (self.replaced_by | self.updated_by) - {"name"}
        asked = {key: value for key, value in inputs.items() if key in known}
        query = parameters(client, "PutScalingPolicy", asked, self.renames)
        client.put_scaling_policy(PolicyName=inputs["name"], **query)
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self.read(cloud, inputs["name"], inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        query = {"AutoScalingGroupName": inputs["autoscalingGroupName"], "PolicyNames": [id_]}
        policies = found(lambda: cloud.client("autoscaling").describe_policies(**query)["ScalingPolicies"])
        policy = only(policies or [])
        return policy and {"arn": policy["PolicyARN"], "name": id_}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.create(cloud, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if self.read(cloud, resource.id, resource.inputs) is not None:
            group = resource.inputs["autoscalingGroupName"]
            cloud.client("autoscaling").delete_policy(AutoScalingGroupName=group, PolicyName=resource.id)


class Schedule(Kind):
    """
    aws_autoscaling_schedule. A size that is left out is 0 to the provider; -1 leaves the group's as it is.

    An update sends the start time that AWS filled in, as the provider does: AWS refuses it once it has passed.
    """

    token = "aws:autoscaling/schedule:Schedule"
    service = "autoscaling"
    tagged = False
    sizes = ("desiredCapacity", "maxSize", "minSize")
    replaced_by = frozenset({"autoscalingGroupName", "scheduledActionName"})
    updated_by = frozenset({*sizes, "endTime", "recurrence", "startTime", "timeZone"})
    defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(sizes, 0)
    renames: ClassVar[Mapping[str, str]] = {"autoscalingGroupName": "AutoScalingGroupName"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("autoscaling")
        known = self.replaced_by | self.updated_by
        asked = {k: v for k, v in inputs.items() if k in known and (k not in self.sizes or v != UNCHANGED)}
        client.put_scheduled_update_group_action(
            **parameters(client, "PutScheduledUpdateGroupAction", asked, self.renames)
        )
        return str(inputs["scheduledActionName"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        name = inputs["scheduledActionName"]
        return [] if self.read(cloud, name, inputs) is None else [name]

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        query = {"AutoScalingGroupName": inputs["autoscalingGroupName"], "ScheduledActionNames": [id_]}
        client = cloud.client("autoscaling")
        actions = found(lambda: client.describe_scheduled_actions(**query)["ScheduledUpdateGroupActions"])
        action = only(actions or [])
        start = action and action.get("StartTime")
        return {"startTime": f"{start:{TIME}}"} if start else action and {}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.create(cloud, {**old.outputs, **inputs})

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if self.read(cloud, resource.id, resource.inputs) is not None:
            group = resource.inputs["autoscalingGroupName"]
            cloud.client("autoscaling").delete_scheduled_action(
                AutoScalingGroupName=group, ScheduledActionName=resource.id
            )


KINDS = (Policy(), Schedule())
