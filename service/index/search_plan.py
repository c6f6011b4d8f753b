"""The plan of a search: exact or by graph, how many rows to fetch, and which work may hold others up."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from service.index.base import Base
from service.index.filters import Mask
from service.index.part import Nearest, Part, Vectors

OVERFETCH = 3
# Exact search of this many rows takes about as long as a graph walk that finds them among others.
FEW_ROWS = 10_000
# A walk looks at about WALKED × all / few rows to meet `few` rows among `all`. With fewer than √(WALKED × all)
# rows left, exact search of just those is cheaper.
WALKED = 300


class Job(NamedTuple):
    """A part of a search that reads only unchanging parts, so it may run in any thread while records are applied.

    A `heavy` job looks at many rows, so other searches should not wait for it.
    """

    run: Callable[[], list[Nearest]]
    heavy: bool


Walk = Callable[[Job], Awaitable[list[Nearest]]]  # runs a job, in whichever thread suits it


def is_exact_cheaper(left: int, all_rows: int) -> bool:
    """Return whether a filter leaves so few rows that exact search is cheaper than a graph walk."""
    return left <= max(FEW_ROWS, math.isqrt(WALKED * all_rows))


def rows_to_fetch(documents: int, left: int, all_rows: int) -> int:
    """Return how many rows to fetch for this many documents when `left` of `all_rows` may be in the answer."""
    return math.ceil(documents * OVERFETCH * all_rows / left)


def job_of(parts: Sequence[Part], vector: Vectors, count: int, among: Sequence[Mask], *, exact: bool) -> Job:
    """Return the job that fetches `count` rows near `vector` (dims,) from each part."""
    scanned = sum(len(part) for part in parts if exact or (isinstance(part, Base) and part.flat))
    return Job(partial(_fetch, parts, vector, count, among, exact=exact), scanned > FEW_ROWS)


def _fetch(parts: Sequence[Part], vector: Vectors, count: int, among: Sequence[Mask], *, exact: bool) -> list[Nearest]:
    return [
        (part.search_exactly if exact else part.search)(vector, count, mask)
        for part, mask in zip(parts, among, strict=True)
    ]
