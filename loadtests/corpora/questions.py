"""Golden questions, written by hand with the documents that answer them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loadtests.errors import LoadTestError

_FORMS = ({"id", "question", "operations"}, {"id", "question", "documents"})
_ACCEPTED = "operations (service:Operation) or documents (source_ids)"
_OPERATION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+")
_SOURCE_ID = re.compile(r".+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the answers that a person would accept.

    `documents` are source_ids. `operations` are operations of the AWS API in any version ("ec2:TerminateInstances").
    """

    id: str
    question: str
    operations: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return the question as a baseline keeps it."""
        return {
            "id": self.id,
            "question": self.question,
            "operations": sorted(self.operations),
            "documents": sorted(self.documents),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Question:
        """Return the question that `to_json` gave."""
        return cls(found["id"], found["question"], frozenset(found["operations"]), frozenset(found["documents"]))


class GoldenSetError(LoadTestError):
    """A file of golden questions that cannot be used; the message names the file, and the line or the question."""


def load(path: Path) -> tuple[Question, ...]:
    """Return the questions of a file, in its order. Raises GoldenSetError."""
    questions = tuple(_question(entry, path) for entry in _entries(path))
    _refuse_duplicates(questions, path)
    return questions


def refuse_unknown(questions: Iterable[Question], source_ids: Collection[str], path: Path) -> None:
    """Raise GoldenSetError if a question accepts a document or operation that is not among `source_ids`."""
    known = {*source_ids, *map(operation_of, source_ids)}
    for question in questions:
        for accepted in sorted((question.operations | question.documents) - known):
            raise GoldenSetError(
                f"{path}: question {question.id} lists {accepted}, which is not a document of the corpus."
            )


def answerable(questions: Iterable[Question], can: Callable[[Question], object], contents: str) -> tuple[Question, ...]:
    """Return the questions that `can` accepts; raise GoldenSetError, which names the `contents`, if there are none."""
    if found := tuple(filter(can, questions)):
        return found
    raise GoldenSetError(f"None of the golden questions can be answered by the {contents} that were chosen.")


def services(questions: Iterable[Question]) -> frozenset[str]:
    """Return the services of all accepted operations, as botocore names them."""
    named = (name for q in questions for name in (*q.operations, *map(operation_of, q.documents)) if name)
    return frozenset(name.split(":")[0] for name in named)


def operation_of(source_id: str) -> str | None:
    """Return "ec2:TerminateInstances" for "aws/ec2/2016-11-15/TerminateInstances", None for other documents."""
    parts = source_id.split("/")
    return f"{parts[1]}:{parts[3]}" if len(parts) == 4 and parts[0] == "aws" else None


def relevant(hits: Iterable[str], question: Question) -> bool:
    """Return whether any hit, a source_id, is an accepted document or an accepted operation."""
    return any(hit in question.documents or operation_of(hit) in question.operations for hit in hits)


def recall(approximate: Collection[str], exact: Collection[str]) -> float:
    """Return the share, 0 to 1, of the exact hits that the approximate search found; 1 if there are none."""
    wanted = set(exact)
    return len(wanted & set(approximate)) / len(wanted) if wanted else 1.0


def _entries(path: Path) -> list[Any]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GoldenSetError(f"{path} cannot be read as a golden set: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise GoldenSetError(f"{path} must be a list of questions, each with id, question and {_ACCEPTED}.")
    return entries


def _question(entry: Any, path: Path) -> Question:
    if not isinstance(entry, dict) or set(entry) not in _FORMS:
        raise GoldenSetError(f"{path}: {_shown(entry)} must have exactly id, question and {_ACCEPTED}.")
    name, text = entry["id"], entry["question"]
    for field, value in (("id", name), ("question", text)):
        if not isinstance(value, str) or not value.strip():
            raise GoldenSetError(f"{path}: the {field} of {_shown(entry)} must be a string that is not empty.")
    if "operations" in entry:
        return Question(name, text, operations=_accepted(entry, "operations", _OPERATION, path))
    return Question(name, text, documents=_accepted(entry, "documents", _SOURCE_ID, path))


def _accepted(entry: dict[str, Any], kind: str, form: re.Pattern[str], path: Path) -> frozenset[str]:
    name, listed = entry["id"], entry[kind]
    if not isinstance(listed, list) or not listed:
        raise GoldenSetError(f"{path}: question {name} must list at least one of the {kind} that answer it.")
    for item in listed:
        if not isinstance(item, str) or not form.fullmatch(item):
            written = "service:Operation" if form is _OPERATION else "a source_id, a string"
            raise GoldenSetError(f"{path}: question {name} lists {item!r}; write it as {written}.")
    return frozenset(listed)


def _refuse_duplicates(questions: Sequence[Question], path: Path) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise GoldenSetError(f"{path}: the id {question.id} is used twice; every question needs its own.")
        seen.add(question.id)


def _shown(entry: Any) -> str:
    named = isinstance(entry, dict) and entry.get("id")
    return f"question {named}" if named else f"the entry {str(entry)[:60]!r}"
