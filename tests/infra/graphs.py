"""Recorded graphs that several tests look at, and how they look."""

from __future__ import annotations

from functools import cache

from infra.graph import graph, synthetic
from infra.recording import Recording, Registered, record
from infra.stack import stack_config


@cache
def rehearsal() -> Recording:
    return graph("rehearsal")


@cache
def changed(**values: str) -> Recording:
    """The rehearsal's program with other configuration values."""
    from infra.program import deploy

    config = stack_config("rehearsal") | {f"vectorfleet:{key}": value for key, value in values.items()}
    return record(deploy, config, project="vectorfleet", stack="test", model=synthetic)


def one(recording: Recording, type_: str, name: str = "") -> Registered:
    (found,) = (row for row in recording.of_type(type_) if name in row.name)
    return found


def role_of(resource: Registered) -> str:
    tags = resource.inputs["tags"]
    plain = tags if isinstance(tags, dict) else {tag["key"]: tag["value"] for tag in tags}
    return str(plain["vectorfleet:role"])
