"""A program that complies, in the SDK's own words: what rules read are the names that the engine sees."""

from __future__ import annotations

import json
import warnings
from functools import cache

import pulumi
import pulumi_aws as aws
import pytest

from infra.components.policies import alarms_may_publish, assume_by
from infra.review.graph import arn, synthetic
from infra.review.recording import Outputs, record
from infra.review.rules.graph import Graph, of_recording
from infra.review.rules.registry import RULES
from infra.review.rules.rule import Rule, findings
from tests.infra.review.rules.cases import allow, deny, policy

KEPT = pulumi.ResourceOptions(protect=True, retain_on_delete=True)
BY_ABSENCE = {"instance-in-group", "disk-is-cache"}  # nothing of their types is registered


def model(type_: str, name: str, inputs: Outputs) -> Outputs:
    """Synthetic outputs with an ARN each."""
    made = synthetic(type_, name, inputs)
    return {"arn": arn("any", str(made["id"])), **made}


def buckets() -> aws.s3.Bucket:
    key = aws.kms.Key("data", enable_key_rotation=True, opts=KEPT)
    made = {
        role: aws.s3.Bucket(
            role,
            tags={"vectorfleet:data": role},
            force_destroy=False,
            object_lock_enabled=role == "vault",
            opts=KEPT,
        )
        for role in ("documents", "vault", "logs")
    }
    for role, bucket in made.items():
        guard(role, bucket, key)
        if role != "logs":
            aws.s3.BucketLogging(
                role, bucket=bucket.id, target_bucket=made["logs"].id, target_prefix=f"{role}/", opts=KEPT
            )
    locked_and_replicated(made["documents"], made["vault"])
    aws.s3.BucketObjectv2(
        "code", bucket=made["documents"].id, key="k", opts=pulumi.ResourceOptions(retain_on_delete=True)
    )
    return made["logs"]


def guard(role: str, bucket: aws.s3.Bucket, key: aws.kms.Key) -> None:
    aws.s3.BucketVersioning(role, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=KEPT)
    aws.s3.BucketOwnershipControls(role, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=KEPT)
    aws.s3.BucketPublicAccessBlock(
        role,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=KEPT,
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        role,
        bucket=bucket.id,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key.arn,
                },
                "bucket_key_enabled": True,
            }
        ],
        opts=KEPT,
    )
    aws.s3.BucketLifecycleConfiguration(
        role,
        bucket=bucket.id,
        rules=[
            {
                "id": "leftovers",
                "status": "Enabled",
                "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                "noncurrent_version_expiration": {"noncurrent_days": 30},
            }
        ],
        opts=KEPT,
    )
    aws.s3.BucketPolicy(role, bucket=bucket.id, policy=bucket.arn.apply(tls), opts=KEPT)


def tls(bucket: str) -> str:
    places = (bucket, f"{bucket}/*")
    old = {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    return policy(deny({"Bool": {"aws:SecureTransport": "false"}}, *places), deny(old, *places))


def locked_and_replicated(documents: aws.s3.Bucket, vault: aws.s3.Bucket) -> None:
    aws.s3.BucketObjectLockConfiguration(
        "vault", bucket=vault.id, rule={"default_retention": {"mode": "GOVERNANCE", "days": 35}}, opts=KEPT
    )
    aws.s3.BucketReplicationConfig(
        "documents",
        bucket=documents.id,
        role=arn("iam", "role/replication"),
        rules=[{"status": "Enabled", "destination": {"bucket": vault.arn, "metrics": {"status": "Enabled"}}}],
        opts=KEPT,
    )


def network() -> tuple[aws.ec2.Subnet, aws.ec2.SecurityGroup]:
    vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
    aws.ec2.FlowLog("vpc", vpc_id=vpc.id, traffic_type="ALL")
    subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, availability_zone="us-east-1a", map_public_ip_on_launch=False)
    table = aws.ec2.RouteTable("private", vpc_id=vpc.id)
    aws.ec2.RouteTableAssociation("a", subnet_id=subnet.id, route_table_id=table.id)
    aws.ec2.DefaultSecurityGroup("vpc", vpc_id=vpc.id)
    own = allow("s3:*") | {"Principal": {"AWS": "*"}, "Condition": {"StringEquals": {"aws:ResourceAccount": "1"}}}
    aws.ec2.VpcEndpoint("s3", vpc_id=vpc.id, service_name="com.amazonaws.us-east-1.s3", policy=policy(own))
    group = aws.ec2.SecurityGroup("front", vpc_id=vpc.id, description="Front load balancer")
    for rule in (aws.vpc.SecurityGroupIngressRule, aws.vpc.SecurityGroupEgressRule):
        rule(
            "front",
            security_group_id=group.id,
            description="HTTPS for everyone",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
        )
    return subnet, group


