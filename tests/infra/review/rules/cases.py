"""Builders of small graphs, and cases: a graph that complies with a rule or one that does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra.review.rules.graph import Graph, Resource
from infra.review.rules.registry import RULES
from infra.review.rules.rule import findings

BY_ID = {rule.id: rule for rule in RULES}


@dataclass(frozen=True)
class Case:
    """A graph, and what the rule's only sentence about it says; nothing where the graph complies."""

    rule: str
    title: str
    graph: Graph
    says: str = ""

    def __str__(self) -> str:
        return f"{self.rule}: {self.title}"

    def check(self) -> None:
        """Hold the rule to the case, and its sentences to their form."""
        sentences = [finding.sentence for finding in findings(self.graph, (BY_ID[self.rule],))]
        assert [self.says in one for one in sentences] == ([True] if self.says else [])
        for one in sentences:
            found, allowed = one.split("; allowed: ")
            assert found
            assert ". " in allowed
            assert one.endswith(".")


def fine(rule: str, title: str, *resources: Resource) -> Case:
    """A case that complies."""
    return Case(rule, title, Graph(resources))


def wrong(rule: str, title: str, *resources: Resource, says: str) -> Case:
    """A case that does not comply."""
    return Case(rule, title, Graph(resources), says)


def made(
    type_: str,
    inputs: dict[str, Any] | None = None,
    *,
    name: str = "one",
    protect: bool = False,
    retain: bool | None = False,
    outputs: dict[str, Any] | None = None,
    **references: Resource | tuple[Resource, ...],
) -> Resource:
    """A resource; `references` name what an input comes from, and stand for the input's value."""
    sources = {key: value if isinstance(value, tuple) else (value,) for key, value in references.items()}
    given = inputs or {}
    return Resource(
        type=type_,
        name=name,
        urn=f"{type_}::{name}",
        inputs={key: [one.name for one in value] for key, value in sources.items()} | given,
        references={key: tuple(one.urn for one in value) for key, value in sources.items()},
        protect=protect,
        retain_on_delete=retain,
        outputs=outputs or {},
    )


def policy(*statements: dict[str, Any]) -> str:
    """A policy document as JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: str = "arn:aws:s3:::b/*", **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Sid": "Given", "Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(condition: dict[str, Any] | None, *resources: str, action: str = "s3:*") -> dict[str, Any]:
    """A statement that denies everyone."""
    given = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": action, "Resource": list(resources)}
    return given | ({"Condition": condition} if condition else {})
