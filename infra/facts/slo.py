"""Targets and alert thresholds, for alarms, load gates, drills and docs. Standard library only; instances carry it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAMESPACE = "vectorfleet"
DIMENSIONS = ("Fleet", "Slot")  # exactly these, since percentiles do not aggregate over dimensions

Direction = Literal["below", "above"]


@dataclass(frozen=True)
class Objective:
    """One row: target and alert threshold in `unit`. `direction` is the good side of the target."""

    key: str
    title: str
    unit: str
    direction: Direction
    target: float
    alert: float


TABLE: tuple[Objective, ...] = (
    Objective("retrieval_p95_ms", "retrieval latency P95", "ms", "below", 200.0, 500.0),
    Objective("end_to_end_p95_ms", "end-to-end latency P95", "ms", "below", 3000.0, 5000.0),
    Objective("relevance", "retrieval relevance", "share", "above", 0.85, 0.75),
    Objective("faithfulness", "faithfulness", "share", "above", 0.90, 0.80),
    Objective("error_rate_percent", "error rate", "%", "below", 1.0, 5.0),
    Objective("tokens_per_query", "tokens per query", "tokens", "below", 5000.0, 10000.0),
)

_BY_KEY = {objective.key: objective for objective in TABLE}

# Alert thresholds without a target.
SHARDS_DOWN = 0  # shards without a ready replica
REPLICAS_MISSING = 0  # ready replicas below the plan's
LAG_SECONDS = 30.0  # age of the oldest write that a shard does not cover yet, with indexing in real time
BEHIND_PERCENT = 1.0  # of requests: reads at a position that a shard did not reach in time
STALE_REPLICAS = 0  # replicas that have stopped before a log entry
DIVERGED_SHARDS = 0  # shards whose replicas hold different documents at one position
PARTIAL_PERCENT = 1.0  # of searches
SERVER_ERRORS_PERCENT = 5.0  # of requests, as the load balancer counts 5xx
# Recall of sampled live searches against exact search. IVF and PQ are chosen to find a little less.
RECALL = {"flat": 0.9, "hnsw": 0.9, "ivf": 0.8, "pq": 0.7}
CONFIGURATION_REFUSED = 0  # routers whose build does not fit the parameters
PROCESS_STARTS = 2  # of a process on one machine, in 15 minutes
LAUNCH_MINUTES = 10  # the replacement of an instance that restores nothing
INSTANCES_IN_SERVICE = 1  # of a group, at least
MEMORY_USED_PERCENT = 90.0  # of the machine
FORMULA_DRIFT = 1.0  # resident memory as a multiple of the measured model
BACKUP_AGE_HOURS = 24.0  # of the first write that the newest snapshot lacks; snapshotHours is at most 20
REFUSED_SNAPSHOTS = 0  # snapshots whose newest verdict refuses them
DRILL_AGE_DAYS = 35.0  # since a drill last passed
REPLICATION_LATENCY_SECONDS = 900.0  # S3's promise for replication time control
REPLICATION_FAILURES = 0


def objective(key: str) -> Objective:
    """Return the row of a key. Raises KeyError."""
    return _BY_KEY[key]


def target(key: str) -> float:
    """Return the target in the row's unit."""
    return objective(key).target


def alert(key: str) -> float:
    """Return the alert threshold in the row's unit."""
    return objective(key).alert
