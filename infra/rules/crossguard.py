"""
The rules as a policy pack runs them: on what the engine knows of a stack, before or after an update.

The engine says where a value comes from, but not whether a resource is retained; and it gives outputs, among them
what AWS adds by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from infra.rules import tokens
from infra.rules.acknowledgements import Acknowledgement, acknowledgement
from infra.rules.graph import Graph, Resource
from infra.rules.rule import Finding, Rule, findings

# Outputs that repeat what resources of their own say, so that they would look like inputs which nobody gave.
MIRRORED = {tokens.SECURITY_GROUP: ("ingress", "egress"), tokens.BUCKET: ("lifecycleRules",)}


class Options(Protocol):
    """What the engine tells of a resource's options."""

    protect: bool


class EngineResource(Protocol):
    """The shape of pulumi_policy.PolicyResource, as far as rules need it."""

    resource_type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    opts: Options

    @property
    def property_dependencies(self) -> Mapping[str, Sequence[EngineResource]]:
        """Which resources each property comes from."""
        ...


def graph_of(resources: Sequence[EngineResource]) -> Graph:
    """The graph of what the engine knows."""
    return Graph(tuple(_resource(one) for one in resources))


def violations(
    rule: Rule,
    resources: Sequence[EngineResource],
    known: Sequence[Acknowledgement],
    unknown: type[Exception],
) -> Iterator[Finding]:
    """What a rule finds and nothing `known` accepts; `unknown` is what reading a value not known yet raises."""
    for finding in findings(graph_of(resources), (rule,), (unknown,)):
        if acknowledgement(finding, known) is None:
            yield finding


def _resource(given: EngineResource) -> Resource:
    return Resource(
        type=given.resource_type,
        name=given.name,
        urn=given.urn,
        inputs=_own(given),
        references={name: [one.urn for one in sources] for name, sources in given.property_dependencies.items()},
        protect=given.opts.protect,
        retain_on_delete=None,
        outputs=given.props,
    )


def _own(given: EngineResource) -> Mapping[str, Any]:
    """The properties without those that mirror other resources; they still raise where they are unknown."""
    hidden = MIRRORED.get(given.resource_type, ())
    return _Without(given.props, hidden) if hidden else given.props


class _Without(Mapping[str, Any]):
    """A view of properties that hides some; a copy would read them all, also those that are not known."""

    def __init__(self, props: Mapping[str, Any], hidden: Sequence[str]) -> None:
        self._props, self._hidden = props, hidden

    def __getitem__(self, key: str) -> Any:
        if key in self._hidden:
            raise KeyError(key)
        return self._props[key]

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._props if key not in self._hidden)

    def __len__(self) -> int:
        return sum(1 for _ in self)
