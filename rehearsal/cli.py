"""Verbs of a rehearsal that stays up: up, status, logs, down; and the emulated AWS alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rehearsal import deployer
from rehearsal.emulator.launch import EmulatorFailedError
from rehearsal.emulator.supervisor import Supervisor, SupervisorError
from rehearsal.fleet import NotReachedError, Status, apply, await_ready, replica_table, take_key
from rehearsal.narrator import Narrator
from rehearsal.session import SessionError, begin, end, find, running
from service.client import Client, ServiceError, Unanswered
from vectorfleet.api_key import KEY_FILE, find_key
from vectorfleet.output import console, print_json
from vectorfleet.refusal import Refusal, failing, refusing

DEFAULT_PORT = 4566
COMPUTE_FILE = "compute.json"

root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path(".rehearsal"),
    show_default=True,
    help="State folder: logs, disks, outputs, report.",
)
port_option = click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    envvar="VECTORFLEET_PORT_OF_AWS",
    help="Port of the emulated AWS on 127.0.0.1.",
)


@click.command()
@root_option
@port_option
def emulate(root: Path, port: int) -> None:
    """Run the emulated AWS alone, until Ctrl-C: API, machines, load balancers.

    `pulumi up -s rehearsal` deploys the fleet on it with the real CLI.
    """
    root.mkdir(parents=True, exist_ok=True)
    with failing(SupervisorError, EmulatorFailedError):
        Supervisor(root, port).run(
            lambda endpoint: click.echo(f"the emulated AWS answers on {endpoint}; Ctrl-C ends it")
        )


@click.command()
@root_option
@port_option
def up(root: Path, port: int) -> None:
    """Start a rehearsal that stays up; called again, apply changes.

    The emulated AWS runs in the background, with the stack `rehearsal` deployed on it.
    """
    narrator = Narrator()
    try:
        session = running(root) or begin(root, port, detached=True)
        outputs = apply(session, narrator).outputs
        take_key(session)
        narrator.say(f"waiting for the fleet at {outputs['endpoint']}")
        await_ready(outputs)
    except (SessionError, deployer.DeployError, NotReachedError) as error:
        raise Refusal(
            f"{str(error).rstrip('.')}. `vectorfleet logs` lists the logs, `vectorfleet down` ends the rehearsal"
        ) from None
    narrator.say(
        f"the fleet is ready at {outputs['endpoint']}; `vectorfleet status` shows it, and the key of its API is in "
        f"{session.root / KEY_FILE}"
    )


@click.command()
@root_option
def down(root: Path) -> None:
    """Destroy the deployed stack and end the emulated AWS."""
    narrator = Narrator()
    problems: list[str] = []
    try:
        session = find(root)
        with narrator.steps("resources deleted") as bar:
            deployer.destroy(root, session.endpoint, lambda step: bar(step.done, step.expected))
    except SessionError as error:
        narrator.say(str(error))
    except deployer.DeployError as error:
        problems.append(f"the stack could not be destroyed: {error}")
    if left := end(root):
        problems.append("these processes are still running: " + "; ".join(left))
    if problems:
        raise Refusal("; ".join(problems))
    narrator.say("nothing is left running")


@click.command()
@root_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(root: Path, as_json: bool) -> None:
    """Show the rehearsal's processes, instances, shards and replicas."""
    with refusing(SessionError):
        found = _state(root)
    if as_json:
        print_json(found, indent=1)
    else:
        _show(found)


def _state(root: Path) -> dict[str, Any]:
    """Return everything that `status` shows, as plain data."""
    session = find(root)
    found: dict[str, Any] = {"endpoint_of_aws": session.endpoint, "instances": [], "outputs": {}, "slots": {}}
    compute = session.root / COMPUTE_FILE
    if compute.exists():
        found["instances"] = json.loads(compute.read_text())["instances"]
    if session.outputs.exists():
        find_key(session.outputs)
        found["outputs"] = json.loads(session.outputs.read_text())
        found["slots"] = {slot: _status(found["outputs"]["endpoint"], slot) for slot in found["outputs"]["slots"]}
    return found


def _status(endpoint: str, slot: str) -> Status:
    try:
        return Client(endpoint, timeout_seconds=5, slot=slot).status()
    except (ServiceError, Unanswered) as error:
        return {"error": str(error)}


def _show(found: dict[str, Any]) -> None:
    out = console()
    out.print(f"emulated AWS  {found['endpoint_of_aws']}")
    out.print(f"fleet         {found['outputs'].get('endpoint', 'not deployed')}")
    for slot, status in found["slots"].items():
        if "error" in status:
            out.print(f"slot {slot:<9}{status['error']}")
            continue
        out.print(f"slot {slot:<9}build {status['build']}, documents position {status['head']}")
        out.print(replica_table(status))


@click.command()
@root_option
@click.argument("name", required=False)
@click.option(
    "--lines", "-n", type=click.IntRange(1, 1_000_000), default=40, show_default=True, help="Lines from the end."
)
def logs(root: Path, name: str | None, lines: int) -> None:
    """List the log files, or show the end of those with NAME in their name."""
    folder = root / "logs"
    found = sorted(folder.glob("*.log"))
    if not found:
        raise Refusal(f"there are no logs in {folder}; start with `vectorfleet up` or `vectorfleet rehearse`")
    if name is None:
        for path in found:
            click.echo(f"{path.stat().st_size:>10,}  {path}")
        return
    chosen = [path for path in found if name in path.name]
    if not chosen:
        raise Refusal(f"no log's name contains {name!r}; there are {', '.join(path.stem for path in found)}")
    for path in chosen:
        click.secho(str(path), bold=True)
        click.echo("\n".join(path.read_text(errors="replace").splitlines()[-lines:]))
