"""The measurements of a verification: digests at one position, the golden set of both slots, a short load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.facts.slo import objective
from infra.stack.outputs import Fleet
from runbooks.slots.comparison import paired
from runbooks.slots.seen import SlotView, see_slots
from runbooks.slots.verification import RELEVANCE_FLOOR, Check, documents_check, golden_checks
from runbooks.verb_call import VerbAnswer, argv, call
from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

POSITION_SECONDS = 60.0  # the longest wait for a position that both slots report
POLL_SECONDS = 0.5
LOAD_SECONDS = 600.0
SHORT_LOAD = ("--rate", "10", "--window-seconds", "20", "--runs", "3")


@dataclass(frozen=True)
class Effort:
    """The golden questions and the load of a verification, as options of `vectorfleet golden` and `load gate`."""

    corpus: Sequence[str] = ()
    relevance_floor: float = RELEVANCE_FLOOR
    load: Sequence[str] = ()


def check_current(candidate: SlotView) -> Check:
    """Check that every shard of the slot has a ready replica and covers the documents log, which goes on in it."""
    if until := candidate.status.get("until"):
        sentence = f"Slot {candidate.name} ends at documents position {until}, so it would never have a later write."
        return Check("current", Verdict.FAIL, f"{sentence} Remove `until` from its configuration.")
    if candidate.is_current:
        return Check("current", Verdict.PASS, f"Every shard of {candidate.name} covers the documents log.")
    state = candidate.trouble or (candidate.fleet.state if candidate.fleet else "unknown")
    return Check("current", Verdict.FAIL, f"Slot {candidate.name} is not complete: {state}. Wait until it is.")


def check_documents(fleet: Fleet, candidate: str, serving: str) -> tuple[Check, int]:
    """Compare the digests at a position that both slots report; return it, 0 if there was none."""
    seen: dict[str, dict[int, str]] = {candidate: {}, serving: {}}

    def common() -> set[int]:
        for name, found in see_slots(fleet).items():
            seen[name].update(found.digests)
        return seen[candidate].keys() & seen[serving].keys()

    found = until(common, POSITION_SECONDS, POLL_SECONDS)
    return documents_check(seen, candidate, serving), max(found, default=0)


def check_golden(fleet: Fleet, candidate: str, serving: str, effort: Effort) -> Sequence[Check]:
    """Ask the golden set of both slots, and judge the pairs."""
    answers = {name: _golden(fleet, name, effort) for name in (serving, candidate)}
    for name, answer in answers.items():
        if answer.found is None:
            return (Check("golden set", Verdict.VOID, f"Slot {name} could not be asked: {answer.said}."),)
    try:
        pairs = paired(answers[candidate].found or {}, answers[serving].found or {})
    except (ValueError, KeyError, TypeError) as error:
        return (Check("golden set", Verdict.VOID, f"The answers can't be paired: {error}."),)
    return golden_checks(pairs, serving, effort.relevance_floor)


def _golden(fleet: Fleet, slot: str, effort: Effort) -> VerbAnswer:
    return call(argv("golden", "--outputs", str(fleet.outputs), "--slot", slot, "--json", *effort.corpus))


def check_load(fleet: Fleet, candidate: str, effort: Effort) -> Check:
    """Offer a short load to the slot, and take the gate's verdict."""
    with TemporaryDirectory() as folder:
        answer = call(_gate(fleet, candidate, effort, Path(folder)), timeout_seconds=LOAD_SECONDS)
    try:
        verdict = Verdict((answer.found or {})["verdict"])
        sentences = [str(one) for one in (answer.found or {})["sentences"]]
    except (KeyError, TypeError, ValueError):
        return Check("load", Verdict.VOID, f"The load could not be judged: {answer.said}.")
    return Check("load", verdict, " ".join(sentences))


def _gate(fleet: Fleet, slot: str, effort: Effort, folder: Path) -> list[str]:
    targets: tuple[str, ...] = ()
    if (p95_ms := fleet.retrieval_p95_ms.get(slot)) is not None:
        alert_ms = max(p95_ms, objective("retrieval_p95_ms").alert)
        targets = ("--p95-target-ms", f"{p95_ms:g}", "--alert-ms", f"{alert_ms:g}")
    # The later of two equal options counts. Recall is judged by the golden set, which has true answers for both slots.
    return argv(
        *("load", "gate", *SHORT_LOAD, *targets, "--recall-floor", "0", *effort.load),
        *("--outputs", str(fleet.outputs), "--slot", slot, "--evidence", str(folder / "evidence"), "--json"),
    )


def verify(
    fleet: Fleet, candidate: SlotView, serving: SlotView, effort: Effort, say: Callable[[Check], None]
) -> tuple[list[Check], int]:
    """Run every check that still makes sense, report each with `say`, and return them with the common position."""
    checks: list[Check] = []

    def add(*found: Check) -> bool:
        for check in found:
            checks.append(check)
            say(check)
        return all(check.verdict is Verdict.PASS for check in found)

    if not add(check_current(candidate)):
        return checks, 0
    documents, position = check_documents(fleet, candidate.name, serving.name)
    # Answers of slots with different documents say nothing of the index.
    if add(documents) and add(*check_golden(fleet, candidate.name, serving.name, effort)):
        add(check_load(fleet, candidate.name, effort))
    return checks, position
