"""Rules for SNS topics: TLS only, named publishers, and a key that CloudWatch may use."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, said, shown
from infra.review.rules.statements import statements

PLAIN_HTTP = ("Bool", "aws:SecureTransport")
AWS_KEY = "alias/aws/sns"


def _tls_only(topic: Resource, graph: Graph) -> Iterator[str]:
    apart = [one.at("policy") for one in graph.referring(topic, tokens.TOPIC_POLICY, "arn")]
    given = [one for policy in (topic.at("policy"), *apart) for one in statements(policy)]
    if not any(one.refuses_everyone(PLAIN_HTTP, ("false",)) and one.covers("sns:Publish") for one in given):
        yield said(
            "the topic's policy does not deny plain HTTP to everyone",
            allowed="a Deny of sns:Publish whose only condition is aws:SecureTransport false",
            remedy="Add that statement to the TopicPolicy",
        )


def _principals(policed: Resource, _: Graph) -> Iterator[str]:
    for one in statements(policed.at("policy")):
        if one.admits_anyone:
            yield said(
                f"statement {one.sid} lets everyone use the topic",
                allowed="named services or principals, or a condition that narrows",
                remedy="Name who publishes",
            )


def _encrypted(topic: Resource, _: Graph) -> Iterator[str]:
    found = topic.at("kmsMasterKeyId")
    if not found or str(found).endswith(AWS_KEY):
        yield said(
            f"kmsMasterKeyId is {shown(found)}",
            allowed="a key of the stack that admits CloudWatch",
            remedy=f"Set kmsMasterKeyId; with {AWS_KEY} alarms fall silent",
        )


RULES = (
    Rule(
        id="topic-tls-only",
        demand="the topic's policy denies plain HTTP to everyone",
        types=(tokens.TOPIC,),
        check=_tls_only,
        sources=("AwsSolutions-SNS3",),
    ),
    Rule(
        id="topic-principals",
        demand="a topic's policy allows nobody unnamed without a condition",
        types=(tokens.TOPIC, tokens.TOPIC_POLICY),
        check=_principals,
        sources=("CKV_AWS_169",),
    ),
    Rule(
        id="topic-encrypted",
        demand="a topic is encrypted with a key that CloudWatch may use",
        types=(tokens.TOPIC,),
        check=_encrypted,
        sources=("SNSEncryptedKMS", "CKV_AWS_26"),
    ),
)
