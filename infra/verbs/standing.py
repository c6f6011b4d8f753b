"""The outputs of a standing stack, for the verbs that act on it, and AWS's errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.operations.outputs import Outputs, OutputsError, read_outputs
from vectorfleet.refusal import Failure, refusing


def unanswered(error: Exception) -> str:
    """Say what AWS or botocore said, and how to mend what the user can mend at once."""
    from botocore.exceptions import NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return (
            "AWS asks who you are: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The emulated AWS "
            "takes any key, and is found by AWS_ENDPOINT_URL"
        )
    return str(error).rstrip(".")


@contextmanager
def standing(path: Path, *mistakes: type[Exception]) -> Iterator[Outputs]:
    """
    Read the outputs in a file. Within the block, OutputsError and `mistakes` become a refusal.

    An error of AWS, or no answer from it, becomes a failure.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with refusing(OutputsError, *mistakes):
            yield read_outputs(path)
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{unanswered(error)}.") from None
