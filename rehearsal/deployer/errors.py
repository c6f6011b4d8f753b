"""Errors of a deployment, each one sentence that an engineer can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class DeployError(Exception):
    """An end of the deployment. The text says what was given, what is allowed and what to do."""


class UnsupportedError(DeployError):
    """A type, a property or an option that is not in the deployer's table."""


class RefusedError(DeployError):
    """A request that must not be carried out: of a protected resource or of an endpoint elsewhere."""


def sentence(label: str, error: BaseException) -> str:
    """Return one line that names the resource, the cause and what to do."""
    if isinstance(error, DeployError):
        return f"{label}: {_one_line(error)}"
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        cause = f"{error.operation_name} was refused: {details.get('Code')}: {details.get('Message')}"
    elif isinstance(error, BotoCoreError):
        cause = f"the emulated AWS cannot be reached or understood: {error}"
    else:
        cause = f"{type(error).__name__}: {error}"
    return (
        f"{label}: {_one_line(cause)}. The state has everything made so far: correct the cause and run again, "
        "or destroy"
    )


@contextmanager
def naming(label: str) -> Iterator[None]:
    """Turn any error into a DeployError that names the resource."""
    try:
        yield
    except Exception as error:
        raise DeployError(sentence(label, error)) from error


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
