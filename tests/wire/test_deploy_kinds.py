"""Resource kinds one by one against a real emulator: created, unchanged, updated, replaced, found and deleted.

Scenes take a step: 2 changes each property that is updated in place, 3 one that forces a replacement. A setting must be
read back as it was sent, or the provider would find a difference for ever.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal import deployer
from tests.rehearsal.programs.project import ACCOUNT, client, find_healthy
from tests.wire.deploy_stage import Stage
from tests.wire.fleet import eventually

Connect = Callable[[str], Any]


@pytest.fixture(scope="module")
def endpoint(own_emulator: str) -> str:
    """Return the endpoint of an emulator for this module's programs only."""
    return own_emulator


@pytest.fixture
def connect(endpoint: str) -> Connect:
    return client(endpoint)


@pytest.fixture
def west(endpoint: str) -> Connect:
    """Return clients of the second region."""
    return client(endpoint, "us-west-2")


def verbs(stage: Stage, scene: str, **settings: Any) -> Counter[tuple[str, str]]:
    """Apply a scene twice, and return the number of changes of the first apply by verb and type."""
    steps: list[deployer.Step] = []
    stage.up(scene, progress=steps.append, **settings)
    assert stage.up(scene, **settings).writes == 0
    return Counter((step.verb, step.type.rpartition(":")[2]) for step in steps if step.verb != "same")


