"""The interface of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from loadtests.corpora.questions import Question
from loadtests.errors import LoadTestError
from service.storage.metadata import Value

# Prefixes of the documents that load tests, drills and probes write. They belong to no corpus.
ADDED = ("load/", "vectorfleet/canary/")


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the service takes it; `vector` is little-endian float32, empty if the service embeds the text."""

    source_id: str
    title: str
    text: str
    metadata: Mapping[str, Value] = field(default_factory=dict)
    vector: bytes = b""


class CorpusError(LoadTestError):
    """A corpus that cannot be read."""


class Corpus(Protocol):
    """Documents that are the same whenever they are read.

    `name` is the value of `--corpus`, `contents` a noun for the documents ("operations of the AWS API reference").
    Every source_id begins with `prefix`. `examples` are questions whose answers are shown.
    """

    @property
    def name(self) -> str: ...

    @property
    def contents(self) -> str: ...

    @property
    def prefix(self) -> str: ...

    @property
    def examples(self) -> tuple[str, ...]: ...

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        """Yield the documents that a fleet holds before anything is measured. Raises CorpusError."""

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """Yield documents to write under load; none of them is among `documents`. Raises CorpusError."""

    def questions(self) -> tuple[Question, ...]:
        """Return the golden questions that `documents` can answer. Raises GoldenSetError or CorpusError."""


def is_original(source_id: str, prefix: str) -> bool:
    """Return whether a document belongs to the corpus with this prefix, which may be empty."""
    return source_id.startswith(prefix) and not source_id.startswith(ADDED)
