"""The fleet as its routers describe it at /v1/status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from service.client import Client, ServiceError, Unanswered
from vectorfleet.refusal import Failure
from vectorfleet.waiting import until

STATUS_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.5

State = Literal["complete", "shard-missing", "behind", "indexing"]
Kind = TypeVar("Kind")
Answer = TypeVar("Answer")


class FleetError(Failure):
    """The fleet does not answer, or its answer can't be understood."""


@dataclass(frozen=True)
class ReplicaView:
    """
    One replica.

    `restored_from` names the source of its restore, as far as it got; `stale` says why it has stopped before a log
    entry.
    """

    shard: int
    replica: str = ""
    instance: str = ""
    zone: str = ""
    ready: bool = False
    position: int = 0
    generation: int = 0
    rows: int = 0
    restored_from: str = ""
    stale: str = ""
    digest: str = ""
    build: str = ""


@dataclass(frozen=True)
class LagView:
    """
    A shard's lag behind the documents log: `positions`, the oldest of which was written `seconds` ago.

    Both are None where no replica reports its position.
    """

    shard: int
    state: str
    reason: str
    position: int | None = None
    positions: int | None = None
    seconds: float | None = None
    positions_per_second: float = 0.0
    eta_seconds: float | None = None


@dataclass(frozen=True)
class IndexerView:
    """One indexer. `trouble` says why it is not ready, or why its last step failed."""

    instance: str = ""
    zone: str = ""
    state: str = ""
    position: int = 0
    build: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class FleetView:
    """
    All replicas that the routers know, of `shards` shards, and the indexers.

    `head_fault` says why `head` may be out of date, `misconfigured` which configuration the slot's build can't take.
    `indexers` is None if the routers are of a version that does not report them.
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
        """Shards without a ready replica."""
        ready = {replica.shard for replica in self.replicas if replica.ready}
        return [shard for shard in range(self.shards) if shard not in ready]

    @property
    def stale(self) -> list[ReplicaView]:
        """Replicas that have stopped before a log entry."""
        return [replica for replica in self.replicas if replica.stale]

    @property
    def diverged(self) -> list[int]:
        """Shards of which two ready replicas report the same position and different digests."""
        digests: dict[tuple[int, str, int], set[str]] = {}
        for replica in self.replicas:
            if replica.ready and replica.digest:
                digests.setdefault((replica.shard, replica.build, replica.position), set()).add(replica.digest)
        return sorted({shard for (shard, _, _), found in digests.items() if len(found) > 1})

    @property
    def behind(self) -> list[LagView]:
        """Lags of shards that are further behind the documents log than they may be, or whose lag is unknown."""
        return [lag for lag in self.lags if lag.state != "current"]

    @property
    def standing(self) -> list[LagView]:
        """The lags among `behind` that don't shrink, as far as is known."""
        return [lag for lag in self.behind if lag.state in ("standing", "unknown")]

    @property
    def state(self) -> State:
        """The worst state. A fleet that is indexed anew is not missing replicas before it reaches the head."""
        indexed_anew = {lag.shard for lag in self.behind if lag.state == "indexing"}
        if indexed_anew and indexed_anew >= {*(lag.shard for lag in self.behind), *self.missing}:
            return "indexing"
        if self.missing:
            return "shard-missing"
        return "behind" if self.behind else "complete"

    @property
    def indexer(self) -> str:
        """The best state of an indexer; `scheduled` where none runs and none has to."""
        if self.indexers is None:
            return "unknown"
        states = [one.state for one in self.indexers]
        known = [state for state in ("ready", "catching up", "not ready", "unreachable") if state in states]
        return [*known, "scheduled" if self.scheduled else "absent"][0]

    @property
    def position(self) -> int:
        """The documents position that every ready replica has applied; -1 while a shard has none."""
        ready = [self.ready_of(shard) for shard in range(self.shards)]
        return min((one.position for ones in ready for one in ones), default=-1) if all(ready) else -1

    def ready_of(self, shard: int) -> list[ReplicaView]:
        return [replica for replica in self.replicas if replica.shard == shard and replica.ready]

    def field(self, name: str) -> str:
        """Return one value of FIELDS as a page compares it; `none` means that nothing is wrong."""
        return str(FIELDS[name](self))

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"missing": self.missing, "state": self.state, "indexer": self.indexer}


