"""Golden statements: a change of any permission is seen here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.components import policies, role_policies
from infra.components.bucket import Statements

GROUNDS = role_policies.Grounds(
    documents_arn="arn:aws:s3:::docs",
    index_arn="arn:aws:s3:::index",
    artifacts_arn="arn:aws:s3:::code",
    parameters_arn="arn:aws:ssm:us-east-1:123456789012:parameter/vectorfleet/main",
    data_key_arn="arn:aws:kms:us-east-1:123456789012:key/1",
    log_group_arn="arn:aws:logs:us-east-1:123456789012:log-group:/vectorfleet/main/service",
)
PARAMETERS = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]

BOOT = [
    ("FetchArtifact", ["s3:GetObject"], ["arn:aws:s3:::code/*"]),
    ("ReadParameters", PARAMETERS, [GROUNDS.parameters_arn, f"{GROUNDS.parameters_arn}/*"]),
    ("UseDataKey", ["kms:Decrypt", "kms:GenerateDataKey"], [GROUNDS.data_key_arn]),
    (
        "ShipLogs",
        ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        [GROUNDS.log_group_arn, f"{GROUNDS.log_group_arn}:*"],
    ),
    ("PublishMetrics", ["cloudwatch:PutMetricData"], ["*"]),
]
NODE_KEYS = [f"arn:aws:s3:::index/*/{folder}/*" for folder in ("snapshots", "claims", "crashes", "verified", "refused")]
VERDICTS = [f"arn:aws:s3:::index/builds/*/{folder}/*" for folder in ("verified", "refused")]
GOLDEN: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "node": [
        *BOOT,
        ("ListDocuments", ["s3:ListBucket"], ["arn:aws:s3:::docs"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        ("ReadIndex", ["s3:GetObject"], ["arn:aws:s3:::index/*"]),
        ("WriteSnapshotsClaimsAndCrashes", ["s3:PutObject"], NODE_KEYS),
        ("CleanUp", ["s3:AbortMultipartUpload", "s3:DeleteObject"], NODE_KEYS),
        ("FindOwnGroup", ["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"], ["*"]),
        (
            "CompleteLaunch",
            ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            ["arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/*"],
        ),
    ],
    "router": [
        *BOOT,
        ("ListDocuments", ["s3:ListBucket"], ["arn:aws:s3:::docs"]),
        ("ReadDocuments", ["s3:GetObject"], ["arn:aws:s3:::docs/*"]),
        ("AppendDocuments", ["s3:PutObject"], [f"arn:aws:s3:::docs/{one}/*" for one in ("log", "requests", "sources")]),
        ("ProveConformance", ["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::docs/conformance/*"]),
        ("CleanUpConformance", ["s3:DeleteObject"], ["arn:aws:s3:::docs/conformance/*"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        ("ReadSlotsAndDrills", ["s3:GetObject"], ["arn:aws:s3:::index/slots/*", "arn:aws:s3:::index/drills/*"]),
        ("ReadSnapshots", ["s3:GetObject"], ["arn:aws:s3:::index/builds/*/snapshots/*"]),
        ("KeepVerdicts", ["s3:GetObject", "s3:PutObject"], VERDICTS),
        (
            "ReadAccessKeys",
            ["ssm:GetParametersByPath"],
            [
                "arn:aws:ssm:us-east-1:123456789012:parameter/vectorfleet-keys/main",
                "arn:aws:ssm:us-east-1:123456789012:parameter/vectorfleet-keys/main/*",
            ],
        ),
        ("FindReplicas", ["ec2:DescribeInstances"], ["*"]),
    ],
    "generator": BOOT,
    "indexer": [
        *BOOT,
        ("ListDocuments", ["s3:ListBucket"], ["arn:aws:s3:::docs"]),
        ("ReadDocuments", ["s3:GetObject"], ["arn:aws:s3:::docs/*"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        ("ReadIndex", ["s3:GetObject"], ["arn:aws:s3:::index/*"]),
        (
            "AppendToShardLogs",
            ["s3:PutObject"],
            ["arn:aws:s3:::index/builds/*/shard-*/log/*", "arn:aws:s3:::index/slots/*"],
        ),
        ("EndRebuilds", ["s3:DeleteObject"], ["arn:aws:s3:::index/slots/*.next.json"]),
        ("RememberVectors", ["s3:PutObject", "s3:DeleteObject"], ["arn:aws:s3:::index/memory/*"]),
        ("ProveConformance", ["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::index/conformance/*"]),
        ("CleanUpConformance", ["s3:DeleteObject"], ["arn:aws:s3:::index/conformance/*"]),
    ],
}


def statements(policy: policies.Policy) -> list[dict[str, Any]]:
    listed = policy["Statement"]
    assert isinstance(listed, list)
    return listed


@pytest.mark.parametrize("role", role_policies.ROLES)
def test_a_role_may_do_exactly_this(role: str) -> None:
    listed = statements(role_policies.for_role(role, GROUNDS))
    assert [(row["Sid"], row["Action"], row["Resource"]) for row in listed] == GOLDEN[role]
    assert {row["Effect"] for row in listed} == {"Allow"}


@pytest.mark.parametrize("role", role_policies.ROLES)
def test_no_role_may_delete_documents_or_use_a_wildcard_action(role: str) -> None:
    for row in statements(role_policies.for_role(role, GROUNDS)):
        assert not any("*" in action for action in row["Action"])
        if "s3:DeleteObject" in row["Action"]:
            assert not any(arn.startswith("arn:aws:s3:::docs/") and "conformance" not in arn for arn in row["Resource"])


def test_a_node_completes_launches_of_its_own_fleets_nodes_only() -> None:
    (row,) = (row for row in statements(role_policies.node(GROUNDS)) if row["Sid"] == "CompleteLaunch")
    assert row["Condition"] == {
        "StringEquals": {
            "aws:ResourceTag/vectorfleet:fleet": "main",
            "aws:ResourceTag/vectorfleet:role": "node",
        }
    }


@pytest.mark.parametrize("role", role_policies.ROLES)
def test_only_nodes_write_snapshots_and_only_routers_documents(role: str) -> None:
    for row in statements(role_policies.for_role(role, GROUNDS)):
        if role != "node" and row["Action"] != ["s3:GetObject"]:
            assert not any("snapshots" in arn for arn in row["Resource"])
        if role != "router" and "s3:PutObject" in row["Action"]:
            assert not any(arn.startswith("arn:aws:s3:::docs") for arn in row["Resource"])


@pytest.mark.parametrize("role", role_policies.ROLES)
def test_metrics_go_into_the_fleets_namespace_only(role: str) -> None:
    (row,) = (row for row in statements(role_policies.for_role(role, GROUNDS)) if row["Sid"] == "PublishMetrics")
    assert row["Condition"] == {"StringEquals": {"cloudwatch:namespace": "vectorfleet"}}


def test_a_bucket_refuses_plain_http_and_old_tls_for_everyone() -> None:
    plain, old = statements(policies.bucket("arn:aws:s3:::docs"))
    for row in (plain, old):
        assert (row["Effect"], row["Principal"], row["Action"]) == ("Deny", {"AWS": "*"}, "s3:*")
        assert row["Resource"] == ["arn:aws:s3:::docs", "arn:aws:s3:::docs/*"]
    assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert old["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        (policies.documents_log_is_append_only, "log/*"),
        (policies.shard_logs_are_append_only, "builds/*/shard-*/log/*"),
    ],
)
def test_a_log_is_append_only_for_everyone(rule: Statements, keys: str) -> None:
    (row,) = rule("arn:aws:s3:::docs", "123456789012")
    assert (row["Effect"], row["Principal"], row["Action"]) == ("Deny", {"AWS": "*"}, "s3:PutObject")
    assert row["Resource"] == [f"arn:aws:s3:::docs/{keys}"]
    assert row["Condition"] == {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}


def test_nobody_takes_anything_out_of_the_vault_before_its_time() -> None:
    (row,) = policies.locks_hold("arn:aws:s3:::vault", "123456789012")
    assert (row["Effect"], row["Principal"]) == ("Deny", {"AWS": "*"})
    assert row["Action"] == "s3:BypassGovernanceRetention"


ACCOUNT = "123456789012"
OWN = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def allowed(sid: str, principal: dict[str, str], action: object, resource: object, **more: Any) -> dict[str, Any]:
    """A golden statement of a policy on a resource."""
    begin = {"Sid": sid, "Effect": "Allow", "Principal": principal}
    return {**begin, "Action": action, "Resource": resource, **({"Condition": more} if more else {})}


def to_service(sid: str, service: str, action: object, resource: str, **more: Any) -> dict[str, Any]:
    return allowed(sid, {"Service": f"{service}.amazonaws.com"}, action, resource, **more)


def test_logs_are_delivered_for_the_own_account_only() -> None:
    bucket, put = "arn:aws:s3:::logs", "s3:PutObject"
    assert list(policies.log_delivery(bucket, ACCOUNT)) == [
        to_service("S3AccessLogs", "logging.s3", put, f"{bucket}/s3/*", **OWN),
        to_service("BalancerLogs", "logdelivery.elasticloadbalancing", put, f"{bucket}/alb/AWSLogs/{ACCOUNT}/*"),
        to_service("FlowLogs", "delivery.logs", put, f"{bucket}/AWSLogs/{ACCOUNT}/*", **OWN),
        to_service("FlowLogsLook", "delivery.logs", "s3:GetBucketAcl", bucket, **OWN),
    ]


def test_the_key_of_operations_is_used_by_exactly_these() -> None:
    decrypt = ["kms:Decrypt", "kms:GenerateDataKey*"]
    groups = {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:*"}
    logs = [*decrypt, "kms:Encrypt", "kms:ReEncrypt*"]
    assert statements(policies.operations_key(ACCOUNT, "eu-west-1")) == [
        allowed("IamDecides", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:*", "*"),
        to_service("AlarmsSpeak", "cloudwatch", decrypt, "*", **OWN),
        to_service("LogsWrite", "logs.eu-west-1", logs, "*", ArnLike=groups),
        to_service("BudgetsSpeak", "budgets", decrypt, "*", **OWN),
    ]


def test_the_s3_endpoint_admits_own_buckets_and_packages() -> None:
    own = {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}
    packages = "arn:aws:s3:::al2023-repos-eu-west-1-de612dc2/*"
    assert statements(policies.s3_endpoint(ACCOUNT, "eu-west-1")) == [
        allowed("OwnAccountAlone", {"AWS": "*"}, "s3:*", "*", StringEquals=own),
        allowed("AmazonLinuxPackages", {"AWS": "*"}, "s3:GetObject", packages),
    ]


def test_a_key_is_the_accounts_in_each_part_of_aws() -> None:
    (decides,) = statements(policies.data_key("123456789012", "eu-west-1"))
    assert decides["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    (elsewhere,) = statements(policies.data_key("123456789012", "us-gov-west-1"))
    assert elsewhere["Principal"] == {"AWS": "arn:aws-us-gov:iam::123456789012:root"}


def test_sessions_add_only_the_agents_permissions() -> None:
    for role in role_policies.ROLES:
        wanted = statements(role_policies.for_role(role, replace(GROUNDS, sessions=True)))
        (more,) = [row for row in wanted if row not in statements(role_policies.for_role(role, GROUNDS))]
        assert more["Action"] == [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ]


def test_nobody_ends_the_key_of_what_is_locked() -> None:
    decides, refuses = statements(policies.locked_data_key("123456789012", "eu-west-1"))
    assert decides["Effect"] == "Allow"
    assert (refuses["Effect"], refuses["Principal"]) == ("Deny", {"AWS": "*"})
    assert refuses["Action"] == ["kms:DisableKey", "kms:ScheduleKeyDeletion"]
    assert "Condition" not in refuses


def test_replication_reads_the_sources_and_writes_the_vault_only() -> None:
    sources = ["arn:aws:s3:::docs", "arn:aws:s3:::index"]
    rows = statements(policies.replication(sources, "arn:aws:s3:::vault", "arn:key:1", "arn:key:2"))
    versions = ["VersionAcl", "VersionForReplication", "VersionTagging", "Retention", "LegalHold"]
    assert rows == [
        granted("SeeRules", ["s3:GetReplicationConfiguration", "s3:ListBucket"], sources),
        granted(
            "ReadVersions",
            [f"s3:GetObject{name}" for name in versions],
            ["arn:aws:s3:::docs/*", "arn:aws:s3:::index/*"],
        ),
        granted("WriteCopies", ["s3:ReplicateObject", "s3:ReplicateTags"], ["arn:aws:s3:::vault/*"]),
        granted("DecryptSource", ["kms:Decrypt"], ["arn:key:1"]),
        granted("EncryptCopy", ["kms:Encrypt", "kms:GenerateDataKey"], ["arn:key:2"]),
    ]


def granted(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    """A golden statement of a role's policy, without conditions."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def test_batch_replication_only_lists_and_starts() -> None:
    (trust,) = statements(policies.assume_by("batchoperations.s3", "BatchOperationsOnly"))
    assert (trust["Principal"], trust["Action"]) == ({"Service": "batchoperations.s3.amazonaws.com"}, "sts:AssumeRole")
    assert statements(policies.batch_replication(["arn:aws:s3:::docs", "arn:aws:s3:::index"])) == [
        {
            "Sid": "ListByRules",
            "Effect": "Allow",
            "Action": ["s3:GetReplicationConfiguration", "s3:PutInventoryConfiguration"],
            "Resource": ["arn:aws:s3:::docs", "arn:aws:s3:::index"],
        },
        {
            "Sid": "StartCopies",
            "Effect": "Allow",
            "Action": ["s3:InitiateReplication"],
            "Resource": ["arn:aws:s3:::docs/*", "arn:aws:s3:::index/*"],
        },
    ]


