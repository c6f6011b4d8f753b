"""A custom corpus: a file with one JSON object in each line, and golden questions in a second file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from os.path import commonprefix
from pathlib import Path
from typing import Annotated

import msgspec

from loadtests.corpora import questions as question_set
from loadtests.corpora.corpus import ADDED, CorpusError, Document
from loadtests.corpora.json_lines import lines_of, parse_line, vector_bytes
from service.storage.metadata import problem_with
from service.wire.limits import MAX_SOURCE_ID, MAX_TEXT_BYTES, MAX_TITLE

SMALL_DOCUMENTS = 3_000
HELD_BACK = 10
EXAMPLES = 5


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_ID)]
    title: Annotated[str, msgspec.Meta(max_length=MAX_TITLE)] = ""
    text: str = ""
    metadata: dict[str, str | int | float | bool] = {}
    vector: str | list[float] = ""


class LinesCorpus:
    """
    The documents of a JSON-lines file, in its order; `most` keeps the first ones.

    With `hold_back`, every tenth document that no question accepts is left out of `documents`, to be written under
    load.
    """

    def __init__(
        self, path: Path, questions: Path | None = None, *, most: int | None = None, hold_back: bool = False
    ) -> None:
        every = _read(path)
        self.name = str(path)
        self.contents = f"documents of {path.name}"
        self.prefix = commonprefix([one.source_id for one in every])  # noqa: RUF071  ids are not paths
        self._asked = _load(questions, every) if questions else None
        accepted = {name for question in self._asked or () for name in question.documents}
        kept = every[:most]
        spare = [document for document in kept if document.source_id not in accepted] if hold_back else []
        self._fresh = spare[HELD_BACK - 1 :: HELD_BACK]
        fresh = {document.source_id for document in self._fresh}
        self._documents = [document for document in kept if document.source_id not in fresh]

    @property
    def examples(self) -> tuple[str, ...]:
        """The first golden questions."""
        return tuple(question.question for question in self.questions()[:EXAMPLES])

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        """Yield the documents that are not held back."""
        return islice(self._documents, limit)

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """Yield the documents that are held back."""
        return islice(self._fresh, limit)

    def questions(self) -> tuple[question_set.Question, ...]:
        """Return the golden questions that the documents can answer; raise CorpusError without a file of them."""
        if self._asked is None:
            raise CorpusError(f"{self.name} has no golden questions; name a file of them with --questions FILE.yaml.")
        known = {document.source_id for document in self._documents}
        return question_set.answerable(self._asked, lambda question: question.documents & known, self.contents)


def _load(questions: Path, documents: list[Document]) -> tuple[question_set.Question, ...]:
    asked = question_set.load(questions)
    question_set.refuse_unknown(asked, {document.source_id for document in documents}, questions)
    return asked


def _read(path: Path) -> list[Document]:
    found: dict[str, Document] = {}
    for place, line in lines_of(path, CorpusError):
        document = _document(place, parse_line(place, line, _Entry, CorpusError))
        if document.source_id in found:
            raise CorpusError(f"{place}: the source_id {document.source_id!r} is used twice.")
        found[document.source_id] = document
    if not found:
        raise CorpusError(f"{path} holds no document; each line is a JSON object with source_id, title and text.")
    return list(found.values())


def _document(place: str, entry: _Entry) -> Document:
    if entry.source_id.startswith(ADDED):
        raise CorpusError(
            f"{place}: the source_id {entry.source_id!r} begins with a prefix of load tests and drills "
            f"({', '.join(ADDED)}); choose another."
        )
    if (size_bytes := len(entry.text.encode())) > MAX_TEXT_BYTES:
        raise CorpusError(f"{place}: text has {size_bytes} bytes; up to {MAX_TEXT_BYTES} are allowed.")
    if problem := problem_with(entry.metadata):
        raise CorpusError(f"{place}: {problem}.")
    try:
        vector = vector_bytes(entry.vector)
    except ValueError as error:
        raise CorpusError(f"{place}: the vector {error}.") from error
    if not entry.title.strip() and not entry.text.strip() and not vector:
        raise CorpusError(f"{place} has no title, text or vector; a document needs one that is not blank.")
    return Document(entry.source_id, entry.title, entry.text, entry.metadata, vector)