def test_keys_and_aliases(stage: Stage, connect: Connect) -> None:
    kms, first = connect("kms"), stage.steady("keys", step=1).outputs
    assert first["target"] == first["arn"]
    assert kms.get_key_rotation_status(KeyId=first["first"])["KeyRotationEnabled"] is False
    assert stage.up("keys", step=1, indent=2).writes == 0

    assert verbs(stage, "keys", step=2) == {("update", "Key"): 2, ("update", "Alias"): 1}
    status = kms.get_key_rotation_status(KeyId=first["first"])
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 120)
    described = kms.describe_key(KeyId=first["first"])["KeyMetadata"]
    assert described["Description"] == "a key, 2"
    policy = json.loads(kms.get_key_policy(KeyId=first["first"], PolicyName="default")["Policy"])
    assert policy["Statement"][0]["Sid"] == "s2"
    assert kms.list_resource_tags(KeyId=first["first"])["Tags"] == [{"TagKey": "step", "TagValue": "2"}]
    assert kms.describe_key(KeyId=first["alias"])["KeyMetadata"]["KeyId"] == first["second"]
    assert kms.describe_key(KeyId=first["second"])["KeyMetadata"]["Enabled"] is False

    assert verbs(stage, "keys", step=3)[("replace", "Key")] == 1
    assert kms.describe_key(KeyId=first["first"])["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_a_log_group(stage: Stage, connect: Connect) -> None:
    logs, made = connect("logs"), stage.steady("logs", step=1).outputs
    assert made["arn"].endswith(":log-group:/playground/0")
    assert verbs(stage, "logs", step=2) == {("update", "LogGroup"): 1}
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/playground/0")["logGroups"]
    assert (group["retentionInDays"], group["kmsKeyId"][-1]) == (60, "2")
    assert logs.list_tags_for_resource(resourceArn=made["arn"])["tags"] == {"step": "2"}
    assert verbs(stage, "logs", step=3)[("replace", "LogGroup")] == 1
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/playground")["logGroups"]
    assert (group["logGroupName"], "retentionInDays" in group, "kmsKeyId" in group) == ("/playground/1", False, False)


def test_flow_logs(stage: Stage, connect: Connect) -> None:
    ids = stage.steady("flows", step=1).outputs["ids"]
    below, told = (connect("ec2").describe_flow_logs(FlowLogIds=[id_])["FlowLogs"][0] for id_ in ids)
    assert below["LogDestination"].endswith("/vpc/0/")
    options = {"FileFormat": "parquet", "HiveCompatiblePartitions": False, "PerHourPartition": True}
    assert options | below["DestinationOptions"] == options
    assert (below["MaxAggregationInterval"], told["MaxAggregationInterval"]) == (60, 600)
    assert (told["DeliverLogsStatus"], told["LogDestinationType"]) == ("SUCCESS", "cloud-watch-logs")
    assert verbs(stage, "flows", step=2) == {("update", "FlowLog"): 2}
    assert verbs(stage, "flows", step=3)[("replace", "FlowLog")] == 1


def test_topics_subscriptions_and_dashboards(stage: Stage, connect: Connect) -> None:
    sns, made = connect("sns"), stage.steady("told", step=1).outputs
    assert [made[f"{protocol}-pending"] for protocol in ("email", "https", "sqs")] == [True, False, False]
    assert stage.up("told", step=1, indent=2).writes == 0
    assert verbs(stage, "told", step=2) == {
        ("update", "Topic"): 1,
        ("update", "TopicSubscription"): 1,
        ("update", "Dashboard"): 1,
    }
    topic = sns.get_topic_attributes(TopicArn=made["topic"])["Attributes"]
    assert (topic["KmsMasterKeyId"], topic["SignatureVersion"]) == ("alias/2", "2")
    queue = sns.get_subscription_attributes(SubscriptionArn=made["sqs"])["Attributes"]
    assert (queue["RawMessageDelivery"], json.loads(queue["FilterPolicy"])) == ("true", {"severity": ["2"]})
    body = connect("cloudwatch").get_dashboard(DashboardName="playground-0")["DashboardBody"]
    assert json.loads(body)["widgets"][0]["properties"] == {"markdown": "2"}
    moved = verbs(stage, "told", step=3)
    assert (moved[("replace", "TopicSubscription")], moved[("replace", "Dashboard")]) == (1, 1)


def test_a_budget(stage: Stage, connect: Connect) -> None:
    budgets, named = connect("budgets"), {"AccountId": ACCOUNT, "BudgetName": "playground-0"}
    stage.steady("budget", step=1)
    assert verbs(stage, "budget", step=2) == {("update", "Budget"): 1}
    budget = budgets.describe_budget(**named)["Budget"]
    assert (budget["BudgetLimit"], budget["CostFilters"]) == (
        {"Amount": "200", "Unit": "USD"},
        {"TagKeyValue": ["user:fleet$2"]},
    )
    assert f"{budget['TimePeriod']['Start']:%Y-%m-%d}" == "2026-01-01"
    told = {
        n["NotificationType"]: (n["Threshold"], subscribers(budgets, named, n))
        for n in budgets.describe_notifications_for_budget(**named)["Notifications"]
    }
    assert told == {
        "ACTUAL": (90.0, [("SNS", "arn:aws:sns:us-east-1:123456789012:alarms")]),
        "FORECASTED": (100.0, [("EMAIL", "someone@example.com")]),
    }
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/playground-0"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "step", "Value": "2"}]
    assert verbs(stage, "budget", step=3)[("replace", "Budget")] == 1


def subscribers(budgets: Any, named: dict[str, str], notification: dict[str, Any]) -> list[tuple[str, str]]:
    answer = budgets.describe_subscribers_for_notification(**named, Notification=notification)
    return [(s["SubscriptionType"], s["Address"]) for s in answer["Subscribers"]]


def test_a_group_keeps_the_size_and_template_of_others(stage: Stage, connect: Connect) -> None:
    scaling, name = connect("autoscaling"), stage.steady("tracked", step=1).outputs["group"]
    scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    assert stage.up("tracked", step=1).writes == 0
    assert verbs(stage, "tracked", step=2) == {
        ("update", "LaunchTemplate"): 1,
        ("update", "Group"): 1,
        ("update", "Policy"): 2,
        ("update", "Schedule"): 1,
        ("replace", "Schedule"): 1,
        ("delete", "Schedule"): 1,
    }
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert (group["MinSize"], group["DesiredCapacity"], group["LaunchTemplate"]["Version"]) == (1, 3, "1")
    assert [metric["Metric"] for metric in group["EnabledMetrics"]] == ["GroupDesiredCapacity"]

    policies = {p["PolicyName"]: p for p in scaling.describe_policies(AutoScalingGroupName=name)["ScalingPolicies"]}
    requests = next(policy for key, policy in policies.items() if key.startswith("requests-"))
    tracked = requests["TargetTrackingConfiguration"]
    assert (requests["Enabled"], requests["EstimatedInstanceWarmup"]) == (False, 120)
    assert (tracked["TargetValue"], tracked["DisableScaleIn"]) == (2001.0, True)
    assert tracked["PredefinedMetricSpecification"]["PredefinedMetricType"] == "ALBRequestCountPerTarget"
    metric = policies["queries-0"]["TargetTrackingConfiguration"]["CustomizedMetricSpecification"]
    assert (metric["Statistic"], metric["Dimensions"]) == ("Sum", [{"Name": "Fleet", "Value": "f"}])

    actions = by_name(scaling, name)
    # An update keeps the start time that AWS filled in, a replacement gets another.
    assert [actions[kept]["StartTime"].minute for kept in ("hourly", "anew")] == [1, 2]
    wanted = {"Recurrence": "2 0 1 1 *", "TimeZone": "Europe/Berlin", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": 2}
    assert wanted.items() <= actions["hourly"].items()
    moved = verbs(stage, "tracked", step=3)
    assert (moved[("replace", "Policy")], moved[("replace", "Schedule")]) == (1, 2)
    actions = by_name(scaling, name)
    assert sorted(actions) == ["anew", "daily"]
    assert "DesiredCapacity" not in actions["daily"]


def by_name(scaling: Any, group: str) -> dict[str, dict[str, Any]]:
    answer = scaling.describe_scheduled_actions(AutoScalingGroupName=group)
    return {action["ScheduledActionName"]: action for action in answer["ScheduledUpdateGroupActions"]}


def test_a_group_of_several_types(stage: Stage, connect: Connect) -> None:
    name = stage.steady("mixed", step=1).outputs["group"]
    assert verbs(stage, "mixed", step=2) == {("update", "Group"): 1}
    described = connect("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    policy = described["AutoScalingGroups"][0]["MixedInstancesPolicy"]
    types = [override["InstanceType"] for override in policy["LaunchTemplate"]["Overrides"]]
    assert types == ["r7i.large", "r6i.large", "r5.large"]
    assert policy["InstancesDistribution"]["OnDemandAllocationStrategy"] == "prioritized"
    assert policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] == "1"


def test_security_groups_and_their_rules(stage: Stage, connect: Connect) -> None:
    ec2, made = connect("ec2"), stage.steady("doors", step=1).outputs

    def rules() -> list[tuple[Any, ...]]:
        found = []
        for id_ in made["rules"]:
            (rule,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[id_])["SecurityGroupRules"]
            peer = rule.get("CidrIpv4") or rule.get("PrefixListId") or rule["ReferencedGroupInfo"]["GroupId"]
            found.append((rule.get("Description"), rule["FromPort"], peer))
        return found

    assert [rule[:2] for rule in rules()] == [("first", 80), ("first", 80), ("first", -1)]
    groups = ec2.describe_security_groups(GroupIds=[made["closed"]])["SecurityGroups"]
    assert (groups[0]["GroupName"], groups[0]["VpcId"]) == ("default", made["vpc"])
    assert groups[0]["IpPermissions"] == groups[0]["IpPermissionsEgress"] == []
    before = rules()
    assert verbs(stage, "doors", step=2) == {
        ("update", "DefaultSecurityGroup"): 1,
        ("update", "SecurityGroupIngressRule"): 1,
        ("update", "SecurityGroupEgressRule"): 2,
    }
    assert [rule[:2] for rule in rules()] == [("second", 160), ("second", 160), ("second", -1)]
    assert not {rule[2] for rule in rules()} & {rule[2] for rule in before}
    (group,) = ec2.describe_security_groups(GroupIds=[made["closed"]])["SecurityGroups"]
    assert group["Tags"] == [{"Key": "step", "Value": "2"}]
    verbs(stage, "doors", step=3)
    assert [rule[:2] for rule in rules()] == [(None, 240), (None, 240), (None, -1)]


def test_an_adopted_default_group_is_closed(stage: Stage, connect: Connect) -> None:
    ec2 = connect("ec2")
    assert "property ingress has rules" in stage.refusal("rules_in_a_default_group")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["127.89.0.0/16"]}])["Vpcs"]
    named = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    default = ec2.describe_security_groups(Filters=named)["SecurityGroups"][0]["GroupId"]
    # EC2 lets the members of a default group reach each other and everything else.
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": default}]}
    ec2.authorize_security_group_ingress(GroupId=default, IpPermissions=[inside])
    assert stage.up("doors", step=1).outputs["closed"] == default
    (group,) = ec2.describe_security_groups(GroupIds=[default])["SecurityGroups"]
    assert group["IpPermissions"] == group["IpPermissionsEgress"] == []


