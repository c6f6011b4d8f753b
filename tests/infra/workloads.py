"""A workload on which tests are based."""

from __future__ import annotations

from infra.planning.workload import MeasuredCapacity, Workload

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SMALL = Workload(
    vectors=1_000_000,
    dims=1536,
    peak_queries_per_second=100,
    zones=ZONES,
    retrieval_p95_ms=200,
    recovery_time_seconds=900,
    chunk_bytes=330,
    replica=MeasuredCapacity(200, 2),
)
