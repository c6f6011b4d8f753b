"""The questions of a run: a JSON-lines file, with the true answers if recall is judged.

    {"kind": "vectorfleet-queries", "prefix": "aws/", "k": 10}
    {"text": "stop an instance", "truth": ["aws/ec2/2016-11-15/StopInstances", …]}
    {"text": "lamp", "filter": {"stock": {"gt": 0}}, "weight": 9}

A question is a ``text``, or a ``vector`` as base64 of little-endian float32. ``filter`` and ``exact`` are sent with it.
A question of weight 2 is asked twice as often as one of weight 1. A line with another member is refused.

Every source_id of the corpus begins with ``prefix``. ``truth`` is the answer of exact search, best first; ``beside``
holds the other documents that stood between. Without any ``truth`` recall is not judged, and the file needs no header.

An answer with fewer hits than it must have is an error. It must have the question's ``min_hits``; without it as many as
the truth, or ``k``; with a ``filter`` and neither of these, any number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import msgspec

from loadtests.corpora.corpus import is_original
from loadtests.corpora.json_lines import lines_of, parse_line, vector_bytes
from loadtests.run.evidence import Ranking
from loadtests.run.settings import SettingsError
from service.index.filters import BadFilter, parse

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


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question, a text or a vector; an empty ``truth`` is unknown."""

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
        """The body of the search, without ``k`` and the collection."""
        by: dict[str, Any] = {"vector": self.vector} if self.vector else {"text": self.text}
        more = {"filter": self.filter} if self.filter is not None else {}
        return by | more | ({"exact": True} if self.exact else {})

    def problem(self) -> str:
        """Return why no service can answer this, or an empty string."""
        if bool(self.text.strip()) == bool(self.vector):
            return "a question needs either a text or a vector as base64"
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
    """Questions that each ask for ``k`` documents."""

    queries: tuple[Query, ...]
    k: int
    prefix: str = ""

    @property
    def has_truth(self) -> bool:
        """True if the recall of answers can be judged."""
        return any(query.truth for query in self.queries)

    def pick(self, draw: float) -> int:
        """Return the index of the question for a draw in [0, 1); questions are drawn by weight."""
        return bisect_right(self._weights, draw * self._weights[-1], hi=len(self.queries) - 1)

    def ranking(self, index: int, answer: Sequence[str]) -> Ranking | None:
        """Compare an answer (source ids, best first) with the truth of question ``index``; None if it is unknown."""
        query = self.queries[index]
        if not query.truth:
            return None
        answered, truth = dict.fromkeys(answer[: self.k]), query.truth[: self.k]
        found = tuple(place for place, source_id in enumerate(truth) if source_id in answered)
        others = [source_id for source_id in answered if not is_original(source_id, self.prefix)]
        unexplained = tuple(source_id for source_id in others if source_id not in query.beside)
        return Ranking(len(truth), found, len(others) - len(unexplained), unexplained)

    def least_hits(self, index: int) -> int:
        """Return the fewest hits that an answer to question ``index`` must have."""
        query = self.queries[index]
        known = len(query.truth) or (self.k if query.filter is None else 0)
        return min(self.k, known if query.min_hits is None else query.min_hits)

    @cached_property
    def _weights(self) -> list[float]:
        return list(accumulate(query.weight for query in self.queries))


def load_queries(path: str, k: int) -> QuerySet:
    """Return the questions of a file, or the built-in ones for an empty path. SettingsError names file and line."""
    if not path:
        return QuerySet(tuple(map(Query, _PLAIN)), k)
    lines = lines_of(path, SettingsError)
    header = _header(*lines[0]) if lines else None
    queries = tuple(_query(*line) for line in lines[0 if header is None else 1 :])
    return _checked(path, QuerySet(queries, k, header.prefix if header else ""), header)


def save_queries(path: Path, queries: QuerySet) -> None:
    """Write the file that ``load_queries`` reads."""
    header = _Header(KIND, queries.prefix, queries.k)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.Encoder().encode_lines((header, *queries.queries)))


def _header(place: str, line: str) -> _Header | None:
    """Return the first line if it is a header; a question has no ``kind``."""
    if "kind" not in parse_line(place, line, dict, SettingsError):
        return None
    header = parse_line(place, line, _Header, SettingsError)
    if header.kind != KIND:
        raise SettingsError(
            f"{place}: the kind is {header.kind!r}; it must be {KIND!r}, as `vectorfleet load truth` writes it."
        )
    return header


def _query(place: str, line: str) -> Query:
    query = parse_line(place, line, Query, SettingsError)
    if problem := query.problem():
        raise SettingsError(f"{place}: {problem}.")
    return query


def _checked(path: str, queries: QuerySet, header: _Header | None) -> QuerySet:
    if not queries.queries:
        raise SettingsError(f"{path} holds no question.")
    if not queries.has_truth:
        return queries
    if header is None:
        raise SettingsError(f"{path} has truth but no header of kind {KIND!r}; `vectorfleet load truth` writes one.")
    if header.k and queries.k > header.k:
        raise SettingsError(
            f"{path} has {header.k} true answers a question, and --k is {queries.k}; give a smaller one."
        )
    if not all(query.truth for query in queries.queries):
        raise SettingsError(f"{path} has questions with and without truth; give each a truth, or none.")
    for query in queries.queries:
        for source_id in query.truth:
            if not is_original(source_id, queries.prefix):
                raise SettingsError(
                    f"{path} has {source_id!r} as truth, which is not a document of the corpus with the prefix "
                    f"{queries.prefix!r}."
                )
    return queries
