"""Auto Scaling groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import DeployError, RefusedError
from rehearsal.deploy.kind import Kind, only, wait_until
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

DRAIN_SECONDS = 120.0
DEFAULT_CAPACITY_TIMEOUT = "10m"
UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
AT_CREATE = frozenset({"name", "initialLifecycleHooks"})
SENT = frozenset(
    {
        "capacityRebalance",
        "defaultCooldown",
        "defaultInstanceWarmup",
        "desiredCapacity",
        "healthCheckGracePeriod",
        "healthCheckType",
        "instanceMaintenancePolicy",
        "launchTemplate",
        "maxInstanceLifetime",
        "maxSize",
        "minSize",
        "mixedInstancesPolicy",
        "protectFromScaleIn",
        "terminationPolicies",
        "vpcZoneIdentifiers",
    }
)
# How the deployer goes about it; the API never sees these.
CONDUCT = frozenset(
    {"forceDelete", "ignoreFailedScalingActivities", "waitForCapacityTimeout", "waitForElbCapacity", "minElbCapacity"}
)


class Group(Kind):
    """aws_autoscaling_group. Its tags are a list with propagation and take no default tags."""

    token = "aws:autoscaling/group:Group"
    service = "autoscaling"
    name_property = "name"
    tagged = False
    replaced_by = AT_CREATE
    updated_by = (
        SENT | CONDUCT | {"tags", "targetGroupArns", "enabledMetrics", "metricsGranularity", "suspendedProcesses"}
    )
    sets = frozenset({"vpcZoneIdentifiers", "targetGroupArns", "tags", "enabledMetrics", "suspendedProcesses"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "forceDelete": False,
        "healthCheckGracePeriod": 300,
        "waitForCapacityTimeout": DEFAULT_CAPACITY_TIMEOUT,
    }
    renames: ClassVar[Mapping[str, str]] = {
        "name": "AutoScalingGroupName",
        "initialLifecycleHooks": "LifecycleHookSpecificationList",
        "initialLifecycleHooks.name": "LifecycleHookName",
        "initialLifecycleHooks.notificationTargetArn": "NotificationTargetARN",
        "initialLifecycleHooks.roleArn": "RoleARN",
        "targetGroupArns": "TargetGroupARNs",
        "vpcZoneIdentifiers": "VPCZoneIdentifier",
        "protectFromScaleIn": "NewInstancesProtectedFromScaleIn",
        "launchTemplate.id": "LaunchTemplateId",
        "launchTemplate.name": "LaunchTemplateName",
    }

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("autoscaling")
        name: str = inputs["name"]
        asked = self._asked(inputs, SENT | AT_CREATE | {"targetGroupArns"})
        query = parameters(client, "CreateAutoScalingGroup", asked, self.renames)
        client.create_auto_scaling_group(**query, Tags=_tags(name, inputs))
        self._set_conduct(cloud, name, {}, inputs)
        self._wait_for_capacity(cloud, name, inputs, least=int(inputs.get("minElbCapacity", 0)))
        return name

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self._group(cloud, inputs["name"]) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        group = self._group(cloud, id_)
        return group and {
            "arn": group["AutoScalingGroupARN"],
            "name": id_,
            "availabilityZones": sorted(group["AvailabilityZones"]),
            "desiredCapacity": group["DesiredCapacity"],
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        client = cloud.client("autoscaling")
        if changed & SENT:
            # Nothing else, as the provider: another's change of the template or size must stay.
            query = parameters(client, "UpdateAutoScalingGroup", self._asked(inputs, SENT & changed), self.renames)
            client.update_auto_scaling_group(AutoScalingGroupName=old.id, **query)
        if "tags" in changed:
            self._retag(client, old, inputs)
        if "targetGroupArns" in changed:
            self._reattach(client, old, inputs)
        self._set_conduct(cloud, old.id, old.inputs, inputs)
        if changed & {"minSize", "maxSize", "desiredCapacity"}:
            self._wait_for_capacity(cloud, old.id, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        client = cloud.client("autoscaling")
        group = self._group(cloud, resource.id)
        instances = [i["InstanceId"] for i in group["Instances"]] if group else []
        if group and not resource.inputs.get("forceDelete"):
            self._drain(cloud, resource.id)
        if group:
            client.delete_auto_scaling_group(AutoScalingGroupName=resource.id, ForceDelete=True)
        wait_until(
            lambda: self._group(cloud, resource.id) is None and not _alive(cloud, instances),
            seconds=DRAIN_SECONDS,
            what=f"group {resource.id} and its {len(instances)} instances to end",
        )

    def _group(self, cloud: Cloud, name: str) -> dict[str, Any] | None:
        answer = cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        group: dict[str, Any] | None = only(answer["AutoScalingGroups"])
        return group

    def _asked(self, inputs: Properties, names: frozenset[str]) -> Properties:
        asked = {key: value for key, value in inputs.items() if key in names}
        if "vpcZoneIdentifiers" in asked:
            asked["vpcZoneIdentifiers"] = ",".join(asked["vpcZoneIdentifiers"])
        return asked

    def _retag(self, client: Any, old: Resource, inputs: Properties) -> None:
        wanted = _tags(old.id, inputs)
        kept = {tag["Key"] for tag in wanted}
        gone = [tag for tag in _tags(old.id, old.inputs) if tag["Key"] not in kept]
        if gone:
            client.delete_tags(Tags=gone)
        if wanted:
            client.create_or_update_tags(Tags=wanted)

    def _reattach(self, client: Any, old: Resource, inputs: Properties) -> None:
        before, after = set(old.inputs.get("targetGroupArns", [])), set(inputs.get("targetGroupArns", []))
        if before - after:
            client.detach_load_balancer_target_groups(
                AutoScalingGroupName=old.id, TargetGroupARNs=sorted(before - after)
            )
        if after - before:
            client.attach_load_balancer_target_groups(
                AutoScalingGroupName=old.id, TargetGroupARNs=sorted(after - before)
            )

    def _set_conduct(self, cloud: Cloud, name: str, old: Properties, inputs: Properties) -> None:
        """Suspended processes and published metrics, each through calls of its own."""
        client = cloud.client("autoscaling")
        was, now = set(old.get("suspendedProcesses", [])), set(inputs.get("suspendedProcesses", []))
        if was - now:
            client.resume_processes(AutoScalingGroupName=name, ScalingProcesses=sorted(was - now))
        if now - was:
            client.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=sorted(now - was))
        shown, wanted = set(old.get("enabledMetrics", [])), set(inputs.get("enabledMetrics", []))
        if shown - wanted:
            client.disable_metrics_collection(AutoScalingGroupName=name, Metrics=sorted(shown - wanted))
        if wanted - shown:
            granularity = inputs.get("metricsGranularity", "1Minute")
            client.enable_metrics_collection(
                AutoScalingGroupName=name, Metrics=sorted(wanted - shown), Granularity=granularity
            )

    def _wait_for_capacity(self, cloud: Cloud, name: str, inputs: Properties, least: int = 0) -> None:
        """`least` of them have to be served, which is asked of a new group alone; an exact number wins over it."""
        seconds, exactly = seconds_of(str(inputs["waitForCapacityTimeout"])), int(inputs.get("waitForElbCapacity", 0))
        if seconds > 0:
            wait_until(
                lambda: self._at_capacity(cloud, name, exactly, least),
                seconds=seconds,
                what=f"the instances of group {name} to be healthy",
            )

    def _at_capacity(self, cloud: Cloud, name: str, exactly: int, least: int) -> bool:
        """Whether enough are in service and, if so asked, so many of them healthy in all target groups."""
        group = self._group(cloud, name)
        if group is None:
            raise RefusedError("the group was deleted by somebody else while the deployer waited for it; run again")
        ready = _in_service(group)
        if len(ready) < int(group["DesiredCapacity"]):
            return False
        served = len(ready & self._serving(cloud, group)) if exactly or least else 0
        return served == exactly if exactly else served >= least

    def _serving(self, cloud: Cloud, group: dict[str, Any]) -> set[str]:
        """The instances that are healthy in every target group of the group."""
        healthy = [_healthy(cloud, arn) for arn in group["TargetGroupARNs"]]
        return set.intersection(*healthy) if healthy else _in_service(group)

    def _drain(self, cloud: Cloud, name: str) -> None:
        """Shrink to nothing first, as the provider does without forceDelete, so that hooks run."""
        client = cloud.client("autoscaling")
        client.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        wait_until(
            lambda: not (self._group(cloud, name) or {}).get("Instances"),
            seconds=DRAIN_SECONDS,
            what=f"the instances of group {name} to end",
        )


def seconds_of(duration: str) -> float:
    """Go's notation for a duration ("10m", "1h30m", "0") in seconds; DeployError when it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", duration)
    if "".join(number + unit for number, unit in parts) != duration and duration != "0":
        raise DeployError(f"{duration!r} is no duration; write it like 10m or 1h30m, or 0 not to wait")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)


def _tags(name: str, inputs: Properties) -> list[dict[str, Any]]:
    owner = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    return [
        owner | {"Key": t["key"], "Value": t["value"], "PropagateAtLaunch": bool(t["propagateAtLaunch"])}
        for t in inputs.get("tags", [])
    ]


def _in_service(group: dict[str, Any]) -> set[str]:
    wanted = ("InService", "Healthy")
    return {i["InstanceId"] for i in group["Instances"] if (i["LifecycleState"], i["HealthStatus"]) == wanted}


def _healthy(cloud: Cloud, target_group: str) -> set[str]:
    listed = cloud.client("elbv2").describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    return {entry["Target"]["Id"] for entry in listed if entry["TargetHealth"]["State"] == "healthy"}


def _alive(cloud: Cloud, instances: list[str]) -> bool:
    if not instances:
        return False
    query = [{"Name": "instance-id", "Values": instances}, {"Name": "instance-state-name", "Values": list(ALIVE)}]
    return bool(cloud.client("ec2").describe_instances(Filters=query)["Reservations"])


KINDS = (Group(),)
