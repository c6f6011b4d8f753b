"""Settings on the emulated AWS, read back as they were put, and AWS's refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, unique

Connect = Callable[[str], Any]
DELIVERY = "logging.s3.amazonaws.com"


@pytest.fixture
def bucket(connect: Connect) -> str:
    name = unique("settings")
    connect("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def vault(connect: Connect) -> str:
    name = unique("locked")
    connect("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def lock(connect: Connect, bucket: str, mode: str) -> None:
    rule = {"DefaultRetention": {"Mode": mode, "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    connect("s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)


def log_into(connect: Connect, bucket: str, target: str, prefix: str) -> None:
    status = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": prefix}}
    connect("s3").put_bucket_logging(Bucket=bucket, BucketLoggingStatus=status)


def admit(connect: Connect, target: str, **statement: Any) -> None:
    said = {"Effect": "Allow", "Principal": {"Service": DELIVERY}, "Action": "s3:PutObject", **statement}
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{target}"}
    policy = {"Version": "2012-10-17", "Statement": [everybody, said]}
    connect("s3").put_bucket_policy(Bucket=target, Policy=json.dumps(policy))


@pytest.mark.parametrize(
    "statement",
    [
        {"Resource": "arn:aws:s3:::{}/*"},
        {"Resource": ["arn:aws:s3:::{}/s3/*", "arn:aws:s3:::{}/alb/*"]},
        {"Resource": "arn:aws:s3:::{}/*", "Action": ["s3:PutObject"]},
        {"Resource": "arn:aws:s3:::{}/*", "Principal": {"Service": ["delivery.logs.amazonaws.com", DELIVERY]}},
    ],
)
def test_any_form_of_permission_admits_access_logs(connect: Connect, bucket: str, statement: dict[str, Any]) -> None:
    target = unique("target")
    connect("s3").create_bucket(Bucket=target)
    filled = json.loads(json.dumps(statement).replace("{}", target))
    admit(connect, target, **filled)
    log_into(connect, bucket, target, "s3/")
    connect("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    assert "Contents" not in connect("s3").list_objects_v2(Bucket=target)


def test_without_permission_access_logs_are_refused(connect: Connect, bucket: str) -> None:
    target = unique("target")
    connect("s3").create_bucket(Bucket=target)
    admit(connect, target, Resource=f"arn:aws:s3:::{target}/other/*")
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        log_into(connect, bucket, target, "s3/")


def test_access_logs_can_be_turned_off(connect: Connect, bucket: str) -> None:
    s3, target = connect("s3"), unique("target")
    s3.create_bucket(Bucket=target)
    admit(connect, target, Resource=f"arn:aws:s3:::{target}/*")
    log_into(connect, bucket, target, "s3/")
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_lifecycle_rules_are_read_as_they_were_put(connect: Connect, bucket: str) -> None:
    s3 = connect("s3")
    rules = [
        {
            "ID": "sized",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "a/", "ObjectSizeGreaterThan": 9, "Tags": [{"Key": "k", "Value": "v"}]}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2},
        }
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    # The provider waits until it reads this, too, as it put it.
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    nameless = [{"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": nameless})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_a_used_bucket_can_get_a_retention(connect: Connect, vault: str) -> None:
    s3 = connect("s3")
    s3.put_object(Bucket=vault, Key="a", Body=b"a")
    lock(connect, vault, "COMPLIANCE")
    version = s3.put_object(Bucket=vault, Key="a", Body=b"b")["VersionId"]
    with pytest.raises(ClientError, match="An Object Lock configuration is present"):
        s3.put_bucket_versioning(Bucket=vault, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=vault, Key="a", VersionId=version, BypassGovernanceRetention=True)


def test_flow_logs_go_below_a_prefix_once(connect: Connect, bucket: str) -> None:
    ec2 = connect("ec2")
    vpc = ec2.create_vpc(CidrBlock="127.99.0.0/16")["Vpc"]["VpcId"]
    asked = {"ResourceIds": [vpc], "ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "s3"}
    made = ec2.create_flow_logs(**asked, LogDestination=f"arn:aws:s3:::{bucket}/flow/")
    assert made["Unsuccessful"] == []
    lost = ec2.create_flow_logs(**asked, LogDestination="arn:aws:s3:::no-such-bucket/flow/")
    assert (lost["FlowLogIds"], len(lost["Unsuccessful"])) == ([], 1)
    ec2.delete_flow_logs(FlowLogIds=made["FlowLogIds"])
    ec2.delete_vpc(VpcId=vpc)


def test_an_unconfirmed_address_stays_until_its_topic_goes(connect: Connect) -> None:
    sns = connect("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    asked = {"TopicArn": topic, "Protocol": "email", "Endpoint": "someone@example.com", "ReturnSubscriptionArn": True}
    arn = sns.subscribe(**asked)["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true"
    with pytest.raises(ClientError, match="pending confirmation"):
        sns.unsubscribe(SubscriptionArn=arn)
    sns.delete_topic(TopicArn=topic)
    assert arn not in [s["SubscriptionArn"] for s in sns.list_subscriptions()["Subscriptions"]]


def test_metrics_of_a_group_are_added_and_taken_away(fleet: Fleet, connect: Connect) -> None:
    scaling = connect("autoscaling")

    def shown(name: str) -> list[str]:
        (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return sorted(metric["Metric"] for metric in group["EnabledMetrics"])

    with fleet.group(fleet.template(), 0) as name:
        for metric in ("GroupMinSize", "GroupMaxSize", "GroupMaxSize", "GroupDesiredCapacity"):
            asked = {"AutoScalingGroupName": name, "Granularity": "1Minute", "Metrics": [metric]}
            scaling.enable_metrics_collection(**asked)
        scaling.disable_metrics_collection(AutoScalingGroupName=name, Metrics=["GroupMaxSize"])
        assert shown(name) == ["GroupDesiredCapacity", "GroupMinSize"]
        scaling.disable_metrics_collection(AutoScalingGroupName=name)
        assert shown(name) == []


def test_a_missing_budget_cannot_be_changed(connect: Connect) -> None:
    limit = {"Amount": "1", "Unit": "USD"}
    budget = {"BudgetName": "none", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    with pytest.raises(ClientError, match="NotFoundException"):
        connect("budgets").update_budget(AccountId="123456789012", NewBudget=budget)


def test_a_missing_log_group_takes_no_key(connect: Connect) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        connect("logs").associate_kms_key(logGroupName="/none", kmsKeyId="arn:aws:kms:us-east-1:123456789012:key/1")
