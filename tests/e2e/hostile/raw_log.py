"""The documents log read straight from its bucket, decoded and folded without any code of the service."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

PREFIX = "log/"
NUMBER_DIGITS = 20
DIGEST_BYTES = 32 + len(b"VFSHA256")
ANY_POSITION = -1

Place = tuple[int, int]


@dataclass(frozen=True)
class Item:
    """One write as the log has it."""

    place: Place
    request_id: str
    source_id: str
    delete: bool
    title: str
    text: str
    if_position: int

    @property
    def content_hash(self) -> str:
        """The hash by which a look-up names the content."""
        return hashlib.sha256(self.title.encode() + b"\0" + self.text.encode()).hexdigest()


@dataclass
class RawLog:
    """All items in order, what is wrong with the log itself, and what counts of each document."""

    items: dict[Place, Item] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    head: int = 0
    first_of: dict[str, Place] = field(default_factory=dict)
    counted: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))

    def state(self, source_id: str, position: int) -> Item | None:
        """The write of a document that counts at a position; None before the first."""
        versions = self.counted.get(source_id, [])
        at = bisect_right([version.place[0] for version in versions], position)
        return versions[at - 1] if at else None

    def later(self, source_id: str, position: int) -> list[Item]:
        """The writes of a document that count above a position."""
        return [version for version in self.counted.get(source_id, []) if version.place[0] > position]


def read_log(s3: Any, bucket: str) -> RawLog:
    """The whole log of a bucket. Nothing of it is skipped: what can't be read is among the faults."""
    found, predecessor = RawLog(), ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        number = int(key[len(PREFIX) :][:NUMBER_DIGITS])
        if number != found.head + 1:
            found.faults.append(f"entry {number} follows entry {found.head}")
        found.head = number
        if hashlib.sha256(body[:-DIGEST_BYTES]).digest() != body[-32:]:
            found.faults.append(f"entry {number} differs from its digest")
            continue
        reader = pa.ipc.open_stream(body)
        header = json.loads(reader.schema.metadata[b"vectorfleet"])
        if header["predecessor"] != predecessor:
            found.faults.append(f"entry {number} names another predecessor than entry {number - 1}")
        predecessor = header["append_id"]
        for item, row in enumerate(reader.read_all().to_pylist()):
            _take(found, Item((number, item), **{name: row[name] for name in _COLUMNS}))
    return found


_COLUMNS = ("request_id", "source_id", "delete", "title", "text", "if_position")


def _take(found: RawLog, item: Item) -> None:
    """Fold one item in: a repeated request never counts, a condition counts only where it holds."""
    found.items[item.place] = item
    if item.request_id in found.first_of:
        return
    found.first_of[item.request_id] = item.place
    held = found.state(item.source_id, item.place[0])
    position = 0 if held is None or held.delete else held.place[0]
    if item.if_position in (ANY_POSITION, position):
        found.counted[item.source_id].append(item)
