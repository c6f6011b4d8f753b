"""The subprocess of one apply: `python -m rehearsal.deployer.apply up|preview|destroy …`.

Standard output has the events, one JSON object a line. Standard error has all that libraries print.
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

from rehearsal.deployer.cloud import Clouds, check_answers, provider_settings
from rehearsal.deployer.deployment import Deployment, Preview, Verb
from rehearsal.deployer.errors import DeployError, RefusedError, sentence
from rehearsal.deployer.launcher import Event, Failure, Step, Summary
from rehearsal.deployer.stackfile import Stack, check_loopback, read_stack, redirected
from rehearsal.deployer.state import OUTPUTS_FILE, Resource, State, locked, write_atomically

PR_SET_PDEATHSIG = 1
INTERRUPTED = "interrupted; the state has everything made so far: run `up` again to go on, or destroy"


class Reporter:
    """The writer of events, which counts them for the summary."""

    def __init__(self, stream: IO[bytes], expected: int) -> None:
        self._stream = stream
        self._expected = expected
        self._started = time.monotonic()
        self.counts: Counter[str] = Counter()

    def __call__(self, verb: Verb, resource: Resource, seconds: float) -> None:
        """Report one finished resource."""
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
        """Return the result of the whole apply."""
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
    """Write one event in one piece, as several threads report."""
    with contextlib.suppress(BrokenPipeError):
        stream.write(msgspec.json.encode(event) + b"\n")
        stream.flush()


def up(stack: Stack, root: Path, stream: IO[bytes], *, preview: bool = False) -> Summary:
    """Run the program and deploy its resources. Raise DeployError with the first failure."""
    from pulumi import RunError

    from rehearsal.deployer.monitor import Monitor
    from rehearsal.deployer.program import run, where

    with locked(root), State(root) as state:
        _claim(state, stack)
        reporter = Reporter(stream, len(state.snapshot.live))
        clouds = Clouds(provider_settings(stack.config))
        deployment = (Preview if preview else Deployment)(state, clouds, reporter)
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
        return reporter.summary(clouds, monitor.outputs)


def destroy(root: Path, endpoint: str, stream: IO[bytes]) -> Summary:
    """Delete everything in the state, then the state. Raise RefusedError if a resource is protected."""
    check_loopback(endpoint)
    with locked(root), State(root) as state:
        snapshot = state.snapshot
        if not snapshot.settings:
            state.erase()
            return Summary()
        check_answers(endpoint)
        reporter = Reporter(stream, len(snapshot.live) + len(snapshot.condemned))
        clouds = Clouds(provider_settings(redirected(snapshot.settings, endpoint)))
        deployment = Deployment(state, clouds, reporter)
        _stop_on_signals(deployment)
        deployment.clear_announced()
        deployment.remove_everything()
        _raise(deployment)
        summary = reporter.summary(clouds, {})
        state.erase()
        return summary


@click.command()
@click.argument("verb", type=click.Choice(["up", "preview", "destroy"]))
@click.option("--stack", default="", help="Stack whose Pulumi.<stack>.yaml is applied.")
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Folder of the state.")
@click.option("--endpoint", required=True, help="Address of the emulated AWS.")
@click.option("--project", type=click.Path(path_type=Path), default=Path(), help="Folder of Pulumi.yaml.")
@click.option("--config", multiple=True, metavar="KEY=VALUE", help="A value over that of the stack file.")
def main(verb: str, stack: str, root: Path, endpoint: str, project: Path, config: tuple[str, ...]) -> None:
    """Carry out one apply for `rehearsal.deployer.launcher`."""
    _die_with_parent()
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    root = root.resolve()
    try:
        if verb == "destroy":
            summary = destroy(root, endpoint, stream)
        else:
            read = read_stack(project.resolve(), stack, endpoint, dict(one.split("=", 1) for one in config))
            check_answers(endpoint)
            summary = up(read, root, stream, preview=verb == "preview")
    except Exception as error:
        message = str(error) if isinstance(error, DeployError) else sentence("the deployer", error)
        emit(stream, Failure(message=message))
        # Threads of the runtime may still block. The state is closed, so nothing is lost.
        stream.flush()
        os._exit(1)
    emit(stream, summary)
    os._exit(0)


def _claim(state: State, stack: Stack) -> None:
    """Record the owner of the state before anything is created. Raise RefusedError if it is another stack."""
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
    """Ask the kernel for a signal when the caller dies, so that no apply goes on without one."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main()
