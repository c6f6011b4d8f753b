"""What the fleet's routers say of its replicas, for verbs that must not touch a shard that is not whole."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence

from infra.operations.outputs import Cell

TIMEOUT_SECONDS = 5.0


class SeenReplicas:
    """Implements `infra.operations.roll.Replicas` by GET /v1/status."""

    def __init__(self, endpoint: str, cells: Sequence[Cell]) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/status"
        self._cells = cells

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        """Ready instances of each of the shard's replicas; empty when no router answers."""
        try:
            with urllib.request.urlopen(self._url, timeout=TIMEOUT_SECONDS) as answer:
                shards = json.load(answer)["shards"]
        except (OSError, ValueError, KeyError):
            return {}
        seen = [row for entry in shards if entry["shard"] == shard for row in entry["replicas"] if row["ready"]]
        names = [cell.replica for cell in self._cells if cell.shard == shard]
        return {name: frozenset(row["instance"] for row in seen if row["replica"] == name) for name in names}
