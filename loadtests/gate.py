"""The gate: what the counts of some fresh runs allow to be said about the service, with stated confidence.

"P95 below 200 ms" is the same claim as "fewer than 5 % of the searches take 200 ms or more", so the gate
counts slow searches and uses exact binomial tails; there is no histogram and no bucket edge. Searches inside
one run depend on each other (a slow minute makes many slow searches), which no formula inside one run
repairs, so the unit of repetition is the run, and agreement of the runs is a condition of its own (sign
test).

PASS       every condition holds: latency, errors, and recall where the truth is known
FAIL       some condition is broken
UNDECIDED  neither is shown by so few searches
VOID       the measurement cannot support PASS; it never hides a failure that holds without the doubtful part
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from loadtests import binomial
from loadtests.failures import told
from loadtests.settings import Targets
from loadtests.tally import Tally

State = Literal["holds", "open", "broken"]


class Verdict(IntEnum):
    """The value is the exit code."""

    PASS = 0
    FAIL = 1
    UNDECIDED = 2
    VOID = 3


@dataclass(frozen=True)
class Condition:
    """One claim, whether the counts show it, and the sentence with the figures."""

    name: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons. ``void_reasons`` are kept even where a FAIL stands in spite of them."""

    verdict: Verdict
    conditions: tuple[Condition, ...]
    void_reasons: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict explained, most important first."""
        own = tuple(condition.sentence for condition in self.conditions)
        doubts = tuple(f"Doubt: {reason}." for reason in self.void_reasons)
        return doubts + own if self.verdict is Verdict.VOID else own + doubts

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file or a report."""
        return {
            "verdict": self.verdict.name,
            "exit_code": int(self.verdict),
            "sentences": list(self.sentences),
            "conditions": {condition.name: condition.state for condition in self.conditions},
            "void_reasons": list(self.void_reasons),
        }


def judge(runs: Sequence[Tally], targets: Targets, void_reasons: Sequence[str], looks: int = 1) -> Judgement:
    """Judge the runs. ``looks`` says how often the registered plan may judge; each gets its part of alpha."""
    alpha = targets.alpha / looks
    conditions = (
        latency(runs, targets, alpha, lambda run: run.slow),
        errors(runs, targets, alpha, lambda run: run.errors),
        *recall(runs, targets),
    )
    # What of this would hold if the generator alone were to blame for all lateness.
    certain = (
        latency(runs, targets, alpha, lambda run: run.slow_service),
        errors(runs, targets, alpha, lambda run: run.service_errors),
        *recall(runs, targets),
    )
    return Judgement(_verdict(conditions, certain, bool(void_reasons)), conditions, tuple(void_reasons))


def _verdict(conditions: Sequence[Condition], certain: Sequence[Condition], void: bool) -> Verdict:
    if any(condition.state == "broken" for condition in certain):
        return Verdict.FAIL
    if void:
        return Verdict.VOID
    if any(condition.state == "broken" for condition in conditions):
        return Verdict.FAIL
    if all(condition.state == "holds" for condition in conditions):
        return Verdict.PASS
    return Verdict.UNDECIDED


def latency(runs: Sequence[Tally], targets: Targets, alpha: float, count: Callable[[Tally], int]) -> Condition:
    """Slow searches: pooled count by the binomial, and agreement of the runs."""
    slow, total, limit = sum(map(count, runs)), sum(run.arrivals for run in runs), targets.slow_share
    under = sum(run.arrivals > 0 and count(run) / run.arrivals < limit for run in runs)
    allowed = binomial.most_allowed(total, limit, alpha)
    sentence = (
        f"{slow:,} of {total:,} searches took {targets.p95_target_ms:g} ms or more or were not answered "
        f"({_percent(slow, total)}; {_allowed(allowed)} P{100 * (1 - limit):g} below the target with "
        f"{100 * (1 - alpha):g} % confidence); {under} of {_runs(len(runs))} stayed under {100 * limit:g} %."
    )
    enough = binomial.runs_required(len(runs), targets.alpha)
    if total and slow <= allowed and under >= enough:
        return Condition("latency", "holds", sentence)
    most_over = len(runs) - under >= math.ceil(0.8 * len(runs))
    broken = bool(runs) and most_over and binomial.above(slow, total, limit, alpha)
    return Condition("latency", "broken" if broken else "open", sentence)


def errors(runs: Sequence[Tally], targets: Targets, alpha: float, count: Callable[[Tally], int]) -> Condition:
    """Requests, searches and writes, without a proper answer."""
    bad, total = sum(map(count, runs)), sum(run.requests for run in runs)
    allowed = binomial.most_allowed(total, targets.error_share, alpha)
    sentence = (
        f"{bad:,} of {total:,} requests failed ({_percent(bad, total)}; {_allowed(allowed)} "
        f"an error rate below {100 * targets.error_share:g} %)."
    )
    if kinds := told(kind for run in runs for kind in run.failures):
        sentence = f"{sentence[:-1]}: {kinds}."
    if total and bad <= allowed:
        return Condition("errors", "holds", sentence)
    broken = binomial.above(bad, total, targets.error_share, alpha)
    return Condition("errors", "broken" if broken else "open", sentence)


def recall(runs: Sequence[Tally], targets: Targets) -> tuple[Condition, ...]:
    """Mean recall of the timed answers; no condition where no truth was given or the floor is 0."""
    if not targets.recall_floor or not any(run.truth for run in runs):
        return ()
    judged = sum(run.judged for run in runs)
    if not judged:
        return (Condition("recall", "open", "No timed answer could be compared with its truth."),)
    mean = math.fsum(run.recall_sum for run in runs) / judged
    sentence = f"Mean recall of {judged:,} timed answers is {mean:.3f}; the floor is {targets.recall_floor:g}."
    return (Condition("recall", "holds" if mean >= targets.recall_floor else "broken", sentence),)


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.2f} %" if total else "no share"


def _allowed(most: int) -> str:
    return f"at most {most:,} show" if most >= 0 else "so few cannot show"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
