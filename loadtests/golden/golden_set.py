"""The golden set: its answers, their relevance and recall, and the comparison with a baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.corpora.corpus import is_original
from loadtests.corpora.questions import Question, recall, relevant
from loadtests.errors import LoadTestError
from service.client import Client

FIRST = 10
# Documents of load tests and canaries may stand among the first. They are left out, and the next larger number of
# documents is asked for if too few remain.
ASKED = (30, 300, 1_000)
RECALL_FLOOR = 0.95
PARTIAL_ATTEMPTS = 5
PARTIAL_PAUSE_SECONDS = 0.5


class BaselineError(LoadTestError):
    """A baseline file that cannot be used."""


class PartialError(LoadTestError):
    """An answer that lacks a shard, so it says nothing about the documents."""


@dataclass(frozen=True)
class Golden:
    """
    The answers to the golden set.

    `relevance` is the share of questions with an accepted document among the exact first ten. It is a property of the
    documents and the model, so a recovery must give back the same. `served_relevance` is the same share among the ten
    that the graph returns. `recall` is the share of the exact first ten that the graph returns. These two may change a
    little with each generation of the graph. `found` lists the questions with a right answer, `answers` the exact first
    ten of each. `asked` and `prefix` name the questions and the documents.
    """

    questions: int
    relevance: float
    served_relevance: float
    recall: float
    found: list[str]
    answers: dict[str, list[str]]
    prefix: str
    asked: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as a baseline file holds them."""
        return asdict(self)

    def asked_questions(self) -> tuple[Question, ...]:
        """Return the questions, to ask them again."""
        return tuple(Question.from_json(entry) for entry in self.asked)

    def differences(self, baseline: Golden) -> list[str]:
        """Return a sentence for each difference from the answers before a recovery."""
        told = []
        if self.recall < RECALL_FLOOR:
            told.append(f"recall is {self.recall:.3f}, at least {RECALL_FLOOR} is needed")
        if self.questions != baseline.questions:
            told.append(f"{self.questions} questions were asked, {baseline.questions} before")
        for verb, ids in (
            ("no longer", sorted(set(baseline.found) - set(self.found))),
            ("newly", sorted(set(self.found) - set(baseline.found))),
        ):
            if ids:
                told.append(f"{verb} answered: {', '.join(ids)}")
        changed = [name for name in self.answers if self.answers[name] != baseline.answers.get(name)]
        if changed:
            told.append(f"{len(changed)} questions have other exact answers, such as {changed[0]}")
        return told


def ask(
    client: Client,
    questions: Sequence[Question],
    prefix: str,
    *,
    min_position: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Golden:
    """Ask each question by approximate and by exact search; count the documents that begin with `prefix`."""
    answers: dict[str, list[str]] = {}
    served = 0
    recalls: list[float] = []
    for question in questions:
        approximate, exact = (
            _first(client, question.question, prefix, exact=exact, min_position=min_position) for exact in (False, True)
        )
        answers[question.id] = exact
        served += relevant(approximate, question)
        recalls.append(recall(approximate, exact))
        progress(1)
    found = [question.id for question in questions if relevant(answers[question.id], question)]
    return Golden(
        questions=len(questions),
        relevance=len(found) / len(questions),
        served_relevance=served / len(questions),
        recall=sum(recalls) / len(recalls),
        found=found,
        answers=answers,
        prefix=prefix,
        asked=[question.to_json() for question in questions],
    )


def _first(client: Client, text: str, prefix: str, *, exact: bool, min_position: int | None) -> list[str]:
    """Return the first documents of the corpus, without those that were added since."""
    for k in ASKED:
        hits = _whole(client, text, k=k, exact=exact, min_position=min_position)
        found = [hit["source_id"] for hit in hits if is_original(hit["source_id"], prefix)]
        if len(found) >= FIRST or len(hits) < k:
            break
    return found[:FIRST]


def _whole(client: Client, text: str, *, k: int, exact: bool, min_position: int | None) -> list[dict[str, Any]]:
    """Return the hits of all shards; ask again for a short while if one did not answer."""
    for _ in range(PARTIAL_ATTEMPTS):
        answer = client.search(text=text, k=k, exact=exact, min_position=min_position)
        if not answer["partial"]:
            return list(answer["hits"])
        time.sleep(PARTIAL_PAUSE_SECONDS)
    raise PartialError(f"not every shard answered {text!r}; ask the golden set again when all shards answer")


def save(golden: Golden, path: Path) -> None:
    """Write a baseline file."""
    path.write_text(json.dumps(golden.to_json(), indent=1))


def load(path: Path) -> Golden:
    """Return the answers of a baseline file. Raises BaselineError."""
    try:
        found = Golden(**json.loads(path.read_text()))
        found.asked_questions()
        return found
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BaselineError(
            f"{path} is not a golden baseline ({error}); make one with `vectorfleet golden --save {path}`"
        ) from error
