"""Rules for buckets: versioned, encrypted, private, TLS only, logged."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource, at
from infra.review.rules.rule import Check, Rule, is_on, said, shown
from infra.review.rules.statements import Statement, statements

ROLE_TAG = "vectorfleet:data"
LOGS, VAULT = "logs", "vault"
ROLES = ("documents", "index", "artifacts", VAULT, LOGS)
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
PLAIN_HTTP = (("Bool", "aws:SecureTransport"), ("false",))
OUTDATED_TLS = (("NumericLessThan", "s3:TlsVersion"), ("1.2", "1.3"))


def role_of(bucket: Resource) -> str:
    """Return the bucket's kind of data, by its tag."""
    return bucket.tag(ROLE_TAG)


def guards(bucket: Resource, graph: Graph, type_: str) -> list[Resource]:
    """Return the resources of a type that refer to the bucket."""
    return graph.referring(bucket, type_, "bucket")


def _data_tag(bucket: Resource, _: Graph) -> Iterator[str]:
    if role_of(bucket) not in ROLES:
        yield said(
            f"tag {ROLE_TAG} is {shown(role_of(bucket))}",
            allowed=", ".join(ROLES),
            remedy="Tag the bucket with what it holds; other rules go by it",
        )


def _versioning(bucket: Resource, graph: Graph) -> Iterator[str]:
    found = [one.at("versioningConfiguration", "status") for one in guards(bucket, graph, tokens.BUCKET_VERSIONING)]
    if "Enabled" not in found:
        yield said(
            f"versioning is {shown(*found or [None])}",
            allowed="Enabled",
            remedy="Add a BucketVersioning with that status",
        )


