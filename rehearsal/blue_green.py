"""The step with a second slot: it fills itself, is verified, gets the requests under load and gives them back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.stack.outputs import read_stack
from loadtests.generate.gate_runs import PROJECT
from rehearsal import charts
from rehearsal.fleet import NotReachedError, apply, await_status, settled
from rehearsal.steps import BASELINE, Stage, background_load
from runbooks.drills.audit import audit_ledger
from runbooks.drills.settings import DrillFiles
from runbooks.drills.surroundings import NotMeasuredError, Surroundings
from runbooks.observe.exchange import Exchange
from runbooks.observe.ledger import Ledger
from runbooks.observe.observer import sweep
from runbooks.verb_call import VerbAnswer, argv, call
from service.client import Client
from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

# Another index of the same vectors, all of which the embedding memory has. This one is built at once.
SLOTS = {"blue": {}, "green": {"index": {"type": "flat"}}}
SHORT_LOAD = ("--rate", "10", "--window-seconds", "10", "--runs", "3")
FILLED_SECONDS = 300.0
VERIFY_SECONDS = 600.0
# Longer than any way there and back, so that the load and the observer outlast the last one.
MOVE_SECONDS = 900.0
AUDIT_SECONDS = 60.0
CANARY_SECONDS = 0.25
CANARIES_AFTER = 20
POLL_SECONDS = 0.5
WATCH = "3s"


def blue_green(stage: Stage) -> Verdict:
    """Add slot green, verify it, switch to it and back under load and writes, and remove it."""
    found = stage.record["blue_green"] = _fill(stage)
    golden = ("--baseline", str(stage.report_folder / BASELINE))
    verified = _verb(stage, "verify", "green", "--relevance-floor", "0", *golden, "--", *SHORT_LOAD)
    found["verification"] = verified.found
    for check in (verified.found or {}).get("checks", ()):
        stage.narrator.say(f"  {check['verdict']} {check['name']}: {check['sentence']}")
    verdict = Verdict((verified.found or {}).get("verdict", Verdict.VOID))
    if verdict is Verdict.PASS:
        found |= _move(stage)
        verdict = judged(found)
    found |= {"verdict": str(verdict), "sentence": sentence(found)}
    stage.narrator.say(f"{verdict}: {found['sentence']}")
    _remove(stage)
    return verdict


def judged(found: Mapping[str, Any]) -> Verdict:
    """
    Return PASS if the switch and the way back were made, no search failed and no write is missing.

    VOID: fewer searches than wanted, or writes that nobody looked for.
    """
    if found["searches"] == 0 or found["writes"] is None:
        return Verdict.VOID
    writes = found["writes"]
    missing = sum(writes[fate] for fate in ("lost", "stale", "resurrected", "phantom"))
    if not _is_whole(found) or found["failed"] or found["partial"] or missing:
        return Verdict.FAIL
    return Verdict.PASS if found["searches"] >= found["wanted"] else Verdict.VOID


def sentence(found: Mapping[str, Any]) -> str:
    """Return the outcome in one sentence."""
    if "searches" not in found:
        return "slot green did not pass its verification, so no request was moved"
    writes = found["writes"]
    lost = (
        "writes not audited" if writes is None else f"{writes['lost']} of {writes['kept'] + writes['lost']} writes lost"
    )
    ways = f"{found['moves']} times there and back: " if found["moves"] > 1 else ""
    return f"{ways}{found['failed']} of {found['searches']:,} searches failed, {found['partial']} partial; {lost}"


def _fill(stage: Stage) -> dict[str, Any]:
    """Deploy the second slot and wait until it serves everything that is written."""
    position, started = stage.client.status()["head"], time.monotonic()
    made = apply(stage.session, stage.narrator, config={"vectorfleet:slots": json.dumps(SLOTS)})
    stage.narrator.say(
        f"slot green: {made.created} resources created, {made.updated + made.replaced} of others changed"
    )
    with stage.narrator.waiting("green fills itself from the documents log"):
        green = Client(stage.record["outputs"]["endpoint"], slot="green")
        await_status(green, lambda status: settled(status, position), "a filled slot green", FILLED_SECONDS)
    seconds = time.monotonic() - started
    stage.narrator.say(f"green holds everything {seconds:.1f} s after the command")
    return {"created": made.created, "filled_seconds": round(seconds, 1)}


def _move(stage: Stage) -> dict[str, Any]:
    """Switch to green and back while searches and writes arrive, until enough have; return the counts."""
    stack, folder = read_stack(stage.session.outputs, slot=stage.slot), stage.report_folder / "blue-green"
    files, profile = DrillFiles(folder), stage.profile
    files.clear()
    surroundings = Surroundings(stack, files, PROJECT)
    started, seconds = time.monotonic(), profile.switch_searches / profile.switch_rate + MOVE_SECONDS
    moves: list[dict[str, Any]] = []
    try:
        surroundings.start_load(background_load(stage, folder / "load", profile.switch_rate, seconds))
        surroundings.start_observer(stack.endpoint, CANARY_SECONDS, seconds)
        surroundings.await_healthy(profile.healthy_canaries, FILLED_SECONDS)
        while not moves or (
            _is_whole(moves[-1])
            and _searches(folder) < profile.switch_searches
            and time.monotonic() - started <= seconds
        ):
            moves.append(_there_and_back(stage))
            _await_canaries(surroundings)
    except NotMeasuredError as reason:
        raise NotReachedError(f"the switch was not measured: {reason}") from reason
    finally:
        surroundings.stop()
    points, ledger = charts.arrivals(folder / "load"), surroundings.ledger()
    return moves[-1] | {
        "moves": len(moves),
        "wanted": profile.switch_searches,
        "searches": len(points),
        "failed": sum(point.kind == "failed" for point in points),
        "partial": sum(point.kind == "partial" for point in points),
        "writes": None if ledger is None else _audited(stage, ledger, started),
    }


def _there_and_back(stage: Stage) -> dict[str, Any]:
    switched = _verb(stage, "switch", "green", "--percent", "10,50,100", "--watch", WATCH)
    back = _verb(stage, "back")
    return {
        "switch": (switched.found or {}).get("verdict", switched.said),
        "steps": (switched.found or {}).get("steps", []),
        "back_seconds": (back.found or {}).get("seconds"),
    }


def _is_whole(move: Mapping[str, Any]) -> bool:
    return move["switch"] == "PASS" and move["back_seconds"] is not None


def _searches(folder: Path) -> int:
    with (folder / "load" / "arrivals.jsonl").open("rb") as lines:
        return sum(1 for _ in lines)


def _await_canaries(surroundings: Surroundings) -> None:
    """Wait until some searches were asked of the slot that serves again."""

    def asked() -> int:
        ledger = surroundings.ledger()
        return len(ledger.canaries) if ledger else 0

    before = asked()
    until(lambda: asked() >= before + CANARIES_AFTER, FILLED_SECONDS, POLL_SECONDS)


def _audited(stage: Stage, ledger: Ledger, started: float) -> dict[str, Any]:
    """Look for every write of the ledger in the slot that serves, then delete its documents."""
    report = audit_ledger(stage.client, ledger, started, AUDIT_SECONDS)
    sweep(Exchange(stage.record["outputs"]["endpoint"], AUDIT_SECONDS, stage.slot), ledger)
    return asdict(report.losses)


def _remove(stage: Stage) -> None:
    """Remove the second slot and its index, so that the steps behind find one slot."""
    apply(stage.session, stage.narrator, "resources without slot green")
    retired = call(argv("slots", "retire", "green", "--yes", "--outputs", str(stage.session.outputs)), folder=PROJECT)
    if retired.exit_code:
        raise NotReachedError(f"slot green was not retired: {retired.said}")


def _verb(stage: Stage, verb: str, *arguments: str) -> VerbAnswer:
    words = argv("slots", verb, "--outputs", str(stage.session.outputs), "--json", *arguments)
    with stage.narrator.waiting(f"vectorfleet slots {verb}"):
        return call(words, folder=PROJECT, timeout_seconds=VERIFY_SECONDS)
