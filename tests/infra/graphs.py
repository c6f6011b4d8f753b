"""Recorded graphs that several tests share, and queries on them."""

from __future__ import annotations

from functools import cache

from infra.configuration.stack_file import stack_config
from infra.review.graph import graph, synthetic
from infra.review.recording import RecordedResource, Recording, record


@cache
def rehearsal() -> Recording:
    return graph("rehearsal")


@cache
def changed(**values: str) -> Recording:
    """Record the rehearsal's program with other configuration values."""
    from infra.program import deploy

    config = stack_config("rehearsal") | {f"vectorfleet:{key}": value for key, value in values.items()}
    return record(deploy, config, project="vectorfleet", stack="test", model=synthetic)


def one(recording: Recording, type_: str, name: str = "") -> RecordedResource:
    (found,) = (row for row in recording.of_type(type_) if name in row.name)
    return found


def role_of(resource: RecordedResource) -> str:
    tags = resource.inputs["tags"]
    plain = tags if isinstance(tags, dict) else {tag["key"]: tag["value"] for tag in tags}
    return str(plain["vectorfleet:role"])


TWO_SLOTS = '{"blue": {}, "green": {"shards": 4, "index": {"type": "ivf"}, "chunking": {"size": 500}, "until": 1234}}'


def two_slots() -> Recording:
    """Record the rehearsal's program with a second slot of another recipe."""
    return changed(slots=TWO_SLOTS)
