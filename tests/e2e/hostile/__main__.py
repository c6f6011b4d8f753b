"""`python -m tests.e2e.hostile --seed 7 --seconds 240`: break a standing rehearsal for minutes, and judge it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from tests.e2e.hostile.run import run
from tests.e2e.rehearsal import Rehearsal


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides which faults come when.")
@click.option("--seconds", type=click.IntRange(30, 3600), default=240, show_default=True, help="Seconds of faults.")
def main(seed: int, seconds: int) -> None:
    """Start a rehearsal, break it by a seeded schedule, and hold it to its promises. Exit code 1: one was broken."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        rehearsal = Rehearsal(Path(folder))
        try:
            rehearsal.up()
            outcome = run(rehearsal, seed, seconds, click.echo)
        finally:
            rehearsal.end()
    click.echo(outcome.summary())
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
