"""Rules and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from infra.review.rules.graph import Graph, Resource

Check = Callable[[Resource, Graph], Iterable[str]]


@dataclass(frozen=True)
class Rule:
    """
    A demand on every resource of some types.

    `check` yields a sentence for each fault of a resource. `sources` has the demand's ids elsewhere (cdk-nag, checkov,
    terraform-aws-s3-bucket), none for one of our own.
    """

    id: str
    demand: str
    types: tuple[str, ...]
    check: Check
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One fault of one resource."""

    rule: str
    type: str
    name: str
    urn: str
    sentence: str


def findings(graph: Graph, rules: Iterable[Rule], unknown: tuple[type[Exception], ...] = ()) -> Iterator[Finding]:
    """
    Yield the findings, rule by rule.

    `unknown` are the exceptions of a value that is not known yet; the rule then skips that resource.
    """
    for rule in rules:
        for resource in graph.of_type(*rule.types):
            try:
                sentences = list(rule.check(resource, graph))
            except unknown:
                continue
            for sentence in sentences:
                yield Finding(rule.id, resource.type, resource.name, resource.urn, sentence)


def said(found: str, *, allowed: str, remedy: str) -> str:
    """
    Return a finding's sentence: the value found, the allowed ones, the remedy.

    >>> said("rotation is off", allowed="on", remedy="Set enable_key_rotation")
    'rotation is off; allowed: on. Set enable_key_rotation.'
    """
    return f"{found}; allowed: {allowed}. {remedy}."


def shown(value: object) -> str:
    """
    Return a found value as a sentence shows it.

    >>> shown(None), shown(True), shown("gp2")
    ('nothing', 'true', 'gp2')
    """
    if value is None or value == "":
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_on(value: object) -> bool:
    """Return True if a switch is on; some inputs have the text `true`."""
    return value is True or value == "true"
