"""Auto Scaling groups of a fleet in an emulated AWS, as the program tags them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.stack.outputs import Cell

TEMPLATE = "node"


def make_template(ec2: Any) -> None:
    """Make the launch template of the groups, which takes moto more than a second."""
    image = ec2.describe_images(MaxResults=1)["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName=TEMPLATE, LaunchTemplateData=data)


def make_groups(scaling: Any, fleet: str, cells: Iterable[Cell]) -> None:
    for cell in cells:
        tags = {"fleet": fleet, "slot": "blue", "role": "node", "shard": str(cell.shard), "replica": cell.replica}
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=cell.group,
            LaunchTemplate={"LaunchTemplateName": TEMPLATE},
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=1,
            AvailabilityZones=[cell.zone],
            Tags=[{"Key": f"vectorfleet:{k}", "Value": v, "PropagateAtLaunch": True} for k, v in tags.items()],
        )


def delete_groups(scaling: Any, cells: Iterable[Cell]) -> None:
    """Delete the groups that are left, with their instances."""
    names = [cell.group for cell in cells]
    for group in scaling.describe_auto_scaling_groups(AutoScalingGroupNames=names)["AutoScalingGroups"]:
        scaling.delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], ForceDelete=True)


def make_alarm(cloudwatch: Any, name: str, description: str = "") -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription=description,
        Namespace="vectorfleet",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
