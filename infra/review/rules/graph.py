"""
The graph of a stack for rules: resources, their inputs, and the resource that each input comes from.

References go by URN, never by id: a preview has no ids yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.review.recording import Model, RecordedResource, Recording

IDENTIFIERS = ("id", "arn", "name")  # outputs that name a resource
LONGEST_REFERENCE = 32_768  # a key policy's limit, the longest text that names resources; user data names none


@dataclass(frozen=True)
class Resource:
    """
    One resource of the stack.

    `references` maps an input to the URNs that its value comes from. `outputs` holds at least the known ones that name
    the resource. `retain_on_delete` is None if it is unknown.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, Collection[str]] = field(default_factory=dict)
    protect: bool = False
    retain_on_delete: bool | None = False
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def at(self, *path: str) -> Any:
        """Return the input at a path of keys, None if the path ends early."""
        return at(self.inputs, *path)

    def each(self, *path: str) -> list[Any]:
        """Return the items of the list at a path, none without a list."""
        return listed(self.at(*path))

    def tag(self, key: str) -> str:
        """Return a tag's value, empty without the tag; groups have tags as a list."""
        tags = self.at("tags")
        if isinstance(tags, Mapping):
            return str(tags.get(key) or "")
        return next((str(one.get("value")) for one in listed(tags) if one.get("key") == key), "")


@dataclass(frozen=True)
class Graph:
    """Every resource of one stack."""

    resources: tuple[Resource, ...]

    def of_type(self, *types: str) -> list[Resource]:
        """Return the resources of these type tokens."""
        return [resource for resource in self.resources if resource.type in types]

    def referring(self, target: Resource, type_: str, name: str) -> list[Resource]:
        """Return the resources of a type whose input `name` comes from `target`."""
        return [one for one in self.of_type(type_) if target in self.targets(one, name, target.type)]

    def targets(self, resource: Resource, name: str, type_: str) -> list[Resource]:
        """Return the resources of a type that the input `name` comes from, directly or through others."""
        first = self._named(resource.references.get(name, ()))
        second = self._named(urn for one in first for urns in one.references.values() for urn in urns)
        return [one for one in first if one.type == type_] or [one for one in second if one.type == type_]

    def _named(self, urns: Iterable[str]) -> list[Resource]:
        return [self._by_urn[urn] for urn in dict.fromkeys(urns) if urn in self._by_urn]

    @cached_property
    def _by_urn(self) -> dict[str, Resource]:
        return {resource.urn: resource for resource in self.resources}


def at(value: Any, *path: str) -> Any:
    """
    Return the value at a path of keys, None if the path ends early.

    >>> at({"rule": {"mode": "on"}}, "rule", "mode")
    'on'
    """
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> list[Any]:
    """
    Return a list of a list, of one item, or of nothing.

    >>> listed("a"), listed(["a"]), listed(None)
    (['a'], ['a'], [])
    """
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def of_recording(recording: Recording, model: Model) -> Graph:
    """Return the graph of a recording; `model` made its outputs."""
    custom = {resource.urn: resource for resource in recording.resources if resource.custom}
    outputs = {urn: model(one.type, one.name, one.inputs) for urn, one in custom.items()}
    return Graph(tuple(_resource(one, custom, outputs) for one in custom.values()))


def _resource(
    registered: RecordedResource, custom: Mapping[str, RecordedResource], outputs: Mapping[str, Mapping[str, object]]
) -> Resource:
    behind = _behind(registered, custom)
    return Resource(
        type=registered.type,
        name=registered.name,
        urn=registered.urn,
        inputs=registered.inputs,
        references=_references(registered.inputs, {urn: _identifiers(outputs[urn]) for urn in behind}),
        protect=registered.protect,
        retain_on_delete=registered.retain_on_delete,
        outputs=outputs[registered.urn],
    )


def _behind(registered: RecordedResource, custom: Mapping[str, RecordedResource]) -> set[str]:
    """Return all dependencies of a resource, indirect ones, too: an output may pass a value on."""
    found: set[str] = set()
    waiting = [*registered.dependencies]
    while waiting:
        urn = waiting.pop()
        if urn in custom and urn not in found:
            found.add(urn)
            waiting += custom[urn].dependencies
    return found


def _identifiers(outputs: Mapping[str, object]) -> frozenset[str]:
    return frozenset(str(outputs[name]) for name in IDENTIFIERS if outputs.get(name))


def _references(inputs: Mapping[str, Any], dependencies: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, value in inputs.items():
        text = "\n".join(_texts(value))
        for urn, identifiers in dependencies.items():
            if any(identifier in text for identifier in identifiers):
                found[name].add(urn)
    return {name: frozenset(urns) for name, urns in found.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value if len(value) <= LONGEST_REFERENCE else ""
    elif isinstance(value, Mapping | list):
        items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for item in items:
            yield from _texts(item)
