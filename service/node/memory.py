"""Memory and disk of a node's machine, and whether a second generation fits."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from infra.planning.memory import (
    DELTA_ROWS,
    FLOAT32_BYTES,
    PROCESS_BYTES,
    Rows,
    chunk_bytes,
    index_bytes,
    measured_terms,
    total_bytes,
)
from service.index.shard import CollectionSize

PROC = Path("/proc")
# The unit's MemoryMax keeps this share from the node, and the kernel needs some.
KEPT_SHARE = 0.08


class Room(NamedTuple):
    """The used share of the machine's memory, and of the disk that caches snapshots, in percent."""

    memory_percent: float
    disk_percent: float


def room(folder: Path, proc: Path = PROC) -> Room:
    """Return the figures of this moment; `proc` is where the kernel shows them."""
    disk = shutil.disk_usage(folder)
    return Room(round(memory_percent(proc), 1), round(100 * disk.used / (disk.used + disk.free), 1))


def memory_percent(proc: Path = PROC) -> float:
    """Return the used share of memory. Caches that the kernel would give up don't count."""
    fields = sizes(proc / "meminfo")
    return 100 * (1 - fields["MemAvailable"] / fields["MemTotal"])


def shortage(wanted_bytes: int, proc: Path = PROC) -> str:
    """Say why this much more memory can't be had now; empty if it can."""
    fields = sizes(proc / "meminfo")
    free_bytes = fields["MemAvailable"] - int(fields["MemTotal"] * KEPT_SHARE)
    if wanted_bytes <= free_bytes:
        return ""
    return (
        f"a process with the next generation needs {wanted_bytes >> 20} MiB, {max(0, free_bytes) >> 20} MiB are free "
        f"beside the {KEPT_SHARE:.0%} that are reserved; choose machines with more memory, or more shards"
    )


def modelled_bytes(collections: Iterable[CollectionSize]) -> int:
    """Return the memory of a node with these rows by the measured model, while no new base is loaded.

    The model's full delta is counted for the first collection, the default one: a hundred small ones never have one
    each.
    """
    default, *others = collections
    return PROCESS_BYTES + _held_bytes(default) + sum(_held_bytes(one) - _no_delta_bytes(one) for one in others)


def _no_delta_bytes(one: CollectionSize) -> int:
    """Return the part of a full delta that these rows, all in it, do not fill."""
    return max(0, DELTA_ROWS - one.rows) * one.recipe.embedding.dims * FLOAT32_BYTES


def _held_bytes(one: CollectionSize) -> int:
    index, embedding = one.recipe.index, one.recipe.embedding
    held = Rows(max(1, one.rows), embedding.dims, index.type, index.m)
    terms = measured_terms(held, chunk_bytes=chunk_bytes(one.recipe.chunking.size))
    return total_bytes(terms) - index_bytes(held) - PROCESS_BYTES


def sizes(path: Path) -> dict[str, int]:
    """Return the sizes that a file under /proc gives, in bytes."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
