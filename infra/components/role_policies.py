"""Inline policies of process roles; a golden test holds every statement."""

from __future__ import annotations

from dataclasses import dataclass

from infra.components.policies import (
    DOCUMENTS_LOG,
    EMBEDDING_MEMORY,
    REQUEST_IDS,
    SHARD_LOGS,
    SOURCES,
    Policy,
    Statement,
    allow,
    document,
)
from infra.facts import naming, slo

ROLES = ("node", "router", "indexer", "generator")
VERDICTS = ("verified", "refused")


@dataclass(frozen=True)
class Grounds:
    """
    The resources that policies of roles name.

    `parameters_arn` is the prefix of the fleet's parameters. A remote embedding model has an id at Bedrock, or a
    parameter with its key; slots may have different ones. `sessions` allows people to reach instances by
    Session Manager.
    """

    documents_arn: str
    index_arn: str
    artifacts_arn: str
    parameters_arn: str
    data_key_arn: str
    log_group_arn: str
    bedrock_models: tuple[str, ...] = ()
    embedding_secrets: tuple[str, ...] = ()
    sessions: bool = False


def _list(sid: str, bucket_arn: str) -> Statement:
    """Allow listing without a condition on the prefix: this permission makes a missing key a 404, not a 403."""
    return allow(sid, ["s3:ListBucket"], bucket_arn)


def _boot(grounds: Grounds) -> list[Statement]:
    """Allow every process its artifact, the fleet's configuration, the data key, logs and metrics."""
    return [
        allow("FetchArtifact", ["s3:GetObject"], f"{grounds.artifacts_arn}/*"),
        allow(
            "ReadParameters",
            ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
            grounds.parameters_arn,
            f"{grounds.parameters_arn}/*",
        ),
        allow("UseDataKey", ["kms:Decrypt", "kms:GenerateDataKey"], grounds.data_key_arn),
        allow(
            "ShipLogs",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            grounds.log_group_arn,
            f"{grounds.log_group_arn}:*",
        ),
        _publish_metrics(),
        *_sessions(grounds),
    ]


def _sessions(grounds: Grounds) -> list[Statement]:
    """Allow the agent of Systems Manager to open sessions, for which no port is open."""
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    if not grounds.sessions:
        return []
    # AWS restricts neither channels nor an agent's report to a resource.
    return [allow("Sessions", ["ssm:UpdateInstanceInformation", *(f"ssmmessages:{name}" for name in channels)], "*")]


def _publish_metrics() -> Statement:
    # AWS restricts PutMetricData only by namespace.
    return allow(
        "PublishMetrics",
        ["cloudwatch:PutMetricData"],
        "*",
        StringEquals={"cloudwatch:namespace": slo.NAMESPACE},
    )


def node(grounds: Grounds) -> Policy:
    """
    Return a node's policy.

    A node reads shard logs, and reads and writes snapshots with their verdicts, claims and crash counts. It lists the
    documents log, whose head it must cover, and reads none of it.
    """
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _list("ListIndex", grounds.index_arn),
        allow("ReadIndex", ["s3:GetObject"], f"{grounds.index_arn}/*"),
        allow("WriteSnapshotsClaimsAndCrashes", ["s3:PutObject"], *_node_keys(grounds)),
        allow("CleanUp", ["s3:AbortMultipartUpload", "s3:DeleteObject"], *_node_keys(grounds)),
        *_lifecycle(grounds),
    )


def _lifecycle(grounds: Grounds) -> list[Statement]:
    """Allow a node its launch hook, by the groups' tags: a group's own ARN would be a cycle."""
    _, partition, _, region, account, parameter = grounds.parameters_arn.split(":", 5)
    return [
        # AWS restricts autoscaling:Describe* neither by resource nor by condition.
        allow("FindOwnGroup", ["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"], "*"),
        allow(
            "CompleteLaunch",
            ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            f"arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/*",
            StringEquals={
                "aws:ResourceTag/vectorfleet:fleet": parameter.rsplit("/", 1)[1],
                "aws:ResourceTag/vectorfleet:role": "node",
            },
        ),
    ]


def _node_keys(grounds: Grounds) -> tuple[str, ...]:
    return tuple(f"{grounds.index_arn}/*/{folder}/*" for folder in ("snapshots", "claims", "crashes", *VERDICTS))


def _verdicts(grounds: Grounds) -> tuple[str, ...]:
    return tuple(f"{grounds.index_arn}/builds/*/{folder}/*" for folder in VERDICTS)


