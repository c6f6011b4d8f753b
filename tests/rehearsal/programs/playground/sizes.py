"""Scenes of groups that others scale, and of load balancers. `step` changes each property."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
LABEL = "app/front/0123456789abcdef/targetgroup/blue/0123456789abcdef"


def tracked() -> None:
    """A group with metrics, target tracking and schedules. Others roll it and scale it."""
    step = config.require_int("step")
    vpc = aws.ec2.Vpc("net", cidr_block="127.86.0.0/16")
    subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="127.86.0.0/20", availability_zone="us-east-1a")
    template = aws.ec2.LaunchTemplate(
        "template",
        image_id="ami-0123456789abcdef0",
        instance_type="m7i.large" if step == 1 else "m7i.xlarge",
        update_default_version=True,
    )
    shown = [aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY]
    if step == 1:
        shown.append(aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES)
    group = aws.autoscaling.Group(
        "routers",
        min_size=0 if step == 1 else 1,
        max_size=4,
        desired_capacity=step,
        vpc_zone_identifiers=[subnet.id],
        launch_template={"id": template.id, "version": template.latest_version.apply(lambda v: str(int(v)))},
        enabled_metrics=shown,
        opts=pulumi.ResourceOptions(ignore_changes=["launchTemplate", "desiredCapacity"]),
    )
    track(group, step)
    aws.autoscaling.Schedule(
        "hourly",
        scheduled_action_name="hourly" if step < 3 else "daily",
        autoscaling_group_name=group.name,
        min_size=0,
        max_size=4,
        desired_capacity=step if step < 3 else -1,
        recurrence=f"{step} 0 1 1 *",
        time_zone="Etc/UTC" if step == 1 else "Europe/Berlin",
    )
    aws.autoscaling.Schedule(
        "anew",
        scheduled_action_name="anew",
        autoscaling_group_name=group.name,
        desired_capacity=-1,
        min_size=-1,
        max_size=4,
        recurrence=f"{step} 0 29 2 *",
        opts=pulumi.ResourceOptions(replace_on_changes=["*"], delete_before_replace=True),
    )
    pulumi.export("group", group.name)


def track(group: aws.autoscaling.Group, step: int) -> None:
    """One policy of each sort."""
    aws.autoscaling.Policy(
        "requests",
        autoscaling_group_name=group.name,
        policy_type="TargetTrackingScaling",
        estimated_instance_warmup=60 * step,
        enabled=step == 1,
        target_tracking_configuration={
            "target_value": 1000.5 * step,
            "disable_scale_in": step == 2,
            "predefined_metric_specification": {
                "predefined_metric_type": "ALBRequestCountPerTarget",
                "resource_label": LABEL,
            },
        },
    )
    aws.autoscaling.Policy(
        "queries",
        name=f"queries-{step // 3}",
        autoscaling_group_name=group.name,
        policy_type="TargetTrackingScaling",
        target_tracking_configuration={
            "target_value": 40,
            "customized_metric_specification": {
                "namespace": "Playground",
                "metric_name": "queries",
                "statistic": "Average" if step == 1 else "Sum",
                "metric_dimensions": [{"name": "Fleet", "value": "f"}],
            },
        },
    )


def mixed() -> None:
    """A group with a launch hook and several instance types of the same size."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.87.0.0/16")
    subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="127.87.0.0/20", availability_zone="us-east-1a")
    template = aws.ec2.LaunchTemplate("template", image_id="ami-0123456789abcdef0", instance_type="r7i.large")
    types = ["r7i.large", "r6i.large", "r5.large"][: 1 + config.require_int("step")]
    group = aws.autoscaling.Group(
        "cell",
        min_size=0,
        max_size=1,
        desired_capacity=0,
        initial_lifecycle_hooks=[
            {
                "name": "ready",
                "lifecycle_transition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "heartbeat_timeout": 120,
                "default_result": "ABANDON",
            }
        ],
        vpc_zone_identifiers=[subnet.id],
        mixed_instances_policy={
            "instances_distribution": {
                "on_demand_allocation_strategy": "prioritized",
                "on_demand_percentage_above_base_capacity": 100,
            },
            "launch_template": {
                "launch_template_specification": {
                    "launch_template_id": template.id,
                    "version": template.latest_version.apply(lambda v: str(int(v))),
                },
                "overrides": [{"instance_type": type_} for type_ in types],
            },
        },
    )
    pulumi.export("group", group.name)


def front() -> None:
    """A load balancer with every attribute, an endpoint with a policy, a role with a boundary."""
    step = config.require_int("step")
    vpc = aws.ec2.Vpc("net", cidr_block="127.88.0.0/16")
    subnets = [
        aws.ec2.Subnet(zone, vpc_id=vpc.id, cidr_block=f"127.88.{16 * i}.0/20", availability_zone=f"us-east-1{zone}")
        for i, zone in enumerate("ab")
    ]
    bucket = aws.s3.Bucket("logs", force_destroy=True)
    balancer = aws.lb.LoadBalancer(
        "front",
        internal=True,
        load_balancer_type="application",
        subnets=[subnet.id for subnet in subnets],
        access_logs={"bucket": bucket.id, "prefix": f"alb/{step}", "enabled": step < 3} if step < 4 else None,
        desync_mitigation_mode="strictest" if step == 1 else "defensive",
        drop_invalid_header_fields=step == 1,
        enable_deletion_protection=step == 2,
        idle_timeout=30 * step,
    )
    said = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": f"s3:{step}", "Resource": "*"}]}
    endpoint = aws.ec2.VpcEndpoint(
        "s3",
        vpc_id=vpc.id,
        service_name="com.amazonaws.us-east-1.s3",
        policy=json.dumps(said, indent=config.get_int("indent")) if step < 3 else None,
    )
    role = aws.iam.Role(
        "role",
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}),
        permissions_boundary=f"arn:aws:iam::123456789012:policy/boundary-{step}" if step < 3 else None,
    )
    pulumi.export("balancer", balancer.arn)
    pulumi.export("endpoint", endpoint.id)
    pulumi.export("role", role.name)


SCENES: tuple[Callable[[], object], ...] = (front, mixed, tracked)