def test_only_alarms_and_budgets_of_the_same_account_may_publish() -> None:
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:alerts"
    assert statements(policies.alarms_may_publish(topic)) == [
        to_service("AlarmsPublish", "cloudwatch", "sns:Publish", topic, **OWN),
        to_service("BudgetsPublish", "budgets", "sns:Publish", topic, **OWN),
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": topic,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]


def test_only_ec2_takes_a_role() -> None:
    (row,) = statements(policies.assume_by("ec2", "InstancesOnly"))
    assert row["Principal"] == {"Service": "ec2.amazonaws.com"}


@pytest.mark.parametrize("role", role_policies.ROLES)
def test_who_embeds_may_use_the_model_elsewhere_and_nobody_else(role: str) -> None:
    model = replace(GROUNDS, bedrock_models=("amazon.titan-embed-text-v1",))
    secret = replace(GROUNDS, embedding_secrets=("/vectorfleet-secrets/main/embedding",))
    for grounds, wanted in (
        (
            model,
            ("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v1"),
        ),
        (
            secret,
            (
                "ssm:GetParameter",
                "arn:aws:ssm:us-east-1:123456789012:parameter/vectorfleet-secrets/main/embedding",
            ),
        ),
    ):
        plain = statements(role_policies.for_role(role, GROUNDS))
        more = [row for row in statements(role_policies.for_role(role, grounds)) if row not in plain]
        found = [(action, arn) for row in more for action in row["Action"] for arn in row["Resource"]]
        assert found == ([wanted] if role in ("router", "indexer") else [])
