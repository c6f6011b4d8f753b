"""Questions to ask under load: a JSON-lines file, with true answers where recall is to be judged.

    {"kind": "vectorfleet-queries", "prefix": "aws/", "k": 10}
    {"text": "stop an instance", "truth": ["aws/ec2/2016-11-15/StopInstances", …]}
    {"text": "lamp", "filter": {"stock": {"gt": 0}}, "weight": 9}

A question is a ``text``, or a ``vector`` as base64 of little-endian float32. ``filter`` and ``exact`` are sent with it;
it is asked ``weight`` times as often as one of weight 1. Any other member is refused, with its line.

``prefix`` begins every source_id of the corpus when the truth was made; ``truth`` is the answer of the exact search
then, best first, and ``beside`` holds the ids without that prefix which stood between. A file without any ``truth``
asks without judging recall, and needs no header.

An answer with fewer hits than it must have is an error. It must have ``k``, or as many as the truth has, or
``min_hits``, where a question says so; with a ``filter`` and neither of these, any number will do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from loadtests.recall import Ranking, is_original, rank
from loadtests.settings import SettingsError
from loadtests.vectors import vector_bytes
from service.index.filters import BadFilter, parse

KIND = "vectorfleet-queries"
Line = TypeVar("Line")

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


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question, a text or a vector; ``truth`` is empty when it is not known, ``min_hits`` None when not stated."""

    text: str = ""
    truth: tuple[str, ...] = ()
    vector: str = ""
    filter: dict[str, Any] | None = None
    exact: bool = False
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1.0
    beside: tuple[str, ...] = ()
    min_hits: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The body of a search, without what all questions have in common."""
        by: dict[str, Any] = {"vector": self.vector} if self.vector else {"text": self.text}
        more = {"filter": self.filter} if self.filter is not None else {}
        return by | more | ({"exact": True} if self.exact else {})

    def problem(self) -> str:
        """Say why no service can be asked this; empty when it can."""
        if bool(self.text.strip()) == bool(self.vector):
            return "a question needs a text, or a vector as base64, and not both"
        try:
            vector_bytes(self.vector)
            parse(self.filter or {})
        except BadFilter as error:
            return str(error)
        except ValueError as error:
            return f"the vector {error}"
        return ""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    prefix: str = ""
    k: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None


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
        """The index of the question that a draw in [0, 1) means, each as often as its weight says."""
        return bisect_right(self._weights, draw * self._weights[-1], hi=len(self.queries) - 1)

    def ranking(self, index: int, answer: Sequence[str]) -> Ranking | None:
        """Hold an answer to question ``index`` against its truth; None when that is not known."""
        query = self.queries[index]
        return rank(answer, query.truth, self.k, self.prefix, query.beside) if query.truth else None

    def least_hits(self, index: int) -> int:
        """Give the fewest hits that an answer to question ``index`` must have."""
        query = self.queries[index]
        known = len(query.truth) or (self.k if query.filter is None else 0)
        return min(self.k, known if query.min_hits is None else query.min_hits)

    @cached_property
    def _weights(self) -> list[float]:
        return list(accumulate(query.weight for query in self.queries))

    def as_json(self) -> dict[str, Any]:
        """Plain values that travel to a worker on another machine."""
        return {"queries": msgspec.to_builtins(self.queries), "k": self.k, "prefix": self.prefix}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> QuerySet:
        """The inverse of ``as_json``."""
        return msgspec.convert(found, cls)


def plain_questions(k: int) -> QuerySet:
    """A few questions for an endpoint about which nothing is known."""
    return QuerySet(tuple(Query(text) for text in _PLAIN), k)


def load_queries(path: str, k: int) -> QuerySet:
    """Read the file, or the built-in questions when ``path`` is empty. SettingsError names file and line."""
    if not path:
        return plain_questions(k)
    lines = _read_lines(Path(path))
    header = _header(path, *lines[0]) if lines else None
    queries = tuple(_query(path, number, line) for number, line in lines[0 if header is None else 1 :])
    return _checked(path, QuerySet(queries, k, header.prefix if header else ""), header)


def save_queries(path: Path, queries: QuerySet) -> None:
    """Write the file that ``load_queries`` reads."""
    header = _Header(KIND, queries.prefix, queries.k)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.Encoder().encode_lines((header, *queries.queries)))


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that hold something, each with its number."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The queries file {path} cannot be read: {error}.") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(path: str, number: int, line: str, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}, line {number}: {error}. It may have {', '.join(_members(kind))}.") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}, line {number} is not JSON: {error}.") from error


def _members(kind: Any) -> tuple[str, ...]:
    return tuple(getattr(kind, "__struct_fields__", ("members",)))


def _header(path: str, number: int, line: str) -> _Header | None:
    """Read the first line where it is a header; a question has no kind."""
    if "kind" not in _parse(path, number, line, dict):
        return None
    header = _parse(path, number, line, _Header)
    if header.kind != KIND:
        raise SettingsError(f"{path} is of kind {header.kind!r}; needed is {KIND!r}, as `loadtests truth` writes it.")
    return header


def _query(path: str, number: int, line: str) -> Query:
    query = _parse(path, number, line, Query)
    if problem := query.problem():
        raise SettingsError(f"{path}, line {number}: {problem}.")
    return query


def _checked(path: str, queries: QuerySet, header: _Header | None) -> QuerySet:
    if not queries.queries:
        raise SettingsError(f"{path} holds no question.")
    if queries.has_truth and header is None:
        raise SettingsError(f"{path} has truth and no header line of kind {KIND!r}, which `loadtests truth` writes.")
    truth_k = header.k if header and header.k else queries.k
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
