"""The rules of infra.review.rules.keys, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, allow, fine, made, policy, wrong

ROOT = {"AWS": "arn:aws:iam::123456789012:root"}


def key(principal: Any, type_: str = tokens.KEY, **more: Any) -> Resource:
    return made(type_, {"policy": policy(allow("kms:*", resource="*", Principal=principal, **more))})


CASES = (
    fine("key-rotation", "on", made(tokens.KEY, {"enableKeyRotation": True})),
    wrong("key-rotation", "off", made(tokens.KEY, {"enableKeyRotation": False}), says="is false"),
    wrong("key-rotation", "left to the default", made(tokens.KEY), says="is nothing"),
    fine("key-principals", "the account's root", key(ROOT)),
    fine("key-principals", "everyone on a condition", key("*", Condition={"StringEquals": {"kms:CallerAccount": "1"}})),
    fine("key-principals", "AWS's default policy", made(tokens.KEY)),
    wrong("key-principals", "everyone", key("*"), says="statement Given allows everyone"),
    wrong(
        "key-principals",
        "everyone over TLS",
        key("*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        says="allows everyone",
    ),
    wrong("key-principals", "every account", key({"AWS": "*"}, tokens.KEY_POLICY), says="allows everyone"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_key_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
