"""Why something failed, in one line that names the resource, the cause and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.state import Resource


def sentence(label: str, error: BaseException) -> str:
    """The line for an error that came up while `label` was made or removed."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        cause = f"{error.operation_name} was refused: {details.get('Code')}: {details.get('Message')}"
    elif isinstance(error, DeployError):
        return f"{label}: {_one_line(error)}"
    elif isinstance(error, BotoCoreError):
        cause = f"the emulated AWS cannot be reached or understood: {error}"
    else:
        cause = f"{type(error).__name__}: {error}"
    return f"{label}: {_one_line(cause)}. What was made so far is recorded: mend the cause and run again, or destroy"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


@contextmanager
def naming(resource: Resource) -> Iterator[None]:
    """Turn what a removal raises into such a line."""
    try:
        yield
    except Exception as error:
        raise DeployError(sentence(resource.label, error)) from error
