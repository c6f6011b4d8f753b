"""Instances of one role: a launch template with a pinned image, and the group that keeps them alive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.boot import user_data
from infra.boot.model_files import ModelFiles
from infra.boot.user_data import Role
from infra.components.storage import Storage
from infra.facts import naming
from infra.facts.instance_types import SMALLEST_DISK, Disk

ROOT_DEVICE = "/dev/xvda"  # Amazon Linux 2023
# After this time, a zone without capacity is an error and not a hang. Instances that restore data get their own time
# and LAUNCH_MINUTES.
CAPACITY_MINUTES, LAUNCH_MINUTES = 10, 5
# The alarm on a group that launches nothing needs these.
GROUP_METRICS = (
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
)
# Only a roll-out changes a group's launch template and types, since it proves them first. A hook is given once: the
# provider would replace the group for another one.
ROLLED_OUT = ("mixedInstancesPolicy", "initialLifecycleHooks")
SHORTEST_HEARTBEAT_SECONDS, LONGEST_HEARTBEAT_SECONDS = 30, 7200  # EC2 Auto Scaling's limits
TAGGED = ("instance", "volume", "network-interface")  # the provider's default tags reach none of them


@dataclass(frozen=True)
class GroupArgs:
    """
    The arguments of a group. All of `first_boot` exists before the first instance.

    `instance_types` are of one size, the preferred one first. A group that is scaled starts at `first_size` and stays
    between `size` and `maximum`.
    """

    role: Role
    image: str
    instance_types: Sequence[str]
    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    profile_arn: pulumi.Input[str]
    storage: Storage
    size: int
    first_boot: Sequence[pulumi.Resource]
    model: ModelFiles | None = None
    disk: Disk = SMALLEST_DISK
    target_groups: Sequence[pulumi.Input[str]] = ()
    health_check: str = "EC2"
    grace_seconds: int = 300
    maximum: int | None = None
    first_size: int | None = None
    ready_within_seconds: int | None = None

    @property
    def capacity_minutes(self) -> int:
        """The time in which the first instances must be in service."""
        return max(CAPACITY_MINUTES, math.ceil((self.ready_within_seconds or 0) / 60) + LAUNCH_MINUTES)

    @property
    def launch_hooks(self) -> list[aws.autoscaling.GroupInitialLifecycleHookArgsDict] | None:
        """The hook of instances that report their own readiness: abandoned after `ready_within_seconds` of silence."""
        if self.ready_within_seconds is None:
            return None
        seconds = min(max(self.ready_within_seconds, SHORTEST_HEARTBEAT_SECONDS), LONGEST_HEARTBEAT_SECONDS)
        return [
            {
                "name": user_data.LAUNCH_HOOK,
                "lifecycle_transition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "heartbeat_timeout": seconds,
                "default_result": "ABANDON",
            }
        ]


class InstanceGroup(pulumi.ComponentResource):
    """A launch template and its Auto Scaling group."""

    def __init__(self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("vectorfleet:infra:InstanceGroup", name, None, opts)
        self._name, self._args = name, args
        self.template = self._template()
        self.group = self._group()
        self.register_outputs({"group": self.group.name})

    def _template(self) -> aws.ec2.LaunchTemplate:
        args, tags = self._args, self._args.role.tags()
        return aws.ec2.LaunchTemplate(
            naming.fit(self._name, naming.LIMITS["launch_template"] - naming.AUTONAME_SUFFIX),
            image_id=args.image,
            instance_type=args.instance_types[0],
            iam_instance_profile={"arn": args.profile_arn},
            vpc_security_group_ids=[args.security_group],
            user_data=self._user_data(),
            block_device_mappings=[self._root_disk()],
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
                # The bootstrap reads its group's name from them when it gives an instance up.
                "instance_metadata_tags": "enabled",
            },
            monitoring={"enabled": True},
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in TAGGED],
            update_default_version=True,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _root_disk(self) -> aws.ec2.LaunchTemplateBlockDeviceMappingArgsDict:
        return {
            "device_name": ROOT_DEVICE,
            "ebs": {
                "volume_type": "gp3",
                "volume_size": self._args.disk.size_gib,
                "throughput": self._args.disk.throughput_mibps,
                "iops": self._args.disk.iops,
                "encrypted": "true",
                "delete_on_termination": "true",
            },
        }

    def _user_data(self) -> pulumi.Output[str]:
        role, storage, model = self._args.role, self._args.storage, self._args.model
        artifact, wheelhouse = storage.artifact, storage.wheelhouse
        return storage.artifacts.bucket.id.apply(
            lambda bucket: user_data.encode(
                user_data.manifest(
                    role, bucket=bucket, key=artifact.key, sha256=artifact.sha256, wheelhouse=wheelhouse, model=model
                )
            )
        )

    def _group(self) -> aws.autoscaling.Group:
        args = self._args
        return aws.autoscaling.Group(
            naming.fit(self._name, naming.LIMITS["group"] - naming.AUTONAME_SUFFIX),
            min_size=args.size,
            max_size=args.maximum or args.size,
            desired_capacity=args.first_size or args.size,
            enabled_metrics=list(GROUP_METRICS),
            vpc_zone_identifiers=list(args.subnets),
            mixed_instances_policy=self._policy(),
            # Made with the group: its first instance must wait, too.
            initial_lifecycle_hooks=args.launch_hooks,
            target_group_arns=list(args.target_groups) or None,
            health_check_type=args.health_check,
            health_check_grace_period=args.grace_seconds,
            wait_for_capacity_timeout=f"{args.capacity_minutes}m",
            # The group tries its other types again and again; the provider would give up at the first refusal.
            ignore_failed_scaling_activities=True,
            # An instance in service may not answer yet; its target group knows.
            min_elb_capacity=args.size if args.target_groups else None,
            tags=[{"key": key, "value": value, "propagate_at_launch": True} for key, value in args.role.tags().items()],
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(args.first_boot), ignore_changes=list(self._left_alone())
            ),
        )

    def _policy(self) -> aws.autoscaling.GroupMixedInstancesPolicyArgsDict:
        """Use on-demand capacity alone, and the next type if a zone lacks the first."""
        return {
            "instances_distribution": {
                "on_demand_allocation_strategy": "prioritized",
                "on_demand_percentage_above_base_capacity": 100,
            },
            "launch_template": {
                "launch_template_specification": {
                    "launch_template_id": self.template.id,
                    # A number, never $Latest: a rollback needs the version before.
                    "version": self.template.latest_version.apply(str),
                },
                "overrides": [{"instance_type": name} for name in self._args.instance_types],
            },
        }

    def _left_alone(self) -> tuple[str, ...]:
        """Name the properties that the program does not change. A cell's size is always one; others may scale."""
        return ROLLED_OUT if self._args.role.shard is not None else (*ROLLED_OUT, "desiredCapacity")
