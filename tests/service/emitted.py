"""Every datum that the service's processes send to CloudWatch, for tests of alarms and documentation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from service import cloudwatch, starts
from service.cloudwatch import CloudWatch, Datum
from service.node.cloudwatch_metrics import NodeMetrics
from service.node.replica import Replica
from service.router.cloudwatch_metrics import DrillAge, FleetMetrics
from service.router.configuration import Configuration
from service.router.discovery import NodeAddress, SlotInstances
from service.router.lag import Lag
from service.router.replicas import Replicas, Report
from service.router.verification import Verification
from service.storage.documents import documents_log
from service.wire.messages import PassedDrill
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import shard_store
from tests.service.small_space import build


def sender(monkeypatch: pytest.MonkeyPatch, period_seconds: int = 10) -> CloudWatch:
    """Return a CloudWatch sender that never sends."""
    monkeypatch.setattr(cloudwatch, "aws_client", lambda _: None)
    return CloudWatch(fleet="f", slot="blue", period_seconds=period_seconds)


def emitted(monkeypatch: pytest.MonkeyPatch) -> list[Datum]:
    """Return one round of a router that answered a search, of a node, and what every process sends at its start."""
    monkeypatch.setattr("service.router.replicas.aws_client", lambda _: None)
    known = Replicas(fleet="f", slot="blue", port=8080, shards=2)
    judged, verified = Configuration("/f", "blue"), Verification(MemoryStore(), "")
    router = FleetMetrics(sender(monkeypatch), lambda: known.missing(2) | judged.counts() | verified.counts())
    router.observe(1.0, complete=True, partial=False)
    documents = documents_log(MemoryStore())
    lag = Lag(sender(monkeypatch), documents, known, build=lambda: "b", acknowledged=lambda: 0, limit_seconds=30)
    known._take(SlotInstances([NodeAddress("i-0", "127.0.0.1", "us-east-1a", 0, "a")], []))
    known.all()[0].report = Report(True, build="b")
    drills = DrillAge(sender(monkeypatch), MemoryStore())
    drills._passed = PassedDrill("RB-02", 0)
    with TemporaryDirectory() as folder:
        replica = Replica(shard_store(MemoryStore(), build(shards=1), 0, Path(folder)))
        replica.recall.add(1.0)
        node, started = NodeMetrics(sender(monkeypatch), replica), starts.figure(sender(monkeypatch), 1)
        return [started, *router._drain(), *lag.collect(), *drills._collect(), *node.collect()]
