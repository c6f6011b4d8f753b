"""IAM, bucket and topic policies as plain data; a golden test holds every statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infra import naming, slo

Statement: TypeAlias = dict[str, object]
Policy: TypeAlias = dict[str, object]
ROLES = ("node", "router", "indexer", "generator")
DOCUMENTS_LOG = "log/*"
REQUEST_IDS = "requests/*"
# How Amazon ends the names of the buckets that hold Amazon Linux 2023's packages, one in each region.
AL2023_REPOSITORIES = "de612dc2"
VERDICTS = ("verified", "refused")
SHARD_LOGS = "builds/*/shard-*/log/*"


@dataclass(frozen=True)
class Grounds:
    """
    What a role's policy talks about: ARNs of buckets, data key and log group, the prefix of its parameters, and where
    the embedding model runs elsewhere its id at Bedrock or the name of its key's parameter; `sessions` is whether
    people get to instances by Session Manager.
    """

    documents_arn: str
    index_arn: str
    artifacts_arn: str
    parameters_arn: str
    data_key_arn: str
    log_group_arn: str
    bedrock_model: str = ""
    embedding_secret: str = ""
    sessions: bool = False


def document(*statements: Statement) -> Policy:
    """A policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Policy) -> str:
    """The document as AWS takes it."""
    return json.dumps(policy)


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
    """What every process needs: its artifact, the fleet's configuration, the data key, and a place for its logs."""
    return [
        _allow("FetchArtifact", ["s3:GetObject"], f"{grounds.artifacts_arn}/*"),
        _allow(
            "ReadParameters",
            ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
            grounds.parameters_arn,
            f"{grounds.parameters_arn}/*",
        ),
        _allow("UseDataKey", ["kms:Decrypt", "kms:GenerateDataKey"], grounds.data_key_arn),
        _allow(
            "ShipLogs",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            grounds.log_group_arn,
            f"{grounds.log_group_arn}:*",
        ),
        _publish_metrics(),
        *_sessions(grounds),
    ]


def _sessions(grounds: Grounds) -> list[Statement]:
    """What the agent of Systems Manager needs so that a person gets to an instance, where no port is open for it."""
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    if not grounds.sessions:
        return []
    # Neither channels nor an agent's report of itself can be narrowed to a resource.
    return [_allow("Sessions", ["ssm:UpdateInstanceInformation", *(f"ssmmessages:{name}" for name in channels)], "*")]


def _publish_metrics() -> Statement:
    # PutMetricData takes no resource; the namespace is all that AWS lets it be narrowed by.
    return _allow(
        "PublishMetrics",
        ["cloudwatch:PutMetricData"],
        "*",
        StringEquals={"cloudwatch:namespace": slo.NAMESPACE},
    )


def node(grounds: Grounds) -> Policy:
    """
    A node reads the index bucket's logs, and reads and writes snapshots, their verdicts, claims and crash counts beside
    them. It lists the documents log, whose head it has to cover, and reads nothing of it.
    """
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _list("ListIndex", grounds.index_arn),
        _allow("ReadIndex", ["s3:GetObject"], f"{grounds.index_arn}/*"),
        _allow("WriteSnapshotsClaimsAndCrashes", ["s3:PutObject"], *_node_keys(grounds)),
        _allow("CleanUp", ["s3:AbortMultipartUpload", "s3:DeleteObject"], *_node_keys(grounds)),
        *_lifecycle(grounds),
    )


