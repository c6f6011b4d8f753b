"""Rules for log groups: a retention time, and encryption."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, said


def _retention(group: Resource, _: Graph) -> Iterator[str]:
    if not group.at("retentionInDays"):
        yield said("logs are kept for ever", allowed="retentionInDays above 0", remedy="Say how long they are of use")


def _encrypted(group: Resource, _: Graph) -> Iterator[str]:
    if not group.at("kmsKeyId"):
        yield said(
            "it is not encrypted with a key of the stack",
            allowed="a kmsKeyId whose policy admits the logs service",
            remedy="Name the key",
        )


RULES = (
    Rule(
        id="log-group-retention",
        demand="logs are kept for a stated time",
        types=(tokens.LOG_GROUP,),
        check=_retention,
        sources=("CloudWatchLogGroupRetentionPeriod", "CKV_AWS_66"),
    ),
    Rule(
        id="log-group-encrypted",
        demand="logs are encrypted with a key of the stack",
        types=(tokens.LOG_GROUP,),
        check=_encrypted,
        sources=("CloudWatchLogGroupEncrypted", "CKV_AWS_158"),
    ),
)
