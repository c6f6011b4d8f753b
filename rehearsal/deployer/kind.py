"""Resource kinds: a table that maps a resource type of the Pulumi AWS provider to operations of the AWS API."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath  # type: ignore[import-untyped]
from botocore.exceptions import ClientError

from rehearsal.deployer.cloud import Cloud, missing
from rehearsal.deployer.errors import DeployError, UnsupportedError
from rehearsal.deployer.state import Properties, Resource
from rehearsal.deployer.translate import member, parameters

RANDOM_LETTERS = 7


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The operations that tag a resource, and their parameters."""

    add: str = "TagResource"
    remove: str = "UntagResource"
    resource: str = "ResourceArn"
    tags: str = "Tags"
    keys: str = "TagKeys"
    # The template, over the id and the outputs, of the value of `resource`.
    value: str = "{id}"
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One resource type.

    Each property is listed once, in `replaced_by` if a change of it makes a new resource or in `updated_by` if it
    changes in place. The deployer refuses all others. `sets` names the lists whose order has no meaning.
    A kind with `name_property` is named after its logical name and seven hexadecimal digits if the program gives no
    name. The name has at most `name_limit` letters.

    `id` and each of `outputs` is a template if it has braces, and a JMESPath otherwise. The path searches the answer
    of `create_with`, or the description that `described` finds in the answer of `read_with`.
    """

    token: str
    service: str = ""
    replaced_by: frozenset[str] = frozenset()
    updated_by: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    name_property: str | None = None
    name_limit: int = 255
    lower_name: bool = False
    tagged: bool = True
    # Properties that the SDK always marks as secret.
    veiled: frozenset[str] = frozenset()
    # Long contents of which the state keeps a digest only.
    digested: frozenset[str] = frozenset()
    # JSON texts, compared by value.
    json_texts: frozenset[str] = frozenset()

    create_with: str = ""
    id: str = ""
    read_with: str = ""
    described: str = "@"
    outputs: Mapping[str, str] = field(default_factory=dict)
    # The operation for in-place changes gets the changed properties, or all of them if it is `create_with`.
    update_with: str = ""
    delete_with: str = ""
    # The API's parameter that takes the id; where an operation takes a list, its name ends in "s".
    identifier: str = ""
    # Properties that identify the resource beside the id, with the API's parameter.
    scope: Mapping[str, str] = field(default_factory=dict)
    # Names of the API by path of Pulumi names; "*.id" renames `id` at any depth.
    renames: Mapping[str, str] = field(default_factory=dict)
    tagging: Tagging = Tagging()
    # Creating only sets something on another resource, so an interrupted create is repeated and never looked for.
    repeatable: bool = False

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        """Create the resource and return its id."""
        return self.id_in(cloud, self.put(cloud, inputs, **self.tags_at_create(cloud, inputs)), inputs)

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        """Return the outputs that other resources may use, or None if the resource does not exist."""
        described = self.describe(cloud, id_, inputs)
        return None if described is None else self.outputs_in(cloud, id_, described, inputs)

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        """Change the resource in place. An interrupted update is repeated."""
        if changed & self.updated_by:
            self.change(cloud, old, inputs, changed & self.updated_by)
        if self.tagged:
            self.retag(cloud, old, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete the resource, unless it is gone already."""
        if self.delete_with:
            query = self.identity(cloud, self.delete_with, resource.id, resource.inputs)
            found(lambda: cloud.call(self.service, self.delete_with, **query))

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        """Return the ids of resources that an interrupted create with these inputs may have made."""
        if self.repeatable:
            return []
        id_ = self.id_in(cloud, {}, inputs)
        return [id_] if self.describe(cloud, id_, inputs) is not None else []

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        """Call `create_with` for the properties that it takes, and return its answer."""
        return cloud.call(self.service, self.create_with, **self.request(cloud, self.create_with, inputs), **more)

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        """Carry out in-place changes of properties other than tags."""
        if self.update_with and self.update_with == self.create_with:
            self.put(cloud, inputs)
        elif self.update_with:
            given = {key: value for key, value in inputs.items() if key in changed}
            query = self.request(cloud, self.update_with, given)
            if query:
                identity = self.identity(cloud, self.update_with, old.id, inputs)
                cloud.call(self.service, self.update_with, **identity, **query)

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        """Return the API's description of the resource, or None if it does not exist."""
        query = self.identity(cloud, self.read_with, id_, inputs)
        answer = found(lambda: cloud.call(self.service, self.read_with, **query))
        described = None if answer is None else jmespath.search(self.described, answer)
        return only(described) if isinstance(described, list) else described

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        """Return the outputs that a description gives."""
        return {name: self.filled(cloud, wanted, described, {"id": id_}) for name, wanted in self.outputs.items()}

    def id_in(self, cloud: Cloud, answer: Any, inputs: Properties) -> str:
        """Return the id that the answer of a create gives, or that the inputs give by themselves."""
        return str(self.filled(cloud, self.id, answer, inputs))

    def filled(self, cloud: Cloud, wanted: str, described: Any, known: Mapping[str, Any]) -> Any:
        """Return the value of a template or of a path into a description."""
        if "{" in wanted:
            place = {"account": cloud.account, "region": cloud.region}
            return wanted.format_map({**place, **(described if isinstance(described, dict) else {}), **known})
        return jmespath.search(wanted, described)

    def identity(self, cloud: Cloud, operation: str, id_: str, inputs: Properties) -> dict[str, Any]:
        """Return the parameters of an operation that identify the resource."""
        members = cloud.members(self.service, operation)
        named = {self.identifier: id_} | {api: inputs[name] for name, api in self.scope.items() if name in inputs}
        single = {api: value for api, value in named.items() if api in members}
        return single | {f"{api}s": [value] for api, value in named.items() if f"{api}s" in members}

    def request(self, cloud: Cloud, operation: str, inputs: Properties) -> dict[str, Any]:
        """Return the parameters of an operation for those of these properties that it takes."""
        members, known = cloud.members(self.service, operation), self.replaced_by | self.updated_by
        given = self.shaped({key: value for key, value in inputs.items() if key in known})
        other = {key for key in given if key in known and member(key, key, self.renames, members) not in members}
        taken = {key: value for key, value in given.items() if key not in other}
        return parameters(cloud.client(self.service), operation, taken, self.renames)

    def shaped(self, properties: Properties) -> Properties:
        """Return the properties in the shape of the API, where Pulumi nests or splits them differently."""
        return properties

    def tags_at_create(self, cloud: Cloud, inputs: Properties) -> dict[str, Any]:
        """Return the parameters with which `create_with` tags the resource."""
        return self.tags_for(cloud, self.create_with, inputs["tagsAll"]) if inputs.get("tagsAll") else {}

    def tags_for(self, cloud: Cloud, operation: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return tags in the shape that an operation takes."""
        return parameters(cloud.client(self.service), operation, {self.tagging.tags: tags})

    def retag(self, cloud: Cloud, old: Resource, inputs: Properties) -> None:
        """Set the tags that changed and remove the others."""
        before, after, how = old.inputs.get("tagsAll", {}), inputs.get("tagsAll", {}), self.tagging
        new = {key: value for key, value in after.items() if before.get(key) != value}
        gone: list[Any] = sorted(set(before) - set(after))
        resource: Any = self.filled(cloud, how.value, old.outputs, {"id": old.id})
        where = {how.resource: [resource] if how.resource.endswith("s") else resource, **how.fixed}
        if gone:
            keys = [{"Key": key} for key in gone] if how.keys == how.tags else gone
            cloud.call(self.service, how.remove, **where, **{how.keys: keys})
        if new:
            cloud.call(self.service, how.add, **where, **self.tags_for(cloud, how.add, new))

    def check(self, inputs: Properties) -> None:
        """Raise UnsupportedError if the kind does not list a property."""
        known = self.replaced_by | self.updated_by | {"region"} | ({"tags"} if self.tagged else set())
        unknown = sorted(set(inputs) - known)
        if unknown:
            raise UnsupportedError(
                f"property {unknown[0]} is not in the deployer's table; add it under rehearsal/deployer, "
                f"where {self.token} has {', '.join(sorted(known))}"
            )

    def new_name(self, logical_name: str) -> str:
        """Return a physical name as the AWS provider makes it. Raise DeployError if it is too long."""
        name = f"{logical_name}-{secrets.token_hex(RANDOM_LETTERS)[:RANDOM_LETTERS]}"
        if len(name) > self.name_limit:
            raise DeployError(
                f"its automatic name {name!r} has {len(name)} letters, {self.token} allows {self.name_limit}; "
                f"shorten the logical name or set {self.name_property}"
            )
        return name.lower() if self.lower_name else name


def names(text: str) -> frozenset[str]:
    """Return the property names of a text that separates them by white space."""
    return frozenset(text.split())


def found(call: Callable[[], Any]) -> Any:
    """Return the answer of a call, or None if the resource does not exist."""
    try:
        return call()
    except ClientError as error:
        if missing(error):
            return None
        raise


def only(items: list[Any]) -> Any:
    """Return the one item, or None for an empty list. Raise DeployError if there are several."""
    if len(items) > 1:
        raise DeployError(f"{len(items)} resources answer where one was expected: {items!r:.200}")
    return items[0] if items else None


def text_of(value: object) -> str:
    """Return a value as the API's textual attributes have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
