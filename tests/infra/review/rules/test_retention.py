"""The rules of infra.review.rules.retention, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.facts import naming
from infra.review.rules import retention, tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong

ABORT = {"abortIncompleteMultipartUpload": {"daysAfterInitiation": 1}}


def bucket(role: str = "index", **inputs: Any) -> Resource:
    return made(tokens.BUCKET, {"tags": {"vectorfleet:data": role}, **inputs}, name=f"b-{role}")


INDEX, LOGS, VAULT = bucket(), bucket("logs"), bucket("vault")


def aged(rule: dict[str, Any], of: Resource = INDEX) -> tuple[Resource, Resource]:
    rules = [{"id": "r", "status": "Enabled"} | rule]
    return of, made(tokens.BUCKET_LIFECYCLE, {"rules": rules}, bucket=of)


def locked(retention: dict[str, Any], *, enabled: bool = True) -> tuple[Resource, Resource]:
    vault = bucket("vault", objectLockEnabled=enabled)
    return vault, made(tokens.BUCKET_LOCK, {"rule": {"defaultRetention": retention}}, bucket=vault)


def replicated(
    metrics: str, *, status: str = "Enabled", into: Resource | tuple[Resource, ...] = VAULT
) -> tuple[Resource, ...]:
    rule = {"status": status, "destination": {"metrics": {"status": metrics}}}
    return INDEX, VAULT, LOGS, made(tokens.BUCKET_REPLICATION, {"rules": [rule]}, bucket=INDEX, rules=into)


CASES = (
    fine("bucket-abort-uploads", "everywhere", *aged(ABORT)),
    fine("bucket-abort-uploads", "everywhere, by an empty filter", *aged(ABORT | {"filter": {"prefix": ""}})),
    wrong("bucket-abort-uploads", "below a prefix", *aged(ABORT | {"filter": {"prefix": "a/"}}), says="leftover"),
    wrong("bucket-abort-uploads", "switched off", *aged(ABORT | {"status": "Disabled"}), says="leftover uploads"),
    fine("bucket-no-expiration", "noncurrent versions", *aged({"noncurrentVersionExpiration": {"noncurrentDays": 30}})),
    fine("bucket-no-expiration", "logs", *aged({"expiration": {"days": 90}}, LOGS)),
    fine("bucket-no-expiration", "delete markers", *aged({"expiration": {"expiredObjectDeleteMarker": True}})),
    fine(
        "bucket-no-expiration",
        "erased copies",
        *aged({"expiration": {"days": 1}, "filter": {"tag": {"key": "vectorfleet:erased", "value": "true"}}}, VAULT),
    ),
    wrong(
        "bucket-no-expiration",
        "another tag",
        *aged({"expiration": {"days": 1}, "filter": {"tag": {"key": "vectorfleet:erased", "value": "no"}}}, VAULT),
        says="rule r expires",
    ),
    wrong("bucket-no-expiration", "days", *aged({"expiration": {"days": 90}}), says="rule r expires"),
    wrong("bucket-no-expiration", "a date", *aged({"expiration": {"date": "2030-01-01"}}), says="rule r expires"),
    wrong(
        "bucket-no-expiration",
        "by the bucket itself",
        bucket(lifecycleRules=[{"id": "own", "enabled": True, "expiration": {"days": 1}}]),
        says="rule own expires",
    ),
    wrong(
        "bucket-no-expiration",
        "an archive",
        *aged({"transitions": [{"days": 30, "storageClass": "GLACIER"}]}, VAULT),
        says="moves objects in use",
    ),
    wrong(
        "bucket-no-expiration",
        "the deepest archive",
        *aged({"transitions": [{"days": 30, "storageClass": "DEEP_ARCHIVE"}]}),
        says="moves objects in use",
    ),
    fine(
        "bucket-no-expiration",
        "what answers at once",
        *aged({"transitions": [{"days": 30, "storageClass": "STANDARD_IA"}]}),
    ),
    fine("bucket-object-lock", "locked", *locked({"mode": "GOVERNANCE", "days": 35})),
    fine("bucket-object-lock", "not a vault", INDEX),
    wrong("bucket-object-lock", "not locked", VAULT, says="not locked by default"),
    wrong("bucket-object-lock", "no time", *locked({"mode": "GOVERNANCE"}), says="not locked by default"),
    wrong(
        "bucket-object-lock",
        "not enabled",
        *locked({"mode": "GOVERNANCE", "days": 1}, enabled=False),
        says="not locked",
    ),
    wrong("bucket-object-lock", "nothing retained", bucket("vault", objectLockEnabled=True), says="not locked"),
    fine("bucket-replication", "with metrics", *replicated("Enabled")),
    fine("bucket-replication", "no vault", INDEX),
    fine("bucket-replication", "artifacts need none", bucket("artifacts"), VAULT),
    wrong("bucket-replication", "without metrics", *replicated("Disabled"), says="nothing replicates"),
    wrong("bucket-replication", "switched off", *replicated("Enabled", status="Disabled"), says="nothing replicates"),
    wrong("bucket-replication", "to another stack", *replicated("Enabled", into=()), says="nothing replicates"),
    wrong("bucket-replication", "elsewhere", *replicated("Enabled", into=LOGS), says="nothing replicates"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_retention_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()


def test_the_tag_of_erased_copies_is_the_programs() -> None:
    assert retention.ERASED_TAG == naming.ERASED_TAG
