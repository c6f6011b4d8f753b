"""What a source of documents has to give, so that load tests and rehearsals need not know which one it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from loadtests.questions import Question
from service.storage.metadata import Value


@dataclass(frozen=True, slots=True)
class Document:
    """
    One document as the service takes it: a stable id, a heading in words, plain text, named values, and where vectors
    are given its own, as little-endian float32.
    """

    source_id: str
    title: str
    text: str
    metadata: Mapping[str, Value] = field(default_factory=dict)
    vector: bytes = b""


class CorpusError(Exception):
    """A corpus cannot be read as asked; the message is a sentence for the user."""


class Corpus(Protocol):
    """Documents that are the same whenever they are read.

    `name` is what `--corpus` calls it, `contents` what its documents are, in words ("operations of the AWS API
    reference"). Every source_id begins with `prefix`. `examples` are questions to show answers of.
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
        """What a fleet holds before anything is measured. Raises CorpusError."""

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """What arrives while load runs; none of it is among `documents`. Raises CorpusError."""

    def questions(self) -> tuple[Question, ...]:
        """The golden questions that `documents` can answer. Raises GoldenSetError or CorpusError."""
