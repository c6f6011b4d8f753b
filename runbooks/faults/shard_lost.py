"""A shard is lost: every replica of it terminated through the EC2 API, and its disks with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.faults.fault import Effect, FaultError, Injection
from runbooks.faults.target import check
from runbooks.groups import nodes
from runbooks.stack import Stack

ENDED = ("shutting-down", "terminated")


@dataclass(frozen=True)
class ShardLost:
    """Terminates all instances that are tagged with one shard. Raises RemoteTargetError at once."""

    stack: Stack
    shard: int
    allow_remote: bool = False
    name: str = "shard_lost"

    def __post_init__(self) -> None:
        check(self.stack, self.allow_remote)
        if not 0 <= self.shard < self.stack.shards:
            raise FaultError(f"there is no shard {self.shard}; the fleet has 0 to {self.stack.shards - 1}")

    def inject(self) -> Injection:
        ec2 = self.stack.aws("ec2")
        victims = tuple(node.identity for node in self._nodes(ec2) if node.alive)
        if not victims:
            raise FaultError(f"no instance of shard {self.shard} is running, so there is nothing to lose")
        at = time.monotonic()
        try:
            ec2.terminate_instances(InstanceIds=list(victims))
        except (BotoCoreError, ClientError) as error:
            raise FaultError(f"EC2 refused to terminate {', '.join(victims)}: {error}") from error
        return Injection(at, victims, f"terminated {', '.join(victims)}, all replicas of shard {self.shard}")

    def effect(self, injection: Injection) -> Effect:
        states = {node.identity: node.state for node in self._nodes(self.stack.aws("ec2"))}
        # EC2 forgets a terminated instance after a while; unknown is as gone as it gets.
        alive = [victim for victim in injection.victims if states.get(victim, "terminated") not in ENDED]
        if alive:
            return Effect(False, f"{', '.join(alive)} still run after their termination was asked for")
        return Effect(True, f"{len(injection.victims)} instances of shard {self.shard} are terminated")

    def _nodes(self, ec2: Any) -> list[Any]:
        return list(nodes(self.stack, [self.shard], ec2))
