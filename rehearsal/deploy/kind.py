"""What the deployer knows about one resource type: the base of the table under this folder.

A kind lists every property it takes, by what a change of it means. What is in neither list is refused.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from rehearsal.deploy.cloud import Cloud, missing
from rehearsal.deploy.errors import DeployError, UnsupportedError
from rehearsal.deploy.state import Properties, Resource

RANDOM_LETTERS = 7
POLL_SECONDS = 0.25


class Kind(ABC):
    """One resource type.

    `replaced_by` are the properties whose change makes a new resource, `updated_by` those changed in place,
    `sets` the list properties whose order means nothing. A kind with `name_property` is named after its logical
    name and seven hexadecimal digits when the program gives no name, in at most `name_limit` letters.
    """

    token: ClassVar[str]
    service: ClassVar[str]
    replaced_by: ClassVar[frozenset[str]] = frozenset()
    updated_by: ClassVar[frozenset[str]] = frozenset()
    sets: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    name_property: ClassVar[str | None] = None
    name_limit: ClassVar[int] = 255
    lower_name: ClassVar[bool] = False
    tagged: ClassVar[bool] = True
    # Properties that the SDK marks as secret whatever is in them.
    veiled: ClassVar[frozenset[str]] = frozenset()
    # Long contents that the state keeps as a digest only.
    digested: ClassVar[frozenset[str]] = frozenset()
    # Texts that hold JSON: another order of keys or other white space is no change.
    json_texts: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def create(self, cloud: Cloud, inputs: Properties) -> str:
        """Make the resource; the id it is known by from now on."""

    @abstractmethod
    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        """The outputs that other resources may use; None when the resource does not exist."""

    @abstractmethod
    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Remove the resource; one that is gone already is no error."""

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        """Change the resource in place; may be repeated after an interruption."""
        raise UnsupportedError(f"{old.label} cannot be updated in place")

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        """The ids that a create with these inputs may have made, if it was announced and then interrupted.

        Kinds whose create only sets something on another resource have nothing to find: it is repeated.
        """
        return []

    def check(self, inputs: Properties) -> None:
        """UnsupportedError when a property is not in this kind's lists."""
        known = self.replaced_by | self.updated_by | {"region"} | ({"tags"} if self.tagged else set())
        unknown = sorted(set(inputs) - known)
        if unknown:
            raise UnsupportedError(
                f"property {unknown[0]} is not in the deployer's table; add it under rehearsal/deploy, "
                f"where {self.token} has {', '.join(sorted(known))}"
            )

    def new_name(self, logical_name: str) -> str:
        """A physical name as the AWS provider makes it; DeployError when the logical name is too long."""
        name = f"{logical_name}-{secrets.token_hex(RANDOM_LETTERS)[:RANDOM_LETTERS]}"
        if len(name) > self.name_limit:
            raise DeployError(
                f"its automatic name {name!r} has {len(name)} letters, {self.token} allows {self.name_limit}; "
                f"shorten the logical name or set {self.name_property}"
            )
        return name.lower() if self.lower_name else name


def found(call: Callable[[], Any]) -> Any:
    """The answer of a call, None when what it asks for does not exist."""
    try:
        return call()
    except ClientError as error:
        if missing(error):
            return None
        raise


def only(items: list[Any]) -> Any:
    """The one item, None when there is none; more than one means the question was not precise."""
    if len(items) > 1:
        raise DeployError(f"{len(items)} resources answer where one was expected: {items!r:.200}")
    return items[0] if items else None


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll until the condition holds; DeployError that names what was waited for when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DeployError(
                f"waited {seconds:.0f} s for {what}; look at the logs of the emulated AWS, then run again"
            )
        time.sleep(POLL_SECONDS)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most AWS APIs take them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_changes(old: Properties, new: Properties) -> tuple[dict[str, str], list[str]]:
    """The tags to set and the keys to remove between two sets of inputs."""
    before: dict[str, str] = old.get("tagsAll", {})
    after: dict[str, str] = new.get("tagsAll", {})
    return {k: v for k, v in after.items() if before.get(k) != v}, sorted(set(before) - set(after))