def _encryption(bucket: Resource, graph: Graph) -> Iterator[str]:
    rules = [rule for guard in guards(bucket, graph, tokens.BUCKET_SSE) for rule in guard.each("rules")]
    algorithms = [at(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm") for rule in rules]
    if role_of(bucket) == LOGS and "AES256" in algorithms:
        return  # the load balancer's delivery supports no KMS key
    if not any(_is_kms(rule) for rule in rules):
        yield said(
            f"default encryption is {shown(*algorithms or [None])}, without a KMS key of the stack and a bucket key",
            allowed="aws:kms with kmsMasterKeyId and bucketKeyEnabled, or AES256 on a logs bucket",
            remedy="Name the data key in the BucketServerSideEncryptionConfiguration",
        )


def _is_kms(rule: Any) -> bool:
    default = at(rule, "applyServerSideEncryptionByDefault")
    named = at(default, "sseAlgorithm") == "aws:kms" and bool(at(default, "kmsMasterKeyId"))
    return named and is_on(at(rule, "bucketKeyEnabled"))


def _public_access(bucket: Resource, graph: Graph) -> Iterator[str]:
    blocking = guards(bucket, graph, tokens.BUCKET_PUBLIC_ACCESS)
    missing = [name for name in BLOCKS if not any(is_on(one.at(name)) for one in blocking)]
    if missing:
        yield said(
            f"public access is not blocked by {', '.join(missing)}",
            allowed="all four true",
            remedy="Set them in a BucketPublicAccessBlock",
        )


def _ownership(bucket: Resource, graph: Graph) -> Iterator[str]:
    found = [one.at("rule", "objectOwnership") for one in guards(bucket, graph, tokens.BUCKET_OWNERSHIP)]
    if "BucketOwnerEnforced" not in found:
        yield said(
            f"object ownership is {shown(*found or [None])}",
            allowed="BucketOwnerEnforced",
            remedy="Add BucketOwnershipControls with that rule",
        )


def _policy(bucket: Resource, graph: Graph) -> list[Statement]:
    return [one for guard in guards(bucket, graph, tokens.BUCKET_POLICY) for one in statements(guard.at("policy"))]


def _denies(bucket: Resource, graph: Graph, condition: tuple[str, str], values: tuple[str, ...]) -> bool:
    """Return True if the policy denies everyone the bucket and its objects on that condition."""
    refusals = [one for one in _policy(bucket, graph) if one.refuses_everyone(condition, values) and one.covers("s3:*")]
    resources = {resource for one in refusals for resource in one.resources}
    arn = str(bucket.outputs.get("arn"))
    return all(any(fnmatchcase(place, one) for one in resources) for place in (arn, f"{arn}/*"))


def _tls_only(bucket: Resource, graph: Graph) -> Iterator[str]:
    if not _denies(bucket, graph, *PLAIN_HTTP):
        yield said(
            "the bucket policy does not deny plain HTTP to everyone",
            allowed="a Deny of s3:* on the bucket and its objects whose only condition is aws:SecureTransport false",
            remedy="Add that statement to the BucketPolicy",
        )


def _outdated_tls(bucket: Resource, graph: Graph) -> Iterator[str]:
    if not _denies(bucket, graph, *OUTDATED_TLS):
        yield said(
            "the bucket policy does not deny outdated TLS to everyone",
            allowed="a Deny of s3:* on the bucket and its objects whose only condition is s3:TlsVersion below 1.2",
            remedy="Add that statement to the BucketPolicy",
        )


def _lockout(bucket: Resource, graph: Graph) -> Iterator[str]:
    for one in _policy(bucket, graph):
        if not one.allows and not one.conditions and "*" in one.principals and one.means("s3:PutBucketPolicy"):
            yield said(
                f"statement {one.sid} denies everyone to change the policy",
                allowed="such a Deny with a condition",
                remedy="Add a condition, or only the account's root can mend the bucket",
            )


def _access_logs(bucket: Resource, graph: Graph) -> Iterator[str]:
    if role_of(bucket) == LOGS:
        return  # a bucket that logs into itself logs its own logs
    logging = guards(bucket, graph, tokens.BUCKET_LOGGING)
    into = [to for one in logging for to in graph.targets(one, "targetBucket", tokens.BUCKET)]
    if not any(role_of(to) == LOGS for to in into):
        yield said(
            "access logs go nowhere" if not into else f"access logs go to {into[0].name}",
            allowed="a BucketLogging into a bucket tagged logs",
            remedy="Add one",
        )


def _rule(id_: str, demand: str, check: Check, *sources: str) -> Rule:
    return Rule(id=id_, demand=demand, types=(tokens.BUCKET,), check=check, sources=sources)


RULES = (
    _rule("bucket-data-tag", f"a bucket says in its tag `{ROLE_TAG}` what it holds", _data_tag),
    _rule("bucket-versioning", "versioning is on", _versioning, "S3BucketVersioningEnabled", "CKV_AWS_21"),
    _rule(
        "bucket-encryption",
        "objects are encrypted by default with a KMS key of the stack and a bucket key; logs may use SSE-S3",
        _encryption,
        "S3DefaultEncryptionKMS",
        "CKV_AWS_145",
    ),
    _rule(
        "bucket-public-access",
        "all four blocks of public access are on",
        _public_access,
        "AwsSolutions-S2",
        "CKV_AWS_53",
        "CKV_AWS_54",
        "CKV_AWS_55",
        "CKV_AWS_56",
        "CKV2_AWS_6",
    ),
    _rule("bucket-ownership", "the bucket's owner owns every object, and there are no ACLs", _ownership, "CKV2_AWS_65"),
    _rule(
        "bucket-tls-only",
        "the policy denies plain HTTP to everyone",
        _tls_only,
        "AwsSolutions-S10",
        "CKV_AWS_379",
        "denyInsecureTransport",
    ),
    _rule("bucket-outdated-tls", "the policy denies TLS below 1.2 to everyone", _outdated_tls, "denyOutdatedTLS"),
    _rule("bucket-lockout", "the policy does not lock the account out", _lockout, "CKV_AWS_93"),
    _rule(
        "bucket-access-logs",
        "accesses are logged in a logs bucket; a logs bucket logs none",
        _access_logs,
        "AwsSolutions-S1",
        "CKV_AWS_18",
    ),
)
