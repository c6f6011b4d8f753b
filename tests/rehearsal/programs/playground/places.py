"""Scenes of buckets and objects: in another region, locked, logged, replicated and retained."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
settings = pulumi.Config("aws")
WEST = "us-west-2"


def west() -> aws.Provider:
    """A provider for a second region. It inherits nothing from the stack's configuration."""
    return aws.Provider(
        "west",
        region=config.get("west") or WEST,
        access_key=settings.require("accessKey"),
        secret_key=settings.require("secretKey"),
        allowed_account_ids=["123456789012"],
        default_tags={"tags": {"side": "west"}},
        endpoints=settings.require_object("endpoints"),
        s3_use_path_style=True,
        skip_credentials_validation=True,
        skip_metadata_api_check=True,
        skip_region_validation=True,
        max_retries=2,
    )


class Vault(pulumi.ComponentResource):
    """A locked bucket, whose children inherit the provider of the component."""

    def __init__(self, name: str, days: int, opts: pulumi.ResourceOptions) -> None:
        super().__init__("playground:places:Vault", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.bucket = aws.s3.Bucket(name, force_destroy=True, object_lock_enabled=True, opts=child)
        self.versioning = aws.s3.BucketVersioning(
            name, bucket=self.bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketObjectLockConfiguration(
            name,
            bucket=self.bucket.id,
            rule={"default_retention": {"mode": config.get("mode") or "GOVERNANCE", "days": days}},
            opts=child,
        )
        self.register_outputs({})


def vault() -> None:
    """A locked bucket and a topic in a second region."""
    kept = Vault("vault", config.get_int("days") or 1, pulumi.ResourceOptions(providers=[west()]))
    topic = aws.sns.Topic("far", opts=pulumi.ResourceOptions(provider=west_again()))
    pulumi.export("bucket", kept.bucket.id)
    pulumi.export("topic", topic.arn)


def west_again() -> aws.Provider:
    """A second provider of the same region under another name."""
    return aws.Provider(
        "again", region=WEST, access_key="test", secret_key="test", endpoints=settings.require_object("endpoints")
    )


def lost_provider() -> None:
    """A provider without endpoints, which would reach a real account."""
    provider = aws.Provider("lost", region=WEST, access_key="test", secret_key="test")
    aws.s3.Bucket("bucket", opts=pulumi.ResourceOptions(provider=provider))


def strange_provider() -> None:
    """A provider with an unknown setting."""
    aws.Provider("strange", region=WEST, profile="mine", endpoints=settings.require_object("endpoints"))


def watched_afar() -> None:
    """An alarm, its metric and its topic, all in a second region."""
    step = config.require_int("step")
    there = pulumi.ResourceOptions(provider=west())
    topic = aws.sns.Topic("alarms", opts=there)
    said = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}
    aws.sns.TopicPolicy(
        "alarms",
        arn=topic.arn,
        policy=topic.arn.apply(lambda arn: json.dumps({"Statement": [{**said, "Sid": f"s{step}", "Resource": arn}]})),
        opts=there,
    )
    letter = aws.sns.TopicSubscription(
        "alarms", topic=topic.arn, protocol="email", endpoint="someone@example.com", opts=there
    )
    alarm = aws.cloudwatch.MetricAlarm(
        "late",
        namespace="AWS/S3",
        metric_name="ReplicationLatency",
        dimensions={"RuleId": "log"},
        statistic="Maximum",
        comparison_operator="GreaterThanThreshold",
        threshold=900 * step,
        period=60,
        evaluation_periods=5,
        alarm_actions=[topic.arn],
        opts=there,
    )
    pulumi.export("topic", topic.arn)
    pulumi.export("letter", letter.arn)
    pulumi.export("alarm", alarm.name)


def copied() -> None:
    """A bucket that is replicated to a second region, with every part of a rule."""
    step = config.require_int("step")
    kept = Vault("vault", 1, pulumi.ResourceOptions(providers=[west()]))
    source = aws.s3.Bucket("source", force_destroy=True)
    versioning = aws.s3.BucketVersioning("source", bucket=source.id, versioning_configuration={"status": "Enabled"})
    rule: aws.s3.BucketReplicationConfigRuleArgsDict = {
        "id": "log",
        "status": "Enabled",
        "priority": step,
        "filter": {"prefix": "log/"},
        "delete_marker_replication": {"status": "Disabled"},
        "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
        "destination": {
            "bucket": kept.bucket.arn,
            "encryption_configuration": {"replica_kms_key_id": f"arn:aws:kms:us-west-2:123456789012:key/{step}"},
            "metrics": {"status": "Enabled", "event_threshold": {"minutes": 15}},
            "replication_time": {"status": "Enabled", "time": {"minutes": 15}},
        },
    }
    role = aws.iam.Role("copier", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}))
    aws.s3.BucketReplicationConfig(
        "source",
        bucket=source.id,
        role=role.arn,
        rules=[rule],
        opts=pulumi.ResourceOptions(depends_on=[versioning, kept.versioning]),
    )
    pulumi.export("source", source.id)
    pulumi.export("vault", kept.bucket.id)


