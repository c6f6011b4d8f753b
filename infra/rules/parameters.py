"""SSM parameters: what the program writes stands in its state, and so is no secret."""

from __future__ import annotations

from collections.abc import Iterator

from infra.rules import tokens
from infra.rules.graph import Graph, Resource
from infra.rules.rule import Rule, said


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
