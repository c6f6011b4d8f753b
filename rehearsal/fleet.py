"""A deployed rehearsal fleet as the steps see it: its client, and waiting until it is as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from service.client import Client, ServiceError, Unanswered

POLL_SECONDS = 0.25
# Below this a node doesn't rebuild its base when it is quiet; see service.node.generations.
SETTLED_DELTA_ROWS = 500

Status = dict[str, Any]


class NotReachedError(Exception):
    """The fleet did not become what was waited for; the message says what it was at the end."""


def replicas(status: Status) -> list[dict[str, Any]]:
    """Every replica of every shard."""
    return [replica for shard in status["shards"] for replica in shard["replicas"]]


def await_status(client: Client, reached: Callable[[Status], bool], what: str, timeout_seconds: float) -> Status:
    """Poll /v1/status until `reached`; raises NotReachedError naming `what` and the last state."""
    until = time.monotonic() + timeout_seconds
    last = "no answer"
    while time.monotonic() < until:
        try:
            status = client.status()
        except (ServiceError, Unanswered) as error:
            last = str(error)
        else:
            if reached(status):
                return status
            last = described(status)
        time.sleep(POLL_SECONDS)
    raise NotReachedError(f"{what} was not reached in {timeout_seconds:g} s; last seen: {last}")


def described(status: Status) -> str:
    """The replicas in one line."""
    parts = [
        f"{shard['shard']}{replica['replica']} {'ready' if replica['ready'] else 'not ready'} at {replica['position']}"
        for shard in status["shards"]
        for replica in shard["replicas"]
    ]
    return f"head {status['head']}; {', '.join(parts) or 'no replica'}"


def all_ready(status: Status, replicas_per_shard: int) -> bool:
    """Whether every shard has all its replicas, ready."""
    return all(
        len(shard["replicas"]) == replicas_per_shard and all(replica["ready"] for replica in shard["replicas"])
        for shard in status["shards"]
    )


def settled(status: Status, position: int) -> bool:
    """Whether every replica has applied `position` and serves it from a base, where there are enough rows for one."""
    return all(
        replica["ready"]
        and replica["position"] >= position
        and (replica["generation"] > 0 or replica["rows"] < SETTLED_DELTA_ROWS)
        and replica["delta_rows"] < SETTLED_DELTA_ROWS
        for replica in replicas(status)
    )


def replicas_agree(status: Status) -> bool:
    """Whether the replicas of each shard hold the same live set at the same position."""
    return all(
        len({(replica["position"], replica["digest"]) for replica in shard["replicas"]}) == 1
        for shard in status["shards"]
    )
