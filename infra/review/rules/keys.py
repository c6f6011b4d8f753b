"""Rules for KMS keys: rotation, and named users alone."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, is_on, said, shown
from infra.review.rules.statements import statements


def _rotation(key: Resource, _: Graph) -> Iterator[str]:
    if not is_on(key.at("enableKeyRotation")):
        yield said(
            f"enableKeyRotation is {shown(key.at('enableKeyRotation'))}", allowed="true", remedy="Switch rotation on"
        )


def _principals(key: Resource, _: Graph) -> Iterator[str]:
    for one in statements(key.at("policy")):
        if one.admits_anyone:
            yield said(
                f"statement {one.sid} allows everyone without a condition that narrows",
                allowed="named principals, the account's root among them, or a condition",
                remedy="Name who uses the key",
            )


RULES = (
    Rule(
        id="key-rotation",
        demand="keys rotate",
        types=(tokens.KEY,),
        check=_rotation,
        sources=("AwsSolutions-KMS5", "CKV_AWS_7"),
    ),
    Rule(
        id="key-principals",
        demand="a key's policy allows nobody unnamed without a condition",
        types=(tokens.KEY, tokens.KEY_POLICY),
        check=_principals,
        sources=("CKV_AWS_33",),
    ),
)
