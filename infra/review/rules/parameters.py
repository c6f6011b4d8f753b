"""Rules for SSM parameters: the state shows what the program writes, so it holds no secret."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Rule, said


def _no_secret(parameter: Resource, _: Graph) -> Iterator[str]:
    if parameter.at("type") == "SecureString":
        yield said(
            "a secret passes through the program and its state",
            allowed="type String; a SecureString is known by its name alone",
            remedy="Take it out of the program and write it from outside",
        )


RULES = (
    Rule(
        id="parameter-no-secret",
        demand="no secret passes through the program",
        types=(tokens.PARAMETER,),
        check=_no_secret,
    ),
)
