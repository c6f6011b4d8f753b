"""Log groups: kept for a stated time, and encrypted."""

from __future__ import annotations

from collections.abc import Iterator

from infra.rules import tokens
from infra.rules.graph import Graph, Resource
from infra.rules.rule import Rule, said


def _retention(group: Resource, _: Graph) -> Iterator[str]:
    if not group.at("retentionInDays"):
        yield said("logs are kept for ever", allowed="retentionInDays above 0", remedy="Say how long they are of use")


def _encrypted(group: Resource, _: Graph) -> Iterator[str]:
    if not group.at("kmsKeyId"):
        yield said(
            "it is encrypted with no key of ours",
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
        demand="logs are encrypted with a key of ours",
        types=(tokens.LOG_GROUP,),
        check=_encrypted,
        sources=("CloudWatchLogGroupEncrypted", "CKV_AWS_158"),
    ),
)
