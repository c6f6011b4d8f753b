"""The end of a build, and of a slot with its pointer: their objects in the index bucket are deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from infra.stack.outputs import Fleet
from service.storage.builds import family

PAGE_KEYS = 1_000  # the most that S3 deletes with one request


@dataclass(frozen=True)
class Remains:
    """Objects that no process uses any more. A slot's pointer comes last, so that a retry finds the rest."""

    keys: tuple[str, ...]
    size_bytes: int


def running(fleet: Fleet, slot: str) -> list[str]:
    """Return the instances of a slot that have not ended; they might write to its build again."""
    alive = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters = [
        {"Name": "tag:vectorfleet:fleet", "Values": [fleet.fleet]},
        {"Name": "tag:vectorfleet:slot", "Values": [slot]},
        {"Name": "instance-state-name", "Values": alive},
    ]
    pages = fleet.aws("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    return [one["InstanceId"] for page in pages for row in page["Reservations"] for one in row["Instances"]]


def remains(fleet: Fleet, build: str, *, kept: str = "", slot: str = "") -> Remains:
    """List the objects of a build and of all others of its family but `kept`, and the pointer of a slot.

    Raises botocore's errors.
    """
    listed = _listed(fleet, f"builds/{family(build)}")
    found = [(key, size) for key, size in listed if not kept or not key.startswith(f"builds/{kept}/")]
    pointer = (f"slots/{slot}.json",) if slot else ()
    return Remains((*(key for key, _ in found), *pointer), sum(size for _, size in found))


def delete(fleet: Fleet, found: Remains, progress: Callable[[int], None]) -> list[str]:
    """Delete the objects and return the errors of those that S3 kept; their versions expire by the bucket's rule."""
    s3, keys, errors = fleet.aws("s3"), iter(found.keys), []
    while batch := list(islice(keys, PAGE_KEYS)):
        errors += _delete(s3, fleet.index_bucket, batch)
        progress(len(batch))
    return errors


def _listed(fleet: Fleet, prefix: str) -> Iterator[tuple[str, int]]:
    pages = fleet.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=fleet.index_bucket, Prefix=prefix)
    for page in pages:
        yield from ((one["Key"], one["Size"]) for one in page.get("Contents", ()))


def _delete(s3: Any, bucket: str, keys: Sequence[str]) -> list[str]:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
    return [f"{one['Key']}: {one['Message']}" for one in answer.get("Errors", ())]


def unfinished(errors: Sequence[str]) -> str:
    """Return the sentence on objects that S3 kept; empty if it kept none."""
    return f"S3 kept {len(errors)} objects, the first one {errors[0]}. Run the command again." if errors else ""
