"""What every verb says when it is asked for what can't be done."""

from __future__ import annotations

import click

FAILED_EXIT_CODE = 1
USAGE_EXIT_CODE = 64  # never one of the verdicts' codes


class Refusal(click.ClickException):
    """A sentence for the user instead of a traceback."""

    exit_code = USAGE_EXIT_CODE  # also where the group is called from another program
