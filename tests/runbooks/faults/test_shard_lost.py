"""Faults and the stack that they are meant for."""

from __future__ import annotations

import pytest

from runbooks.faults.shard_lost import FaultError, ShardLost
from tests.stack_outputs import a_stack

HERE = "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("endpoint", "emulator"),
    [
        ("http://search.example.com", HERE),
        ("http://127.64.0.10:8080", None),
        ("http://127.64.0.10:8080", "https://ec2.us-east-1.amazonaws.com"),
    ],
)
def test_a_fault_is_refused_unless_the_whole_stack_is_here(endpoint: str, emulator: str | None) -> None:
    stack = a_stack(endpoint=endpoint, aws_endpoint=emulator)
    with pytest.raises(FaultError, match="--allow-remote"):
        ShardLost(stack, 0)
    assert ShardLost(stack, 0, allow_remote=True).shard == 0


def test_a_shard_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FaultError, match="there is no shard 2; the fleet has 0 to 1"):
        ShardLost(a_stack(aws_endpoint=HERE), 2)
