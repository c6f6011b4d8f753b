"""Which shards answer, as the fleet itself says at /v1/status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from service.client import Client, ServiceError, Unanswered

STATUS_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.5

State = Literal["complete", "shard-missing", "behind", "indexing"]


class FleetError(Exception):
    """The fleet does not say how it is."""


@dataclass(frozen=True)
class ReplicaView:
    """One replica. `restored_from` says what it was restored from, as far as it got."""

    shard: int
    replica: str
    instance: str
    zone: str
    ready: bool
    position: int
    generation: int
    rows: int
    restored_from: str
    stale: str
    digest: str = ""
    build: str = ""


@dataclass(frozen=True)
class LagView:
    """
    A shard's lag behind the documents log, as /v1/status says it: by so many `positions`, the oldest of which was
    written `seconds` ago; None where no replica says where it stands.
    """

    shard: int
    state: str
    reason: str
    position: int | None
    positions: int | None
    seconds: float | None
    positions_per_second: float
    eta_seconds: float | None


@dataclass(frozen=True)
class IndexerView:
    """One indexer. `trouble` says why it is not ready, or why its last step failed."""

    instance: str
    zone: str
    state: str
    position: int
    build: str
    trouble: str


@dataclass(frozen=True)
class FleetView:
    """
    All replicas that the routers know, of `shards` shards, and the indexers.

    `head_fault` says why `head` may be an old one, `misconfigured` what of the configuration the slot's build can't
    become. `indexers` is None where the routers are of a version that does not know them.
    """

    head: int
    shards: int
    replicas: tuple[ReplicaView, ...]
    lags: tuple[LagView, ...] = ()
    head_fault: str = ""
    misconfigured: str = ""
    scheduled: bool = False
    indexers: tuple[IndexerView, ...] | None = None

    @property
    def missing(self) -> list[int]:
        """Shards without one ready replica."""
        ready = {replica.shard for replica in self.replicas if replica.ready}
        return [shard for shard in range(self.shards) if shard not in ready]

    @property
    def stale(self) -> list[ReplicaView]:
        """Replicas that stand still before a log entry."""
        return [replica for replica in self.replicas if replica.stale]

    @property
    def diverged(self) -> list[int]:
        """Shards of which two ready replicas say one position and not one digest."""
        digests: dict[tuple[int, str, int], set[str]] = {}
        for replica in self.replicas:
            if replica.ready and replica.digest:
                digests.setdefault((replica.shard, replica.build, replica.position), set()).add(replica.digest)
        return sorted({shard for (shard, _, _), found in digests.items() if len(found) > 1})

    @property
    def behind(self) -> list[LagView]:
        """Shards that are further behind the documents log than they may be, or of which nobody knows."""
        return [lag for lag in self.lags if lag.state != "current"]

    @property
    def standing(self) -> list[LagView]:
        """The lags among them that come no nearer to the head as far as is known."""
        return [lag for lag in self.behind if lag.state in ("standing", "unknown")]

    @property
    def state(self) -> State:
        """A fleet that is indexed anew has no ready replica before it has come to the head, and misses none."""
        indexed_anew = {lag.shard for lag in self.behind if lag.state == "indexing"}
        if indexed_anew and indexed_anew >= {*(lag.shard for lag in self.behind), *self.missing}:
            return "indexing"
        if self.missing:
            return "shard-missing"
        return "behind" if self.behind else "complete"

    @property
    def indexer(self) -> str:
        """The state of the indexer that is best off; `scheduled` where none runs, and none has to."""
        if self.indexers is None:
            return "unknown"
        states = [one.state for one in self.indexers]
        known = [state for state in ("ready", "catching up", "not ready", "unreachable") if state in states]
        return [*known, "scheduled" if self.scheduled else "absent"][0]

    def ready_of(self, shard: int) -> list[ReplicaView]:
        return [replica for replica in self.replicas if replica.shard == shard and replica.ready]

    def field(self, name: str) -> str:
        """One value as a page compares it; `none` where nothing is ill."""
        values: dict[str, object] = {
            "state": self.state,
            "shards_missing": " ".join(map(str, self.missing)) or "none",
            "ready": sum(replica.ready for replica in self.replicas),
            "head": self.head,
            "stale": " ".join(replica.instance for replica in self.stale) or "none",
            "diverged": " ".join(map(str, self.diverged)) or "none",
            "behind": " ".join(str(lag.shard) for lag in self.behind) or "none",
            "standing": " ".join(str(lag.shard) for lag in self.standing) or "none",
            "lag_positions": max((lag.positions for lag in self.lags if lag.positions is not None), default="unknown"),
            "lag_seconds": max((lag.seconds for lag in self.lags if lag.seconds is not None), default="unknown"),
            "indexer": self.indexer,
            "indexer_trouble": "none" if self.indexer in ("ready", "scheduled", "unknown") else self.indexer,
            "misconfigured": self.misconfigured or "none",
        }
        return str(values[name])

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"missing": self.missing, "state": self.state, "indexer": self.indexer}


FIELDS = (
    "state",
    "shards_missing",
    "ready",
    "head",
    "stale",
    "diverged",
    "behind",
    "standing",
    "lag_positions",
    "lag_seconds",
    "indexer",
    "indexer_trouble",
    "misconfigured",
)


class HasStatus(Protocol):
    """What is needed of a client."""

    def status(self) -> Mapping[str, Any]: ...


def view(status: Mapping[str, Any], shards: int) -> FleetView:
    """The view of a /v1/status answer. `shards` is how many there should be, by the stack's outputs."""
    replicas = tuple(_replica(entry["shard"], found) for entry in status["shards"] for found in entry["replicas"])
    # A router of the version before says nothing of lag.
    lags = tuple(_lag(entry["shard"], entry["lag"]) for entry in status["shards"] if "lag" in entry)
    indexers = None if "indexers" not in status else tuple(map(_indexer, status["indexers"]))
    return FleetView(
        head=int(status.get("head") or 0),
        shards=shards,
        replicas=replicas,
        lags=lags,
        head_fault=str(status.get("head_fault") or ""),
        misconfigured=str(status.get("misconfigured") or ""),
        scheduled=status.get("indexing") == "batch",
        indexers=indexers,
    )


