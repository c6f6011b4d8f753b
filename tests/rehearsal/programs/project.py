"""Project folders for tests of the deployer, and an inventory of an emulated account."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
PLAYGROUND = Path(__file__).resolve().parent / "playground"
SERVICES = ("autoscaling", "cloudwatch", "ec2", "elbv2", "iam", "s3", "sns", "ssm", "sts")
AWS = {
    "aws:region": "us-east-1",
    "aws:accessKey": "test",
    "aws:secretKey": "test",
    "aws:endpoints": [dict.fromkeys(SERVICES, "http://127.0.0.1:4566")],
}

# How to list everything of a sort in an account: service, call, path to the names.
LISTINGS = (
    ("ec2", "describe_vpcs", "Vpcs[].VpcId"),
    ("ec2", "describe_subnets", "Subnets[].SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables[].RouteTableId"),
    ("ec2", "describe_security_groups", "SecurityGroups[].GroupId"),
    ("ec2", "describe_security_group_rules", "SecurityGroupRules[].SecurityGroupRuleId"),
    ("ec2", "describe_internet_gateways", "InternetGateways[].InternetGatewayId"),
    ("ec2", "describe_launch_templates", "LaunchTemplates[].LaunchTemplateId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints[?State != 'deleted'].VpcEndpointId"),
    ("ec2", "describe_instances", "Reservations[].Instances[?State.Name != 'terminated'].InstanceId[]"),
    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups[].AutoScalingGroupName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers[].LoadBalancerArn"),
    ("elbv2", "describe_target_groups", "TargetGroups[].TargetGroupArn"),
    ("iam", "list_roles", "Roles[].RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles[].InstanceProfileName"),
    ("s3", "list_buckets", "Buckets[].Name"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("ssm", "describe_parameters", "Parameters[].Name"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
)


def real_project(folder: Path, **changes: Any) -> Path:
    """A project folder with this repository's own program and its stack `rehearsal`, some settings changed."""
    stack = yaml.safe_load((REPOSITORY / "Pulumi.rehearsal.yaml").read_text())
    stack["config"].update({f"vectorfleet:{key}": value for key, value in changes.items()})
    return _project(folder, "vectorfleet", REPOSITORY / "infra", "rehearsal", stack["config"])


def playground(folder: Path, scene: str, **settings: Any) -> Path:
    """A project folder whose program registers what a scene of the playground says."""
    config = {**AWS, "playground:scene": scene, **{f"playground:{k}": v for k, v in settings.items() if ":" not in k}}
    return _project(folder, "playground", PLAYGROUND, "test", config)


def _project(folder: Path, name: str, main: Path, stack: str, config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    runtime = {"name": name, "main": str(main), "runtime": {"name": "python"}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(runtime))
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
    return folder


def client(endpoint: str) -> Callable[[str], Any]:
    """A function from a service name to a boto3 client."""
    session = boto3.Session("test", "test", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=endpoint)


def inventory(endpoint: str) -> dict[str, list[str]]:
    """Names of everything in the account, by the call that lists them."""
    connect, found = client(endpoint), {}
    for service, call, path in LISTINGS:
        api = connect(service)
        paged = api.can_paginate(call)
        answer = api.get_paginator(call).paginate().build_full_result() if paged else getattr(api, call)()
        found[call] = sorted(jmespath.search(path, answer) or [])
    return found


def start_apply(verb: str, root: Path, endpoint: str, *arguments: str) -> subprocess.Popen[bytes]:
    """The subprocess that the launcher would start, for tests that end it early."""
    command = [sys.executable, "-m", "rehearsal.deploy.apply", verb, "--root", str(root), "--endpoint", endpoint]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        start_new_session=True,
    )
