"""`python -m loadtests`: bring documents in, ask questions, judge under load."""

from __future__ import annotations

import click

from loadtests.commands import golden_command, ingest_command, search_command, vectors_command
from loadtests.load_commands import gate_command, judge_command, truth_command, worker_command
from vectorfleet.group import CommandGroup


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Documents, questions and load for a fleet."""


main.add_command(ingest_command, "ingest")
main.add_command(golden_command, "golden")
main.add_command(search_command, "search")
main.add_command(vectors_command, "vectors")
main.add_command(truth_command, "truth")
main.add_command(gate_command, "gate")
main.add_command(judge_command, "judge")
main.add_command(worker_command, "worker")

if __name__ == "__main__":
    main()
