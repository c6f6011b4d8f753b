"""Instance refreshes of a stack's groups, by the APIs of EC2 Auto Scaling, EC2 and CloudWatch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.operations.roll import ENDED, Progress, RefreshError, View
from infra.stack.outputs import Stack

FAILED_LAUNCH = ("Failed", "Cancelled")
LEAVING = ("Terminat", "Detach")
ACTIVITIES_LOOKED_AT = 20


@dataclass(frozen=True)
class Proof:
    """
    The time for which a new instance is watched: `warmup_seconds` beside the old one, then `bake_seconds` alone.

    Until then a refresh can roll back by itself.
    """

    warmup_seconds: int
    bake_seconds: int


def proof(stack: Stack, alarm: str) -> Proof:
    """Return the alarm's whole window, and one period more without the old instance."""
    found = stack.aws("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if not found:
        raise RefreshError(f"There is no alarm {alarm}, which a roll-out is judged by. Deploy the stack again.")
    period, periods = int(found[0]["Period"]), int(found[0]["EvaluationPeriods"])
    return Proof(period * periods, period * (periods + 1))


class AwsGroups:
    """The groups of a roll-out on AWS; `alarm` rolls a refresh back while `proof` lasts."""

    def __init__(self, stack: Stack, *, alarm: str, proof: Proof) -> None:
        self._scaling, self._ec2 = stack.aws("autoscaling"), stack.aws("ec2")
        self._elb = stack.aws("elbv2")
        self._alarm, self._proof = alarm, proof

    def _group(self, name: str) -> dict[str, Any]:
        found = self._scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        if not found:
            raise RefreshError(
                f"There is no Auto Scaling group {name}. Are the outputs those of the stack as it stands?"
            )
        if "MixedInstancesPolicy" not in found[0]:
            raise RefreshError(f"The group {name} has no mixed instances policy; deploy the stack again.")
        return dict(found[0])

    def view(self, group: str) -> View:
        """Return the group's versions and types. Raises RefreshError if there is no such group."""
        found = self._group(group)
        policy = found["MixedInstancesPolicy"]["LaunchTemplate"]
        template = policy["LaunchTemplateSpecification"]
        (described,) = self._ec2.describe_launch_templates(LaunchTemplateIds=[template["LaunchTemplateId"]])[
            "LaunchTemplates"
        ]
        # A replaced instance stays in the list until it has ended.
        staying = [row for row in found["Instances"] if not row["LifecycleState"].startswith(LEAVING)]
        running = {row["InstanceId"]: str(row["LaunchTemplate"]["Version"]) for row in staying}
        types = tuple(override["InstanceType"] for override in policy["Overrides"])
        return View(str(template["Version"]), str(described["LatestVersionNumber"]), running, types)

    def running(self, group: str) -> str | None:
        """Return the id of the running refresh."""
        self._group(group)
        found = self._scaling.describe_instance_refreshes(AutoScalingGroupName=group)["InstanceRefreshes"]
        return next((str(one["InstanceRefreshId"]) for one in found if one["Status"] not in ENDED), None)

    def start(self, group: str, version: str, types: tuple[str, ...]) -> str:
        """Start a refresh that launches first, rolls back by itself, and skips instances that match."""
        policy = self._group(group)["MixedInstancesPolicy"]
        template = policy["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"]
        self._check_type(template, version, types)
        policy["LaunchTemplate"] = {
            "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": version},
            "Overrides": [{"InstanceType": name} for name in types],
        }
        answer = self._scaling.start_instance_refresh(
            AutoScalingGroupName=group,
            Strategy="Rolling",
            DesiredConfiguration={"MixedInstancesPolicy": policy},
            Preferences={
                "MinHealthyPercentage": 100,
                "MaxHealthyPercentage": 200,
                "InstanceWarmup": self._proof.warmup_seconds,
                "BakeTime": self._proof.bake_seconds,
                "SkipMatching": True,
                "AutoRollback": True,
                "AlarmSpecification": {"Alarms": [self._alarm]},
            },
        )
        return str(answer["InstanceRefreshId"])

    def _check_type(self, template: str, version: str, types: tuple[str, ...]) -> None:
        """Raise RefreshError if the outputs are older than the template: their types would replace its own."""
        (found,) = self._ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=[version])[
            "LaunchTemplateVersions"
        ]
        meant = found["LaunchTemplateData"].get("InstanceType")
        if meant != types[0]:
            raise RefreshError(
                f"The outputs say {types[0]}, version {version} of the launch template says {meant}: they are of an "
                "older deployment. Write them again with `pulumi stack output --json`"
            )

    def progress(self, group: str, refresh: str) -> Progress:
        """Return the refresh's progress, and its first failed launch."""
        (found,) = self._scaling.describe_instance_refreshes(AutoScalingGroupName=group, InstanceRefreshIds=[refresh])[
            "InstanceRefreshes"
        ]
        reason = (found.get("RollbackDetails") or {}).get("RollbackReason") or found.get("StatusReason") or ""
        trouble = self._failed_launch(group, found["StartTime"]) if found["Status"] == "InProgress" else ""
        return Progress(found["Status"], int(found.get("PercentageComplete", 0)), reason, trouble)

    def _failed_launch(self, group: str, since: datetime) -> str:
        """Return the first failed launch: Auto Scaling retries for an hour, and a bad version need not wait."""
        activities = self._scaling.describe_scaling_activities(
            AutoScalingGroupName=group, MaxRecords=ACTIVITIES_LOOKED_AT
        )["Activities"]
        for activity in reversed(activities):
            is_launch = activity["Description"].startswith("Launching")
            if is_launch and activity["StatusCode"] in FAILED_LAUNCH and activity["StartTime"] >= since:
                return f"a launch failed: {activity.get('StatusMessage') or activity['Description']}"
        return ""

    def is_serving(self, group: str) -> bool:
        """Return True if every instance in service is healthy in every target group."""
        found = self._group(group)
        serving = {row["InstanceId"] for row in found["Instances"] if row["LifecycleState"] == "InService"}
        return all(serving <= self._healthy(arn) for arn in found.get("TargetGroupARNs", ()))

    def _healthy(self, target_group: str) -> set[str]:
        targets = self._elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
        return {row["Target"]["Id"] for row in targets if row["TargetHealth"]["State"] == "healthy"}

    def roll_back(self, group: str) -> None:
        """Roll the running refresh back; one that has just ended is left alone."""
        from botocore.exceptions import ClientError

        try:
            self._scaling.rollback_instance_refresh(AutoScalingGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ActiveInstanceRefreshNotFound":
                raise