def guarded_bucket() -> None:
    """A bucket with access logs and lifecycle rules."""
    step = config.require_int("step")
    logs = aws.s3.Bucket("logs", force_destroy=True)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["logging.s3.amazonaws.com"]},
        "Action": ["s3:PutObject"],
    }
    admits = aws.s3.BucketPolicy(
        "logs",
        bucket=logs.id,
        policy=logs.arn.apply(lambda arn: json.dumps({"Statement": [{**statement, "Resource": [f"{arn}/*"]}]})),
    )
    bucket = aws.s3.Bucket("bucket", force_destroy=True)
    aws.s3.BucketLogging(
        "bucket",
        bucket=bucket.id,
        target_bucket=logs.id,
        target_prefix=f"s3/{step}/",
        target_object_key_format={"partitioned_prefix": {"partition_date_source": "EventTime"}},
        opts=pulumi.ResourceOptions(depends_on=[admits]),
    )
    aws.s3.BucketLifecycleConfiguration(
        "bucket",
        bucket=bucket.id,
        rules=[
            {
                "id": "left over",
                "status": "Enabled",
                "filter": {},
                "abort_incomplete_multipart_upload": {"days_after_initiation": step},
                "noncurrent_version_expiration": {"noncurrent_days": 30, "newer_noncurrent_versions": 3},
            },
            {"id": "old", "status": "Enabled", "filter": {"prefix": "old/"}, "expiration": {"days": 90}},
        ],
    )
    pulumi.export("bucket", bucket.id)
    pulumi.export("logs", logs.id)


def kept() -> None:
    """A bucket with every setting, a key and a role, which may be retained or protected."""
    if not config.get_bool("present"):
        return
    child = pulumi.ResourceOptions(protect=config.get_bool("protect"), retain_on_delete=config.get_bool("retain"))
    key = aws.kms.Key("key", deletion_window_in_days=7, opts=child)
    role = aws.iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}), opts=child)
    said = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    aws.iam.RolePolicy("role", role=role.id, policy=json.dumps(said), opts=child)
    source, target = (aws.s3.Bucket(name, object_lock_enabled=True, opts=child) for name in ("source", "target"))
    versioned = [
        aws.s3.BucketVersioning(name, bucket=one.id, versioning_configuration={"status": "Enabled"}, opts=child)
        for name, one in (("source", source), ("target", target))
    ]
    after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=versioned))
    aws.s3.BucketPublicAccessBlock("source", bucket=source.id, block_public_acls=True, opts=child)
    aws.s3.BucketOwnershipControls(
        "source", bucket=source.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        "source",
        bucket=source.id,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn}}],
        opts=child,
    )
    aws.s3.BucketLifecycleConfiguration(
        "source",
        bucket=source.id,
        rules=[{"id": "old", "status": "Enabled", "filter": {}, "expiration": {"days": 90}}],
        opts=child,
    )
    aws.s3.BucketObjectLockConfiguration(
        "source", bucket=source.id, rule={"default_retention": {"mode": "GOVERNANCE", "days": 1}}, opts=after
    )
    delivery = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject"}
    admits = aws.s3.BucketPolicy(
        "target",
        bucket=target.id,
        policy=target.arn.apply(lambda arn: json.dumps({"Statement": [{**delivery, "Resource": f"{arn}/*"}]})),
        opts=child,
    )
    aws.s3.BucketLogging(
        "source",
        bucket=source.id,
        target_bucket=target.id,
        target_prefix="s3/",
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[admits])),
    )
    aws.s3.BucketReplicationConfig(
        "source",
        bucket=source.id,
        role=role.arn,
        rules=[
            {
                "id": "all",
                "status": "Enabled",
                "priority": 1,
                "filter": {},
                "delete_marker_replication": {"status": "Disabled"},
                "destination": {"bucket": target.arn},
            }
        ],
        opts=after,
    )
    pulumi.export("source", source.id)
    pulumi.export("target", target.id)
    pulumi.export("key", key.key_id)
    pulumi.export("role", role.name)


def kept_object() -> None:
    """A retained object from a file, encrypted with a key."""
    bucket = aws.s3.Bucket("bucket", force_destroy=True)
    if config.get("file"):
        aws.s3.BucketObjectv2(
            "file",
            bucket=bucket.id,
            key="file",
            source=pulumi.FileAsset(config.require("file")),
            kms_key_id=f"arn:aws:kms:us-east-1:123456789012:key/{config.get('key') or 'one'}",
            server_side_encryption="aws:kms",
            opts=pulumi.ResourceOptions(retain_on_delete=True),
        )
    pulumi.export("bucket", bucket.id)


SCENES: tuple[Callable[[], object], ...] = (
    copied,
    guarded_bucket,
    kept,
    kept_object,
    lost_provider,
    strange_provider,
    vault,
    watched_afar,
)
