"""Golden statements: a change of any permission is seen here."""

from __future__ import annotations

from typing import Any

import pytest

from infra import policies

GROUNDS = policies.Grounds(
    documents_arn="arn:aws:s3:::docs",
    index_arn="arn:aws:s3:::index",
    artifacts_arn="arn:aws:s3:::code",
    parameters_arn="arn:aws:ssm:us-east-1:123456789012:parameter/vectorfleet/main",
)
PARAMETERS = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]

GOLDEN: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "node": [
        ("FetchArtifact", ["s3:GetObject"], ["arn:aws:s3:::code/*"]),
        ("ReadParameters", PARAMETERS, [GROUNDS.parameters_arn, f"{GROUNDS.parameters_arn}/*"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        ("ReadIndex", ["s3:GetObject"], ["arn:aws:s3:::index/*"]),
        (
            "WriteSnapshotsClaimsAndCrashes",
            ["s3:PutObject"],
            [f"arn:aws:s3:::index/*/{folder}/*" for folder in ("snapshots", "claims", "crashes")],
        ),
        (
            "CleanUp",
            ["s3:AbortMultipartUpload", "s3:DeleteObject"],
            [f"arn:aws:s3:::index/*/{folder}/*" for folder in ("snapshots", "claims", "crashes")],
        ),
    ],
    "router": [
        ("FetchArtifact", ["s3:GetObject"], ["arn:aws:s3:::code/*"]),
        ("ReadParameters", PARAMETERS, [GROUNDS.parameters_arn, f"{GROUNDS.parameters_arn}/*"]),
        ("ListDocuments", ["s3:ListBucket"], ["arn:aws:s3:::docs"]),
        ("AppendDocuments", ["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::docs/*"]),
        ("CleanUpConformance", ["s3:DeleteObject"], ["arn:aws:s3:::docs/conformance/*"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        ("ReadSlots", ["s3:GetObject"], ["arn:aws:s3:::index/slots/*"]),
        ("FindReplicas", ["ec2:DescribeInstances"], ["*"]),
        ("PublishMetrics", ["cloudwatch:PutMetricData"], ["*"]),
    ],
    "indexer": [
        ("FetchArtifact", ["s3:GetObject"], ["arn:aws:s3:::code/*"]),
        ("ReadParameters", PARAMETERS, [GROUNDS.parameters_arn, f"{GROUNDS.parameters_arn}/*"]),
        ("ListDocuments", ["s3:ListBucket"], ["arn:aws:s3:::docs"]),
        ("ReadDocuments", ["s3:GetObject"], ["arn:aws:s3:::docs/*"]),
        ("ListIndex", ["s3:ListBucket"], ["arn:aws:s3:::index"]),
        (
            "WriteIndex",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            ["arn:aws:s3:::index/*"],
        ),
    ],
}


def statements(policy: policies.Policy) -> list[dict[str, Any]]:
    listed = policy["Statement"]
    assert isinstance(listed, list)
    return listed


@pytest.mark.parametrize("role", policies.ROLES)
def test_a_role_may_do_exactly_this(role: str) -> None:
    listed = statements(policies.for_role(role, GROUNDS))
    assert [(row["Sid"], row["Action"], row["Resource"]) for row in listed] == GOLDEN[role]
    assert {row["Effect"] for row in listed} == {"Allow"}


@pytest.mark.parametrize("role", policies.ROLES)
def test_no_role_may_delete_documents_or_use_a_wildcard_action(role: str) -> None:
    for row in statements(policies.for_role(role, GROUNDS)):
        assert not any("*" in action for action in row["Action"])
        if "s3:DeleteObject" in row["Action"]:
            assert not any(arn.startswith("arn:aws:s3:::docs/") and "conformance" not in arn for arn in row["Resource"])


def test_metrics_go_into_the_fleets_namespace_only() -> None:
    row = statements(policies.router(GROUNDS))[-1]
    assert row["Condition"] == {"StringEquals": {"cloudwatch:namespace": "vectorfleet"}}


def test_a_bucket_refuses_plain_http_for_everyone() -> None:
    assert policies.tls_only("arn:aws:s3:::docs") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RefusePlainHttp",
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::docs", "arn:aws:s3:::docs/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def test_only_alarms_of_the_same_account_may_publish() -> None:
    allow, deny = statements(policies.alarms_may_publish("arn:aws:sns:us-east-1:123456789012:alerts"))
    assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_ec2_takes_a_role() -> None:
    (row,) = statements(policies.assume_by_ec2())
    assert row["Principal"] == {"Service": "ec2.amazonaws.com"}
