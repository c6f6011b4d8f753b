"""Access to a deployed stack for its verbs, and AWS's errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.stack.outputs import Fleet, StackError, read_fleet
from vectorfleet.refusal import Failure, refusing


def unanswered(error: Exception) -> str:
    """Return the message of AWS or botocore, and the remedy for missing credentials."""
    from botocore.exceptions import NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return (
            "There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The "
            "emulated AWS accepts any key; AWS_ENDPOINT_URL names it"
        )
    return str(error).rstrip(".")


@contextmanager
def standing(path: Path, *mistakes: type[Exception]) -> Iterator[Fleet]:
    """
    Read the outputs in a file. Within the block, StackError and `mistakes` become a refusal.

    An error of AWS, or no answer from it, becomes a failure.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with refusing(StackError, *mistakes):
            yield read_fleet(path)
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{unanswered(error)}.") from None
