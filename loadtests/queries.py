"""Questions with their true answers: a JSON-lines file whose first line is a header.

    {"kind": "vectorfleet-queries", "prefix": "aws/", "k": 10}
    {"text": "stop an instance", "truth": ["aws/ec2/2016-11-15/StopInstances", …]}

A question is a ``text``, or a ``vector`` as base64 of little-endian float32.
``prefix`` begins every source_id of the documents that were there when the truth was made; ``truth`` is the
answer of the exact search then, best first. A file without any ``truth`` asks without judging.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.recall import is_original, recall_while_growing
from loadtests.settings import SettingsError

KIND = "vectorfleet-queries"

_PLAIN = (
    "how do I create a bucket",
    "stop a running machine",
    "list the users of an account",
    "send a message to a queue",
    "restore a database from a snapshot",
    "rotate an encryption key",
    "which alarms are ringing",
    "add a rule to a firewall",
)


@dataclass(frozen=True)
class Query:
    """One question, a text or a vector; ``truth`` is empty when it is not known."""

    text: str = ""
    truth: tuple[str, ...] = ()
    vector: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """What a search asks by."""
        return {"vector": self.vector} if self.vector else {"text": self.text}


@dataclass(frozen=True)
class QuerySet:
    """Questions to ask for ``k`` documents each."""

    queries: tuple[Query, ...]
    k: int
    prefix: str = ""

    @property
    def has_truth(self) -> bool:
        """Whether answers can be judged."""
        return any(query.truth for query in self.queries)

    def pick(self, draw: float) -> int:
        """The index of the question that a draw in [0, 1) means."""
        return int(draw * len(self.queries))

    def recall(self, index: int, answer: list[str]) -> float | None:
        """Recall of an answer to question ``index``; None when it cannot be judged."""
        truth = self.queries[index].truth
        return recall_while_growing(answer, truth, self.k, self.prefix) if truth else None

    def as_json(self) -> dict[str, Any]:
        """Plain values that travel to a worker on another machine."""
        return {
            "queries": [[query.text, list(query.truth), query.vector] for query in self.queries],
            "k": self.k,
            "prefix": self.prefix,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> QuerySet:
        """The inverse of ``as_json``."""
        queries = tuple(Query(text, tuple(truth), vector) for text, truth, vector in found["queries"])
        return cls(queries, found["k"], found["prefix"])


def plain_questions(k: int) -> QuerySet:
    """A few questions for an endpoint about which nothing is known."""
    return QuerySet(tuple(Query(text) for text in _PLAIN), k)


def load_queries(path: str, k: int) -> QuerySet:
    """Read the file, or the built-in questions when ``path`` is empty. SettingsError names file and line."""
    if not path:
        return plain_questions(k)
    lines = _read_lines(Path(path))
    header = _parse(path, 1, lines[0]) if lines else {}
    if header.get("kind") != KIND:
        raise SettingsError(
            f"{path} does not begin with a header line of kind {KIND!r}; `loadtests truth` writes such files."
        )
    queries = tuple(_query(path, number, line) for number, line in enumerate(lines[1:], start=2))
    return _checked(path, QuerySet(queries, k, str(header.get("prefix", ""))), int(header.get("k", k)))


def save_queries(path: Path, queries: QuerySet) -> None:
    """Write the file that ``load_queries`` reads."""
    header = {"kind": KIND, "prefix": queries.prefix, "k": queries.k}
    entries = [{**query.asked, "truth": list(query.truth)} for query in queries.queries]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in (header, *entries)), encoding="utf-8")


def _read_lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise SettingsError(f"The queries file {path} cannot be read: {error.strerror}.") from error


def _parse(path: str, number: int, line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{path}, line {number} is not JSON: {error.msg}.") from error
    if not isinstance(entry, dict):
        raise SettingsError(f"{path}, line {number} is not a JSON object.")
    return entry


def _query(path: str, number: int, line: str) -> Query:
    entry = _parse(path, number, line)
    given = {name: entry[name] for name in ("text", "vector") if entry.get(name)}
    if len(given) != 1 or not all(isinstance(one, str) for one in given.values()):
        raise SettingsError(f"{path}, line {number} needs a text, or a vector as base64, and not both.")
    return Query(truth=tuple(map(str, entry.get("truth", ()))), **given)


def _checked(path: str, queries: QuerySet, truth_k: int) -> QuerySet:
    if not queries.queries:
        raise SettingsError(f"{path} holds no question.")
    if queries.has_truth and queries.k > truth_k:
        raise SettingsError(
            f"{path} knows the first {truth_k} answers, so --k {queries.k} cannot be judged; ask for fewer."
        )
    if queries.has_truth and not all(query.truth for query in queries.queries):
        raise SettingsError(
            f"{path} has questions with and without truth; an empty truth would judge nothing in silence."
        )
    strangers = [id_ for query in queries.queries for id_ in query.truth if not is_original(id_, queries.prefix)]
    if strangers:
        raise SettingsError(
            f"{path} names {strangers[0]!r} as truth, which is no document of the corpus that begins with "
            f"{queries.prefix!r}."
        )
    return queries
