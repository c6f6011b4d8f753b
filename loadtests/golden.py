"""Ask the golden set: how many questions find an operation that answers them, and how much the graph misses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.questions import Question, recall, relevant
from loadtests.recall import is_original
from service.client import Client

FIRST = 10
# Documents that arrived since (load, canaries) may stand among the first; the corpus is judged without them, and
# asked for more where they are many.
ASKED = (30, 300, 1_000)
RECALL_FLOOR = 0.95
PARTIAL_ATTEMPTS = 5
PARTIAL_PAUSE_SECONDS = 0.5


class BaselineError(Exception):
    """A baseline file can't be used."""


class PartialError(Exception):
    """An answer that lacks a shard says nothing about the documents."""


@dataclass(frozen=True)
class Golden:
    """
    The golden set's answers.

    `relevance` is the share of questions with an accepted operation among the exact first ten: a property of the
    documents and the model, so that a recovery must give back the very same. `served_relevance` is the share
    among the ten that the graph returns, `recall` the share of the exact first ten that it returns; both may move
    a little with each new generation of the graph. `found` lists the questions with a right answer, `answers`
    everybody's exact first ten. `asked` and `prefix` say what was asked, and of which documents.
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
        """As plain data."""
        return asdict(self)

    def asked_questions(self) -> tuple[Question, ...]:
        """The questions, to ask them again."""
        return tuple(Question.from_json(entry) for entry in self.asked)

    def differences(self, baseline: Golden) -> list[str]:
        """What is not as it was: a sentence each; none when recovery gave back the relevance from before."""
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
    """Ask every question twice, approximately and exactly, of the corpus whose source_ids begin with `prefix`."""
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
    """The first documents of the corpus, however many that arrived since stand between them."""
    for k in ASKED:
        hits = _whole(client, text, k=k, exact=exact, min_position=min_position)
        found = [hit["source_id"] for hit in hits if is_original(hit["source_id"], prefix)]
        if len(found) >= FIRST or len(hits) < k:
            break
    return found[:FIRST]


def _whole(client: Client, text: str, *, k: int, exact: bool, min_position: int | None) -> list[dict[str, Any]]:
    """The hits of all shards; a replica that hiccups is waited for, a shard that stays away is an error."""
    for _ in range(PARTIAL_ATTEMPTS):
        answer = client.search(text=text, k=k, exact=exact, min_position=min_position)
        if not answer["partial"]:
            return list(answer["hits"])
        time.sleep(PARTIAL_PAUSE_SECONDS)
    raise PartialError(f"not every shard answered {text!r}; ask the golden set when all are back")


def save(golden: Golden, path: Path) -> None:
    """Write a baseline."""
    path.write_text(json.dumps(golden.to_json(), indent=1))


def load(path: Path) -> Golden:
    """Read a baseline; raises BaselineError."""
    try:
        found = Golden(**json.loads(path.read_text()))
        found.asked_questions()
        return found
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BaselineError(
            f"{path} is no golden baseline ({error}); make one with `python -m loadtests golden --save {path}`"
        ) from error
