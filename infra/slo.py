"""The one table of targets and alerts; alarms, load gates, drills and docs read it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAMESPACE = "vectorfleet"
DIMENSIONS = ("Fleet", "Slot")  # percentiles do not aggregate over dimensions, so these are exact

Direction = Literal["below", "above"]


@dataclass(frozen=True)
class Objective:
    """
    One row: the value wanted and the value that alarms, in `unit`.

    `direction` names the good side: latency is to stay below its target, relevance above it.
    """

    key: str
    title: str
    unit: str
    direction: Direction
    target: float
    alert: float

    def meets_target(self, value: float) -> bool:
        """True when the value is strictly on the good side of the target."""
        return value < self.target if self.direction == "below" else value > self.target

    def alerts(self, value: float) -> bool:
        """True when the value is strictly past the alert line."""
        return value > self.alert if self.direction == "below" else value < self.alert


TABLE: tuple[Objective, ...] = (
    Objective("retrieval_p95_ms", "retrieval latency P95", "ms", "below", 200.0, 500.0),
    Objective("end_to_end_p95_ms", "end-to-end latency P95", "ms", "below", 3000.0, 5000.0),
    Objective("relevance", "retrieval relevance", "share", "above", 0.85, 0.75),
    Objective("faithfulness", "faithfulness", "share", "above", 0.90, 0.80),
    Objective("error_rate_percent", "error rate", "%", "below", 1.0, 5.0),
    Objective("tokens_per_query", "tokens per query", "tokens", "below", 5000.0, 10000.0),
)

_BY_KEY = {objective.key: objective for objective in TABLE}

# Alerts without a target: what a fleet of this kind must not do, however fast it answers.
SHARDS_DOWN = 0  # shards without a ready replica
REPLICAS_MISSING = 0  # ready replicas below the plan's
LAG_SECONDS = 30.0  # age of the oldest write that a shard does not cover yet, where documents are indexed as they come
BEHIND_PERCENT = 1.0  # of requests: reads with a position that a shard did not reach in time
STALE_REPLICAS = 0  # replicas that stand still before a log entry
DIVERGED_SHARDS = 0  # shards whose replicas hold different documents at one position
PARTIAL_PERCENT = 1.0  # of searches
SERVER_ERRORS_PERCENT = 5.0  # of requests, as the load balancer counts 5xx
# Of live searches, sampled, against exact search, by index type: IVF and PQ are chosen for finding a little less.
RECALL = {"flat": 0.9, "hnsw": 0.9, "ivf": 0.8, "pq": 0.7}
CONFIGURATION_REFUSED = 0  # routers whose slot can not become what the parameters say
PROCESS_STARTS = 2  # of a process on one machine, in 15 minutes
LAUNCH_MINUTES = 10  # long enough for the replacement of an instance that restores nothing
INSTANCES_IN_SERVICE = 1  # of a group, at least
MEMORY_USED_PERCENT = 90.0  # of the machine
FORMULA_DRIFT = 1.0  # resident memory as a multiple of the measured model
BACKUP_AGE_HOURS = 24.0  # of the first write that the newest snapshot lacks; snapshotHours is at most 20
REFUSED_SNAPSHOTS = 0  # whose newest verdict refuses them
DRILL_AGE_DAYS = 35.0  # since a drill last passed
REPLICATION_LATENCY_SECONDS = 900.0  # what S3's replication time control promises
REPLICATION_FAILURES = 0


def objective(key: str) -> Objective:
    """The row of that key; a KeyError names the keys there are."""
    try:
        return _BY_KEY[key]
    except KeyError:
        raise KeyError(f"no objective {key!r}; there are {', '.join(_BY_KEY)}") from None


def target(key: str) -> float:
    """The value wanted."""
    return objective(key).target


def alert(key: str) -> float:
    """The value that alarms."""
    return objective(key).alert