@pytest.fixture
def zone(connect: Connect) -> str:
    """Return a hosted zone that the program does not own."""
    made = connect("route53").create_hosted_zone(Name="example.com", CallerReference="test")
    return str(made["HostedZone"]["Id"].rpartition("/")[2])


def records(connect: Connect, zone: str) -> dict[str, Any]:
    listed = connect("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {one["Name"]: one.get("AliasTarget") for one in listed if one["Type"] == "A"}


def test_an_alias_record_of_a_balancer(stage: Stage, connect: Connect, zone: str) -> None:
    made = stage.steady("named", step=1, zone=zone).outputs
    assert made == {"fqdn": "search.example.com", "id": f"{zone}_search.example.com_A"}
    assert verbs(stage, "named", step=2, zone=zone) == {("update", "Record"): 1}
    there = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "front-2.elb.amazonaws.com", "EvaluateTargetHealth": True}
    assert records(connect, zone) == {"search.example.com.": there}
    assert verbs(stage, "named", step=3, zone=zone)[("replace", "Record")] == 1
    assert list(records(connect, zone)) == ["find.example.com."]
    stage.destroy()
    assert records(connect, zone) == {}


def test_a_foreign_record_is_overwritten_only_on_request(stage: Stage, connect: Connect, zone: str) -> None:
    target = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "theirs.elb.amazonaws.com", "EvaluateTargetHealth": False}
    record = {"Name": "search.example.com", "Type": "A", "AliasTarget": target}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    connect("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    assert "but it already exists" in stage.refusal("named", step=1, zone=zone)
    assert records(connect, zone) == {"search.example.com.": target}
    assert stage.up("named", step=1, zone=zone, overwrite=True).created == 1
    assert records(connect, zone)["search.example.com."]["DNSName"] == "front-1.elb.amazonaws.com"
    assert "records of type A with one alias" in stage.refusal("other_record", zone=zone)


def test_rules_of_a_listener(stage: Stage, connect: Connect) -> None:
    elb, made = connect("elbv2"), stage.steady("ruled", step=1).outputs

    def rules() -> list[tuple[Any, ...]]:
        found = []
        for one in elb.describe_rules(RuleArns=made["rules"])["Rules"]:
            (action,) = one["Actions"]
            weights = [group["Weight"] for group in action["ForwardConfig"]["TargetGroups"]]
            slots, step = (condition["HttpHeaderConfig"] for condition in one["Conditions"])
            assert (slots["HttpHeaderName"], step["HttpHeaderName"], step["Values"]) == ("X-Slot", "X-Step", ["?"])
            found.append((one["Priority"], slots["Values"], weights))
        # AWS lists rules in no order.
        return sorted(found)

    assert rules() == [("10", ["green"], [1, 1]), ("11", ["blue"], [1, 1])]
    assert verbs(stage, "ruled", step=2) == {("update", "ListenerRule"): 2}
    assert rules() == [("20", ["green", "g*"], [1, 2]), ("21", ["blue", "b*"], [1, 2])]
    (tags, _) = elb.describe_tags(ResourceArns=made["rules"])["TagDescriptions"]
    assert tags["Tags"] == [{"Key": "step", "Value": "2"}]
    assert verbs(stage, "ruled", step=3)[("replace", "ListenerRule")] == 2
    first, second = (elb.describe_rules(ListenerArn=listener)["Rules"] for listener in made["listeners"])
    assert ([one["Priority"] for one in first], len(second)) == (["default"], 3)
    # A rule that is gone already does not stop the deletion of everything.
    elb.delete_rule(RuleArn=next(one["RuleArn"] for one in second if not one["IsDefault"]))


def test_a_rule_by_path_is_refused(stage: Stage) -> None:
    assert "conditions.pathPattern" in stage.refusal("ruled_by_path")


@pytest.mark.parametrize("asked", ["served", "served_at_first"])
def test_a_group_waits_for_healthy_targets(stage: Stage, connect: Connect, asked: str) -> None:
    def wanted(count: int) -> dict[str, Any]:
        return {asked: count}

    ended = threading.Event()

    def probe() -> None:
        """Report healthy targets as a balancer does, for two seconds in the first target group alone."""
        while not ended.wait(0.5):
            arns = [one["TargetGroupArn"] for one in connect("elbv2").describe_target_groups()["TargetGroups"]]
            told.append(find_healthy(stage.endpoint, arns[: 1 + told.count(2) // 4]))

    told: list[int] = []
    thread = threading.Thread(target=probe)
    thread.start()
    try:
        stage.up("reached", timeout="1m", **wanted(2))
        assert 4 in told
    finally:
        ended.set()
        thread.join()
        find_healthy(stage.endpoint, [])
    assert stage.up("reached", timeout="25m", **wanted(2)).updated == 1
    if asked == "served":
        refusal = stage.refusal("reached", timeout="2s", size=3, **wanted(3))
        assert "waited 2 s for the instances of group routers" in refusal
    else:
        # Others may have scaled the group since, so an update waits for no number.
        assert stage.up("reached", timeout="25m", size=3, **wanted(3)).updated == 1


def test_a_balancer_an_endpoint_and_a_role(stage: Stage, connect: Connect) -> None:
    made = stage.steady("front", step=1).outputs
    assert stage.up("front", step=1, indent=2).writes == 0
    assert attributes(connect, made) == {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.prefix": "alb/1",
        "deletion_protection.enabled": "false",
        "routing.http.desync_mitigation_mode": "strictest",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    assert verbs(stage, "front", step=2) == {
        ("update", "LoadBalancer"): 1,
        ("update", "VpcEndpoint"): 1,
        ("update", "Role"): 1,
    }
    assert attributes(connect, made) == {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.prefix": "alb/2",
        "deletion_protection.enabled": "true",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.drop_invalid_header_fields.enabled": "false",
    }
    said = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:2", "Resource": "*"}]}
    assert policy_of(connect, made) == json.dumps(said)
    boundary = connect("iam").get_role(RoleName=made["role"])["Role"]["PermissionsBoundary"]
    assert boundary["PermissionsBoundaryArn"].endswith("boundary-2")

    verbs(stage, "front", step=3)
    assert attributes(connect, made)["access_logs.s3.enabled"] == "false"
    assert policy_action(connect, made) == "*"
    assert "PermissionsBoundary" not in connect("iam").get_role(RoleName=made["role"])["Role"]


def test_a_balancer_with_deletion_protection_stays(stage: Stage) -> None:
    stage.up("front", step=2)
    assert "DeleteLoadBalancer was refused: OperationNotPermitted" in stage.refused_end()
    stage.up("front", step=4)


def attributes(connect: Connect, made: dict[str, Any]) -> dict[str, str]:
    listed = connect("elbv2").describe_load_balancer_attributes(LoadBalancerArn=made["balancer"])["Attributes"]
    wanted = ("access_logs.s3.enabled", "access_logs.s3.prefix", "deletion_", "routing.http.d")
    return {a["Key"]: a["Value"] for a in listed if a["Key"].startswith(wanted)}


def policy_action(connect: Connect, made: dict[str, Any]) -> str:
    return str(json.loads(policy_of(connect, made))["Statement"][0]["Action"])


def policy_of(connect: Connect, made: dict[str, Any]) -> str:
    described = connect("ec2").describe_vpc_endpoints(VpcEndpointIds=[made["endpoint"]])["VpcEndpoints"][0]
    return str(described["PolicyDocument"])


def test_logged_buckets_and_their_rules(stage: Stage, connect: Connect) -> None:
    s3, made = connect("s3"), stage.steady("guarded_bucket", step=1).outputs
    assert verbs(stage, "guarded_bucket", step=2) == {
        ("update", "BucketLogging"): 1,
        ("update", "BucketLifecycleConfiguration"): 1,
    }
    assert s3.get_bucket_logging(Bucket=made["bucket"])["LoggingEnabled"] == {
        "TargetBucket": made["logs"],
        "TargetPrefix": "s3/2/",
        "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
    }
    assert s3.get_bucket_lifecycle_configuration(Bucket=made["bucket"])["Rules"] == [
        {
            "ID": "left over",
            "Status": "Enabled",
            "Filter": {},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
        },
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 90}},
    ]
    assert "Contents" not in s3.list_objects_v2(Bucket=made["logs"])


def test_a_retained_object_stays_under_its_key(stage: Stage, connect: Connect, tmp_path: Path) -> None:
    s3, file = connect("s3"), tmp_path / "file"
    file.write_text("content")
    bucket = stage.steady("kept_object", file=str(file)).outputs["bucket"]
    assert verbs(stage, "kept_object", file=str(file), key="two") == {("update", "BucketObjectv2"): 1}
    head = s3.head_object(Bucket=bucket, Key="file")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"][-3:]) == ("aws:kms", "two")
    assert verbs(stage, "kept_object") == {("retain", "BucketObjectv2"): 1}
    assert s3.get_object(Bucket=bucket, Key="file")["Body"].read() == b"content"


def test_a_locked_vault_in_a_second_region_is_emptied(stage: Stage, west: Connect) -> None:
    made, s3 = stage.steady("vault").outputs, west("s3")
    assert s3.get_bucket_location(Bucket=made["bucket"])["LocationConstraint"] == "us-west-2"
    assert {"Key": "side", "Value": "west"} in s3.get_bucket_tagging(Bucket=made["bucket"])["TagSet"]
    assert made["topic"].startswith("arn:aws:sns:us-west-2:")
    foreseen = stage.preview("vault")
    assert (foreseen.unchanged, foreseen.created, foreseen.writes) == (4, 0, 0)
    s3.put_object(Bucket=made["bucket"], Key="a", Body=b"a")
    assert verbs(stage, "vault", days=2) == {("update", "BucketObjectLockConfiguration"): 1}
    retention = s3.get_object_lock_configuration(Bucket=made["bucket"])["ObjectLockConfiguration"]["Rule"]
    assert (retention["DefaultRetention"]["Mode"], retention["DefaultRetention"]["Days"]) == ("GOVERNANCE", 2)
    s3.put_object(Bucket=made["bucket"], Key="b", Body=b"b")
    s3.delete_object(Bucket=made["bucket"], Key="a")
    stage.destroy()
    assert made["bucket"] not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_objects_retained_for_compliance_stay(tmp_path: Path, endpoint: str, west: Connect) -> None:
    stage, s3 = Stage(tmp_path, endpoint), west("s3")
    bucket = stage.up("vault", mode="COMPLIANCE").outputs["bucket"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    message = stage.refused_end()
    assert f"1 objects of {bucket} cannot be deleted: a is retained until " in message
    assert "in mode COMPLIANCE; wait until then" in message
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_an_alarm_in_a_second_region(stage: Stage, connect: Connect, west: Connect) -> None:
    made = stage.steady("watched_afar", step=1).outputs
    assert verbs(stage, "watched_afar", step=2) == {("update", "MetricAlarm"): 1, ("update", "TopicPolicy"): 1}
    (alarm,) = west("cloudwatch").describe_alarms(AlarmNames=[made["alarm"]])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (1800, [made["topic"]])
    assert made["topic"].startswith("arn:aws:sns:us-west-2:")
    policy = west("sns").get_topic_attributes(TopicArn=made["topic"])["Attributes"]["Policy"]
    assert json.loads(policy)["Statement"][0]["Sid"] == "s2"
    (letter,) = west("sns").list_subscriptions_by_topic(TopicArn=made["topic"])["Subscriptions"]
    assert letter["Endpoint"] == "someone@example.com"
    assert connect("cloudwatch").describe_alarms(AlarmNames=[made["alarm"]])["MetricAlarms"] == []
    stage.destroy()
    assert west("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert made["topic"] not in [topic["TopicArn"] for topic in west("sns").list_topics()["Topics"]]


# The calls that read each setting of a bucket.
SETTINGS = (
    "get_bucket_versioning",
    "get_public_access_block",
    "get_bucket_ownership_controls",
    "get_bucket_encryption",
    "get_bucket_lifecycle_configuration",
    "get_object_lock_configuration",
    "get_bucket_logging",
    "get_bucket_replication",
)


def settings_of(connect: Connect, made: dict[str, Any]) -> dict[str, Any]:
    """Return everything that the scene `kept` created, as the API describes it."""
    s3, named = connect("s3"), {"Bucket": made["source"]}
    found = {call: getattr(s3, call)(**named) for call in SETTINGS}
    found["policy"] = s3.get_bucket_policy(Bucket=made["target"])
    found["key"] = connect("kms").describe_key(KeyId=made["key"])
    found["role"] = connect("iam").get_role(RoleName=made["role"])
    found["inline"] = connect("iam").list_role_policies(RoleName=made["role"])
    return {call: {k: v for k, v in answer.items() if k != "ResponseMetadata"} for call, answer in found.items()}


@pytest.mark.parametrize("end", ["removed", "destroyed"])
def test_retained_resources_are_forgotten_without_a_call(
    tmp_path: Path, endpoint: str, connect: Connect, end: str
) -> None:
    stage = Stage(tmp_path, endpoint)
    made = stage.up("kept", present=True, retain=True).outputs
    before = settings_of(connect, made)
    assert all(before.values())
    gone = stage.up("kept", present=False, retain=True) if end == "removed" else stage.destroy()
    assert (gone.retained, gone.deleted, gone.writes) == (15, 0, 0)
    assert settings_of(connect, made) == before


def test_protected_resources_stay_whole(stage: Stage, connect: Connect) -> None:
    made = stage.up("kept", present=True, protect=True).outputs
    before = settings_of(connect, made)
    for message in (stage.refusal("kept", present=False), stage.refused_end()):
        assert "it is protected and would have to be deleted; nothing was done to it" in message
    assert settings_of(connect, made) == before
    assert stage.up("kept", present=True).writes == 0
    assert stage.up("kept", present=False).deleted == 15


def test_a_replicated_bucket(stage: Stage, connect: Connect, west: Connect) -> None:
    made, s3 = stage.steady("copied", step=1).outputs, connect("s3")
    assert verbs(stage, "copied", step=2) == {("update", "BucketReplicationConfig"): 1}
    (rule,) = s3.get_bucket_replication(Bucket=made["source"])["ReplicationConfiguration"]["Rules"]
    assert rule == {
        "ID": "log",
        "Priority": 2,
        "Status": "Enabled",
        "Filter": {"Prefix": "log/"},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{made['vault']}",
            "EncryptionConfiguration": {"ReplicaKmsKeyID": "arn:aws:kms:us-west-2:123456789012:key/2"},
            "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
            "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
        },
    }
    s3.put_object(Bucket=made["source"], Key="log/1", Body=b"one")
    eventually(lambda: "Contents" in west("s3").list_objects_v2(Bucket=made["vault"]))
    copy = west("s3").head_object(Bucket=made["vault"], Key="log/1")
    assert (copy["ReplicationStatus"], copy["ObjectLockMode"]) == ("REPLICA", "GOVERNANCE")


@pytest.mark.parametrize(
    ("scene", "named"),
    [
        ("lost_provider", "pulumi:providers:aws lost: an explicit provider sets no aws:endpoints or no aws:region"),
        ("strange_provider", "the configuration aws:profile of an explicit provider is unknown"),
    ],
)
def test_a_provider_of_a_real_account_is_refused(stage: Stage, scene: str, named: str) -> None:
    assert named in stage.refusal(scene)
