"""A lost shard: every replica of it terminated through the EC2 API, and its disks with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.stack.outputs import Stack
from runbooks.fleet.groups import Instance, nodes
from vectorfleet.refusal import Refusal

ENDED = ("shutting-down", "terminated")


class FaultError(Refusal):
    """The fault could not be injected; nothing was measured."""


@dataclass(frozen=True)
class Injection:
    """An injected fault. `at` is the monotonic instant just before the first destructive call."""

    at: float
    victims: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Effect:
    """The fault as seen from outside, `proven` when it took effect."""

    proven: bool
    sentence: str


@dataclass(frozen=True)
class ShardLost:
    """
    The loss of one shard. Its instances stay terminated, so there is nothing to revert.

    Raises FaultError for a shard that does not exist, and for a stack that is not wholly on this machine unless
    `allow_remote` is set.
    """

    stack: Stack
    shard: int
    allow_remote: bool = False

    def __post_init__(self) -> None:
        if not self.stack.is_loopback and not self.allow_remote:
            aws = self.stack.aws_endpoint or f"AWS in {self.stack.region}"
            raise FaultError(
                f"Fleet {self.stack.fleet} answers at {self.stack.endpoint} and runs on {aws}, which is not this "
                "machine. A drill terminates instances for good; give --allow-remote if you want that."
            )
        if not 0 <= self.shard < self.stack.shards:
            raise FaultError(f"there is no shard {self.shard}; the fleet has 0 to {self.stack.shards - 1}")

    def inject(self) -> Injection:
        """Terminate the shard's instances. Raises FaultError when none runs or EC2 refuses."""
        victims = tuple(node.identity for node in self._nodes() if node.alive)
        if not victims:
            raise FaultError(f"no instance of shard {self.shard} is running, so there is nothing to lose")
        ec2: Any = self.stack.aws("ec2")
        at = time.monotonic()
        try:
            ec2.terminate_instances(InstanceIds=list(victims))
        except (BotoCoreError, ClientError) as error:
            raise FaultError(f"EC2 refused to terminate {', '.join(victims)}: {error}") from error
        return Injection(at, victims, f"terminated {', '.join(victims)}, all replicas of shard {self.shard}")

    def effect(self, injection: Injection) -> Effect:
        """Look at the victims again, by another call than the one that terminated them."""
        states = {node.identity: node.state for node in self._nodes()}
        # EC2 forgets a terminated instance after a while, so an unknown one has ended.
        alive = [victim for victim in injection.victims if states.get(victim, "terminated") not in ENDED]
        if alive:
            return Effect(False, f"{', '.join(alive)} still run after they were to be terminated")
        return Effect(True, f"{len(injection.victims)} instances of shard {self.shard} are terminated")

    def _nodes(self) -> list[Instance]:
        return nodes(self.stack, [self.shard])
