"""What every verb says when it is asked for what can't be done."""

from __future__ import annotations

import click

FAILED_EXIT_CODE = 1
USAGE_EXIT_CODE = 64  # never one of the verdicts' codes


def unanswered(error: Exception) -> str:
    """What AWS or botocore says, and for what a person can mend at once, how."""
    from botocore.exceptions import NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return (
            "AWS asks who you are: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The emulated AWS "
            "takes any key, and is found by AWS_ENDPOINT_URL"
        )
    return str(error).rstrip(".")


class Refusal(click.ClickException):
    """A sentence for the user instead of a traceback."""

    exit_code = USAGE_EXIT_CODE  # also where the group is called from another program
