"""`python -m runbooks`: pages, what they call, and drills."""

from __future__ import annotations

import click

from runbooks.cli.backups import backups
from runbooks.cli.drills import drill, observe
from runbooks.cli.entries import restore_entry
from runbooks.cli.fleet import alarms, fleet, groups, launch_verb, probe, replace, wait
from runbooks.cli.moments import position
from runbooks.cli.pages import check_verb, show, walk
from vectorfleet.group import CommandGroup


@click.group(cls=CommandGroup)
def main() -> None:
    """Runbooks that a person reads and a runner executes, and the drills that prove them.

    Exit codes: 0 PASS, 1 FAIL, 3 VOID (nothing was measured), 4 aborted, 64 a mistake in the call.
    """


for verb in (
    check_verb,
    show,
    walk,
    drill,
    observe,
    fleet,
    alarms,
    groups,
    launch_verb,
    replace,
    wait,
    probe,
    position,
    restore_entry,
    backups,
):
    main.add_command(verb)

if __name__ == "__main__":
    main(prog_name="python -m runbooks")