def front(subnet: aws.ec2.Subnet, group: aws.ec2.SecurityGroup, logs: aws.s3.Bucket) -> aws.lb.TargetGroup:
    balancer = aws.lb.LoadBalancer(
        "front",
        internal=False,
        subnets=[subnet.id],
        security_groups=[group.id],
        drop_invalid_header_fields=True,
        desync_mitigation_mode="strictest",
        enable_deletion_protection=True,
        access_logs={"bucket": logs.id, "enabled": True},
    )
    targets = aws.lb.TargetGroup("blue", health_check={"path": "/healthz"})
    aws.lb.Listener(
        "front",
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        certificate_arn=arn("acm", "certificate/0"),
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        default_actions=[{"type": "forward", "target_group_arn": targets.arn}],
    )
    return targets


def instances(subnet: aws.ec2.Subnet, targets: aws.lb.TargetGroup, topic: aws.sns.Topic) -> None:
    tags = {"Name": "n", "vectorfleet:fleet": "f", "vectorfleet:role": "node", "vectorfleet:slot": "blue"}
    role = aws.iam.Role("node", assume_role_policy=json.dumps(assume_by("ec2", "InstancesOnly")))
    aws.iam.RolePolicy("node", role=role.name, policy=policy(allow("s3:GetObject")))
    template = aws.ec2.LaunchTemplate(
        "node",
        image_id="ami-1",
        metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
        monitoring={"enabled": True},
        block_device_mappings=[{"device_name": "/dev/xvda", "ebs": {"volume_type": "gp3", "encrypted": "true"}}],
        tag_specifications=[
            {"resource_type": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
    )
    group = aws.autoscaling.Group(
        "node",
        min_size=1,
        max_size=1,
        desired_capacity=1,
        vpc_zone_identifiers=[subnet.id],
        launch_template={"id": template.id, "version": template.latest_version.apply(str)},
        health_check_type="ELB",
        target_group_arns=[targets.arn],
        tags=[{"key": key, "value": value, "propagate_at_launch": True} for key, value in tags.items()],
    )
    aws.autoscaling.Notification(
        "node",
        group_names=[group.name],
        notifications=[aws.autoscaling.NotificationType.INSTANCE_LAUNCH_ERROR],
        topic_arn=topic.arn,
    )


def alerts() -> aws.sns.Topic:
    key = aws.kms.Key("alerts", enable_key_rotation=True)
    topic = aws.sns.Topic("alerts", kms_master_key_id=key.arn)
    topic_policy = topic.arn.apply(lambda topic_arn: json.dumps(alarms_may_publish(topic_arn)))
    aws.sns.TopicPolicy("alerts", arn=topic.arn, policy=topic_policy)
    aws.cloudwatch.LogGroup("flow", retention_in_days=30, kms_key_id=key.arn)
    aws.cloudwatch.MetricAlarm(
        "p95",
        alarm_description="Slow. Runbook: runbooks/RB-02-a-shard-is-lost.md",
        comparison_operator="GreaterThanThreshold",
        evaluation_periods=3,
        extended_statistic="p95",
        evaluate_low_sample_count_percentiles="ignore",
        treat_missing_data="notBreaching",
        alarm_actions=[topic.arn],
        ok_actions=[topic.arn],
    )
    return topic


def program() -> None:
    logs, (subnet, group), topic = buckets(), network(), alerts()
    instances(subnet, front(subnet, group, logs), topic)
    aws.ssm.Parameter("index", name="/f/index", type="String", value="{}")


@cache
def complying() -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, when a module of it is first used
        recording = record(program, {"aws:region": "us-east-1"}, project="p", stack="s", model=model)
    return of_recording(recording, model)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_program_that_complies_is_left_alone(rule: Rule) -> None:
    assert bool(complying().of_type(*rule.types)) == (rule.id not in BY_ABSENCE)
    assert [finding.sentence for finding in findings(complying(), (rule,))] == []
