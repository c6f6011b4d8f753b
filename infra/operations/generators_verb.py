"""The verb `generators`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from infra.operations.deployed import standing
from infra.operations.generators import Generators, GeneratorsError, Master
from vectorfleet.options import outputs_option
from vectorfleet.output import console
from vectorfleet.refusal import Failure

POLL_SECONDS = 1.0


@click.group()
def generators() -> None:
    """Start and stop instances that run Locust workers inside the network."""


@generators.command()
@outputs_option
@click.option("--count", type=click.IntRange(1, 1_000), required=True, help="Instances.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Workers on each of them.")
@click.option("--master", "host", required=True, help="Address of Locust's master, as the instances reach it.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its port.  [default: loadGenerators.masterPort]")
@click.option(
    "--within", type=click.IntRange(1, 86_400), default=600, show_default=True, help="Seconds to wait for them."
)
def start(outputs: Path, count: int, processes: int, host: str, port: int | None, within: int) -> None:
    """Start instances and wait until they are in service; they serve every run of the master there."""
    with standing(outputs, GeneratorsError) as stack:
        group = Generators(stack)
        port = port or group.port
        group.start(count, Master(host, port, processes))
        with console(stderr=True).status(f"{count} generators start"):
            there = group.await_running(count, within, lambda: time.sleep(POLL_SECONDS), time.monotonic)
        if not there:
            raise Failure(f"not all {count} are in service after {within} s; `generators stop` ends them.")
    click.echo(f"{count} generators with {processes} workers each look for a master at {host}:{port}.")


@generators.command()
@outputs_option
def stop(outputs: Path) -> None:
    """Terminate the instances and delete the master's address."""
    with standing(outputs, GeneratorsError) as stack:
        Generators(stack).stop()
    click.echo("The generators end.")
