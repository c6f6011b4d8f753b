"""The rules of infra.review.rules.topics, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, allow, deny, fine, made, policy, wrong

TOPIC = made(tokens.TOPIC)
PLAIN = {"Bool": {"aws:SecureTransport": "false"}}


def policed(condition: dict[str, Any], action: str = "sns:Publish") -> tuple[Resource, Resource]:
    return TOPIC, made(tokens.TOPIC_POLICY, {"policy": policy(deny(condition, "arn", action=action))}, arn=TOPIC)


def admitting(principal: object, key: str = "Principal", **more: Any) -> Resource:
    allowed = allow("sns:*", resource="arn", **{key: principal}, **more)
    return made(tokens.TOPIC_POLICY, {"policy": policy(allowed)})


def open_topic() -> Resource:
    return made(tokens.TOPIC, {"policy": policy(allow("sns:Publish", resource="arn", Principal="*"))})


OWN = {"StringEquals": {"aws:SourceAccount": "1"}}
CASES = (
    fine("topic-tls-only", "denied", *policed(PLAIN)),
    wrong("topic-tls-only", "another action", *policed(PLAIN, "sns:Subscribe"), says="does not deny plain HTTP"),
    wrong("topic-tls-only", "no policy", TOPIC, says="does not deny plain HTTP"),
    fine("topic-principals", "a service", admitting({"Service": "cloudwatch.amazonaws.com"})),
    fine("topic-principals", "an account's own", admitting("*", Condition=OWN)),
    fine("topic-principals", "a refusal", *policed(PLAIN)),
    wrong("topic-principals", "everyone", admitting({"AWS": "*"}), says="lets everyone use the topic"),
    wrong(
        "topic-principals",
        "everyone over TLS",
        admitting("*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        says="lets everyone use the topic",
    ),
    wrong("topic-principals", "everyone else", admitting("r", "NotPrincipal"), says="lets everyone use the topic"),
    wrong("topic-principals", "by the topic itself", open_topic(), says="lets everyone use the topic"),
    fine("topic-encrypted", "our key", made(tokens.TOPIC, {"kmsMasterKeyId": "arn:aws:kms:::key/1"})),
    wrong("topic-encrypted", "in clear", TOPIC, says="is nothing"),
    wrong("topic-encrypted", "AWS's", made(tokens.TOPIC, {"kmsMasterKeyId": "alias/aws/sns"}), says="alias/aws/sns;"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_topic_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