def _words(values: list[Any]) -> str:
    return " ".join(map(str, values)) or "none"


FIELDS: dict[str, Callable[[FleetView], object]] = {
    "state": lambda view: view.state,
    "shards_missing": lambda view: _words(view.missing),
    "ready": lambda view: sum(replica.ready for replica in view.replicas),
    "head": lambda view: view.head,
    "stale": lambda view: _words([replica.instance for replica in view.stale]),
    "diverged": lambda view: _words(view.diverged),
    "behind": lambda view: _words([lag.shard for lag in view.behind]),
    "standing": lambda view: _words([lag.shard for lag in view.standing]),
    "lag_positions": lambda view: max(
        (lag.positions for lag in view.lags if lag.positions is not None), default="unknown"
    ),
    "lag_seconds": lambda view: max((lag.seconds for lag in view.lags if lag.seconds is not None), default="unknown"),
    "indexer": lambda view: view.indexer,
    "indexer_trouble": lambda view: "none" if view.indexer in ("ready", "scheduled", "unknown") else view.indexer,
    "misconfigured": lambda view: view.misconfigured or "none",
}


def view(status: Mapping[str, Any], shards: int) -> FleetView:
    """Return the view of a /v1/status answer. `shards` is the number in the stack's outputs."""
    entries = status["shards"]
    indexers = None
    if "indexers" in status:
        indexers = tuple(
            from_known(IndexerView, one, trouble=str(one.get("reason") or one.get("error") or ""))
            for one in status["indexers"]
        )
    return FleetView(
        head=int(status.get("head") or 0),
        shards=shards,
        replicas=tuple(
            from_known(ReplicaView, one, shard=entry["shard"]) for entry in entries for one in entry["replicas"]
        ),
        # Routers of the version before don't report lag.
        lags=tuple(from_known(LagView, one["lag"], shard=one["shard"]) for one in entries if "lag" in one),
        head_fault=str(status.get("head_fault") or ""),
        misconfigured=str(status.get("misconfigured") or ""),
        scheduled=status.get("indexing") == "batch",
        indexers=indexers,
    )


def from_known(kind: type[Kind], found: Mapping[str, Any], **more: Any) -> Kind:
    """Build a dataclass from the keys that it knows; a missing or null one takes its default."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    known = {name: value for name, value in found.items() if name in names and value is not None}
    return kind(**(known | more))


def connect(endpoint: str, slot: str = "") -> Client:
    """Return a client with a short timeout: a late status is useless."""
    return Client(endpoint, timeout_seconds=STATUS_TIMEOUT_SECONDS, slot=slot)


def answered(ask: Callable[[], Answer]) -> Answer:
    """Return the answer of a call to the fleet. Raises FleetError."""
    try:
        return ask()
    except (ServiceError, Unanswered) as error:
        raise FleetError(f"the fleet does not answer: {error}") from error


def see(client: Client, shards: int) -> FleetView:
    """Ask for the status. Raises FleetError with what came back instead of an answer."""
    try:
        return view(client.status(), shards)
    except (ServiceError, Unanswered) as error:
        raise FleetError(f"the fleet does not answer /v1/status: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FleetError(f"the fleet's /v1/status can't be understood: {error!r}") from error


def wait_ready(
    client: Client, shards: int, replicas: int, within_seconds: float, say: Callable[[FleetView | None], None]
) -> bool:
    """Wait until every shard has at least `replicas` ready replicas; return False when the time is up.

    `say` gets every view, or None while the fleet does not answer.
    """

    def ready() -> bool:
        try:
            found = see(client, shards)
        except FleetError:
            found = None
        say(found)
        return found is not None and all(len(found.ready_of(shard)) >= replicas for shard in range(shards))

    return until(ready, within_seconds, POLL_SECONDS)
