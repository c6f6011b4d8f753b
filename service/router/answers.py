"""What the public API answers, as types: the same that its OpenAPI document describes."""

from __future__ import annotations

import msgspec

from service.index.shard import Hit
from service.node.messages import Found


class WriteResult(msgspec.Struct, frozen=True):
    """Where one document of a write stands: item `item` of entry `position`."""

    source_id: str
    request_id: str
    item: int


class WriteAnswer(msgspec.Struct, frozen=True):
    """The write is stored, at this position of the documents log."""

    position: int
    results: list[WriteResult]


class LookupDocuments(msgspec.Struct, frozen=True):
    """What is held of each document asked for, null where nothing is; nothing older than `position` counts."""

    position: int
    documents: dict[str, Found | None]


class SearchAnswer(msgspec.Struct, frozen=True):
    """The nearest documents, best first; `partial` where a shard gave no answer."""

    hits: list[Hit]
    shards_total: int
    shards_answered: int
    partial: bool
    position: int


class SearchFailure(msgspec.Struct, frozen=True):
    """Why one search of a batch has no answer, as a problem of its own."""

    status: int
    title: str
    detail: str


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one search of a batch: either an answer or a problem."""

    answer: SearchAnswer | None = None
    problem: SearchFailure | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """A result for each search of a batch, in order."""

    results: list[BatchResult]


class ProblemDetails(msgspec.Struct, frozen=True):
    """RFC 9457: what went wrong, in a sentence; further members say which limit, and when to ask again."""

    title: str
    status: int
    detail: str
    request_id: str = ""
    retry_after_seconds: int = 0
