"""Rules for protected data: protect and retain_on_delete on each resource, as children inherit only the first."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, is_on, said

BUCKET_GUARDS = (
    tokens.BUCKET_LIFECYCLE,
    tokens.BUCKET_LOCK,
    tokens.BUCKET_LOGGING,
    tokens.BUCKET_OWNERSHIP,
    tokens.BUCKET_POLICY,
    tokens.BUCKET_PUBLIC_ACCESS,
    tokens.BUCKET_REPLICATION,
    tokens.BUCKET_SSE,
    tokens.BUCKET_VERSIONING,
)


def is_kept(bucket: Resource) -> bool:
    """Return True if a bucket refuses to be destroyed with its content: the mark of data_protection."""
    return not is_on(bucket.at("forceDestroy"))


def data_is_protected(graph: Graph) -> bool:
    """Return True if the stack's data is protected."""
    return any(is_kept(bucket) for bucket in graph.of_type(tokens.BUCKET))


def _missing(resource: Resource) -> list[str]:
    given = {"protect": resource.protect, "retain_on_delete": resource.retain_on_delete}
    return [name for name, value in given.items() if value is False]


def _demand(resource: Resource, found: str) -> Iterator[str]:
    if missing := _missing(resource):
        yield said(
            f"{found} lacks {' and '.join(missing)}",
            allowed="both on the resource itself",
            remedy="Pass them in its own options: children do not inherit retain_on_delete",
        )


def _bucket(bucket: Resource, _: Graph) -> Iterator[str]:
    if is_kept(bucket):
        yield from _demand(bucket, "a bucket that keeps its data")


def _guard(guard: Resource, graph: Graph) -> Iterator[str]:
    if any(is_kept(bucket) for bucket in graph.targets(guard, "bucket", tokens.BUCKET)):
        yield from _demand(guard, "a guard of a bucket that keeps its data")


def _key(key: Resource, graph: Graph) -> Iterator[str]:
    configs = graph.referring(key, tokens.BUCKET_SSE, "rules")
    buckets = [bucket for one in configs for bucket in graph.targets(one, "bucket", tokens.BUCKET)]
    if any(is_kept(bucket) for bucket in buckets):
        yield from _demand(key, "the key of a bucket that keeps its data")


def _artifact(artifact: Resource, graph: Graph) -> Iterator[str]:
    buckets = graph.targets(artifact, "bucket", tokens.BUCKET)
    if artifact.retain_on_delete is False and any(is_kept(bucket) for bucket in buckets):
        yield said(
            "its successor deletes it",
            allowed="retain_on_delete",
            remedy="Set it: older launch template versions still boot from this object",
        )


RULES = (
    Rule(
        id="bucket-protected",
        demand="a bucket that does not empty itself has protect and retain_on_delete",
        types=(tokens.BUCKET,),
        check=_bucket,
    ),
    Rule(
        id="bucket-guard-protected",
        demand="its guards have them, too: without them a bucket is neither versioned nor private",
        types=BUCKET_GUARDS,
        check=_guard,
    ),
    Rule(
        id="key-protected",
        demand="the key of such a bucket has them, too",
        types=(tokens.KEY,),
        check=_key,
    ),
    Rule(
        id="artifact-retained",
        demand="an artifact in such a bucket outlives its successor",
        types=(tokens.BUCKET_OBJECT,),
        check=_artifact,
    ),
)
