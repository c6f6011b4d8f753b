"""The service's processes: `python -m service node|router|indexer`, and the builder that a node starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

# A search is one small product on the event loop: BLAS threads only wait for each other, and made it 40 times
# slower with four nodes on two cores. Read when numpy is first imported, so set before that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from service import logs
from service.settings import (
    BadSettings,
    Process,
    load_parameters,
    process_from_environment,
)

# click's own 2 reads as UNDECIDED where verdicts are exit codes.
click.UsageError.exit_code = 64


@click.group()
def main() -> None:
    """Run one process of the search service. Its place in the fleet comes from VECTORFLEET_* variables."""


def _run(start: Callable[[Process], int]) -> None:
    try:
        process = process_from_environment()
        logs.configure(process)
        sys.exit(start(process))
    except BadSettings as error:
        raise click.ClickException(str(error)) from None


@main.command()
def node() -> None:
    """Serve one replica of one shard."""
    from service.node.process import Node

    _run(lambda process: Node(process).run())


@main.command()
def router() -> None:
    """Serve the public API."""
    from service.router.process import RouterProcess

    _run(lambda process: RouterProcess(process).run())


@main.command()
def indexer() -> None:
    """Turn the documents log into shard logs."""
    from service.indexer.process import IndexerProcess

    _run(lambda process: IndexerProcess(process).run())


@main.command()
@click.option("--entry", type=click.IntRange(min=0), required=True, help="Shard-log entry to build up to.")
@click.option("--generation", type=click.IntRange(min=1), required=True, help="Number of the new generation.")
def build(entry: int, generation: int) -> None:
    """Build, verify and publish the next generation of a node's shard."""
    from service.node.build import build as build_generation
    from service.node.process import open_shard
    from service.storage.builds import Slots
    from service.storage.objects import ObjectStore

    def start(process: Process) -> int:
        store = ObjectStore(load_parameters(process.parameters).storage.index)
        slot_build = Slots(store).find(process.slot)
        if slot_build is None:
            raise BadSettings(f"slot {process.slot} has no build yet; the indexer makes it")
        build_generation(open_shard(process, slot_build, store), entry=entry, generation=generation)
        return 0

    _run(start)


if __name__ == "__main__":
    main()
