"""The recorded graph of a stack, with synthetic outputs, for review and for checks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from infra.configuration.stack_file import project_name, stack_config
from infra.review.recording import Model, Outputs, Recording, record

ACCOUNT = "123456789012"
REGION = "us-east-1"
Shape = Callable[[str, Outputs], Outputs]


def graph(stack: str, model: Model | None = None) -> Recording:
    """Run the program for a stack and record its resources."""
    from infra.program import deploy  # pulumi_aws takes seconds to import, and `plan` needs none of it

    return record(deploy, stack_config(stack), project=project_name(), stack=stack, model=model or synthetic)


def synthetic(type_: str, name: str, inputs: Outputs) -> Outputs:
    """Make up well-formed outputs of a resource: its id, and the outputs that the program reads."""
    token = hashlib.sha256(f"{type_}::{name}".encode()).hexdigest()
    shape = SHAPES.get(type_)
    return {"id": f"{_prefix(type_)}-{token[:17]}", **(shape(f"{name}-{token[:7]}", inputs) if shape else {})}


def arn(service: str, resource: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    """Make an ARN of the partition `aws`."""
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def _prefix(type_: str) -> str:
    return ID_PREFIXES.get(type_, "id")


def _bucket(name: str, _: Outputs) -> Outputs:
    return {"id": name, "bucket": name, "arn": arn("s3", name, region="", account="")}


def _named(service: str, kind: str, *, region: str = REGION) -> Shape:
    return lambda name, _: {"name": name, "arn": arn(service, f"{kind}{name}", region=region)}


def _target_group(name: str, _: Outputs) -> Outputs:
    suffix = f"targetgroup/{name}/0123456789abcdef"
    made = arn("elasticloadbalancing", suffix)
    return {"id": made, "arn": made, "arnSuffix": suffix, "name": name}


def _load_balancer(name: str, _: Outputs) -> Outputs:
    suffix = f"app/{name}/0123456789abcdef"
    made = arn("elasticloadbalancing", f"loadbalancer/{suffix}")
    return {
        "id": made,
        "arn": made,
        "arnSuffix": suffix,
        "name": name,
        "dnsName": f"{name}.{REGION}.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
    }


def _listener(name: str, _: Outputs) -> Outputs:
    made = arn("elasticloadbalancing", f"listener/app/{name}/0123456789abcdef/0123456789abcdef")
    return {"id": made, "arn": made}


SHAPES: dict[str, Shape] = {
    "aws:ec2/vpc:Vpc": lambda name, _: {"ownerId": ACCOUNT},
    "aws:kms/key:Key": lambda name, _: {"arn": arn("kms", f"key/{name}"), "keyId": name},
    "aws:cloudwatch/logGroup:LogGroup": lambda name, inputs: {
        "name": inputs.get("name", name),
        "arn": arn("logs", f"log-group:{inputs.get('name', name)}"),
    },
    "aws:s3/bucket:Bucket": _bucket,
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda name, _: {"prefixListId": "pl-63a5400a"},
    "aws:ec2/launchTemplate:LaunchTemplate": lambda name, _: {"latestVersion": 1},
    "aws:autoscaling/group:Group": _named("autoscaling", "autoScalingGroup:*:autoScalingGroupName/"),
    "aws:iam/role:Role": _named("iam", "role/", region=""),
    "aws:iam/instanceProfile:InstanceProfile": _named("iam", "instance-profile/", region=""),
    "aws:ssm/parameter:Parameter": lambda name, inputs: {"arn": arn("ssm", f"parameter{inputs['name']}")},
    "aws:sns/topic:Topic": _named("sns", ""),
    "aws:lb/targetGroup:TargetGroup": _target_group,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:lb/listener:Listener": _listener,
}

ID_PREFIXES = {
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/routeTable:RouteTable": "rtb",
    "aws:ec2/securityGroup:SecurityGroup": "sg",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce",
    "aws:ec2/internetGateway:InternetGateway": "igw",
    "aws:ec2/launchTemplate:LaunchTemplate": "lt",
}
