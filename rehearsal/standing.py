"""A rehearsal that stays up for a person to play with: up, status, down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rehearsal import deploy
from rehearsal.access import take_key
from rehearsal.fleet import NotReachedError, all_ready, await_status
from rehearsal.leftovers import leftovers
from rehearsal.narrator import Narrator
from rehearsal.session import SessionError, begin, end, find
from rehearsal.stack import READY_SECONDS, apply
from service.client import KEY_FILE, Client, ServiceError, Unanswered, find_key
from vectorfleet.output import console, table


class StandingError(Exception):
    """The fleet could not be brought up or taken down; the message says what to do."""


def raise_fleet(root: Path, port: int) -> None:
    """Start the emulated AWS when none runs, apply the stack, wait until every replica is ready."""
    narrator = Narrator()
    try:
        try:
            session = find(root)
        except SessionError:
            session = begin(root, port, detached=True)
        applied = apply(session, narrator)
        take_key(session)
        narrator.say(f"waiting for the fleet at {applied.outputs['endpoint']}")
        client = Client(applied.outputs["endpoint"])
        await_status(
            client, lambda status: all_ready(status, int(applied.outputs["replicas"])), "a ready fleet", READY_SECONDS
        )
    except (SessionError, deploy.DeployError, NotReachedError) as error:
        raise StandingError(
            f"{str(error).rstrip('.')}. `python -m rehearsal logs` lists the logs, `down` ends what runs"
        ) from None
    narrator.say(
        f"the fleet is ready at {applied.outputs['endpoint']}; `python -m rehearsal status` shows it, and the key for "
        f"its API is in {session.root / KEY_FILE}"
    )


def take_down(root: Path) -> None:
    """Destroy the stack, end the emulated AWS, and see that no process is left."""
    narrator = Narrator()
    problems: list[str] = []
    try:
        session = find(root)
        with narrator.steps("resources deleted") as bar:
            deploy.destroy(root, session.endpoint, lambda step: bar(step.done, step.expected))
    except SessionError as error:
        narrator.say(str(error))
    except deploy.DeployError as error:
        problems.append(f"the stack could not be destroyed: {error}")
    end(root)
    if left := leftovers(root):
        problems.append("these processes are still there: " + "; ".join(left))
    if problems:
        raise StandingError("; ".join(problems))
    narrator.say("nothing is left running")


def state(root: Path) -> dict[str, Any]:
    """Everything `status` shows, as plain data."""
    session = find(root)
    found: dict[str, Any] = {"endpoint_of_aws": session.endpoint, "instances": [], "outputs": {}, "fleet": None}
    compute = session.root / "compute.json"
    if compute.exists():
        found["instances"] = json.loads(compute.read_text())["instances"]
    if session.outputs.exists():
        find_key(session.outputs)
        found["outputs"] = json.loads(session.outputs.read_text())
        try:
            found["fleet"] = Client(found["outputs"]["endpoint"], timeout_seconds=5).status()
        except (ServiceError, Unanswered) as error:
            found["fleet"] = {"error": str(error)}
    return found


def show(found: dict[str, Any]) -> None:
    """Print the state as tables."""
    out = console()
    out.print(f"emulated AWS  {found['endpoint_of_aws']}")
    out.print(f"fleet         {found['outputs'].get('endpoint', 'not deployed')}")
    fleet = found["fleet"]
    if fleet is None or "error" in fleet:
        out.print(f"status        {fleet['error'] if fleet else 'unknown'}")
        return
    shown = table("shard", "replica", "zone", "instance", "address", "ready", "position", "generation", "chunks")
    for shard in fleet["shards"]:
        for replica in shard["replicas"]:
            names = ("replica", "zone", "instance", "address", "ready", "position", "generation", "rows")
            shown.add_row(str(shard["shard"]), *(str(replica[name]) for name in names))
    out.print(f"build         {fleet['build']}, documents position {fleet['head']}")
    out.print(shown)
