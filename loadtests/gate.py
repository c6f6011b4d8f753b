"""The gate: what the counts of some fresh runs allow to be said about the service, with stated confidence.

"P95 below 200 ms" is the same claim as "fewer than 5 % of the searches take 200 ms or more", so the gate
counts slow searches and uses exact binomial tails; there is no histogram and no bucket edge. Searches inside
one run depend on each other (a slow minute makes many slow searches), which no formula inside one run
repairs, so the unit of repetition is the run, and agreement of the runs is a condition of its own (sign
test). A run sees only events that come at least once in its window.

PASS       every condition holds: latency, errors, and recall where the truth is known
FAIL       some condition is broken, counted without all that may be the generator's doing
UNDECIDED  neither is shown by so few searches
VOID       the measurement is in doubt, and supports neither PASS nor FAIL
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from loadtests import binomial
from loadtests.doubts import Doubt
from loadtests.failures import told
from loadtests.settings import Targets
from loadtests.tally import Tally
from vectorfleet.exit_codes import ExitCode

ACCEPTANCE_WINDOW_SECONDS = 60.0
# Sums of recalls are off by less.
_ROUNDING = 1e-6

State = Literal["holds", "open", "broken"]


class Verdict(IntEnum):
    """The value is the exit code."""

    PASS = ExitCode.PASS
    FAIL = ExitCode.FAIL
    UNDECIDED = ExitCode.UNDECIDED
    VOID = ExitCode.VOID


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
    window_seconds: float

    @property
    def smoke(self) -> bool:
        """Say whether the windows are too short for acceptance."""
        return self.window_seconds < ACCEPTANCE_WINDOW_SECONDS

    @property
    def label(self) -> str:
        """The verdict in a word or two."""
        return f"{self.verdict.name} as a smoke test" if self.smoke else self.verdict.name

    @property
    def scope(self) -> str:
        """The sentence about events that these windows are too short for."""
        acceptance = f"; acceptance takes windows of {ACCEPTANCE_WINDOW_SECONDS:g} s" if self.smoke else ""
        kind = "A smoke test" if self.smoke else "The verdict"
        return f"{kind} says nothing of events rarer than {self.window_seconds:g} s, its window{acceptance}."

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict explained, most important first."""
        own = tuple(condition.sentence for condition in self.conditions)
        doubts = tuple(f"Doubt: {reason}." for reason in self.void_reasons)
        return (*(doubts + own if self.verdict is Verdict.VOID else own + doubts), self.scope)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file or a report."""
        return {
            "verdict": self.verdict.name,
            "exit_code": int(self.verdict),
            "smoke": self.smoke,
            "sentences": list(self.sentences),
            "conditions": {condition.name: condition.state for condition in self.conditions},
            "void_reasons": list(self.void_reasons),
        }


def judge(runs: Sequence[Tally], targets: Targets, doubts: Sequence[Doubt], looks: int = 1) -> Judgement:
    """Judge the runs. ``looks`` says how often the registered plan may judge; each gets its part of alpha."""
    alpha = targets.alpha / looks
    doubted = {doubt.run for doubt in doubts if doubt.timing}
    trusted = [run for index, run in enumerate(runs) if index not in doubted]
    answers = recall(runs, targets, alpha)
    conditions = (
        latency(runs, targets, alpha, lambda run: run.slow, len(runs)),
        errors(runs, targets, alpha, sum(run.errors for run in runs)),
        *answers,
    )
    # What of this holds if the generator is to blame for all that it can be to blame for.
    certain_errors = sum(run.refused for run in runs) + sum(run.waits for run in trusted)
    certain = (
        latency(trusted, targets, alpha, lambda run: run.slow_service, len(runs)),
        errors(runs, targets, alpha, certain_errors),
        *answers,
    )
    failed = any(condition.state == "broken" for condition in certain)
    reasons = [doubt.reason for doubt in doubts]
    if not failed:
        pairs = zip(conditions, certain, strict=True)
        reasons += [_own(sure) for counted, sure in pairs if counted.state == "broken"]
    verdict = Verdict.FAIL if failed else Verdict.VOID if reasons else _verdict(conditions)
    window_seconds = min((run.window_seconds for run in runs), default=0.0)
    return Judgement(verdict, conditions, tuple(reasons), window_seconds)


def _own(sure: Condition) -> str:
    return (
        f"the {sure.name} may be the generator's own doing; without that and without the runs in doubt: "
        f"{sure.sentence.removesuffix('.')}"
    )


def _verdict(conditions: Sequence[Condition]) -> Verdict:
    holds = all(condition.state == "holds" for condition in conditions)
    return Verdict.PASS if holds else Verdict.UNDECIDED


def latency(
    runs: Sequence[Tally], targets: Targets, alpha: float, count: Callable[[Tally], int], planned: int
) -> Condition:
    """Slow searches: pooled count by the binomial, and agreement of the runs, of which ``planned`` were made."""
    slow, total, limit = sum(map(count, runs)), sum(run.arrivals for run in runs), targets.slow_share
    under = sum(run.arrivals > 0 and count(run) / run.arrivals < limit for run in runs)
    allowed = binomial.most_allowed(total, limit, alpha)
    sentence = (
        f"{slow:,} of {total:,} searches took {targets.p95_target_ms:g} ms or more or were not answered "
        f"({_percent(slow, total)}; {_allowed(allowed)} P{100 * (1 - limit):g} below the target with "
        f"{_confidence(alpha)}); {under} of {_runs(len(runs))} stayed under {100 * limit:g} %."
    )
    enough = binomial.runs_required(len(runs), targets.alpha)
    if total and slow <= allowed and under >= enough:
        return Condition("latency", "holds", sentence)
    most_over = len(runs) - under >= math.ceil(0.8 * planned)
    broken = bool(runs) and most_over and binomial.above(slow, total, limit, alpha)
    return Condition("latency", "broken" if broken else "open", sentence)


def errors(runs: Sequence[Tally], targets: Targets, alpha: float, bad: int) -> Condition:
    """Requests, searches and writes, without a proper answer."""
    total = sum(run.requests for run in runs)
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


def recall(runs: Sequence[Tally], targets: Targets, alpha: float) -> tuple[Condition, ...]:
    """Mean recall of the timed answers; no condition where no truth was given or the floor is 0.

    Each answer is an independent draw among the questions. What answers lose of their recall is taken for whole
    answers that are lost, which vary most of all that have that mean, so the interval is wide rather than narrow.
    """
    if not targets.recall_floor or not any(run.truth for run in runs):
        return ()
    judged = sum(run.judged for run in runs)
    if not judged:
        return (Condition("recall", "open", "No timed answer could be compared with its truth."),)
    lost = judged - math.fsum(run.recall_sum for run in runs)
    low = 1 - binomial.most_share(math.ceil(lost - _ROUNDING), judged, alpha)
    high = 1 - binomial.least_share(math.floor(lost + _ROUNDING), judged, alpha)
    sentence = (
        f"Mean recall of {judged:,} timed answers is {1 - lost / judged:.3f}, between {low:.3f} and {high:.3f} with "
        f"{_confidence(alpha)} each; the floor is {targets.recall_floor:g}.{_strangers(runs)}"
    )
    flawless = targets.recall_floor == 1 and lost < _ROUNDING
    if low >= targets.recall_floor or flawless:
        return (Condition("recall", "holds", sentence),)
    return (Condition("recall", "broken" if high < targets.recall_floor else "open", sentence),)


def _strangers(runs: Sequence[Tally]) -> str:
    count, first = sum(run.strangers for run in runs), next((run.stranger for run in runs if run.stranger), "")
    if not count:
        return ""
    return (
        f" {count:,} hits are neither of the corpus nor known to be written, {first!r} for one; where others write "
        "to the fleet, ask the truth anew."
    )


def _confidence(alpha: float) -> str:
    return f"{100 * (1 - alpha):g} % confidence"


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.2f} %" if total else "no share"


def _allowed(most: int) -> str:
    return f"at most {most:,} show" if most >= 0 else "so few cannot show"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
