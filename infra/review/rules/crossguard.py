"""
The rules as a CrossGuard policy pack: over the engine's view of a stack, before or after an update.

The engine tells the source of a value, but not if a resource is retained. It gives outputs, too, and among them what
AWS adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from infra.review.rules import tokens
from infra.review.rules.acknowledgements import Acknowledgement, acknowledgement
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.rule import Finding, Rule, findings

# Outputs that repeat resources of their own; they would look like inputs that nobody gave.
MIRRORED = {tokens.SECURITY_GROUP: ("ingress", "egress"), tokens.BUCKET: ("lifecycleRules",)}


class Options(Protocol):
    """A resource's options, as the engine gives them."""

    protect: bool


class EngineResource(Protocol):
    """The part of pulumi_policy.PolicyResource that rules need."""

    resource_type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    opts: Options

    @property
    def property_dependencies(self) -> Mapping[str, Sequence[EngineResource]]:
        """Return the resources that each property comes from."""
        ...


def graph_of(resources: Sequence[EngineResource]) -> Graph:
    """Return the graph of the engine's resources."""
    return Graph(tuple(_resource(one) for one in resources))


def violations(
    rule: Rule,
    resources: Sequence[EngineResource],
    known: Sequence[Acknowledgement],
    unknown: type[Exception],
) -> Iterator[Finding]:
    """Yield a rule's findings that nothing `known` accepts; reading an unknown value raises `unknown`."""
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
    """Return the properties without those that mirror other resources; unknown ones still raise."""
    hidden = MIRRORED.get(given.resource_type, ())
    return _Without(given.props, hidden) if hidden else given.props


class _Without(Mapping[str, Any]):
    """A view of properties that hides some; a copy would read all of them, unknown ones, too."""

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
