"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from infra.rules.graph import Graph, Resource

Check = Callable[[Resource, Graph], Iterable[str]]


@dataclass(frozen=True)
class Rule:
    """
    One demand on every resource of some types.

    `check` gives a sentence for each thing that is wrong with a resource; `sources` are the ids by which others know
    the demand (cdk-nag, checkov, terraform-aws-s3-bucket), none for our own.
    """

    id: str
    demand: str
    types: tuple[str, ...]
    check: Check
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one resource."""

    rule: str
    type: str
    name: str
    urn: str
    sentence: str


def findings(graph: Graph, rules: Iterable[Rule], unknown: tuple[type[Exception], ...] = ()) -> Iterator[Finding]:
    """
    What the rules find, rule by rule.

    `unknown` are the exceptions by which a value says that it is not known yet: the rule then says nothing about that
    resource.
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
    A finding's sentence: what was found, what is allowed, what to do.

    >>> said("rotation is off", allowed="on", remedy="Set enable_key_rotation")
    'rotation is off; allowed: on. Set enable_key_rotation.'
    """
    return f"{found}; allowed: {allowed}. {remedy}."


def shown(value: object) -> str:
    """
    A found value as a sentence shows it.

    >>> shown(None), shown(True), shown("gp2")
    ('nothing', 'true', 'gp2')
    """
    if value is None or value == "":
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_on(value: object) -> bool:
    """Whether a switch is on: some inputs take the text `true`."""
    return value is True or value == "true"
