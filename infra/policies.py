"""IAM, bucket and topic policies as plain data; a golden test holds every statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infra import slo

Statement: TypeAlias = dict[str, object]
Policy: TypeAlias = dict[str, object]
ROLES = ("node", "router", "indexer")


@dataclass(frozen=True)
class Grounds:
    """What a role's policy talks about: ARNs of the fleet's buckets and the ARN prefix of its parameters."""

    documents_arn: str
    index_arn: str
    artifacts_arn: str
    parameters_arn: str


def document(*statements: Statement) -> Policy:
    """A policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def assume_by_ec2() -> Policy:
    """Who may take an instance's role: EC2, nobody else."""
    return document(
        {
            "Sid": "InstancesOnly",
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def _allow(sid: str, actions: Sequence[str], *resources: str, **condition: object) -> Statement:
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return {**statement, **({"Condition": condition} if condition else {})}


def _list(sid: str, bucket_arn: str) -> Statement:
    """No condition on the prefix: it is this permission that makes a missing key a 404 instead of a 403."""
    return _allow(sid, ["s3:ListBucket"], bucket_arn)


def _boot(grounds: Grounds) -> list[Statement]:
    """What every process needs to start: its artifact and the fleet's configuration."""
    return [
        _allow("FetchArtifact", ["s3:GetObject"], f"{grounds.artifacts_arn}/*"),
        _allow(
            "ReadParameters",
            ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
            grounds.parameters_arn,
            f"{grounds.parameters_arn}/*",
        ),
    ]


def node(grounds: Grounds) -> Policy:
    """A node reads the index bucket's logs, and reads and writes snapshots, claims and crash counts beside them."""
    return document(
        *_boot(grounds),
        _list("ListIndex", grounds.index_arn),
        _allow("ReadIndex", ["s3:GetObject"], f"{grounds.index_arn}/*"),
        _allow("WriteSnapshotsClaimsAndCrashes", ["s3:PutObject"], *_node_keys(grounds)),
        _allow("CleanUp", ["s3:AbortMultipartUpload", "s3:DeleteObject"], *_node_keys(grounds)),
    )


def _node_keys(grounds: Grounds) -> tuple[str, ...]:
    return tuple(f"{grounds.index_arn}/*/{folder}/*" for folder in ("snapshots", "claims", "crashes"))


def indexer(grounds: Grounds) -> Policy:
    """An indexer tails the documents log and appends to shard logs."""
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _allow("ReadDocuments", ["s3:GetObject"], f"{grounds.documents_arn}/*"),
        _list("ListIndex", grounds.index_arn),
        _allow(
            "WriteIndex",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            f"{grounds.index_arn}/*",
        ),
    )


def router(grounds: Grounds) -> Policy:
    """A router appends documents, reads the slot's pointer, finds replicas by tag and publishes metrics."""
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _allow("AppendDocuments", ["s3:GetObject", "s3:PutObject"], f"{grounds.documents_arn}/*"),
        _allow("CleanUpConformance", ["s3:DeleteObject"], f"{grounds.documents_arn}/conformance/*"),
        _list("ListIndex", grounds.index_arn),
        _allow("ReadSlots", ["s3:GetObject"], f"{grounds.index_arn}/slots/*"),
        # ec2:Describe* takes no resource and no useful condition: AWS offers nothing narrower.
        _allow("FindReplicas", ["ec2:DescribeInstances"], "*"),
        _allow(
            "PublishMetrics",
            ["cloudwatch:PutMetricData"],
            "*",
            StringEquals={"cloudwatch:namespace": slo.NAMESPACE},
        ),
    )


def for_role(role: str, grounds: Grounds) -> Policy:
    """The policy of one process kind."""
    return {"node": node, "router": router, "indexer": indexer}[role](grounds)


def tls_only(bucket_arn: str) -> Policy:
    """Refuses plain HTTP for everyone; AWS's own endpoints refuse TLS below 1.2."""
    return document(
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def alarms_may_publish(topic_arn: str) -> Policy:
    """CloudWatch alarms of the topic's own account may publish to it, over TLS; nobody else is named."""
    account = topic_arn.split(":")[4]
    return document(
        {
            "Sid": "AlarmsPublish",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        },
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
