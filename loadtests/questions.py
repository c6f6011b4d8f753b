"""The golden set: questions written by hand, and how the answers of a search are judged by them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GOLDEN_FILE = Path(__file__).with_name("golden.yaml")

_FIELDS = frozenset({"id", "question", "operations"})
_OPERATION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question in plain words and the operations ("ec2:TerminateInstances") that a person would accept."""

    id: str
    question: str
    operations: frozenset[str]


class GoldenSetError(Exception):
    """The file cannot be used; the message is a sentence that names the file and the line or the question."""


def load(path: Path = GOLDEN_FILE, known: Mapping[str, Collection[str]] | None = None) -> tuple[Question, ...]:
    """Questions of a golden file, in its order.

    `known` (operations by service, as `Corpus.operation_names()` gives them) makes an operation that does not
    exist an error. Raises GoldenSetError.
    """
    questions = tuple(_question(entry, path) for entry in _entries(path))
    _refuse_duplicates(questions, path)
    for question in questions:
        for operation in sorted(question.operations):
            _refuse_unknown(operation, question, known, path)
    return questions


def services(questions: Iterable[Question]) -> frozenset[str]:
    """Services of all accepted operations: enough of the corpus for a short run that can still answer."""
    return frozenset(operation.split(":")[0] for question in questions for operation in question.operations)


def operation_of(source_id: str) -> str | None:
    """ "ec2:TerminateInstances" for "aws/ec2/2016-11-15/TerminateInstances"; None for other documents."""
    parts = source_id.split("/")
    return f"{parts[1]}:{parts[3]}" if len(parts) == 4 and parts[0] == "aws" else None


def relevant(hits: Iterable[str], question: Question) -> bool:
    """Whether any hit (a source_id) is an accepted operation, in whichever API version."""
    return any(operation_of(hit) in question.operations for hit in hits)


def relevance(answers: Iterable[tuple[Question, Sequence[str]]]) -> float:
    """Share of questions with a relevant hit among their first ten, 0 to 1; ValueError without questions."""
    verdicts = [relevant(hits[:10], question) for question, hits in answers]
    if not verdicts:
        raise ValueError("Relevance needs at least one answered question.")
    return sum(verdicts) / len(verdicts)


def recall(approximate: Collection[str], exact: Collection[str]) -> float:
    """Share of the exact hits that the approximate search found too, from 0 to 1; 1 when there are none."""
    wanted = set(exact)
    return len(wanted & set(approximate)) / len(wanted) if wanted else 1.0


def _entries(path: Path) -> list[Any]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GoldenSetError(f"{path} cannot be read as a golden set: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise GoldenSetError(f"{path} must be a list of questions, each with id, question and operations.")
    return entries


def _question(entry: Any, path: Path) -> Question:
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise GoldenSetError(f"{path}: {_shown(entry)} must have exactly id, question and operations.")
    name, text, operations = entry["id"], entry["question"], entry["operations"]
    for field, value in (("id", name), ("question", text)):
        if not isinstance(value, str) or not value.strip():
            raise GoldenSetError(f"{path}: the {field} of {_shown(entry)} must be a text that is not empty.")
    if not isinstance(operations, list) or not operations:
        raise GoldenSetError(f"{path}: question {name} must list at least one operation that answers it.")
    return Question(name, text, frozenset(_operation(item, name, path) for item in operations))


def _operation(item: Any, name: str, path: Path) -> str:
    if isinstance(item, str) and _OPERATION.fullmatch(item):
        return item
    raise GoldenSetError(f"{path}: question {name} lists {item!r}; write it as service:Operation.")


def _refuse_duplicates(questions: Sequence[Question], path: Path) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise GoldenSetError(f"{path}: the id {question.id} is used twice; every question needs its own.")
        seen.add(question.id)


def _refuse_unknown(
    operation: str, question: Question, known: Mapping[str, Collection[str]] | None, path: Path
) -> None:
    service, name = operation.split(":")
    if known is not None and name not in known.get(service, ()):
        raise GoldenSetError(
            f"{path}: question {question.id} lists {operation}, which is no documented operation of botocore."
        )


def _shown(entry: Any) -> str:
    named = isinstance(entry, dict) and entry.get("id")
    return f"question {named}" if named else f"the entry {str(entry)[:60]!r}"