def indexer(grounds: Grounds) -> Policy:
    """
    Return an indexer's policy.

    It reads the documents log, writes the slot's pointer, appends to shard logs, and keeps the embedding memory.
    """
    return document(
        *_boot(grounds),
        *_embed(grounds),
        _list("ListDocuments", grounds.documents_arn),
        allow("ReadDocuments", ["s3:GetObject"], f"{grounds.documents_arn}/*"),
        _list("ListIndex", grounds.index_arn),
        allow("ReadIndex", ["s3:GetObject"], f"{grounds.index_arn}/*"),
        allow(
            "AppendToShardLogs",
            ["s3:PutObject"],
            f"{grounds.index_arn}/{SHARD_LOGS}",
            f"{grounds.index_arn}/slots/*",
        ),
        allow("EndRebuilds", ["s3:DeleteObject"], f"{grounds.index_arn}/slots/*.next.json"),
        allow("RememberVectors", ["s3:PutObject", "s3:DeleteObject"], f"{grounds.index_arn}/{EMBEDDING_MEMORY}"),
        *_prove_conformance(grounds.index_arn),
    )


def router(grounds: Grounds) -> Policy:
    """Return a router's policy: it appends documents, reads slots and snapshots, writes verdicts, finds replicas."""
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        allow("ReadDocuments", ["s3:GetObject"], f"{grounds.documents_arn}/*"),
        allow(
            "AppendDocuments",
            ["s3:PutObject"],
            f"{grounds.documents_arn}/{DOCUMENTS_LOG}",
            f"{grounds.documents_arn}/{REQUEST_IDS}",
            f"{grounds.documents_arn}/{SOURCES}",
        ),
        *_prove_conformance(grounds.documents_arn),
        _list("ListIndex", grounds.index_arn),
        allow("ReadSlotsAndDrills", ["s3:GetObject"], f"{grounds.index_arn}/slots/*", f"{grounds.index_arn}/drills/*"),
        allow("ReadSnapshots", ["s3:GetObject"], f"{grounds.index_arn}/builds/*/snapshots/*"),
        allow("KeepVerdicts", ["s3:GetObject", "s3:PutObject"], *_verdicts(grounds)),
        _read_access_keys(grounds),
        *_embed(grounds),
        # AWS restricts ec2:Describe* neither by resource nor by a useful condition.
        allow("FindReplicas", ["ec2:DescribeInstances"], "*"),
    )


def _embed(grounds: Grounds) -> list[Statement]:
    """Allow indexers and routers the remote embedding models."""
    _, partition, _, region, account, _ = grounds.parameters_arn.split(":", 5)
    statements = []
    if grounds.bedrock_models:
        models = [f"arn:{partition}:bedrock:{region}::foundation-model/{model}" for model in grounds.bedrock_models]
        statements.append(allow("Embed", ["bedrock:InvokeModel"], *models))
    if grounds.embedding_secrets:
        secrets = [f"arn:{partition}:ssm:{region}:{account}:parameter{secret}" for secret in grounds.embedding_secrets]
        statements.append(allow("ReadEmbeddingSecret", ["ssm:GetParameter"], *secrets))
    return statements


def generator(grounds: Grounds) -> Policy:
    """Return a load generator's policy: it reads its master's address, and gets its key from there."""
    return document(*_boot(grounds))


def _read_access_keys(grounds: Grounds) -> Statement:
    """Allow reading the API's keys, which lie beside the parameters, out of reach for nodes and indexers."""
    above, fleet = grounds.parameters_arn.rsplit("/", 2)[0], grounds.parameters_arn.rsplit("/", 1)[1]
    keys = f"{above}{naming.access_keys_prefix(fleet)}"
    return allow("ReadAccessKeys", ["ssm:GetParametersByPath"], keys, f"{keys}/*")


def _prove_conformance(bucket_arn: str) -> tuple[Statement, Statement]:
    """Allow the throw-away keys that prove the store's conditional writes."""
    keys = f"{bucket_arn}/conformance/*"
    return (
        allow("ProveConformance", ["s3:GetObject", "s3:PutObject"], keys),
        allow("CleanUpConformance", ["s3:DeleteObject"], keys),
    )


def for_role(role: str, grounds: Grounds) -> Policy:
    """Return the policy of a process kind."""
    return {"node": node, "router": router, "indexer": indexer, "generator": generator}[role](grounds)