def _lifecycle(grounds: Grounds) -> list[Statement]:
    """A node completes its launch hook: any group of the fleet's nodes, by tag; a group's own ARN would be a cycle."""
    _, partition, _, region, account, parameter = grounds.parameters_arn.split(":", 5)
    return [
        # autoscaling:Describe* takes no resource and no condition: AWS offers nothing narrower.
        _allow("FindOwnGroup", ["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"], "*"),
        _allow(
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
    """An indexer tails the documents log, points the slot at its build and appends to shard logs."""
    return document(
        *_boot(grounds),
        *_embed(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _allow("ReadDocuments", ["s3:GetObject"], f"{grounds.documents_arn}/*"),
        _list("ListIndex", grounds.index_arn),
        _allow("ReadIndex", ["s3:GetObject"], f"{grounds.index_arn}/*"),
        _allow(
            "AppendToShardLogs",
            ["s3:PutObject"],
            f"{grounds.index_arn}/{SHARD_LOGS}",
            f"{grounds.index_arn}/slots/*",
        ),
        *_prove_conformance(grounds.index_arn),
    )


def router(grounds: Grounds) -> Policy:
    """A router appends documents, reads slots, snapshots and the last drill, keeps verdicts, finds replicas by tag."""
    return document(
        *_boot(grounds),
        _list("ListDocuments", grounds.documents_arn),
        _allow("ReadDocuments", ["s3:GetObject"], f"{grounds.documents_arn}/*"),
        _allow(
            "AppendDocuments",
            ["s3:PutObject"],
            f"{grounds.documents_arn}/{DOCUMENTS_LOG}",
            f"{grounds.documents_arn}/{REQUEST_IDS}",
        ),
        *_prove_conformance(grounds.documents_arn),
        _list("ListIndex", grounds.index_arn),
        _allow("ReadSlotsAndDrills", ["s3:GetObject"], f"{grounds.index_arn}/slots/*", f"{grounds.index_arn}/drills/*"),
        _allow("ReadSnapshots", ["s3:GetObject"], f"{grounds.index_arn}/builds/*/snapshots/*"),
        _allow("KeepVerdicts", ["s3:GetObject", "s3:PutObject"], *_verdicts(grounds)),
        _read_access_keys(grounds),
        *_embed(grounds),
        # ec2:Describe* takes no resource and no useful condition: AWS offers nothing narrower.
        _allow("FindReplicas", ["ec2:DescribeInstances"], "*"),
    )


def _embed(grounds: Grounds) -> list[Statement]:
    """Who embeds, an indexer documents and a router questions, may use the model where it runs elsewhere."""
    _, partition, _, region, account, _ = grounds.parameters_arn.split(":", 5)
    statements = []
    if grounds.bedrock_model:
        model = f"arn:{partition}:bedrock:{region}::foundation-model/{grounds.bedrock_model}"
        statements.append(_allow("Embed", ["bedrock:InvokeModel"], model))
    if grounds.embedding_secret:
        secret = f"arn:{partition}:ssm:{region}:{account}:parameter{grounds.embedding_secret}"
        statements.append(_allow("ReadEmbeddingSecret", ["ssm:GetParameter"], secret))
    return statements


def generator(grounds: Grounds) -> Policy:
    """A load generator reads where its master is; what it asks the API with comes from there."""
    return document(*_boot(grounds))


def _read_access_keys(grounds: Grounds) -> Statement:
    """The API's keys stand beside the parameters, where no node and no indexer may look."""
    above, fleet = grounds.parameters_arn.rsplit("/", 2)[0], grounds.parameters_arn.rsplit("/", 1)[1]
    keys = f"{above}{naming.access_keys_prefix(fleet)}"
    return _allow("ReadAccessKeys", ["ssm:GetParametersByPath"], keys, f"{keys}/*")


def _prove_conformance(bucket_arn: str) -> tuple[Statement, Statement]:
    """Throw-away keys on which a process proves that the store refuses a second creator."""
    keys = f"{bucket_arn}/conformance/*"
    return (
        _allow("ProveConformance", ["s3:GetObject", "s3:PutObject"], keys),
        _allow("CleanUpConformance", ["s3:DeleteObject"], keys),
    )


def for_role(role: str, grounds: Grounds) -> Policy:
    """The policy of one process kind."""
    return {"node": node, "router": router, "indexer": indexer, "generator": generator}[role](grounds)


def bucket(arn: str, statements: Sequence[Statement] = ()) -> Policy:
    """What no bucket of a fleet allows anybody, then the statements of this one."""
    return document(
        _deny("RefusePlainHttp", "s3:*", (arn, f"{arn}/*"), Bool={"aws:SecureTransport": "false"}),
        _deny("RefuseOldTls", "s3:*", (arn, f"{arn}/*"), NumericLessThan={"s3:TlsVersion": "1.2"}),
        *statements,
    )


def _deny(sid: str, action: str | list[str], resources: Sequence[str], **condition: object) -> Statement:
    # {"AWS": "*"} and not "*": some readers of policies know the first form only, and both mean everybody.
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": action,
        "Resource": list(resources),
        **({"Condition": condition} if condition else {}),
    }


def nothing_more(arn: str, account: str) -> tuple[Statement, ...]:
    """The statements of a bucket that is like every other."""
    return ()


def documents_log_is_append_only(arn: str, account: str) -> tuple[Statement, ...]:
    """An entry of the documents log is created once: a put that would overwrite is refused to everybody."""
    return (_refuse_overwriting(arn, DOCUMENTS_LOG),)


def shard_logs_are_append_only(arn: str, account: str) -> tuple[Statement, ...]:
    """The same for the logs of every build's shards."""
    return (_refuse_overwriting(arn, SHARD_LOGS),)


def _refuse_overwriting(arn: str, keys: str) -> Statement:
    return _deny(
        "RefuseUnconditionalLogWrites",
        "s3:PutObject",
        (f"{arn}/{keys}",),
        Null={"s3:if-none-match": "true"},
        # The parts of a multipart upload create no object and carry no condition.
        Bool={"s3:ObjectCreationOperation": "true"},
    )


def locks_hold(arn: str, account: str) -> tuple[Statement, ...]:
    """Nobody takes an object out of the vault before its time, whatever else they may do."""
    return (_deny("RefuseBypass", "s3:BypassGovernanceRetention", (f"{arn}/*",)),)


def log_delivery(arn: str, account: str) -> tuple[Statement, ...]:
    """What S3, load balancers and flow logs need to write into a bucket, for this account's resources alone."""
    own = {"aws:SourceAccount": account}
    return (
        _service("S3AccessLogs", "logging.s3.amazonaws.com", "s3:PutObject", f"{arn}/s3/*", own),
        _service(
            "BalancerLogs",
            "logdelivery.elasticloadbalancing.amazonaws.com",
            "s3:PutObject",
            f"{arn}/alb/AWSLogs/{account}/*",
        ),
        _service("FlowLogs", "delivery.logs.amazonaws.com", "s3:PutObject", f"{arn}/AWSLogs/{account}/*", own),
        _service("FlowLogsLook", "delivery.logs.amazonaws.com", "s3:GetBucketAcl", arn, own),
    )


def _service(
    sid: str, service: str, action: str | list[str], resource: str, equals: dict[str, str] | None = None
) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        **({"Condition": {"StringEquals": equals}} if equals else {}),
    }


def data_key(account: str, region: str) -> Policy:
    """The account's own IAM policies decide about the key: naming roles here would be a cycle."""
    return document(_iam_decides(account, region))


def locked_data_key(account: str, region: str) -> Policy:
    """The same, and nobody ends the key: what Object Lock keeps would be unreadable for ever."""
    return document(
        _iam_decides(account, region), _deny("RefuseEnd", ["kms:DisableKey", "kms:ScheduleKeyDeletion"], ("*",))
    )


def operations_key(account: str, region: str) -> Policy:
    """IAM decides, and alarms and the logs service may use the key: without that both fail without a word."""
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    return document(
        _iam_decides(account, region),
        _service("AlarmsSpeak", "cloudwatch.amazonaws.com", use, "*", {"aws:SourceAccount": account}),
        {
            **_service("LogsWrite", f"logs.{region}.amazonaws.com", [*use, "kms:Encrypt", "kms:ReEncrypt*"], "*"),
            "Condition": {
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": (
                        f"arn:{naming.partition(region)}:logs:{region}:{account}:log-group:*"
                    )
                }
            },
        },
        _service("BudgetsSpeak", "budgets.amazonaws.com", use, "*", {"aws:SourceAccount": account}),
    )


