"""The choice of replication rules, and their metrics."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.emulator.aws.s3 import replication
from rehearsal.emulator.aws.s3.replication import Progress


def rule(target: str, priority: int, prefix: str = "", status: str = "Enabled") -> dict[str, Any]:
    """Make a rule of moto, with its priority as its name."""
    destination = {"Bucket": f"arn:aws:s3:::{target}"}
    named = {"ID": str(priority), "Priority": str(priority), "Status": status}
    return {**named, "Filter": {"Prefix": prefix}, "Destination": destination}


RULES = (rule("vault", 1), rule("vault", 10, "log/"), rule("vault", 9), rule("vault", 11, "log/", "Disabled"))


@pytest.mark.parametrize("rules", list(itertools.permutations(RULES)))
def test_the_rule_with_the_highest_priority_copies(
    monkeypatch: pytest.MonkeyPatch, rules: tuple[dict[str, Any], ...]
) -> None:
    monkeypatch.setattr(replication, "_tags", lambda *_: {})
    bucket = SimpleNamespace(replication={"Rule": [*rules, rule("elsewhere", 2)]})

    def selected(key: str) -> dict[str, str]:
        found = replication._selected(None, bucket, SimpleNamespace(name=key, encryption=None))
        return {one.bucket: one.id for one in found}

    assert selected("log/1") == {"vault": "10", "elsewhere": "2"}
    assert selected("other") == {"vault": "9", "elsewhere": "2"}


def test_latency_is_the_age_of_the_oldest_pending_object() -> None:
    progress, now = Progress("us-east-1", "us-west-2"), time.monotonic()
    assert progress.pending_values()["ReplicationLatency"] == (0.0, "Seconds")
    progress.pending.extend([(now - 70, 10), (now - 20, 5)])
    values = progress.pending_values()
    assert values["ReplicationLatency"][0] == pytest.approx(70, abs=5)
    assert values["OperationsPendingReplication"] == (2.0, "Count")
    assert values["BytesPendingReplication"] == (15.0, "Bytes")


def test_failures_are_counted_once_and_only_after_attempts() -> None:
    progress = Progress("us-east-1", "us-west-2", tried=3, failed=1)
    assert progress.take_failures() == {"OperationsFailedReplication": (1.0, "Count")}
    assert progress.take_failures() == {}
