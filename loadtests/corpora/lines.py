"""A corpus of one's own: a file with one JSON object in each line, and golden questions beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from loadtests import questions as question_set
from loadtests.corpora.corpus import CorpusError, Document
from loadtests.recall import ADDED
from loadtests.vectors import vector_bytes
from service.router.requests import MAX_SOURCE_ID, MAX_TEXT_BYTES, MAX_TITLE
from service.storage.metadata import problem_with

# What a short rehearsal takes of a file, from its first line.
SMALL_DOCUMENTS = 3_000
HELD_BACK = 10
EXAMPLES = 5

_TEXTS = {"source_id": MAX_SOURCE_ID, "title": MAX_TITLE, "text": MAX_TEXT_BYTES}
_MEMBERS = {*_TEXTS, "metadata", "vector"}


class LinesCorpus:
    """
    The documents of a JSON-lines file, in its order; `most` keeps the first ones.

    A file has nothing else that could arrive under load. With `hold_back` every tenth document that no question accepts
    is kept out of `documents` for that.
    """

    def __init__(
        self, path: Path, questions: Path | None = None, *, most: int | None = None, hold_back: bool = False
    ) -> None:
        every = _read(path)
        self.name = str(path)
        self.contents = f"documents of {path.name}"
        self.prefix = _shared([document.source_id for document in every])
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
        """The documents of the file that are kept, and not held back."""
        return islice(self._documents, limit)

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """The documents that are held back."""
        return islice(self._fresh, limit)

    def questions(self) -> tuple[question_set.Question, ...]:
        """The golden questions that the documents can answer; CorpusError where no file of them was named."""
        if self._asked is None:
            raise CorpusError(f"{self.name} has no golden questions; name a file of them with --questions FILE.yaml.")
        known = {document.source_id for document in self._documents}
        return question_set.answerable(self._asked, lambda question: question.documents & known, self.contents)


def _shared(source_ids: list[str]) -> str:
    """How all of them begin, which may be with nothing that they share."""
    lowest, highest = min(source_ids), max(source_ids)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(lowest, highest, strict=False))
    return "".join(character for character, _ in same)


def _load(questions: Path, documents: list[Document]) -> tuple[question_set.Question, ...]:
    asked = question_set.load(questions)
    question_set.refuse_unknown(asked, {document.source_id for document in documents}, questions)
    return asked


def _read(path: Path) -> list[Document]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as a corpus: {error}.") from error
    found: dict[str, Document] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            document = _document(f"{path}, line {number}", line)
            if document.source_id in found:
                raise CorpusError(f"{path}, line {number}: the source_id {document.source_id!r} is used twice.")
            found[document.source_id] = document
    if not found:
        raise CorpusError(f"{path} holds no document; each line is a JSON object with source_id, title and text.")
    return list(found.values())


def _document(place: str, line: str) -> Document:
    entry = _object(place, line)
    for member, most in _TEXTS.items():
        _refuse_text(place, member, entry.get(member, ""), most)
    source_id, title, text = (entry.get(member, "") for member in _TEXTS)
    document = Document(source_id, title, text, _metadata(place, entry), _vector(place, entry))
    if not document.source_id:
        raise CorpusError(f"{place} has no source_id; every document needs its own.")
    if document.source_id.startswith(ADDED):
        raise CorpusError(
            f"{place}: the source_id {document.source_id!r} begins as those of documents that tests write do "
            f"({', '.join(ADDED)}); choose another."
        )
    if not document.title.strip() and not document.text.strip() and not document.vector:
        raise CorpusError(f"{place} has neither title nor text nor vector; a document needs one that is not blank.")
    return document


def _refuse_text(place: str, member: str, value: object, most: int) -> None:
    if not isinstance(value, str):
        raise CorpusError(f"{place}: {member} is {value!r}; it must be a text.")
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(f"{place}: {member} holds half a character ({error.reason}).") from error
    size, unit = (len(encoded), "bytes") if member == "text" else (len(value), "characters")
    if size > most:
        raise CorpusError(f"{place}: {member} has {size} {unit}; up to {most} are allowed.")


def _object(place: str, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line, parse_constant=_no_number)
    except ValueError as error:
        raise CorpusError(f"{place} is not JSON: {error}.") from error
    if not isinstance(entry, dict):
        raise CorpusError(f"{place} is not a JSON object with source_id, title and text.")
    if strange := sorted(set(entry) - _MEMBERS):
        raise CorpusError(f"{place} has {', '.join(strange)}; allowed are source_id, title, text, metadata and vector.")
    return entry


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that JSON knows")


def _vector(place: str, entry: dict[str, Any]) -> bytes:
    try:
        return vector_bytes(entry.get("vector", []))
    except ValueError as error:
        raise CorpusError(f"{place}: vector {error}.") from error


def _metadata(place: str, entry: dict[str, Any]) -> dict[str, Any]:
    metadata = entry.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(one, str | int | float) for one in metadata.values()):
        raise CorpusError(f"{place}: metadata must be named texts, numbers, true or false.")
    if problem := problem_with(metadata):
        raise CorpusError(f"{place}: {problem}.")
    return metadata
