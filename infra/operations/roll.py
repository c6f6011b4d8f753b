"""A roll-out: group after group takes the newest launch template version, until one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from infra.stack.outputs import Stack

ROLES = ("node", "indexer", "router", "generator")
TITLES = {"indexer": "indexer", "router": "routers", "generator": "load generators"}
ENDED = ("Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed")
WORKING = ("ready", "catching up")  # of an indexer
POLL_SECONDS = 1.0
READY_SECONDS = 120.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A group of a roll-out with its wanted types; for a cell, its shard and replica."""

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
    """A group's state: its own version, the newest, those of its instances, and its types."""

    own: str
    newest: str
    running: Mapping[str, str]
    types: tuple[str, ...]

    def is_new(self, types: tuple[str, ...]) -> bool:
        """Return True if the group needs no change."""
        return {self.own, *self.running.values()} == {self.newest} and self.types == types


@dataclass(frozen=True)
class Progress:
    """A running refresh. `trouble` is the reason of a launch that failed since its start."""

    status: str
    percent: int
    reason: str = ""
    trouble: str = ""


class Groups(Protocol):
    """Auto Scaling, as a roll-out uses it."""

    def view(self, group: str) -> View:
        """Return the group's state."""

    def running(self, group: str) -> str | None:
        """Return the id of a refresh that an interrupted roll-out left running."""

    def start(self, group: str, version: str, types: tuple[str, ...]) -> str:
        """Start a refresh to this version and these types, and return its id."""

    def progress(self, group: str, refresh: str) -> Progress:
        """Return the refresh's progress."""

    def roll_back(self, group: str) -> None:
        """Roll the refresh back."""

    def is_serving(self, group: str) -> bool:
        """Return True if every instance gets requests, or the group has no load balancer."""


class Replicas(Protocol):
    """The fleet, as a roll-out uses it."""

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        """Return ready instances by replica; empty if the fleet does not answer."""

    def indexers(self) -> Mapping[str, str] | None:
        """Return each indexer's state by instance; None if no router answers, or none reports indexers."""

    def refusal(self) -> str:
        """Return why the slot's build refuses the configuration; empty if it accepts it, or nobody answers."""


class RefreshError(Exception):
    """A group can't be rolled out; the message says what to do."""


class Failure(Exception):
    """A group's turn failed; with `rolled_back` it has the version before."""

    def __init__(self, reason: str, *, rolled_back: bool) -> None:
        super().__init__(reason)
        self.rolled_back = rolled_back


@dataclass(frozen=True)
class Result:
    """The result of a roll-out: titles of groups by outcome."""

    rolled: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: str = ""
    reason: str = ""
    rolled_back: bool = False
    untouched: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the result as plain data."""
        return asdict(self)

    def render(self) -> str:
        """Return the result as sentences."""
        done = f"rolled out: {_listed(self.rolled)}; new already: {_listed(self.skipped)}"
        if not self.failed:
            return done
        where = "stands on the version before" if self.rolled_back else "must be looked at"
        return f"{done}\nstopped at {self.failed}, which {where}: {self.reason}\nnot touched: {_listed(self.untouched)}"


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles) or "none"


def targets(stack: Stack, *, roles: Iterable[str] = ROLES, shards: Iterable[int] = ()) -> list[Target]:
    """Return the groups in order: replica a of all shards, then b, …; indexer, routers, generators."""
    wanted, types = set(shards), stack.instance_types
    cells = sorted(stack.cells, key=lambda cell: (cell.replica, cell.shard))
    by_role = {
        "node": [
            Target("node", c.group, types["node"], c.shard, c.replica) for c in cells if not wanted or c.shard in wanted
        ],
        "indexer": [Target("indexer", stack.indexer_group, types["indexer"])],
        "router": [Target("router", stack.router_group, types["router"])],
        "generator": [Target("generator", stack.generator_group, types["generator"])] if stack.generator_group else [],
    }
    asked = {"node"} if wanted else set(roles)
    return [target for role in ROLES if role in asked for target in by_role[role]]


class RollOut:
    """A roll-out over groups in order; `within_seconds` bounds the turn of each."""

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
        """Roll out all groups, or stop at the first failure; a refused configuration changes nothing."""
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
        """Roll one group out, and return True if it needed that. Raises Failure."""
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
        """Wait until the other replicas of the cell's shard are ready."""
        if target.shard is not None and not self._until(lambda: self._others_ready(target)):
            raise Failure(f"no router says that another replica of shard {target.shard} is ready", rolled_back=True)

    def _others_ready(self, target: Target) -> bool:
        assert target.shard is not None
        ready = self._replicas.ready(target.shard)
        return bool(ready) and all(instances for replica, instances in ready.items() if replica != target.replica)

    def _await_working(self, target: Target) -> None:
        """Wait until fleet and load balancer confirm the group's instances in service."""
        if not self._until(lambda: self._groups.is_serving(target.group)):
            raise Failure(
                "its instances are in service, but the load balancer finds not all healthy", rolled_back=False
            )
        if target.shard is not None and not self._until(lambda: self._newcomer_ready(target)):
            raise Failure("its new instance is in service, but the routers don't see it ready", rolled_back=False)
        if target.role == "indexer" and not self._until(lambda: self._indexer_works(target)):
            raise Failure("its instance is in service, but the routers see no indexer work on it", rolled_back=False)

    def _indexer_works(self, target: Target) -> bool:
        """Return True if a running indexer works or starts; a scheduled group may have none."""
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
        """Wait for the refresh's end; roll it back on a failed launch or a time-out."""
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
