"""Policies of buckets, keys, endpoints, topics and replication as plain data; a golden test holds every statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from infra.facts import naming

Statement: TypeAlias = dict[str, object]
Policy: TypeAlias = dict[str, object]
DOCUMENTS_LOG = "log/*"
REQUEST_IDS = "requests/*"
SOURCES = "sources/*"
SHARD_LOGS = "builds/*/shard-*/log/*"
EMBEDDING_MEMORY = "memory/*"
# Amazon's suffix of the buckets with Amazon Linux 2023's packages, one in each region.
AL2023_REPOSITORIES = "de612dc2"


def document(*statements: Statement) -> Policy:
    """Return a policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Policy) -> str:
    """Return the document as AWS accepts it."""
    return json.dumps(policy)


def allow(sid: str, actions: Sequence[str], *resources: str, **condition: object) -> Statement:
    """Return a statement that allows actions on resources."""
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return {**statement, **({"Condition": condition} if condition else {})}


def deny(sid: str, action: str | list[str], resources: Sequence[str], **condition: object) -> Statement:
    """Return a statement that denies everyone an action."""
    # {"AWS": "*"} and not "*": some readers of policies know only the first form, and both mean everyone.
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": action,
        "Resource": list(resources),
        **({"Condition": condition} if condition else {}),
    }


def for_service(
    sid: str, service: str, action: str | list[str], resource: str, equals: dict[str, str] | None = None
) -> Statement:
    """Return a statement that allows an AWS service an action."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        **({"Condition": {"StringEquals": equals}} if equals else {}),
    }


def assume_by(service: str, sid: str) -> Policy:
    """Return the trust policy of a role that only this AWS service may assume."""
    principal = {"Service": f"{service}.amazonaws.com"}
    return document({"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def bucket(arn: str, statements: Sequence[Statement] = ()) -> Policy:
    """Return a bucket's policy: the refusals of every bucket, then its own statements."""
    return document(
        deny("RefusePlainHttp", "s3:*", (arn, f"{arn}/*"), Bool={"aws:SecureTransport": "false"}),
        deny("RefuseOldTls", "s3:*", (arn, f"{arn}/*"), NumericLessThan={"s3:TlsVersion": "1.2"}),
        *statements,
    )


def nothing_more(arn: str, account: str) -> tuple[Statement, ...]:
    """Return no statements of a bucket's own."""
    return ()


def documents_log_is_append_only(arn: str, account: str) -> tuple[Statement, ...]:
    """Refuse everyone a put that would overwrite an entry of the documents log."""
    return (_refuse_overwriting(arn, DOCUMENTS_LOG),)


def shard_logs_are_append_only(arn: str, account: str) -> tuple[Statement, ...]:
    """Refuse everyone a put that would overwrite an entry of a shard log."""
    return (_refuse_overwriting(arn, SHARD_LOGS),)


def _refuse_overwriting(arn: str, keys: str) -> Statement:
    return deny(
        "RefuseUnconditionalLogWrites",
        "s3:PutObject",
        (f"{arn}/{keys}",),
        Null={"s3:if-none-match": "true"},
        # The parts of a multipart upload create no object and carry no condition.
        Bool={"s3:ObjectCreationOperation": "true"},
    )


def locks_hold(arn: str, account: str) -> tuple[Statement, ...]:
    """Refuse everyone to shorten the retention of an object in the vault."""
    return (deny("RefuseBypass", "s3:BypassGovernanceRetention", (f"{arn}/*",)),)


def log_delivery(arn: str, account: str) -> tuple[Statement, ...]:
    """Allow S3, load balancers and flow logs of this account to write into a bucket."""
    own = {"aws:SourceAccount": account}
    return (
        for_service("S3AccessLogs", "logging.s3.amazonaws.com", "s3:PutObject", f"{arn}/s3/*", own),
        for_service(
            "BalancerLogs",
            "logdelivery.elasticloadbalancing.amazonaws.com",
            "s3:PutObject",
            f"{arn}/alb/AWSLogs/{account}/*",
        ),
        for_service("FlowLogs", "delivery.logs.amazonaws.com", "s3:PutObject", f"{arn}/AWSLogs/{account}/*", own),
        for_service("FlowLogsLook", "delivery.logs.amazonaws.com", "s3:GetBucketAcl", arn, own),
    )


def data_key(account: str, region: str) -> Policy:
    """Leave the key to the account's IAM policies: naming roles here would be a cycle."""
    return document(_iam_decides(account, region))


def locked_data_key(account: str, region: str) -> Policy:
    """Refuse everyone to end the key, too: objects under Object Lock would be unreadable for ever."""
    return document(
        _iam_decides(account, region), deny("RefuseEnd", ["kms:DisableKey", "kms:ScheduleKeyDeletion"], ("*",))
    )


def operations_key(account: str, region: str) -> Policy:
    """Allow alarms, budgets and the logs service the key, too: without it they fail in silence."""
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    return document(
        _iam_decides(account, region),
        for_service("AlarmsSpeak", "cloudwatch.amazonaws.com", use, "*", {"aws:SourceAccount": account}),
        {
            **for_service("LogsWrite", f"logs.{region}.amazonaws.com", [*use, "kms:Encrypt", "kms:ReEncrypt*"], "*"),
            "Condition": {
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": (
                        f"arn:{naming.partition(region)}:logs:{region}:{account}:log-group:*"
                    )
                }
            },
        },
        for_service("BudgetsSpeak", "budgets.amazonaws.com", use, "*", {"aws:SourceAccount": account}),
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
    Return the policy of the S3 endpoint: this account's calls on its own buckets, so that data can't leave for others.

    Packages of Amazon Linux 2023 may be read, by unsigned requests.
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


def replication(sources: Sequence[str], vault_arn: str, source_key_arn: str, vault_key_arn: str) -> Policy:
    """Allow S3 to read versions of the sources and to write them to the vault, under the key of each side."""
    return document(
        allow("SeeRules", ["s3:GetReplicationConfiguration", "s3:ListBucket"], *sources),
        allow(
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
        allow("WriteCopies", ["s3:ReplicateObject", "s3:ReplicateTags"], f"{vault_arn}/*"),
        allow("DecryptSource", ["kms:Decrypt"], source_key_arn),
        allow("EncryptCopy", ["kms:Encrypt", "kms:GenerateDataKey"], vault_key_arn),
    )


def batch_replication(sources: Sequence[str]) -> Policy:
    """Allow a job to list by the rules and to start replication; only the replication role reads and writes."""
    return document(
        # S3 lists the objects by an inventory of the bucket.
        allow("ListByRules", ["s3:GetReplicationConfiguration", "s3:PutInventoryConfiguration"], *sources),
        allow("StartCopies", ["s3:InitiateReplication"], *(f"{arn}/*" for arn in sources)),
    )


def alarms_may_publish(topic_arn: str) -> Policy:
    """Allow alarms and budgets of the topic's account to publish, over TLS."""
    own = {"aws:SourceAccount": topic_arn.split(":")[4]}
    return document(
        for_service("AlarmsPublish", "cloudwatch.amazonaws.com", "sns:Publish", topic_arn, own),
        for_service("BudgetsPublish", "budgets.amazonaws.com", "sns:Publish", topic_arn, own),
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
