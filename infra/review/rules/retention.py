"""Rules for the life of objects: leftovers expire, live data stays, and the vault has a copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.review.rules import tokens
from infra.review.rules.buckets import VAULT, guards, role_of
from infra.review.rules.graph import Graph, Resource, at, listed
from infra.review.rules.rule import Check, Rule, is_on, said, shown

REPLICATED = ("documents", "index")
LIVE = (*REPLICATED, VAULT)
# Copies that an erasure gives up have it; `infra.facts.naming` has the same.
ERASED_TAG = ("vectorfleet:erased", "true")
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # reading from there takes hours


def _lifecycle(bucket: Resource, graph: Graph) -> list[Any]:
    """Return the enabled rules, the bucket's own ones, too."""
    apart = guards(bucket, graph, tokens.BUCKET_LIFECYCLE)
    own = [rule for rule in bucket.each("lifecycleRules") if is_on(at(rule, "enabled"))]
    return [rule for one in apart for rule in one.each("rules") if at(rule, "status") == "Enabled"] + own


def _abort_uploads(bucket: Resource, graph: Graph) -> Iterator[str]:
    rules = _lifecycle(bucket, graph)
    everywhere = [rule for rule in rules if not any((at(rule, "filter") or {}).values()) and not at(rule, "prefix")]
    if not any(at(rule, "abortIncompleteMultipartUpload", "daysAfterInitiation") for rule in everywhere):
        yield said(
            "no lifecycle rule removes leftover uploads",
            allowed="an enabled rule for the whole bucket with abortIncompleteMultipartUpload",
            remedy="Add one to the BucketLifecycleConfiguration",
        )


def _expiration(bucket: Resource, graph: Graph) -> Iterator[str]:
    if role_of(bucket) not in LIVE:
        return
    for rule in _lifecycle(bucket, graph):
        name = shown(at(rule, "id") or "without an id")
        tag = (at(rule, "filter", "tag", "key"), at(rule, "filter", "tag", "value"))
        if tag != ERASED_TAG and (at(rule, "expiration", "days") or at(rule, "expiration", "date")):
            yield said(
                f"lifecycle rule {name} expires objects in use",
                allowed=f"expiration of noncurrent versions, and of objects tagged {'='.join(ERASED_TAG)}, only",
                remedy="Use noncurrentVersionExpiration; what is live never ages",
            )
        if any(at(move, "storageClass") in ARCHIVES for move in listed(at(rule, "transitions"))):
            yield said(
                f"lifecycle rule {name} moves objects in use to an archive",
                allowed="storage classes that answer at once",
                remedy="Take the transition out; a restore can't wait for hours",
            )


def _object_lock(bucket: Resource, graph: Graph) -> Iterator[str]:
    if role_of(bucket) != VAULT:
        return
    kept = [one.at("rule", "defaultRetention") for one in guards(bucket, graph, tokens.BUCKET_LOCK)]
    retains = any(at(one, "mode") and (at(one, "days") or at(one, "years")) for one in kept)
    if not (is_on(bucket.at("objectLockEnabled")) and retains):
        yield said(
            "the vault is not locked by default",
            allowed="objectLockEnabled and a defaultRetention with mode and days or years",
            remedy="Set the first on the Bucket and the second in a BucketObjectLockConfiguration",
        )


def _replication(bucket: Resource, graph: Graph) -> Iterator[str]:
    vaults = [one for one in graph.of_type(tokens.BUCKET) if role_of(one) == VAULT]
    if role_of(bucket) not in REPLICATED or not vaults:
        return
    configs = guards(bucket, graph, tokens.BUCKET_REPLICATION)
    into_vault = [one for one in configs if any(to in vaults for to in graph.targets(one, "rules", tokens.BUCKET))]
    if not any(_is_measured(rule) for one in into_vault for rule in one.each("rules")):
        yield said(
            "nothing replicates it to the vault and measures that",
            allowed="an enabled rule into the vault with destination.metrics enabled",
            remedy="Add a BucketReplicationConfig",
        )


def _is_measured(rule: Any) -> bool:
    return (at(rule, "status"), at(rule, "destination", "metrics", "status")) == ("Enabled", "Enabled")


def _bucket(id_: str, demand: str, check: Check, *sources: str) -> Rule:
    return Rule(id=id_, demand=demand, types=(tokens.BUCKET,), check=check, sources=sources)


RULES = (
    _bucket("bucket-abort-uploads", "leftover uploads are removed", _abort_uploads, "CKV_AWS_300"),
    _bucket(
        "bucket-no-expiration",
        "live data (documents, index, vault) neither expires nor moves to an archive",
        _expiration,
    ),
    _bucket(
        "bucket-object-lock",
        "the vault has Object Lock with a default retention",
        _object_lock,
        "S3BucketDefaultLockEnabled",
        "CKV_AWS_143",
    ),
    _bucket(
        "bucket-replication",
        "documents and index replicate to the vault, if there is one, with metrics",
        _replication,
        "S3BucketReplicationEnabled",
        "CKV_AWS_144",
    ),
)
