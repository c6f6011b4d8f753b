"""The golden set, asked of two slots with the same questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PairedAnswers:
    """The questions that only one of two slots answers: `gained` by the candidate, `lost` by it."""

    questions: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    relevance: float
    recall: float

    @property
    def p_value(self) -> float:
        """The chance of losing so many or more of the differing questions if neither slot is better.

        This is the exact one-sided sign test (McNemar's test for pairs): questions that both slots answer, or neither,
        say nothing.
        """
        differing = len(self.gained) + len(self.lost)
        at_least = range(len(self.lost), differing + 1)
        return float(sum(math.comb(differing, lost) for lost in at_least) / 2**differing)


def paired(candidate: Mapping[str, Any], serving: Mapping[str, Any]) -> PairedAnswers:
    """Pair what `vectorfleet golden --json` printed for two slots. Raises ValueError if the questions differ."""
    asked, before = ([one["id"] for one in answers["asked"]] for answers in (candidate, serving))
    if asked != before:
        raise ValueError(f"{len(asked)} questions were asked of the one slot and others, {len(before)}, of the other")
    found, found_before = set(candidate["found"]), set(serving["found"])
    return PairedAnswers(
        questions=len(asked),
        gained=tuple(sorted(found - found_before)),
        lost=tuple(sorted(found_before - found)),
        relevance=float(candidate["relevance"]),
        recall=float(candidate["recall"]),
    )
