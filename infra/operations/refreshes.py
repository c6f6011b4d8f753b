"""The groups of a stack through the APIs of EC2 Auto Scaling, EC2 and CloudWatch, for roll-outs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.operations.outputs import Outputs
from infra.operations.roll import ENDED, Progress, RefreshError, View
from infra.stack import is_loopback

FAILED_LAUNCH = ("Failed", "Cancelled")
LEAVING = ("Terminat", "Detach")
ACTIVITIES_LOOKED_AT = 20


def aws(outputs: Outputs, service: str) -> Any:
    """A boto3 client of the AWS that the stack stands on."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5, "mode": "standard"})
    arguments: dict[str, Any] = {"region_name": outputs.region, "endpoint_url": outputs.aws_endpoint, "config": config}
    if outputs.aws_endpoint and is_loopback(outputs.aws_endpoint) and "AWS_ACCESS_KEY_ID" not in os.environ:
        # The emulated AWS takes any key.
        arguments |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, **arguments)


@dataclass(frozen=True)
class Proof:
    """
    How long a new instance is watched: `warmup_seconds` beside the old one, and `bake_seconds` alone, while a refresh
    can still go back by itself.
    """

    warmup_seconds: int
    bake_seconds: int


def proof(outputs: Outputs, alarm: str) -> Proof:
    """As long as the alarm looks before it speaks, and without the old instance a period more, to be published in."""
    found = aws(outputs, "cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if not found:
        raise RefreshError(f"There is no alarm {alarm}, which a roll-out is judged by. Deploy the stack again.")
    period, periods = int(found[0]["Period"]), int(found[0]["EvaluationPeriods"])
    return Proof(period * periods, period * (periods + 1))


class AwsGroups:
    """The groups of a roll-out on AWS; `alarm` sends a refresh back while `proof` lasts."""

    def __init__(self, outputs: Outputs, *, alarm: str, proof: Proof) -> None:
        self._scaling, self._ec2 = aws(outputs, "autoscaling"), aws(outputs, "ec2")
        self._elb = aws(outputs, "elbv2")
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
        """Versions and types of the group. Raises RefreshError when it is gone."""
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
        """The refresh that is not over yet."""
        self._group(group)
        found = self._scaling.describe_instance_refreshes(AutoScalingGroupName=group)["InstanceRefreshes"]
        return next((str(one["InstanceRefreshId"]) for one in found if one["Status"] not in ENDED), None)

    def start(self, group: str, version: str, types: tuple[str, ...]) -> str:
        """Launch before terminating, go back by itself, and only replace what has another version or type."""
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
        """Raises RefreshError where the outputs are older than the template: its own types would win over the new."""
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
        """How far it is, and the first launch that failed."""
        (found,) = self._scaling.describe_instance_refreshes(AutoScalingGroupName=group, InstanceRefreshIds=[refresh])[
            "InstanceRefreshes"
        ]
        reason = (found.get("RollbackDetails") or {}).get("RollbackReason") or found.get("StatusReason") or ""
        trouble = self._failed_launch(group, found["StartTime"]) if found["Status"] == "InProgress" else ""
        return Progress(found["Status"], int(found.get("PercentageComplete", 0)), reason, trouble)

    def _failed_launch(self, group: str, since: datetime) -> str:
        """Auto Scaling itself tries again for an hour; who rolls out a bad version should not wait for that."""
        activities = self._scaling.describe_scaling_activities(
            AutoScalingGroupName=group, MaxRecords=ACTIVITIES_LOOKED_AT
        )["Activities"]
        for activity in reversed(activities):
            is_launch = activity["Description"].startswith("Launching")
            if is_launch and activity["StatusCode"] in FAILED_LAUNCH and activity["StartTime"] >= since:
                return f"a launch failed: {activity.get('StatusMessage') or activity['Description']}"
        return ""

    def is_serving(self, group: str) -> bool:
        """Whether every instance in service is healthy in every target group of its group."""
        found = self._group(group)
        serving = {row["InstanceId"] for row in found["Instances"] if row["LifecycleState"] == "InService"}
        return all(serving <= self._healthy(arn) for arn in found.get("TargetGroupARNs", ()))

    def _healthy(self, target_group: str) -> set[str]:
        targets = self._elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
        return {row["Target"]["Id"] for row in targets if row["TargetHealth"]["State"] == "healthy"}

    def roll_back(self, group: str) -> None:
        """Ask for the version before; a refresh that has just ended has decided itself."""
        from botocore.exceptions import ClientError

        try:
            self._scaling.rollback_instance_refresh(AutoScalingGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ActiveInstanceRefreshNotFound":
                raise
