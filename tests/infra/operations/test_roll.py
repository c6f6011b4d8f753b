"""A roll-out's order, and that it stops where something fails and says what was not touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.operations.roll import Progress, Result, RollOut, Target, View, targets
from infra.stack.outputs import Cell, Stack
from tests.stack_outputs import a_stack

OLD, NEW = "1", "2"
TYPES = {"node": ("r6i.large", "r7i.large"), "indexer": ("m6i.xlarge",), "router": ("m7i.large", "m6i.large")}


def a_fleet(shards: int = 2, replicas: str = "ab") -> Stack:
    """A stack whose cells are listed by shard, as the program lists them."""
    cells = tuple(
        Cell(shard, name, "us-east-1a", f"cell-{shard}{name}") for shard in range(shards) for name in replicas
    )
    return a_stack(cells=cells, instance_types=TYPES)


def wanted_types(group: str) -> tuple[str, ...]:
    return TYPES[{"indexer": "indexer", "routers": "router"}.get(group, "node")]


@dataclass
class Fleet:
    """Groups and their replicas; each refresh succeeds at its second look unless the test says otherwise."""

    own: dict[str, str]
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    progresses: dict[str, list[Progress]] = field(default_factory=dict)
    left_under_way: set[str] = field(default_factory=set)
    unready: set[tuple[int, str]] = field(default_factory=set)
    unhealthy: set[str] = field(default_factory=set)
    going_back: set[str] = field(default_factory=set)
    ready_after: float = 0.0
    indexer: str | None = "ready"
    refused: str = ""
    started: list[str] = field(default_factory=list)
    rolled_back: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now: float = 0.0

    def view(self, group: str) -> View:
        if group in self.going_back:
            self.own[group] = OLD
        running = {f"i-{group}-{self.own[group]}": self.own[group]}
        return View(self.own[group], NEW, running, self.types.get(group) or wanted_types(group))

    def running(self, group: str) -> str | None:
        return group if group in self.left_under_way else None

    def start(self, group: str, version: str, types: tuple[str, ...]) -> str:
        assert (version, types) == (NEW, wanted_types(group))
        self.types.pop(group, None)
        self.started.append(group)
        return group

    def progress(self, group: str, refresh: str) -> Progress:
        coming = self.progresses.setdefault(group, [Progress("InProgress", 0), Progress("Successful", 100)])
        found = coming.pop(0) if len(coming) > 1 else coming[0]
        if found.status == "Successful":
            self.own[group] = NEW
        return found

    def roll_back(self, group: str) -> None:
        self.rolled_back.append(group)

    def is_serving(self, group: str) -> bool:
        return group not in self.unhealthy

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        if self.now < self.ready_after:
            return {}
        names = [group[-1] for group in self.own if group.startswith(f"cell-{shard}")]
        return {
            name: frozenset() if (shard, name) in self.unready else frozenset(self.view(f"cell-{shard}{name}").running)
            for name in names
        }

    def indexers(self) -> Mapping[str, str] | None:
        return None if self.indexer is None else dict.fromkeys(self.view("indexer").running, self.indexer)

    def refusal(self) -> str:
        return self.refused

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def roll(self, order: list[Target], within_seconds: float = 60.0) -> Result:
        out = RollOut(
            self, self, self.said.append, within_seconds=within_seconds, sleep=self.sleep, clock=lambda: self.now
        )
        return out.run(order)


def fleet(given: Stack) -> Fleet:
    return Fleet(dict.fromkeys([*(cell.group for cell in given.cells), "indexer", "routers"], OLD))


@given(shards=st.integers(1, 6), replicas=st.sampled_from(["a", "ab", "abc"]))
def test_first_replicas_come_first_and_routers_last(shards: int, replicas: str) -> None:
    order = targets(a_fleet(shards, replicas))
    cells = [target for target in order if target.role == "node"]
    assert [target.replica for target in cells] == sorted(target.replica for target in cells)
    for name in replicas:
        assert [target.shard for target in cells if target.replica == name] == list(range(shards))
    assert [target.title for target in order[len(cells) :]] == ["indexer", "routers"]


def test_unhealthy_routers_stop_it_after_their_refresh() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.unhealthy = {"routers"}
    result = subject.roll(targets(given))
    assert (result.failed, result.rolled_back) == ("routers", False)
    assert "the load balancer finds not all healthy" in result.reason


def test_shards_and_roles_narrow_the_order() -> None:
    assert [target.title for target in targets(a_fleet(), shards=[1])] == ["cell 1a", "cell 1b"]
    assert [target.title for target in targets(a_fleet(), roles=["router", "indexer"])] == ["indexer", "routers"]


def test_every_group_is_rolled_once_in_order() -> None:
    given = a_fleet()
    subject = fleet(given)
    order = targets(given)
    result = subject.roll(order)
    assert subject.started == [target.group for target in order]
    assert (result.rolled, result.failed) == (tuple(target.title for target in order), "")
    assert set(subject.own.values()) == {NEW}


def test_a_group_that_is_new_already_is_left_alone() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.own["cell-0a"] = NEW
    result = subject.roll(targets(given, roles=["node"]))
    assert result.skipped == ("cell 0a",)
    assert subject.started == ["cell-1a", "cell-0b", "cell-1b"]


@pytest.mark.parametrize(
    ("group", "reason"),
    [("cell-0a", "routers don't see it ready"), ("indexer", "no indexer work"), ("routers", "not all healthy")],
)
@pytest.mark.parametrize("own", [OLD, NEW])
def test_a_group_is_done_when_its_process_works_new_or_not(own: str, group: str, reason: str) -> None:
    given = a_fleet(shards=1)
    subject = fleet(given)
    subject.own[group] = own
    match group:
        case "cell-0a":
            subject.unready = {(0, "a")}
        case "indexer":
            subject.indexer = "not ready"
        case _:
            subject.unhealthy = {group}
    result = subject.roll(targets(given))
    assert reason in result.reason
    assert not result.rolled_back
    assert group not in (*result.skipped, *result.rolled)


@pytest.mark.parametrize("state", [None, "catching up"])
def test_an_indexer_unknown_or_catching_up_stops_nothing(state: str | None) -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.indexer = state
    assert subject.roll(targets(given)).failed == ""


def test_between_two_batches_no_indexer_has_to_work() -> None:
    given = a_fleet()
    subject = fleet(given)
    whole = subject.view
    subject.view = lambda group: replace(whole(group), running={})  # type: ignore[method-assign]
    subject.own = dict.fromkeys(subject.own, NEW)
    assert subject.roll(targets(given, roles=["indexer"])).skipped == ("indexer",)


def test_with_a_refused_configuration_nothing_is_touched() -> None:
    given = a_fleet(shards=1)
    subject = fleet(given)
    subject.refused = "slot blue keeps build b-1, but the configuration differs: index.m 16 → 24"
    result = subject.roll(targets(given))
    assert subject.started == []
    assert "stopped at the configuration, which must be looked at: slot blue keeps" in result.render()
    assert result.untouched == ("cell 0a", "cell 0b", "indexer", "routers")


def test_an_old_instance_in_a_new_group_is_not_new() -> None:
    types = ("r6i.large",)
    assert not View(NEW, NEW, {"i-1": OLD}, types).is_new(types)
    assert not View(OLD, NEW, {"i-1": NEW}, types).is_new(types)
    assert View(NEW, NEW, {"i-1": NEW}, types).is_new(types)


def test_a_group_with_other_types_is_rolled_out() -> None:
    given = a_fleet(shards=1)
    subject = fleet(given)
    subject.own = dict.fromkeys(subject.own, NEW)
    subject.types["cell-0b"] = ("r7i.large",)
    assert subject.roll(targets(given)).rolled == ("cell 0b",)
    assert "cell-0b" not in subject.types


def test_the_first_failure_stops_it_and_names_the_rest() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.progresses["cell-1a"] = [Progress("InProgress", 0), Progress("RollbackSuccessful", 0, "P95 is in ALARM")]
    result = subject.roll(targets(given))
    assert subject.started == ["cell-0a", "cell-1a"]
    assert (result.failed, result.reason, result.rolled_back) == ("cell 1a", "P95 is in ALARM", True)
    assert result.untouched == ("cell 0b", "cell 1b", "indexer", "routers")
    assert "stopped at cell 1a, which stands on the version before: P95 is in ALARM" in result.render()
    assert "not touched: cell 0b, cell 1b, indexer, routers" in result.render()


def test_a_failed_launch_is_rolled_back_at_once_and_once() -> None:
    given = a_fleet()
    subject = fleet(given)
    trouble = Progress("InProgress", 0, trouble="a launch failed: abandoned")
    back = Progress("RollbackInProgress", 0, "asked for")
    subject.progresses["cell-0a"] = [trouble, trouble, back, Progress("RollbackSuccessful", 0, "asked for")]
    result = subject.roll(targets(given))
    assert (subject.rolled_back, subject.started) == (["cell-0a"], ["cell-0a"])
    assert (result.reason, result.rolled_back) == ("a launch failed: abandoned", True)


def test_a_refresh_that_never_ends_is_rolled_back_and_given_up() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.progresses["cell-0a"] = [Progress("InProgress", 0)]
    result = subject.roll(targets(given), within_seconds=10.0)
    assert subject.rolled_back == ["cell-0a"]
    assert (result.rolled_back, "longer than 10 s" in result.reason) == (False, True)
    assert 20 <= subject.now <= 25
    assert "must be looked at" in result.render()


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "RollbackFailed"])
def test_any_other_end_is_a_failure_that_somebody_must_look_at(status: str) -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.progresses["cell-0a"] = [Progress(status, 0)]
    result = subject.roll(targets(given))
    assert (result.failed, result.reason, result.rolled_back) == ("cell 0a", f"the refresh ended as {status}", False)


def test_a_second_call_waits_for_the_running_refresh() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.own["cell-0a"] = NEW
    subject.left_under_way = {"cell-1a"}
    result = subject.roll(targets(given, roles=["node"]))
    assert subject.started == ["cell-0b", "cell-1b"]
    assert (result.skipped, result.rolled) == (("cell 0a",), ("cell 1a", "cell 0b", "cell 1b"))


def test_a_cell_waits_for_the_shards_other_replica() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.unready = {(0, "b")}
    result = subject.roll(targets(given))
    assert subject.started == []
    assert (result.failed, result.rolled_back) == ("cell 0a", True)
    assert result.reason == "no router says that another replica of shard 0 is ready"


def test_a_fleet_that_does_not_answer_is_not_touched() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.ready = lambda shard: {}  # type: ignore[method-assign]
    assert subject.roll(targets(given)).failed == "cell 0a"
    assert subject.started == []


def test_a_newcomer_that_the_routers_never_see_is_a_failure() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.unready = {(0, "a")}
    result = subject.roll(targets(given))
    assert (result.failed, result.rolled_back) == ("cell 0a", False)
    assert "the routers don't see it ready" in result.reason


def test_a_ready_instance_of_the_version_before_is_no_newcomer() -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.going_back = {"cell-0a"}
    result = subject.roll(targets(given))
    assert (result.failed, result.rolled_back) == ("cell 0a", False)
    assert "the routers don't see it ready" in result.reason


@pytest.mark.parametrize(("seconds", "failed"), [(110, ""), (130, "cell 0a")])
def test_a_busy_fleet_is_waited_for_two_minutes(seconds: float, failed: str) -> None:
    given = a_fleet()
    subject = fleet(given)
    subject.ready_after = seconds
    assert subject.roll(targets(given)).failed == failed
