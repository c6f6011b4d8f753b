"""`python -m loadtests`: bring documents in, ask questions, judge under load."""

from __future__ import annotations

import click

from loadtests.commands import golden_command, ingest_command, search_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Documents, questions and load for a fleet."""


main.add_command(ingest_command, "ingest")
main.add_command(golden_command, "golden")
main.add_command(search_command, "search")

if __name__ == "__main__":
    main()
