"""Small programs for tests of the deployer. The configuration `scene` names the one to run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pulumi_aws as aws

from tests.rehearsal.programs.playground import doors, places, sizes, watching

config = pulumi.Config()


def network() -> aws.ec2.Vpc:
    """A VPC whose range is a setting. Another range replaces the VPC with all that depends on it."""
    vpc = aws.ec2.Vpc("net", cidr_block=config.get("cidr") or "127.80.0.0/16")
    aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block=vpc.cidr_block.apply(lambda c: c.replace("/16", "/20")))
    group = aws.ec2.SecurityGroup("group", vpc_id=vpc.id, description="a group")
    aws.vpc.SecurityGroupIngressRule(
        "rule", security_group_id=group.id, ip_protocol="tcp", from_port=80, to_port=80, cidr_ipv4="127.0.0.0/8"
    )
    pulumi.export("vpc", vpc.id)
    return vpc


def fixed_names() -> None:
    """A target group with a given name, so that a replacement deletes before it creates."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.81.0.0/16")
    group = aws.lb.TargetGroup(
        "targets", name="targets", port=config.require_int("port"), protocol="HTTP", vpc_id=vpc.id
    )
    pulumi.export("targets", group.arn)


def guarded() -> None:
    """A bucket that may be protected or retained."""
    if config.get_bool("present"):
        options = pulumi.ResourceOptions(protect=config.get_bool("protect"), retain_on_delete=config.get_bool("retain"))
        aws.s3.Bucket("kept", opts=options)
    aws.sns.Topic("topic")


def ignored() -> None:
    """A parameter whose value others own after the first apply."""
    aws.ssm.Parameter(
        "weight",
        name="/playground/weight",
        type="String",
        value=config.require("value"),
        description=config.require("description"),
        opts=pulumi.ResourceOptions(ignore_changes=["value"]),
    )


def looked_up() -> None:
    """Look-ups of a foreign topic, the caller and the zones."""
    topic = aws.sns.Topic.get("theirs", config.require("arn"))
    caller = aws.get_caller_identity()
    zones = aws.get_availability_zones(state="available")
    pulumi.export("name", topic.name)
    pulumi.export("account", caller.account_id)
    pulumi.export("zones", zones.names)


def not_modelled() -> None:
    """A parameter with an output that the deployer does not model."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.82.0.0/16")
    aws.ssm.Parameter("dimension", type="String", value=vpc.ipv6_association_id)


def unknown_type() -> None:
    """A type that is not in the table."""
    aws.sqs.Queue("queue")


def unknown_property() -> None:
    """A property that is not in the table."""
    aws.sns.Topic("topic", firehose_success_feedback_sample_rate=3)


def unknown_invoke() -> None:
    """A function that the deployer does not know."""
    pulumi.export("image", aws.ec2.get_ami(owners=["amazon"], most_recent=True).id)


def partly_refused() -> None:
    """Several good resources, one that the API refuses, and one that depends on it."""
    for number in range(6):
        aws.sns.Topic(f"good-{number}")
    bad = aws.ec2.Vpc("bad", cidr_block="300.0.0.0/16")
    aws.ec2.Subnet("after", vpc_id=bad.id, cidr_block="127.83.0.0/20")


def refuses() -> None:
    """A program that refuses its configuration with Pulumi's own error."""
    raise pulumi.RunError("configuration key depth is 7; allowed: up to 5")


def raises() -> None:
    """A program that raises an error."""
    aws.sns.Topic("topic")
    raise ValueError("the fleet has no name")


def object_() -> None:
    """An object whose content is a file beside the program or a text."""
    bucket = aws.s3.Bucket("bucket", force_destroy=True)
    aws.s3.BucketObjectv2(
        "file", bucket=bucket.id, key="file", source=pulumi.FileAsset(config.require("file")), content_type="text/plain"
    )
    aws.s3.BucketObjectv2("text", bucket=bucket.id, key="text", content=config.get("text") or "one")
    pulumi.export("bucket", bucket.id)


def renamed() -> None:
    """A topic with an alias of its former logical name."""
    now = config.require("now")
    aliases = [pulumi.Alias(name="old")] if now != "old" else None
    topic = aws.sns.Topic(now, opts=pulumi.ResourceOptions(aliases=aliases))
    pulumi.export("arn", topic.arn)


def group() -> None:
    """A group of instances, as a cell has."""
    vpc = aws.ec2.Vpc("net", cidr_block="127.84.0.0/16")
    subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="127.84.0.0/20", availability_zone="us-east-1a")
    template = aws.ec2.LaunchTemplate(
        "template",
        image_id="ami-0123456789abcdef0",
        instance_type=config.require("machine"),
        update_default_version=True,
    )
    cell = aws.autoscaling.Group(
        "cell",
        min_size=1,
        max_size=1,
        desired_capacity=1,
        vpc_zone_identifiers=[subnet.id],
        launch_template={"id": template.id, "version": template.latest_version.apply(lambda v: str(int(v)))},
        tags=[{"key": "Name", "value": config.get("label") or "cell", "propagate_at_launch": True}],
    )
    pulumi.export("group", cell.name)
    pulumi.export("version", template.latest_version)
    pulumi.export("policy", pulumi.Output.json_dumps({"subnet": subnet.id}).apply(json.loads))


SCENES: dict[str, Callable[[], object]] = {
    scene.__name__.rstrip("_"): scene
    for scene in (
        fixed_names,
        group,
        guarded,
        ignored,
        looked_up,
        network,
        not_modelled,
        object_,
        partly_refused,
        raises,
        refuses,
        renamed,
        unknown_invoke,
        unknown_property,
        unknown_type,
        *doors.SCENES,
        *places.SCENES,
        *sizes.SCENES,
        *watching.SCENES,
    )
}
SCENES[config.require("scene")]()
