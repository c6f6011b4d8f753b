"""Auto Scaling groups, their scaling policies and their scheduled actions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import DeployError, RefusedError
from rehearsal.deployer.kind import Kind, names
from rehearsal.deployer.state import Properties, Resource
from vectorfleet.waiting import until

DRAIN_SECONDS = 120.0
POLL_SECONDS = 0.25
UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
SIZES = ("desiredCapacity", "maxSize", "minSize")
# The size with which a scheduled action leaves the group's size as it is.
UNCHANGED = -1
START_TIME = "%Y-%m-%dT%H:%M:%SZ"
# For each property that is a set with operations of its own: the one that removes, the one that adds, their parameter.
SETS = {
    "targetGroupArns": (
        "DetachLoadBalancerTargetGroups",
        "AttachLoadBalancerTargetGroups",
        "TargetGroupARNs",
    ),
    "suspendedProcesses": ("ResumeProcesses", "SuspendProcesses", "ScalingProcesses"),
    "enabledMetrics": ("DisableMetricsCollection", "EnableMetricsCollection", "Metrics"),
}


class Group(Kind):
    """aws_autoscaling_group. Its tags are a list with propagation and take no default tags."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        name: str = inputs["name"]
        self.put(cloud, inputs, Tags=_tags(name, inputs))
        self._set_sets(cloud, name, {}, inputs, "suspendedProcesses", "enabledMetrics")
        self._wait_for_capacity(cloud, name, inputs, least=int(inputs.get("minElbCapacity", 0)))
        return name

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        # Only the changed properties, as the provider does: others may change the template or the size.
        super().change(cloud, old, inputs, changed)
        if "tags" in changed:
            self._retag(cloud, old, inputs)
        self._set_sets(cloud, old.id, old.inputs, inputs, *SETS)
        if changed & {*SIZES}:
            self._wait_for_capacity(cloud, old.id, inputs)

    def shaped(self, properties: Properties) -> Properties:
        given = {key: value for key, value in properties.items() if key != "tags"}
        if "vpcZoneIdentifiers" in given:
            given["vpcZoneIdentifiers"] = ",".join(given["vpcZoneIdentifiers"])
        return given

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        zones = {"availabilityZones": sorted(described["AvailabilityZones"])}
        return super().outputs_in(cloud, id_, described, inputs) | zones

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        group = self.describe(cloud, resource.id, {})
        instances = [i["InstanceId"] for i in group["Instances"]] if group else []
        if group and not resource.inputs.get("forceDelete"):
            self._drain(cloud, resource.id)
        if group:
            cloud.call("autoscaling", self.delete_with, AutoScalingGroupName=resource.id, ForceDelete=True)
        _wait(
            lambda: self.describe(cloud, resource.id, {}) is None and not _alive(cloud, instances),
            DRAIN_SECONDS,
            f"group {resource.id} and its {len(instances)} instances to end",
        )

    def _retag(self, cloud: Cloud, old: Resource, inputs: Properties) -> None:
        wanted = _tags(old.id, inputs)
        kept = {tag["Key"] for tag in wanted}
        gone = [tag for tag in _tags(old.id, old.inputs) if tag["Key"] not in kept]
        if gone:
            cloud.call("autoscaling", "DeleteTags", Tags=gone)
        if wanted:
            cloud.call("autoscaling", "CreateOrUpdateTags", Tags=wanted)

    def _set_sets(self, cloud: Cloud, name: str, old: Properties, inputs: Properties, *properties: str) -> None:
        for key in properties:
            remove, add, parameter = SETS[key]
            before, after = set(old.get(key, [])), set(inputs.get(key, []))
            if before - after:
                cloud.call("autoscaling", remove, AutoScalingGroupName=name, **{parameter: sorted(before - after)})
            if after - before:
                metrics = {"Granularity": inputs.get("metricsGranularity", "1Minute")} if parameter == "Metrics" else {}
                given = {parameter: sorted(after - before), **metrics}
                cloud.call("autoscaling", add, AutoScalingGroupName=name, **given)

    def _wait_for_capacity(self, cloud: Cloud, name: str, inputs: Properties, least: int = 0) -> None:
        """Wait for the desired capacity, of which load balancers serve `least` instances or the exact number given.

        Only a new group waits for `least`.
        """
        seconds, exactly = seconds_of(str(inputs["waitForCapacityTimeout"])), int(inputs.get("waitForElbCapacity", 0))
        if seconds > 0:
            _wait(
                lambda: self._is_at_capacity(cloud, name, exactly, least),
                seconds,
                f"the instances of group {name} to be healthy",
            )

    def _is_at_capacity(self, cloud: Cloud, name: str, exactly: int, least: int) -> bool:
        group = self.describe(cloud, name, {})
        if group is None:
            raise RefusedError("the group was deleted while the deployer waited for it; run again")
        ready = _in_service(group)
        if len(ready) < int(group["DesiredCapacity"]):
            return False
        served = len(ready & _served(cloud, group)) if exactly or least else 0
        return served == exactly if exactly else served >= least

    def _drain(self, cloud: Cloud, name: str) -> None:
        """Shrink the group to nothing, as the provider does without forceDelete, so that hooks run."""
        empty = {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
        cloud.call("autoscaling", self.update_with, AutoScalingGroupName=name, **empty)
        _wait(
            lambda: not (self.describe(cloud, name, {}) or {}).get("Instances"),
            DRAIN_SECONDS,
            f"the instances of group {name} to end",
        )


class Policy(Kind):
    """aws_autoscaling_policy of type TargetTrackingScaling."""

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        if self.describe(cloud, resource.id, resource.inputs) is not None:
            super().delete(cloud, resource)


class Schedule(Policy):
    """aws_autoscaling_schedule. A missing size is 0 to the provider.

    An update sends the start time that AWS filled in, as the provider does: AWS refuses it once it has passed.
    """

    def shaped(self, properties: Properties) -> Properties:
        return {k: v for k, v in properties.items() if k not in SIZES or v != UNCHANGED}

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        start = described.get("StartTime")
        return {"startTime": f"{start:{START_TIME}}"} if start else {}

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.put(cloud, {**old.outputs, **inputs})


def seconds_of(duration: str) -> float:
    """Return the seconds of a duration as Go writes it: "10m", "1h30m" or "0"."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", duration)
    if "".join(number + unit for number, unit in parts) != duration and duration != "0":
        raise DeployError(f"{duration!r} is not a duration; write it like 10m or 1h30m, or 0 not to wait")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)


def _wait(condition: Callable[[], bool], seconds: float, event: str) -> None:
    if not until(condition, seconds, POLL_SECONDS):
        raise DeployError(f"waited {seconds:.0f} s for {event}; look at the logs of the emulated AWS, then run again")


def _tags(name: str, inputs: Properties) -> list[dict[str, Any]]:
    owner = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
    return [
        owner | {"Key": t["key"], "Value": t["value"], "PropagateAtLaunch": bool(t["propagateAtLaunch"])}
        for t in inputs.get("tags", [])
    ]


def _in_service(group: dict[str, Any]) -> set[str]:
    wanted = ("InService", "Healthy")
    return {i["InstanceId"] for i in group["Instances"] if (i["LifecycleState"], i["HealthStatus"]) == wanted}


def _served(cloud: Cloud, group: dict[str, Any]) -> set[str]:
    """Return the instances that are healthy in every target group of the group."""
    healthy = [_healthy(cloud, arn) for arn in group["TargetGroupARNs"]]
    return set.intersection(*healthy) if healthy else _in_service(group)


def _healthy(cloud: Cloud, target_group: str) -> set[str]:
    listed = cloud.call("elbv2", "DescribeTargetHealth", TargetGroupArn=target_group)["TargetHealthDescriptions"]
    return {entry["Target"]["Id"] for entry in listed if entry["TargetHealth"]["State"] == "healthy"}


def _alive(cloud: Cloud, instances: list[str]) -> bool:
    if not instances:
        return False
    query = [{"Name": "instance-id", "Values": instances}, {"Name": "instance-state-name", "Values": list(ALIVE)}]
    return bool(cloud.call("ec2", "DescribeInstances", Filters=query)["Reservations"])


KINDS = (
    Group(
        token="aws:autoscaling/group:Group",
        service="autoscaling",
        name_property="name",
        tagged=False,
        identifier="AutoScalingGroupName",
        create_with="CreateAutoScalingGroup",
        id="{name}",
        read_with="DescribeAutoScalingGroups",
        described="AutoScalingGroups",
        update_with="UpdateAutoScalingGroup",
        delete_with="DeleteAutoScalingGroup",
        replaced_by=names("name initialLifecycleHooks"),
        updated_by=names(
            "capacityRebalance defaultCooldown defaultInstanceWarmup desiredCapacity enabledMetrics forceDelete "
            "healthCheckGracePeriod healthCheckType ignoreFailedScalingActivities instanceMaintenancePolicy "
            "launchTemplate maxInstanceLifetime maxSize metricsGranularity minElbCapacity minSize mixedInstancesPolicy "
            "protectFromScaleIn suspendedProcesses tags targetGroupArns terminationPolicies vpcZoneIdentifiers "
            "waitForCapacityTimeout waitForElbCapacity"
        ),
        sets=names("vpcZoneIdentifiers tags") | frozenset(SETS),
        defaults={"forceDelete": False, "healthCheckGracePeriod": 300, "waitForCapacityTimeout": "10m"},
        renames={
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
        },
        outputs={"arn": "AutoScalingGroupARN", "name": "{id}", "desiredCapacity": "DesiredCapacity"},
    ),
    Policy(
        token="aws:autoscaling/policy:Policy",
        service="autoscaling",
        name_property="name",
        tagged=False,
        identifier="PolicyName",
        scope={"autoscalingGroupName": "AutoScalingGroupName"},
        create_with="PutScalingPolicy",
        id="{name}",
        read_with="DescribePolicies",
        described="ScalingPolicies",
        update_with="PutScalingPolicy",
        delete_with="DeletePolicy",
        replaced_by=names("name autoscalingGroupName"),
        updated_by=names("enabled estimatedInstanceWarmup policyType targetTrackingConfiguration"),
        defaults={"enabled": True},
        renames={
            "name": "PolicyName",
            "autoscalingGroupName": "AutoScalingGroupName",
            "*.metricDimensions": "Dimensions",
        },
        outputs={"arn": "PolicyARN", "name": "{id}"},
    ),
    Schedule(
        token="aws:autoscaling/schedule:Schedule",
        service="autoscaling",
        tagged=False,
        identifier="ScheduledActionName",
        scope={"autoscalingGroupName": "AutoScalingGroupName"},
        create_with="PutScheduledUpdateGroupAction",
        id="{scheduledActionName}",
        read_with="DescribeScheduledActions",
        described="ScheduledUpdateGroupActions",
        delete_with="DeleteScheduledAction",
        replaced_by=names("autoscalingGroupName scheduledActionName"),
        updated_by=frozenset({*SIZES, "endTime", "recurrence", "startTime", "timeZone"}),
        defaults=dict.fromkeys(SIZES, 0),
        renames={"autoscalingGroupName": "AutoScalingGroupName"},
    ),
)
