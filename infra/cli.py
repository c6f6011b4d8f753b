"""`python -m infra`: what a fleet would look like, what a reviewer would say, and how a changed one is rolled out."""

from __future__ import annotations

import click

from infra.verbs.artifact import artifact
from infra.verbs.check import check
from infra.verbs.copies import copies
from infra.verbs.generators import generators
from infra.verbs.graph import graph
from infra.verbs.keys import keys
from infra.verbs.model import model
from infra.verbs.plan import plan
from infra.verbs.roll import roll
from infra.verbs.secret import secret
from infra.verbs.weights import weights
from vectorfleet.group import CommandGroup


@click.group(cls=CommandGroup)
def cli() -> None:
    """Plan a fleet from numbers, show and judge what a stack would create, build what it runs, and roll it out."""


for verb in (plan, graph, check, artifact, model, keys, secret, generators, roll, weights, copies):
    cli.add_command(verb)


def main() -> None:
    """Run the command line of `python -m infra`."""
    cli(prog_name="python -m infra")
