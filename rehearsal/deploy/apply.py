"""The subprocess that carries out one apply: `python -m rehearsal.deploy.apply up|preview|destroy …`.

Events go to standard output, one JSON object a line; everything that libraries print goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from rehearsal.deploy.cloud import Clouds, check_answers, provider_settings
from rehearsal.deploy.deployment import Deployment, Verb
from rehearsal.deploy.errors import DeployError, RefusedError
from rehearsal.deploy.foresight import Preview
from rehearsal.deploy.reasons import sentence
from rehearsal.deploy.stackfile import Stack, check_loopback, read_stack, redirected
from rehearsal.deploy.state import OUTPUTS_FILE, Resource, State, held, write_atomically
from rehearsal.deploy.summary import Event, Failure, Step, Summary

PR_SET_PDEATHSIG = 1
INTERRUPTED = "interrupted; what was made so far is recorded: run `up` again to go on, or destroy"


class Narrator:
    """Writes events as they happen and counts them for the summary."""

    def __init__(self, stream: IO[bytes], expected: int) -> None:
        self._stream = stream
        self._expected = expected
        self._started = time.monotonic()
        self.counts: Counter[str] = Counter()

    def __call__(self, verb: Verb, resource: Resource, seconds: float) -> None:
        """One resource is done."""
        self.counts[verb] += 1
        step = Step(
            verb=verb,
            type=resource.type,
            name=resource.name,
            id=resource.id,
            seconds=round(seconds, 3),
            done=self.counts.total(),
            expected=self._expected,
        )
        emit(self._stream, step)

    def summary(self, clouds: Clouds, outputs: dict[str, Any]) -> Summary:
        """All that was done, for the end."""
        return Summary(
            created=self.counts["create"],
            updated=self.counts["update"],
            replaced=self.counts["replace"],
            deleted=self.counts["delete"],
            retained=self.counts["retain"],
            unchanged=self.counts["same"],
            reads=clouds.calls.reads,
            writes=clouds.calls.writes,
            seconds=round(time.monotonic() - self._started, 3),
            outputs=outputs,
        )


def emit(stream: IO[bytes], event: Event) -> None:
    """Write one event in one piece; several threads report."""
    with contextlib.suppress(BrokenPipeError):
        stream.write(msgspec.json.encode(event) + b"\n")
        stream.flush()


def up(stack: Stack, root: Path, stream: IO[bytes], *, preview: bool = False) -> Summary:
    """Run the program and make it true; DeployError with the first failure."""
    from pulumi import RunError

    from rehearsal.deploy.monitor import Monitor
    from rehearsal.deploy.program import run, where

    with held(root), State(root) as state:
        _claim(state, stack)
        narrator = Narrator(stream, len(state.snapshot.live))
        clouds = Clouds(provider_settings(stack.config))
        deployment = (Preview if preview else Deployment)(state, clouds, narrator)
        _stop_on_signals(deployment)
        if not preview:
            deployment.clear_announced()
        monitor = Monitor(deployment, stack.name, stack.project, preview=preview)
        try:
            run(stack, monitor, preview=preview)
        except RunError as refusal:
            deployment.fail(str(refusal))
        except Exception as error:
            deployment.fail(f"the Pulumi program stopped at {where(error)}: {type(error).__name__}: {error}")
        _raise(deployment)
        deployment.remove_unregistered()
        _raise(deployment)
        if not preview:
            write_atomically(
                root / OUTPUTS_FILE, msgspec.json.format(msgspec.json.encode(monitor.outputs, order="sorted")) + b"\n"
            )
        return narrator.summary(clouds, monitor.outputs)


def destroy(root: Path, endpoint: str, stream: IO[bytes]) -> Summary:
    """Delete all that the state holds, then the state; RefusedError when something is protected."""
    check_loopback(endpoint)
    with held(root), State(root) as state:
        snapshot = state.snapshot
        if not snapshot.settings:
            state.erase()
            return Summary()
        check_answers(endpoint)
        narrator = Narrator(stream, len(snapshot.live) + len(snapshot.condemned))
        clouds = Clouds(provider_settings(redirected(snapshot.settings, endpoint)))
        deployment = Deployment(state, clouds, narrator)
        _stop_on_signals(deployment)
        deployment.clear_announced()
        deployment.remove_everything()
        _raise(deployment)
        summary = narrator.summary(clouds, {})
        state.erase()
        return summary


@click.command()
@click.argument("verb", type=click.Choice(["up", "preview", "destroy"]))
@click.option("--stack", default="", help="Stack whose Pulumi.<stack>.yaml is applied.")
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder of the state.")
@click.option("--endpoint", required=True, help="Address of the emulated AWS.")
@click.option("--project", type=click.Path(path_type=Path), default=Path(), help="Folder of Pulumi.yaml.")
def main(verb: str, stack: str, root: Path, endpoint: str, project: Path) -> None:
    """Carry out one apply; the caller is `rehearsal.deploy`."""
    _die_with_parent()
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    root = root.resolve()
    try:
        if verb == "destroy":
            summary = destroy(root, endpoint, stream)
        else:
            described = read_stack(project.resolve(), stack, endpoint)
            check_answers(endpoint)
            summary = up(described, root, stream, preview=verb == "preview")
    except Exception as error:
        message = str(error) if isinstance(error, DeployError) else sentence("the deployer", error)
        emit(stream, Failure(message=message))
        # Threads of the runtime may still hang on something; the state is closed, so nothing is lost.
        stream.flush()
        os._exit(1)
    emit(stream, summary)
    os._exit(0)


def _claim(state: State, stack: Stack) -> None:
    """Note whose state this is before anything is made; RefusedError when it is another stack's."""
    snapshot = state.snapshot
    owner, ours = (snapshot.project, snapshot.stack), (stack.project, stack.name)
    if snapshot.settings and owner != ours:
        raise RefusedError(
            f"{state.root} holds the stack {'/'.join(owner)}, not {'/'.join(ours)}; destroy that one first "
            "or use another --root"
        )
    snapshot.project, snapshot.stack = ours
    snapshot.settings = {key: value for key, value in stack.config.items() if key.startswith("aws:")}
    state.fold()


def _raise(deployment: Deployment) -> None:
    if deployment.failure is not None:
        raise DeployError(deployment.failure)


def _stop_on_signals(deployment: Deployment) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: deployment.interrupt(INTERRUPTED))


def _die_with_parent() -> None:
    """Be told when the caller dies, however it dies, so that no apply goes on unseen."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main()
