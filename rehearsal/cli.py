"""The verbs of `python -m rehearsal`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vectorfleet.group import CommandGroup
from vectorfleet.output import print_json
from vectorfleet.refusal import Refusal, failing, refusing

DEFAULT_PORT = 4566


def _root(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--root",
        type=click.Path(path_type=Path),
        default=Path(".rehearsal"),
        show_default=True,
        help="State folder: logs, disks, outputs, report.",
    )(command)


def _port(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--port",
        type=click.IntRange(1024, 65535),
        default=DEFAULT_PORT,
        show_default=True,
        envvar="VECTORFLEET_PORT_OF_AWS",
        help="Port of the emulated AWS on 127.0.0.1.",
    )(command)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Deploy, load, break and recover a real fleet on one machine, on an emulated AWS."""


@main.command()
@_root
@_port
def emulate(root: Path, port: int) -> None:
    """Run the emulated AWS alone, until Ctrl-C: API, machines, load balancers.

    Against it `pulumi up -s rehearsal` deploys the fleet with the real CLI.
    """
    from rehearsal.supervisor import Supervisor, SupervisorError

    root.mkdir(parents=True, exist_ok=True)
    with failing(SupervisorError):
        Supervisor(root, port).run(
            lambda endpoint: click.echo(f"the emulated AWS answers on {endpoint}; Ctrl-C ends it")
        )


@main.command()
@_root
@_port
def up(root: Path, port: int) -> None:
    """Start a rehearsal that stays up; called again, apply changes.

    The emulated AWS runs in the background, with the stack `rehearsal` deployed on it.
    """
    from rehearsal.standing import StandingError, raise_fleet

    with refusing(StandingError):
        raise_fleet(root, port)


@main.command()
@_root
def down(root: Path) -> None:
    """Destroy the deployed stack and end the emulated AWS."""
    from rehearsal.standing import StandingError, take_down

    with refusing(StandingError):
        take_down(root)


@main.command()
@_root
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(root: Path, as_json: bool) -> None:
    """Show the rehearsal's processes, instances, shards and replicas."""
    from rehearsal.session import SessionError
    from rehearsal.standing import show, state

    with refusing(SessionError):
        found = state(root)
    if as_json:
        print_json(found, indent=1)
    else:
        show(found)


@main.command()
@_root
@click.argument("name", required=False)
@click.option(
    "--lines", "-n", type=click.IntRange(1, 1_000_000), default=40, show_default=True, help="Lines from the end."
)
def logs(root: Path, name: str | None, lines: int) -> None:
    """List the log files, or show the end of those with NAME in their name."""
    folder = root / "logs"
    found = sorted(folder.glob("*.log"))
    if not found:
        raise Refusal(f"there are no logs in {folder}; start with `python -m rehearsal up` or `run`")
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


@main.command()
@_root
@_port
@click.option(
    "--profile",
    type=click.Choice(["full", "short", "acceptance"]),
    default="full",
    show_default=True,
    help="Short: less text, shorter load. Acceptance: full, and load in windows of a minute.",
)
@click.option(
    "--corpus",
    metavar="NAME|FILE",
    default="aws",
    show_default=True,
    help="What is searched: aws, python, or a file of your own, FILE.jsonl.",
)
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="Golden questions, FILE.yaml; those of the named corpus without it.",
)
def run(root: Path, port: int, profile: str, corpus: str, questions: Path | None) -> None:
    """Run the whole loop, from the plan to the report, then tear it down.

    The loop plans, deploys, ingests, searches, loads, breaks, recovers and reports.
    """
    from loadtests.corpora.choice import choose
    from loadtests.corpora.corpus import CorpusError
    from loadtests.questions import GoldenSetError
    from rehearsal.job import rehearse
    from rehearsal.profile import PROFILES
    from rehearsal.session import SessionError

    with refusing(CorpusError, GoldenSetError, SessionError):
        chosen = choose(corpus, questions, small=PROFILES[profile].small, hold_back=True)
        # A corpus that can't be asked anything is refused before anything starts.
        chosen.questions()
        sys.exit(rehearse(root, port, profile, chosen))
