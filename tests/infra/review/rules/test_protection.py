"""The rules of infra.review.rules.protection, each with what complies and what does not."""

from __future__ import annotations

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.protection import BUCKET_GUARDS, data_is_protected
from tests.infra.review.rules.cases import Case, fine, made, wrong


def bucket(*, empties: bool, protect: bool = True, retain: bool | None = True) -> Resource:
    return made(tokens.BUCKET, {"forceDestroy": empties}, protect=protect, retain=retain)


KEPT, EMPTIED = bucket(empties=False), bucket(empties=True, protect=False, retain=False)


def keyed(of: Resource, *, protect: bool, retain: bool | None) -> tuple[Resource, ...]:
    key = made(tokens.KEY, protect=protect, retain=retain)
    return of, key, made(tokens.BUCKET_SSE, bucket=of, rules=key)


def artifact(of: Resource, *, retain: bool) -> tuple[Resource, ...]:
    return of, made(tokens.BUCKET_OBJECT, retain=retain, bucket=of)


def guarded(of: Resource, guard: str, *, protect: bool, retain: bool | None) -> tuple[Resource, ...]:
    return of, made(guard, protect=protect, retain=retain, bucket=of)


CASES = (
    fine("bucket-protected", "both", KEPT),
    fine("bucket-protected", "a rehearsal's", EMPTIED),
    fine("bucket-protected", "protected, the rest unknown", bucket(empties=False, retain=None)),
    wrong("bucket-protected", "not retained", bucket(empties=False, retain=False), says="lacks retain_on_delete;"),
    wrong("bucket-protected", "not protected", bucket(empties=False, protect=False), says="lacks protect;"),
    wrong(
        "bucket-protected",
        "neither",
        bucket(empties=False, protect=False, retain=False),
        says="lacks protect and retain_on_delete",
    ),
    *(
        case
        for guard in BUCKET_GUARDS
        for case in (
            fine("bucket-guard-protected", f"both on {guard}", *guarded(KEPT, guard, protect=True, retain=True)),
            wrong(
                "bucket-guard-protected",
                f"only inherited by {guard}",
                *guarded(KEPT, guard, protect=True, retain=False),
                says="lacks retain_on_delete;",
            ),
        )
    ),
    fine(
        "bucket-guard-protected",
        "a rehearsal's",
        *guarded(EMPTIED, tokens.BUCKET_VERSIONING, protect=False, retain=False),
    ),
    fine("key-protected", "both", *keyed(KEPT, protect=True, retain=True)),
    fine("key-protected", "a rehearsal's", *keyed(EMPTIED, protect=False, retain=False)),
    fine("key-protected", "of no bucket", made(tokens.KEY)),
    wrong("key-protected", "not retained", *keyed(KEPT, protect=True, retain=False), says="lacks retain_on_delete;"),
    fine("artifact-retained", "retained", *artifact(KEPT, retain=True)),
    fine("artifact-retained", "a rehearsal's", *artifact(EMPTIED, retain=False)),
    wrong("artifact-retained", "deleted", *artifact(KEPT, retain=False), says="its successor deletes it"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_protection_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()


def test_data_is_protected_where_a_bucket_does_not_empty_itself() -> None:
    assert data_is_protected(Graph((KEPT, EMPTIED)))
    assert not data_is_protected(Graph((EMPTIED,)))
