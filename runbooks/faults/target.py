"""Which stacks a fault may be injected into."""

from __future__ import annotations

from runbooks.stack import Stack


class RemoteTargetError(Exception):
    """The stack is not on this machine and nobody said that it may be broken."""


def check(stack: Stack, allow_remote: bool) -> None:
    """Raise RemoteTargetError unless the whole stack is on this machine or the caller allows another."""
    if stack.is_loopback or allow_remote:
        return
    where = stack.aws_endpoint or f"AWS in {stack.region}"
    raise RemoteTargetError(
        f"fleet {stack.fleet} answers at {stack.endpoint} and stands on {where}, which is not this machine. "
        "A drill destroys instances for good; say --allow-remote if that is what you want"
    )