def _iam_decides(account: str, region: str) -> Statement:
    return {
        "Sid": "IamDecides",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{naming.partition(region)}:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def s3_endpoint(account: str, region: str) -> Policy:
    """
    What may leave the network for S3: this account's own calls on its own buckets, so that stolen data finds no other,
    and reading Amazon Linux 2023's packages, which nobody signs for.
    """
    packages = f"arn:{naming.partition(region)}:s3:::al2023-repos-{region}-{AL2023_REPOSITORIES}/*"
    return document(
        {
            "Sid": "OwnAccountAlone",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}},
        },
        {
            "Sid": "AmazonLinuxPackages",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "s3:GetObject",
            "Resource": packages,
        },
    )


def assume_by_s3() -> Policy:
    """Who may take the replication role: S3, nobody else."""
    return document(
        {
            "Sid": "S3Only",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def replication(sources: Sequence[str], vault_arn: str, source_key_arn: str, vault_key_arn: str) -> Policy:
    """S3 reads versions of the sources and writes them to the vault, under the key of each side."""
    return document(
        _allow("SeeRules", ["s3:GetReplicationConfiguration", "s3:ListBucket"], *sources),
        _allow(
            "ReadVersions",
            [
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
                "s3:GetObjectRetention",
                "s3:GetObjectLegalHold",
            ],
            *(f"{arn}/*" for arn in sources),
        ),
        _allow("WriteCopies", ["s3:ReplicateObject", "s3:ReplicateTags"], f"{vault_arn}/*"),
        _allow("DecryptSource", ["kms:Decrypt"], source_key_arn),
        _allow("EncryptCopy", ["kms:Encrypt", "kms:GenerateDataKey"], vault_key_arn),
    )


def assume_by_batch_operations() -> Policy:
    """
    Who may take the role of batch replication: S3 Batch Operations, nobody else.

    No condition: AWS documents none for this trust, and a key that a request lacks would end every job. Only who may
    pass the role, within its own account, creates a job with it.
    """
    return document(
        {
            "Sid": "BatchOperationsOnly",
            "Effect": "Allow",
            "Principal": {"Service": "batchoperations.s3.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def batch_replication(sources: Sequence[str]) -> Policy:
    """A job finds what its rules select and has it replicated; the replication role alone reads and writes."""
    return document(
        # The list of objects is made as an inventory of the bucket.
        _allow("ListByRules", ["s3:GetReplicationConfiguration", "s3:PutInventoryConfiguration"], *sources),
        _allow("StartCopies", ["s3:InitiateReplication"], *(f"{arn}/*" for arn in sources)),
    )


def alarms_may_publish(topic_arn: str) -> Policy:
    """Alarms and budgets of the topic's own account may publish to it, over TLS; nobody else is named."""
    account = topic_arn.split(":")[4]
    return document(
        _service("AlarmsPublish", "cloudwatch.amazonaws.com", "sns:Publish", topic_arn, {"aws:SourceAccount": account}),
        _service("BudgetsPublish", "budgets.amazonaws.com", "sns:Publish", topic_arn, {"aws:SourceAccount": account}),
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
