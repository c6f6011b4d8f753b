"""A roll-out: one group after the other takes the newest launch template version, or the roll-out stops there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from infra.operations.outputs import Outputs

ROLES = ("node", "indexer", "router", "generator")
TITLES = {"indexer": "indexer", "router": "routers", "generator": "load generators"}
ENDED = ("Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed")
WORKING = ("ready", "catching up")  # of an indexer
POLL_SECONDS = 1.0
READY_SECONDS = 120.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A group that a roll-out visits, and the types it shall have; for a cell which replica of which shard it is."""

    role: str
    group: str
    types: tuple[str, ...]
    shard: int | None = None
    replica: str = ""

    @property
    def title(self) -> str:
        """`cell 0a`, `routers` or `indexer`."""
        return f"cell {self.shard}{self.replica}" if self.shard is not None else TITLES[self.role]


@dataclass(frozen=True)
class View:
    """A group before or after its turn: its own version, the newest, what its instances came from, and its types."""

    own: str
    newest: str
    running: Mapping[str, str]
    types: tuple[str, ...]

    def is_new(self, types: tuple[str, ...]) -> bool:
        """Whether there is nothing to do."""
        return {self.own, *self.running.values()} == {self.newest} and self.types == types


@dataclass(frozen=True)
class Progress:
    """A refresh under way. `trouble` is why a launch failed since it began; empty while none did."""

    status: str
    percent: int
    reason: str = ""
    trouble: str = ""


class Groups(Protocol):
    """What a roll-out asks of Auto Scaling."""

    def view(self, group: str) -> View:
        """Versions of the group."""

    def running(self, group: str) -> str | None:
        """The id of the refresh that an interrupted roll-out left under way."""

    def start(self, group: str, version: str, types: tuple[str, ...]) -> str:
        """Start a refresh to this version and these types; its id."""

    def progress(self, group: str, refresh: str) -> Progress:
        """How far it is."""

    def roll_back(self, group: str) -> None:
        """Ask for the version before."""

    def is_serving(self, group: str) -> bool:
        """Whether the load balancer gives every instance of the group requests; also for a group behind none."""


class Replicas(Protocol):
    """What a roll-out asks of the fleet."""

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        """Instances that are ready, by replica; empty when the fleet does not answer."""

    def indexers(self) -> Mapping[str, str] | None:
        """Find each indexer's instance; None where no router answers, or is too old to know indexers."""

    def refusal(self) -> str:
        """Why the slot's build can't become what the configuration says; empty where it can, or nobody answers."""


class RefreshError(Exception):
    """What is to be rolled out is not as it must be; the message says what to do."""


class Failure(Exception):
    """A group's turn failed; `rolled_back` says whether it stands on the version before."""

    def __init__(self, reason: str, *, rolled_back: bool) -> None:
        super().__init__(reason)
        self.rolled_back = rolled_back


@dataclass(frozen=True)
class Result:
    """What a roll-out did: titles of the groups by what became of them."""

    rolled: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: str = ""
    reason: str = ""
    rolled_back: bool = False
    untouched: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)

    def render(self) -> str:
        """Sentences for a person."""
        done = f"rolled out: {_listed(self.rolled)}; new already: {_listed(self.skipped)}"
        if not self.failed:
            return done
        where = "stands on the version before" if self.rolled_back else "must be looked at"
        return f"{done}\nstopped at {self.failed}, which {where}: {self.reason}\nnot touched: {_listed(self.untouched)}"


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles) or "none"


def targets(outputs: Outputs, *, roles: Iterable[str] = ROLES, shards: Iterable[int] = ()) -> list[Target]:
    """Every group in its turn: replica a of all shards, then b, …; then the indexer, the routers, the generators."""
    wanted, types = set(shards), outputs.instance_types
    cells = sorted(outputs.cells, key=lambda cell: (cell.replica, cell.shard))
    by_role = {
        "node": [
            Target("node", c.group, types["node"], c.shard, c.replica) for c in cells if not wanted or c.shard in wanted
        ],
        "indexer": [Target("indexer", outputs.indexer_group, types["indexer"])],
        "router": [Target("router", outputs.router_group, types["router"])],
        "generator": [Target("generator", outputs.generator_group, types["generator"])]
        if outputs.generator_group
        else [],
    }
    asked = {"node"} if wanted else set(roles)
    return [target for role in ROLES if role in asked for target in by_role[role]]


