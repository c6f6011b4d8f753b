"""The verbs of slots: list, verify, switch, back, retire."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from infra.operations.weights import Listener, WeightsError
from infra.stack.outputs import Fleet, read_fleet, read_stack
from runbooks.durations import DURATION, spoken
from runbooks.fleet.alarms import ringing, see_alarms
from runbooks.guard import says_errors
from runbooks.slots.measuring import Effort, verify
from runbooks.slots.retiring import delete, remains, running, unfinished
from runbooks.slots.seen import SlotView, refuse_unless_deployed, see_slots
from runbooks.slots.switching import WHOLE, switch
from runbooks.slots.verification import Check, Verification, Verifications
from service.storage.builds import Slots
from service.storage.entry import Damaged
from service.storage.objects import ObjectStore, StoreError
from vectorfleet.exit_codes import ExitCode
from vectorfleet.number_types import Number
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import console, counting, print_json, table
from vectorfleet.refusal import Failure, Refusal, failing, refusing
from vectorfleet.slots import SLOTS
from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

if TYPE_CHECKING:
    from rich.table import Table

POLL_SECONDS = 1.0
COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red"}
slot_argument = click.argument("slot", type=click.Choice(SLOTS))


def _verifications(fleet: Fleet) -> Verifications:
    return Verifications(ObjectStore(fleet.index_bucket, fleet.aws))


@click.command()
@outputs_option
@json_option
@says_errors
def slots(outputs: Path, as_json: bool) -> None:
    """List the slots: weight, state, lag, rows, last verification."""
    fleet = read_fleet(outputs)
    with failing(StoreError):
        kept = _verifications(fleet)
        rows = [_described(view, kept) for view in see_slots(fleet).values()]
    if as_json:
        print_json(rows)
    else:
        console().print(_slots_table(rows))


def _described(view: SlotView, kept: Verifications) -> dict[str, Any]:
    found = kept.find(view.build) if view.build else None
    refusal = found.refusal(view.build, view.recipe, kept.now_ms()) if found else "it was never verified"
    newest = max(view.digests, default=None)
    return {
        "slot": view.name,
        "weight": view.weight,
        "routers": f"{view.healthy} of {view.routers}",
        "state": view.fleet.state if view.fleet else "no answer",
        "trouble": view.trouble,
        "build": view.build,
        "behind": view.behind,
        "eta_seconds": view.eta_seconds,
        "rows": view.rows,
        "digest": "" if newest is None else view.digests[newest],
        "digest_position": newest,
        "verdict": str(found.verdict) if found else None,
        "verified_seconds_ago": round((kept.now_ms() - found.verified_ms) / 1000) if found else None,
        "not_verified": refusal,
    }


def _slots_table(rows: list[dict[str, Any]]) -> Table:
    shown = table("slot", "weight", "routers", "state", "behind", "left", "rows", "build", "verified")
    for row in rows:
        eta, ago = row["eta_seconds"], row["verified_seconds_ago"]
        left = "unknown" if eta is None else spoken(round(eta))
        verified = row["not_verified"] or f"[green]{spoken(ago)} ago[/]"
        behind = "unknown" if row["behind"] is None else str(row["behind"])
        figures = (row["trouble"] or row["state"], behind, left, f"{row['rows']:,}", row["build"] or "-", verified)
        shown.add_row(row["slot"], str(row["weight"]), row["routers"], *figures)
    return shown


@click.command(name="verify")
@outputs_option
@slot_argument
@click.option("--corpus", metavar="NAME|FILE", help="As `vectorfleet golden` takes it.")
@click.option("--questions", metavar="FILE", help="As `vectorfleet golden` takes it.")
@click.option("--baseline", metavar="FILE", help="Golden answers whose questions are asked, instead of a corpus's.")
@click.option(
    "--relevance-floor",
    type=Number(0, 1),
    default=Effort.relevance_floor,
    show_default=True,
    help="Relevance that the slot must reach whatever the other slot has.",
)
@click.argument("load", nargs=-1, type=click.UNPROCESSED, metavar="[-- GATE OPTION...]")
@json_option
@says_errors
def verify_verb(
    outputs: Path,
    slot: str,
    corpus: str | None,
    questions: str | None,
    baseline: str | None,
    as_json: bool,
    **effort: Any,
) -> None:
    """Verify SLOT beside the slot that serves, and keep the result for a switch.

    The checks: it covers the documents log, holds the same documents, answers the golden set no worse, and keeps P95
    under a short load: 3 windows of 20 s at 10 searches a second. Options of `vectorfleet load gate` behind `--`
    change that load. The exit code is the verdict: PASS 0, FAIL 1, UNDECIDED 2, VOID 3.
    """
    fleet = read_fleet(outputs)
    candidate, serving = _pair(fleet, slot)
    named = {"--corpus": corpus, "--questions": questions, "--baseline": baseline}
    asked = [part for name, value in named.items() if value for part in (name, value)]

    def say(check: Check) -> None:
        if not as_json:
            colour = COLOURS.get(check.verdict, "yellow")
            console().print(f"[{colour}]{check.verdict}[/] {check.name}: {check.sentence}", highlight=False)

    with failing(StoreError):
        checks, position = verify(fleet, candidate, serving, Effort(corpus=asked, **effort), say)
        made = Verification(slot, candidate.build, serving.build, candidate.recipe, position, checks)
        kept = _verifications(fleet).keep(made) if candidate.build else made
    if as_json:
        print_json(msgspec.to_builtins(kept) | {"verdict": str(kept.verdict)})
    else:
        click.echo(f"Slot {slot}, build {candidate.build}: {kept.verdict}")
    sys.exit(kept.verdict.exit_code)


def _pair(fleet: Fleet, slot: str) -> tuple[SlotView, SlotView]:
    """Return the named slot and the other one. Raises Refusal unless both are deployed."""
    refuse_unless_deployed(fleet, slot)
    other = next(name for name in SLOTS if name != slot)
    refuse_unless_deployed(fleet, other)
    seen = see_slots(fleet)
    return seen[slot], seen[other]


class Percents(click.ParamType[tuple[int, ...]]):
    """Rising percentages that end with 100, as in 10,50,100."""

    name = "PERCENTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            found = ()
        if not found or list(found) != sorted({*found}) or found[0] < 1 or found[-1] != WHOLE:
            self.fail(
                f"{value!r} is not a series of steps; write rising percentages up to 100, as 10,50,100", param, ctx
            )
        return found


@click.command(name="switch")
@outputs_option
@slot_argument
@click.option("--percent", "percents", type=Percents(), default="10,50,100", show_default=True, help="The steps.")
@click.option("--watch", "watch_seconds", type=DURATION, default="2m", show_default=True, help="Time after each step.")
@json_option
@says_errors
def switch_verb(outputs: Path, slot: str, percents: tuple[int, ...], watch_seconds: float, as_json: bool) -> None:
    """Move the requests to SLOT in steps, and back if an alarm of the fleet rings.

    SLOT needs a verification that passed within the last day. An alarm that rings already refuses the switch.
    """
    fleet = read_fleet(outputs)
    candidate, serving = _pair(fleet, slot)
    with failing(StoreError):
        kept = _verifications(fleet)
        found = kept.find(candidate.build) if candidate.build else None
        refused = found.refusal(candidate.build, candidate.recipe, kept.now_ms()) if found else "it was never verified"
    if refused:
        raise Refusal(f"Slot {slot} does not get requests: {refused}. Run `vectorfleet slots verify {slot}`.")
    if not candidate.is_current:
        raise Refusal(f"Slot {slot} does not get requests: it does not cover the documents log. Wait until it does.")

    def alarms() -> list[str]:
        return [name for one in SLOTS for name in ringing(see_alarms(read_stack(outputs, slot=one)))]

    if already := alarms():
        raise Refusal(f"{', '.join(already)} rings already, so no step could be judged. Follow its runbook first.")
    before = {view.name: view.weight for view in (candidate, serving)}
    with refusing(WeightsError):
        done = switch(
            Listener(fleet),
            before,
            (serving.name, slot),
            percents,
            watch_seconds,
            alarms,
            lambda line: click.echo(line, err=as_json),
        )
    if as_json:
        print_json(asdict(done) | {"verdict": str(done.verdict)})
    elif done.verdict is Verdict.PASS:
        click.echo(f"Slot {slot} serves. `vectorfleet slots back` returns to {serving.name}, which goes on indexing.")
    sys.exit(done.verdict.exit_code)


@click.command(name="back")
@outputs_option
@json_option
@says_errors
def back_verb(outputs: Path, as_json: bool) -> None:
    """Give all requests to the slot with the smaller weight, by one change."""
    fleet = read_fleet(outputs)
    listener = Listener(fleet)
    serving, other = sorted(listener.slots(), key=lambda one: one.weight, reverse=True)
    began = time.monotonic()
    with refusing(WeightsError):
        listener.move({serving.name: 0, other.name: WHOLE})
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        print_json({"slot": other.name, "seconds": seconds})
    else:
        click.echo(f"Slot {other.name} serves again; the change took {seconds:g} s.")


@click.command(name="retire")
@outputs_option
@slot_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--within", type=DURATION, default="5m", show_default=True, help="Longest wait for the end of its instances."
)
@says_errors
def retire_verb(outputs: Path, slot: str, yes: bool, within: float) -> None:
    """Delete the index of SLOT, which the stack no longer deploys.

    The documents log stays, so the slot can be filled again. Snapshots in the vault stay until they expire.
    """
    fleet = read_fleet(outputs)
    if slot in fleet.slots:
        raise Refusal(
            f"Slot {slot} is deployed. Give the other slot all requests, remove {slot} from vectorfleet:slots, run "
            "`pulumi up`, write the outputs again, and then retire it."
        )
    if not until(lambda: not running(fleet, slot), within, POLL_SECONDS):
        raise Failure(f"Instances of slot {slot} still run: {', '.join(running(fleet, slot))}. Run the command again.")
    with failing(StoreError, Damaged):
        build = Slots(ObjectStore(fleet.index_bucket, fleet.aws)).find(slot)
    if build is None:
        click.echo(f"Slot {slot} has no build.")
        return
    found = remains(fleet, build.id, slot=slot)
    click.echo(f"Slot {slot}, build {build.id}: {len(found.keys):,} objects, {found.size_bytes / 1e9:.3f} GB")
    if not yes:
        click.confirm("Delete them?", abort=True)
    with counting("objects", len(found.keys)) as progress:
        errors = delete(fleet, found, progress)
    if errors:
        raise Failure(unfinished(errors))
    sys.exit(ExitCode.PASS)
