"""Verbs that run a process of the service. VECTORFLEET_* variables give its place in the fleet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

# A search is one small product on the event loop: BLAS threads only wait for each other, and made it 40 times slower
# with four nodes on two cores. numpy reads the variable when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from service import logs, starts
from service.node.succession import die_with_parent
from service.settings import BadSettings, Process, load_parameters, process_from_environment
from service.tracing import exporter
from vectorfleet.refusal import Failure

if TYPE_CHECKING:
    from service.node.recovery import ShardStore

MOST_ENTRIES = (1 << 63) - 1
ENTRY = click.IntRange(0, MOST_ENTRIES)
FILE_DESCRIPTOR = click.IntRange(0, 1 << 20)


def _run(start: Callable[[Process], int], *, traced: bool = False, counted: bool = False) -> None:
    """Run a process. `start` imports its own modules, so that a failed import is a `counted` start as well."""
    try:
        process = process_from_environment()
        logs.configure(process)
        if counted:
            starts.announce(process)
        if traced:
            exporter.configure(process.place)
        sys.exit(start(process))
    except BadSettings as error:
        raise Failure(str(error)) from None


@click.command()
def node() -> None:
    """Serve one replica of one shard."""
    from service.node.succession import Succession

    _run(lambda process: Succession(process).run(), counted=True)


@click.command()
@click.option("--listener", type=FILE_DESCRIPTOR, required=True, help="File descriptor of the listening socket.")
@click.option(
    "--channel", type=FILE_DESCRIPTOR, required=True, help="File descriptor of the channel to the node's first process."
)
@click.option("--snapshot", help="Take over from the serving process with this snapshot, or the `newest`.")
@click.option("--position", type=ENTRY, default=0, help="Position of the serving process.")
@click.option("--covers", type=ENTRY, help="The position from which on that process is ready.")
@click.option("--asked", type=ENTRY, default=0, help="The position of a snapshot that was ordered of that process.")
def serve(listener: int, channel: int, snapshot: str | None, position: int, covers: int | None, asked: int) -> None:
    """Take a node's requests; `node` starts this process itself."""
    die_with_parent()
    from service.node.process import InheritedSockets, Node

    sockets = InheritedSockets(listener, channel)
    _run(lambda process: Node(process, sockets, snapshot, position, covers, asked).run(), traced=True)


@click.command()
def router() -> None:
    """Serve the public API."""

    def start(process: Process) -> int:
        from service.router.process import RouterProcess

        return RouterProcess(process).run()

    _run(start, traced=True, counted=True)


@click.command()
def indexer() -> None:
    """Turn the documents log into shard logs."""

    def start(process: Process) -> int:
        from service.indexer.process import IndexerProcess

        return IndexerProcess(process).run()

    _run(start, traced=True, counted=True)


@click.command()
@click.option("--entry", type=ENTRY, required=True, help="Shard-log entry to build up to.")
@click.option("--generation", type=click.IntRange(1, MOST_ENTRIES), required=True, help="Number of the new generation.")
def build(entry: int, generation: int) -> None:
    """Build, verify and publish the next generation of a node's shard."""
    die_with_parent()
    from service.node.builder import build as build_generation

    def start(process: Process) -> int:
        build_generation(_shard_of(process), entry=entry, generation=generation)
        return 0

    _run(start)


@click.command()
@click.option("--entry", type=ENTRY, required=True, help="Shard-log entry to fold up to.")
def digest(entry: int) -> None:
    """Print the digest of a node's shard, computed from S3."""
    die_with_parent()
    from service.node.builder import digest as folded

    def start(process: Process) -> int:
        click.echo(folded(_shard_of(process), entry))
        return 0

    _run(start)


def _shard_of(process: Process) -> ShardStore:
    """Return the process's shard of its slot's build; raise BadSettings before there is a build."""
    from service.node.process import open_shard
    from service.storage.builds import Slots
    from service.storage.objects import ObjectStore

    parameters = load_parameters(process.parameters, process.slot)
    store, documents = ObjectStore(parameters.storage.index), ObjectStore(parameters.storage.documents)
    slot_build = Slots(store).find(process.slot)
    if slot_build is None:
        raise BadSettings(f"slot {process.slot} has no build yet; the indexer makes it")
    return open_shard(process, slot_build, store, documents, parameters)