class RollOut:
    """Visits groups in order; `within_seconds` bounds the turn of each."""

    def __init__(
        self,
        groups: Groups,
        replicas: Replicas,
        say: Say,
        *,
        within_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups, self._replicas, self._say = groups, replicas, say
        self._within_seconds = within_seconds
        self._sleep, self._clock = sleep, clock

    def run(self, order: Sequence[Target]) -> Result:
        """Roll all of them out, or stop at the first that fails; nothing is touched with a refused configuration."""
        if refusal := self._replicas.refusal():
            return Result((), (), "the configuration", refusal, untouched=tuple(target.title for target in order))
        rolled: list[str] = []
        skipped: list[str] = []
        for number, target in enumerate(order):
            try:
                done = self._turn(target)
            except Failure as failure:
                rest = tuple(later.title for later in order[number + 1 :])
                return Result(
                    tuple(rolled), tuple(skipped), target.title, str(failure), failure.rolled_back, untouched=rest
                )
            (rolled if done else skipped).append(target.title)
        return Result(tuple(rolled), tuple(skipped))

    def _turn(self, target: Target) -> bool:
        """Whether there was anything to do. Raises Failure."""
        refresh = self._groups.running(target.group)
        view = self._groups.view(target.group)
        if refresh is None and view.is_new(target.types):
            self._say(f"{target.title}: runs version {view.newest} already")
            self._await_working(target)
            return False
        if refresh is None:
            self._await_others(target)
            self._say(f"{target.title}: {view.own} → {view.newest}")
            refresh = self._groups.start(target.group, view.newest, target.types)
        else:
            self._say(f"{target.title}: a refresh is under way; waiting for it")
        self._watch(target, refresh)
        self._await_working(target)
        return True

    def _await_others(self, target: Target) -> None:
        """No cell is touched while another replica of its shard is not ready."""
        if target.shard is not None and not self._until(lambda: self._others_ready(target)):
            raise Failure(f"no router says that another replica of shard {target.shard} is ready", rolled_back=True)

    def _others_ready(self, target: Target) -> bool:
        assert target.shard is not None
        ready = self._replicas.ready(target.shard)
        return bool(ready) and all(instances for replica, instances in ready.items() if replica != target.replica)

    def _await_working(self, target: Target) -> None:
        """The group says that its instances are in service; the fleet and the load balancer must say so, too."""
        if not self._until(lambda: self._groups.is_serving(target.group)):
            raise Failure(
                "its instances are in service, but the load balancer finds not all healthy", rolled_back=False
            )
        if target.shard is not None and not self._until(lambda: self._newcomer_ready(target)):
            raise Failure("its new instance is in service, but the routers don't see it ready", rolled_back=False)
        if target.role == "indexer" and not self._until(lambda: self._indexer_works(target)):
            raise Failure("its instance is in service, but the routers see no indexer work on it", rolled_back=False)

    def _indexer_works(self, target: Target) -> bool:
        """Say whether one that runs indexes, or is about to; a scheduled group has none between two batches."""
        running, seen = self._groups.view(target.group).running, self._replicas.indexers()
        return seen is None or not running or any(seen.get(one) in WORKING for one in running)

    def _newcomer_ready(self, target: Target) -> bool:
        assert target.shard is not None
        view, ready = self._groups.view(target.group), self._replicas.ready(target.shard)
        return view.is_new(target.types) and not ready.get(target.replica, frozenset()).isdisjoint(view.running)

    def _until(self, reached: Callable[[], bool]) -> bool:
        deadline = self._clock() + READY_SECONDS
        while not reached():
            if self._clock() > deadline:
                return False
            self._sleep(POLL_SECONDS)
        return True

    def _watch(self, target: Target, refresh: str) -> None:
        """Wait for the refresh's end, and have it rolled back where a launch failed or the time is over."""
        deadline, said, trouble = self._clock() + self._within_seconds, "", ""
        while (progress := self._groups.progress(target.group, refresh)).status not in ENDED:
            late = self._clock() > deadline
            if late and trouble:
                raise Failure(f"{trouble}; the way back takes too long, too", rolled_back=False)
            if late or (progress.trouble and not trouble):
                trouble = progress.trouble or f"it took longer than {self._within_seconds:g} s"
                deadline = self._clock() + self._within_seconds
                self._say(f"{target.title}: {trouble}; rolling back")
                self._groups.roll_back(target.group)
            said = self._report(target, progress, said)
            self._sleep(POLL_SECONDS)
        if progress.status != "Successful":
            reason = trouble or progress.reason or f"the refresh ended as {progress.status}"
            raise Failure(reason, rolled_back=progress.status == "RollbackSuccessful")

    def _report(self, target: Target, progress: Progress, said: str) -> str:
        line = f"{target.title}: {progress.status}, {progress.percent} %"
        if line != said:
            self._say(line)
        return line
