"""Scenes of logs, keys, topics, dashboards and budgets. `step` changes each property."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pulumi_aws as aws

config = pulumi.Config()


def keys() -> None:
    """Two keys and an alias that may point to either. Step 3 replaces the first key."""
    step = config.require_int("step")
    first = aws.kms.Key(
        "first",
        description=f"a key, {step}",
        deletion_window_in_days=7,
        enable_key_rotation=step > 1,
        rotation_period_in_days=120 if step > 1 else None,
        policy=policy(step),
        multi_region=step == 3,
        tags={"step": str(step)},
    )
    second = aws.kms.Key("second", description="another", is_enabled=step == 1, enable_key_rotation=True)
    alias = aws.kms.Alias("alias", target_key_id=second.key_id if step == 2 else first.key_id)
    pulumi.export("first", first.key_id)
    pulumi.export("second", second.key_id)
    pulumi.export("arn", first.arn)
    pulumi.export("alias", alias.name)
    pulumi.export("target", alias.target_key_arn)


def policy(step: int) -> str:
    """Return a key's policy, with other white space for another indent."""
    account = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Resource": "*"}
    said = {"Version": "2012-10-17", "Statement": [{**account, "Action": "kms:*", "Sid": f"s{min(step, 2)}"}]}
    return json.dumps(said, indent=config.get_int("indent"))


def logs() -> None:
    """A log group. Step 3 replaces it."""
    step = config.require_int("step")
    group = aws.cloudwatch.LogGroup(
        "group",
        name=f"/playground/{step // 3}",
        retention_in_days=30 * step if step < 3 else None,
        kms_key_id=f"arn:aws:kms:us-east-1:123456789012:key/{step}" if step < 3 else None,
        tags={"step": str(step)},
    )
    pulumi.export("name", group.name)
    pulumi.export("arn", group.arn)


def flows() -> None:
    """Flow logs into a bucket below a prefix, and into a log group."""
    step = config.require_int("step")
    vpc = aws.ec2.Vpc("net", cidr_block="127.85.0.0/16")
    bucket = aws.s3.Bucket("flows", force_destroy=True)
    group = aws.cloudwatch.LogGroup("flows")
    below = aws.ec2.FlowLog(
        "bucket",
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination_type="s3",
        log_destination=bucket.arn.apply(lambda arn: f"{arn}/vpc/{step // 3}/"),
        max_aggregation_interval=60,
        destination_options={"file_format": "parquet", "per_hour_partition": True},
        tags={"step": str(step)},
    )
    told = aws.ec2.FlowLog(
        "group",
        vpc_id=vpc.id,
        traffic_type="REJECT",
        log_destination=group.arn,
        iam_role_arn="arn:aws:iam::123456789012:role/flows",
        tags={"step": str(step)},
    )
    pulumi.export("ids", [below.id, told.id])


def told() -> None:
    """A topic under a key with three sorts of subscribers, and a dashboard."""
    step = config.require_int("step")
    topic = aws.sns.Topic("topic", kms_master_key_id=f"alias/{step}", signature_version=2)
    for protocol, endpoint in (
        ("email", f"someone-{step // 3}@example.com"),
        ("https", "https://127.0.0.1:1/hook"),
        ("sqs", "arn:aws:sqs:us-east-1:123456789012:queue"),
    ):
        subscription = aws.sns.TopicSubscription(
            protocol,
            topic=topic.arn,
            protocol=protocol,
            endpoint=endpoint,
            raw_message_delivery=protocol == "sqs" and step > 1,
            filter_policy=json.dumps({"severity": [str(step)]}) if protocol == "sqs" else None,
        )
        pulumi.export(protocol, subscription.arn)
        pulumi.export(f"{protocol}-pending", subscription.pending_confirmation)
    body = {"widgets": [{"type": "text", "width": 6, "height": 2, "properties": {"markdown": str(min(step, 2))}}]}
    aws.cloudwatch.Dashboard(
        "dashboard",
        dashboard_name=f"playground-{step // 3}",
        dashboard_body=json.dumps(body, indent=config.get_int("indent")),
    )
    pulumi.export("topic", topic.arn)


def budget() -> None:
    """A budget with a topic and an address as subscribers. Step 3 changes its name."""
    step = config.require_int("step")
    actual = aws.budgets.BudgetNotificationArgs(
        comparison_operator="GREATER_THAN",
        notification_type="ACTUAL",
        threshold=70 + 10 * step,
        threshold_type="PERCENTAGE",
        subscriber_sns_topic_arns=["arn:aws:sns:us-east-1:123456789012:alarms"],
    )
    forecast = aws.budgets.BudgetNotificationArgs(
        comparison_operator="GREATER_THAN",
        notification_type="FORECASTED",
        threshold=100,
        threshold_type="PERCENTAGE",
        subscriber_email_addresses=["someone@example.com"],
    )
    aws.budgets.Budget(
        "budget",
        name=f"playground-{step // 3}",
        budget_type="COST",
        limit_amount=str(100 * step),
        limit_unit="USD",
        time_unit="MONTHLY",
        time_period_start="2026-01-01_00:00",
        cost_filters=[{"name": "TagKeyValue", "values": [f"user:fleet${step}"]}],
        notifications=[actual, *([forecast] if step > 1 else [])],
        tags={"step": str(step)},
    )


SCENES: tuple[Callable[[], object], ...] = (budget, flows, keys, logs, told)