def _lag(shard: int, found: Mapping[str, Any]) -> LagView:
    return LagView(
        shard=shard,
        state=str(found["state"]),
        reason=str(found["reason"]),
        position=found["position"],
        positions=found["positions"],
        seconds=found["seconds"],
        positions_per_second=found["positions_per_second"],
        eta_seconds=found["eta_seconds"],
    )


def _indexer(found: Mapping[str, Any]) -> IndexerView:
    return IndexerView(
        instance=str(found.get("instance") or ""),
        zone=str(found.get("zone") or ""),
        state=str(found.get("state") or ""),
        position=int(found.get("position") or 0),
        build=str(found.get("build") or ""),
        trouble=str(found.get("reason") or found.get("error") or ""),
    )


def _replica(shard: int, found: Mapping[str, Any]) -> ReplicaView:
    return ReplicaView(
        shard=shard,
        replica=str(found.get("replica") or ""),
        instance=str(found.get("instance") or ""),
        zone=str(found.get("zone") or ""),
        ready=bool(found.get("ready")),
        position=int(found.get("position") or 0),
        generation=int(found.get("generation") or 0),
        rows=int(found.get("rows") or 0),
        restored_from=str(found.get("restored_from") or ""),
        stale=str(found.get("stale") or ""),
        digest=str(found.get("digest") or ""),
        build=str(found.get("build") or ""),
    )


def connect(endpoint: str) -> Client:
    """A client that gives up soon: a status that takes long is no status."""
    return Client(endpoint, timeout_seconds=STATUS_TIMEOUT_SECONDS)


def see(client: HasStatus, shards: int) -> FleetView:
    """Ask the fleet. Raises FleetError with what came back instead of an answer."""
    try:
        return view(client.status(), shards)
    except (ServiceError, Unanswered) as error:
        raise FleetError(f"the fleet does not answer /v1/status: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FleetError(f"the fleet's /v1/status can't be understood: {error!r}") from error


def wait_ready(
    client: HasStatus, shards: int, replicas: int, within_seconds: float, say: Callable[[FleetView | None], None]
) -> bool:
    """Wait until every shard has at least `replicas` ready replicas; False when time is up.

    `say` hears every view, None while the fleet does not answer.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        found = _see_or_none(client, shards)
        say(found)
        if found and all(len(found.ready_of(shard)) >= replicas for shard in range(shards)):
            return True
        pause_seconds = min(POLL_SECONDS, deadline - time.monotonic())
        if pause_seconds <= 0:
            return False
        time.sleep(pause_seconds)


def _see_or_none(client: HasStatus, shards: int) -> FleetView | None:
    try:
        return see(client, shards)
    except FleetError:
        return None
