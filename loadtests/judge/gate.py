"""The verdict of a gate, from the counts of its runs and with stated confidence.

"P95 below 200 ms" is the same claim as "fewer than 5 % of the searches take 200 ms or more". So the gate counts slow
searches and uses exact binomial tails, without a histogram. Searches inside one run depend on each other: a slow minute
makes many slow searches. No formula inside one run repairs that, so the unit of repetition is the run. Agreement of the
runs is a condition of its own (sign test). A run sees only events that come at least once in its window.

PASS       every condition holds: latency, errors, and recall if the truth is known
FAIL       a condition is broken, counted without all that may be the generator's doing
UNDECIDED  the searches are too few to show either
VOID       the measurement is in doubt, and supports neither PASS nor FAIL
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loadtests.judge import binomial
from loadtests.judge.failures import summary
from loadtests.judge.tally import Tally
from loadtests.judge.void_reasons import VoidReason
from loadtests.run.settings import Targets
from vectorfleet.verdicts import Verdict

ACCEPTANCE_WINDOW_SECONDS = 60.0
# The rounding error of a sum of recalls is smaller.
_ROUNDING = 1e-6

State = Literal["holds", "open", "broken"]


@dataclass(frozen=True)
class Condition:
    """A claim, its state by the counts, and the sentence with the figures."""

    name: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons; ``void_reasons`` are kept also if a FAIL stands in spite of them."""

    verdict: Verdict
    conditions: tuple[Condition, ...]
    void_reasons: tuple[str, ...]
    window_seconds: float

    @property
    def smoke(self) -> bool:
        """True if the windows are too short for acceptance."""
        return self.window_seconds < ACCEPTANCE_WINDOW_SECONDS

    @property
    def label(self) -> str:
        """The verdict, marked if it is a smoke test."""
        return f"{self.verdict.name} as a smoke test" if self.smoke else self.verdict.name

    @property
    def scope(self) -> str:
        """The sentence about events that are rarer than these windows."""
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
        """Return plain values for a file or a report."""
        return {
            "verdict": self.verdict.name,
            "exit_code": int(self.verdict.exit_code),
            "smoke": self.smoke,
            "sentences": list(self.sentences),
            "conditions": {condition.name: condition.state for condition in self.conditions},
            "void_reasons": list(self.void_reasons),
        }


def judge(runs: Sequence[Tally], targets: Targets, doubts: Sequence[VoidReason], looks: int = 1) -> Judgement:
    """Judge the runs; ``looks`` is how often the registered plan may judge, and each look gets its part of alpha."""
    alpha = targets.alpha / looks
    doubted = {doubt.run for doubt in doubts if doubt.timing}
    trusted = [run for index, run in enumerate(runs) if index not in doubted]
    answers = recall(runs, targets, alpha)
    conditions = (
        latency(runs, targets, alpha, lambda run: run.slow, len(runs)),
        errors(runs, targets, alpha, sum(run.errors for run in runs)),
        *answers,
    )
    # The same conditions if the generator is to blame for all that it can be to blame for.
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
    """Judge slow searches by their pooled count, and by agreement of the runs, of which ``planned`` were made."""
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
    """Judge the searches and writes without a proper answer."""
    total = sum(run.requests for run in runs)
    allowed = binomial.most_allowed(total, targets.error_share, alpha)
    sentence = (
        f"{bad:,} of {total:,} requests failed ({_percent(bad, total)}; {_allowed(allowed)} "
        f"an error rate below {100 * targets.error_share:g} %)."
    )
    if kinds := summary(kind for run in runs for kind in run.failures):
        sentence = f"{sentence[:-1]}: {kinds}."
    if total and bad <= allowed:
        return Condition("errors", "holds", sentence)
    broken = binomial.above(bad, total, targets.error_share, alpha)
    return Condition("errors", "broken" if broken else "open", sentence)


def recall(runs: Sequence[Tally], targets: Targets, alpha: float) -> tuple[Condition, ...]:
    """Judge the mean recall of the timed answers; there is no condition without a truth, or with a floor of 0.

    Each answer is an independent draw among the questions. The recall that answers lose is counted as whole lost
    answers. Of all distributions with that mean these vary most, so the interval is wide rather than narrow.
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
        f" {count:,} hits are neither of the corpus nor known to be written, such as {first!r}; if others write to the "
        "fleet, make the truth anew with `vectorfleet load truth`."
    )


def _confidence(alpha: float) -> str:
    return f"{100 * (1 - alpha):g} % confidence"


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.2f} %" if total else "no share"


def _allowed(most: int) -> str:
    return f"at most {most:,} show" if most >= 0 else "so few cannot show"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
