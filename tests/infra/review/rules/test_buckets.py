"""The rules of infra.review.rules.buckets, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, deny, fine, made, policy, wrong

ARN, OBJECTS = "arn:aws:s3:::b", "arn:aws:s3:::b/*"
PLAIN = {"Bool": {"aws:SecureTransport": "false"}}
OLD = {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
BLOCKS: dict[str, Any] = {
    "blockPublicAcls": True,
    "blockPublicPolicy": True,
    "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}
KMS = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "arn:aws:kms:::key/1"}


def bucket(role: str = "index", **inputs: Any) -> Resource:
    return made(tokens.BUCKET, {"tags": {"vectorfleet:data": role}, **inputs}, name=f"b-{role}", outputs={"arn": ARN})


INDEX, LOGS, VAULT = bucket(), bucket("logs"), bucket("vault")


def guarded(type_: str, inputs: dict[str, Any], of: Resource = INDEX) -> tuple[Resource, Resource]:
    return of, made(type_, inputs, bucket=of)


def encrypted(rule: dict[str, Any], of: Resource = INDEX) -> tuple[Resource, Resource]:
    return guarded(tokens.BUCKET_SSE, {"rules": [rule]}, of)


def policed(*statements: dict[str, Any]) -> tuple[Resource, Resource]:
    return guarded(tokens.BUCKET_POLICY, {"policy": policy(*statements)})


def beside(action: str) -> dict[str, Any]:
    """A statement that denies everyone everything else."""
    named = deny(None, ARN, OBJECTS)
    return {"NotAction": action} | {key: value for key, value in named.items() if key != "Action"}


def logged(into: Resource) -> tuple[Resource, ...]:
    return INDEX, into, made(tokens.BUCKET_LOGGING, bucket=INDEX, targetBucket=into)


NO_DEFAULT_KEY = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}

CASES = (
    fine("bucket-data-tag", "a known role", INDEX),
    wrong("bucket-data-tag", "another word", bucket("misc"), says="is misc"),
    wrong("bucket-data-tag", "no tag", made(tokens.BUCKET), says="is nothing"),
    fine(
        "bucket-versioning",
        "on",
        *guarded(tokens.BUCKET_VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}),
    ),
    wrong(
        "bucket-versioning",
        "suspended",
        *guarded(tokens.BUCKET_VERSIONING, {"versioningConfiguration": {"status": "Suspended"}}),
        says="versioning is Suspended",
    ),
    wrong(
        "bucket-versioning",
        "on for another bucket",
        INDEX,
        made(tokens.BUCKET_VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}, bucket=VAULT),
        says="versioning is nothing",
    ),
    fine(
        "bucket-encryption",
        "a key and a bucket key",
        *encrypted({"applyServerSideEncryptionByDefault": KMS, "bucketKeyEnabled": True}),
    ),
    fine(
        "bucket-encryption",
        "SSE-S3 for logs",
        *encrypted({"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}, LOGS),
    ),
    wrong(
        "bucket-encryption",
        "SSE-S3 for data",
        *encrypted({"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}),
        says="encryption is AES256",
    ),
    wrong("bucket-encryption", "AWS's own key", *encrypted(NO_DEFAULT_KEY), says="encryption is aws:kms"),
    wrong(
        "bucket-encryption",
        "no bucket key",
        *encrypted({"applyServerSideEncryptionByDefault": KMS}),
        says="encryption is aws:kms",
    ),
    wrong("bucket-encryption", "none for logs", LOGS, says="encryption is nothing"),
    fine("bucket-public-access", "all four", *guarded(tokens.BUCKET_PUBLIC_ACCESS, BLOCKS)),
    wrong(
        "bucket-public-access",
        "three",
        *guarded(tokens.BUCKET_PUBLIC_ACCESS, BLOCKS | {"ignorePublicAcls": False}),
        says="by ignorePublicAcls;",
    ),
    wrong("bucket-public-access", "none", INDEX, says="by blockPublicAcls, blockPublicPolicy, ignore"),
    fine(
        "bucket-ownership",
        "enforced",
        *guarded(tokens.BUCKET_OWNERSHIP, {"rule": {"objectOwnership": "BucketOwnerEnforced"}}),
    ),
    wrong(
        "bucket-ownership",
        "preferred",
        *guarded(tokens.BUCKET_OWNERSHIP, {"rule": {"objectOwnership": "BucketOwnerPreferred"}}),
        says="is BucketOwnerPreferred",
    ),
    fine("bucket-tls-only", "denied", *policed(deny(PLAIN, ARN, OBJECTS))),
    fine("bucket-tls-only", "denied in two statements", *policed(deny(PLAIN, ARN), deny(PLAIN, OBJECTS))),
    wrong(
        "bucket-tls-only",
        "of another bucket",
        *policed(deny(PLAIN, f"{ARN}-2", f"{ARN}-2/*")),
        says="does not deny plain HTTP",
    ),
    wrong("bucket-tls-only", "the bucket alone", *policed(deny(PLAIN, ARN)), says="does not deny plain HTTP"),
    wrong("bucket-tls-only", "objects alone", *policed(deny(PLAIN, OBJECTS)), says="does not deny plain HTTP"),
    wrong("bucket-tls-only", "some objects", *policed(deny(PLAIN, ARN, f"{ARN}/a/*")), says="does not deny plain"),
    wrong("bucket-tls-only", "reads alone", *policed(deny(PLAIN, ARN, OBJECTS, action="s3:Get*")), says="plain HTTP"),
    wrong(
        "bucket-tls-only",
        "only together with another condition",
        *policed(deny(PLAIN | OLD, ARN, OBJECTS)),
        says="does not deny plain HTTP",
    ),
    wrong(
        "bucket-tls-only",
        "the wrong way round",
        *policed(deny({"Bool": {"aws:SecureTransport": "true"}}, ARN, OBJECTS)),
        says="plain",
    ),
    wrong("bucket-tls-only", "no policy", INDEX, says="does not deny plain HTTP"),
    fine("bucket-outdated-tls", "denied", *policed(deny(OLD, ARN, OBJECTS))),
    wrong("bucket-outdated-tls", "only plain HTTP", *policed(deny(PLAIN, ARN, OBJECTS)), says="outdated TLS"),
    wrong(
        "bucket-outdated-tls",
        "below 1.1",
        *policed(deny({"NumericLessThan": {"s3:TlsVersion": "1.1"}}, ARN, OBJECTS)),
        says="outdated TLS",
    ),
    fine("bucket-lockout", "with a condition", *policed(deny(PLAIN, ARN, OBJECTS))),
    wrong("bucket-lockout", "without", *policed(deny(None, ARN, OBJECTS)), says="denies everyone"),
    fine("bucket-lockout", "of everything but the policy", *policed(beside("s3:*BucketPolicy"))),
    wrong("bucket-lockout", "by what it spares", *policed(beside("s3:GetObject")), says="denies everyone"),
    fine("bucket-access-logs", "into logs", *logged(LOGS)),
    fine("bucket-access-logs", "not for logs", LOGS),
    wrong("bucket-access-logs", "nowhere", INDEX, LOGS, says="go nowhere"),
    wrong("bucket-access-logs", "into itself", *logged(INDEX)[1:], says="go to b-index"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bucket_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
