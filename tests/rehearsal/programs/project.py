"""Project folders for tests of the deployer, and an inventory of an emulated account."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
import yaml
from botocore.exceptions import ClientError

REPOSITORY = Path(__file__).resolve().parents[3]
PLAYGROUND = Path(__file__).resolve().parent / "playground"
SERVICES = (
    "autoscaling",
    "budgets",
    "cloudwatch",
    "ec2",
    "elbv2",
    "iam",
    "kms",
    "logs",
    "route53",
    "s3",
    "sns",
    "ssm",
    "sts",
)
ACCOUNT = "123456789012"
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
    ("sns", "list_subscriptions", "Subscriptions[].SubscriptionArn"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    ("kms", "list_aliases", "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("ec2", "describe_flow_logs", "FlowLogs[].FlowLogId"),
    ("autoscaling", "describe_policies", "ScalingPolicies[].PolicyName"),
    ("autoscaling", "describe_scheduled_actions", "ScheduledUpdateGroupActions[].ScheduledActionName"),
)


def real_project(folder: Path, **changes: Any) -> Path:
    """A project folder with this repository's own program and its stack `rehearsal`, some settings changed."""
    return rehearsed_project(folder, "rehearsal", **changes)


def rehearsed_project(folder: Path, stack: str, **changes: Any) -> Path:
    """The same for any stack of the repository, led to the emulated AWS as the stack `rehearsal` is."""
    config = _config(stack) | {key: value for key, value in _config("rehearsal").items() if key.startswith("aws:")}
    config |= {f"vectorfleet:{key}": value for key, value in changes.items()}
    return _project(folder, "vectorfleet", REPOSITORY / "infra", stack, config)


def _config(stack: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    return config


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


@cache
def client(endpoint: str, region: str = "us-east-1") -> Callable[[str], Any]:
    """Return a function from a service name to a boto3 client, of which it makes one: each costs 30 ms."""
    session = boto3.Session("test", "test", region_name=region)
    return cache(lambda service: session.client(service, endpoint_url=endpoint))


def inventory(endpoint: str) -> dict[str, list[str]]:
    """Names of everything in the account, by the call that lists them."""
    connect, found = client(endpoint), {}
    for service, call, path in LISTINGS:
        api = connect(service)
        paged = api.can_paginate(call)
        answer = api.get_paginator(call).paginate().build_full_result() if paged else getattr(api, call)()
        found[call] = sorted(jmespath.search(path, answer) or [])
    found["budgets"] = sorted(
        b["BudgetName"] for b in connect("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
    )
    return found


@contextmanager
def instances_that_get_ready(endpoint: str) -> Iterator[None]:
    """
    Complete every launch hook as nodes would, and find routers healthy as the load balancer would, where no process
    runs in the instances.
    """
    connect, ended = client(endpoint), threading.Event()
    api = connect("autoscaling")

    def stand_in() -> None:
        while not ended.wait(0.3):
            for row in api.describe_auto_scaling_instances()["AutoScalingInstances"]:
                if row["LifecycleState"] == "Pending:Wait":
                    _complete(api, row)
            with suppress(ClientError):  # what is looked at may be deleted in the meantime
                groups = connect("elbv2").describe_target_groups()["TargetGroups"]
                find_healthy(endpoint, [one["TargetGroupArn"] for one in groups])

    thread = threading.Thread(target=stand_in)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def find_healthy(endpoint: str, groups: list[str]) -> int:
    """Say that every target of these groups is healthy; how many there are."""
    elb, targets = client(endpoint)("elbv2"), []
    for arn in groups:
        for entry in elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            targets.append({"target_group": arn, "id": entry["Target"]["Id"], "state": "healthy"})
    body = json.dumps({"targets": targets}).encode()
    urllib.request.urlopen(f"{endpoint}/_vectorfleet/target-health", data=body, timeout=5).close()
    return len(targets)


def _complete(api: Any, row: dict[str, Any]) -> None:
    group = row["AutoScalingGroupName"]
    try:
        for hook in api.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]:
            api.complete_lifecycle_action(
                AutoScalingGroupName=group,
                LifecycleHookName=hook["LifecycleHookName"],
                InstanceId=row["InstanceId"],
                LifecycleActionResult="CONTINUE",
            )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":  # its group may have gone in the meantime
            raise


def start_apply(verb: str, root: Path, endpoint: str, *arguments: str) -> subprocess.Popen[bytes]:
    """The subprocess that the launcher would start, for tests that end it early."""
    command = [sys.executable, "-m", "rehearsal.deployer.apply", verb, "--root", str(root), "--endpoint", endpoint]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        start_new_session=True,
    )
