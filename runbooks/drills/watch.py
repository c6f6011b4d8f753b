"""The watch on the fleet during a drill, which notes when something was first seen."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.stack.outputs import Stack
from runbooks.fleet.groups import nodes
from runbooks.fleet.status import FleetError, see
from service.client import Client

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Sighting:
    """The first sight of something, at a monotonic instant."""

    name: str
    at: float
    detail: str


class Watch:
    """A thread that polls EC2, /v1/status and the alarms."""

    def __init__(self, stack: Stack, shard: int, client: Client) -> None:
        self._stack = stack
        self._shard = shard
        self._client = client
        self._ec2: Any = stack.aws("ec2")
        self._cloudwatch: Any = stack.aws("cloudwatch")
        self._known = {node.identity for node in nodes(stack, [shard], self._ec2)}
        self._already = set(self._alarms_on())
        self._sightings: dict[str, Sighting] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drill-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def first(self, name: str) -> float | None:
        """Return the instant when `launched`, `ready` or `alarm` was first seen."""
        with self._lock:
            instants = [s.at for key, s in self._sightings.items() if key.split(" ")[0] == name]
        return min(instants, default=None)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        with self._lock:
            return tuple(sorted(self._sightings.values(), key=lambda sighting: sighting.at))

    @property
    def already_alarming(self) -> tuple[str, ...]:
        """Alarms that were on before the fault, so that they say nothing about it."""
        return tuple(sorted(self._already))

    def _run(self) -> None:
        while not self._stop.is_set():
            for look in (self._look_at_instances, self._look_at_replicas, self._look_at_alarms):
                try:
                    look()
                except (BotoCoreError, ClientError, FleetError):
                    # The fault may affect the API, too; the next poll asks again.
                    continue
            self._stop.wait(POLL_SECONDS)

    def _look_at_instances(self) -> None:
        for node in nodes(self._stack, [self._shard], self._ec2):
            if node.identity not in self._known and node.alive:
                self._note(f"launched {node.identity}", "the group launched an instance")

    def _look_at_replicas(self) -> None:
        for replica in see(self._client, self._stack.shards).ready_of(self._shard):
            if replica.instance not in self._known:
                source = replica.restored_from or "unknown"
                self._note(f"ready {replica.instance}", f"replica {replica.replica} restored from {source}")

    def _look_at_alarms(self) -> None:
        for name in self._alarms_on():
            if name not in self._already:
                self._note(f"alarm {name}", "went to ALARM")

    def _alarms_on(self) -> list[str]:
        names = list(self._stack.alarms.values())
        found = self._cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
        return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]

    def _note(self, key: str, detail: str) -> None:
        with self._lock:
            self._sightings.setdefault(key, Sighting(key, time.monotonic(), detail))
