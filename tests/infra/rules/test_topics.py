"""The rules of infra.rules.topics, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rules import tokens
from infra.rules.graph import Resource
from tests.infra.rules.cases import Case, deny, fine, made, policy, wrong

TOPIC = made(tokens.TOPIC)
PLAIN = {"Bool": {"aws:SecureTransport": "false"}}


def policed(condition: dict[str, Any], action: str = "sns:Publish") -> tuple[Resource, Resource]:
    return TOPIC, made(tokens.TOPIC_POLICY, {"policy": policy(deny(condition, "arn", action=action))}, arn=TOPIC)


CASES = (
    fine("topic-tls-only", "denied", *policed(PLAIN)),
    wrong("topic-tls-only", "another action", *policed(PLAIN, "sns:Subscribe"), says="does not deny plain HTTP"),
    wrong("topic-tls-only", "no policy", TOPIC, says="does not deny plain HTTP"),
    fine("topic-encrypted", "our key", made(tokens.TOPIC, {"kmsMasterKeyId": "arn:aws:kms:::key/1"})),
    wrong("topic-encrypted", "in clear", TOPIC, says="is nothing"),
    wrong("topic-encrypted", "AWS's", made(tokens.TOPIC, {"kmsMasterKeyId": "alias/aws/sns"}), says="alias/aws/sns;"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_topic_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
