"""Applies of programs to a cloud in memory. The result is that of a fresh apply, whatever came before."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.deployer.cloud import Cloud, Clouds
from rehearsal.deployer.deployment import Deployment, Registration
from rehearsal.deployer.errors import RefusedError
from rehearsal.deployer.kind import Kind
from rehearsal.deployer.state import Properties, Resource, State

Program = dict[str, dict[str, Any]]
Dependencies = dict[str, tuple[str, ...]]
NAMES = ("a", "b", "c", "d")


class Kill(BaseException):
    """A stand-in for SIGKILL, after which nothing runs."""


class Sky:
    """A cloud in memory. `fuse` counts down before and after each write, and the process is killed at zero."""

    region = "us-east-1"
    default_tags: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.things: dict[str, Properties] = {}
        self.writes = 0
        self.fuse = 10**9
        self._numbers = itertools.count()

    def spark(self) -> None:
        """Count down before and after each change."""
        self.fuse -= 1
        if self.fuse == 0:
            raise Kill

    def get(self, provider: str = "", region: str = "") -> Sky:
        """Return the cloud itself, as `Clouds` would: there is one provider and one region."""
        return self

    def make(self, inputs: Properties) -> str:
        """Create a thing. A taken name is refused."""
        self.spark()
        assert inputs["name"] not in [thing["name"] for thing in self.things.values()], "the name is taken"
        id_ = f"id-{next(self._numbers)}"
        self.things[id_] = dict(inputs)
        self.writes += 1
        self.spark()
        return id_


class Thing(Kind):
    """A resource in memory."""

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        return sky(cloud).make(inputs)

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        return {} if id_ in sky(cloud).things else None

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        sky(cloud).spark()
        sky(cloud).things[old.id] = dict(inputs)
        sky(cloud).writes += 1
        sky(cloud).spark()

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        things = sky(cloud).things
        assert resource.id not in [t.get("parent") for t in things.values()], "another thing depends on it"
        sky(cloud).spark()
        things.pop(resource.id, None)
        sky(cloud).writes += 1
        sky(cloud).spark()

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [id_ for id_, thing in sky(cloud).things.items() if thing["name"] == inputs["name"]]


# A change of `hard` or of `parent`, the id of another thing, forces a replacement.
THING = Thing(
    token="aws:test/thing:Thing",
    tagged=False,
    name_property="name",
    replaced_by=frozenset({"name", "hard", "parent"}),
    updated_by=frozenset({"soft"}),
)


def sky(cloud: Cloud) -> Sky:
    """Return the cloud in memory behind the type that kinds expect."""
    return cast(Sky, cloud)


def deploying(state: State, cloud: Sky) -> Deployment:
    """Return a deployment of things to the cloud in memory."""
    return Deployment(state, cast(Clouds, cloud), lambda *_: None, {THING.token: THING}.__getitem__)


def urn(name: str) -> str:
    return f"urn:pulumi:test::test::{THING.token}::{name}"


def registration(name: str, inputs: Properties, dependencies: Dependencies, *, protect: bool = False) -> Registration:
    """Return the registration of a thing."""
    resource = Resource(
        urn=urn(name),
        type=THING.token,
        name=name,
        inputs=inputs,
        property_dependencies=dependencies,
        protect=protect,
    )
    return Registration(resource)


def run(program: Program, root: Path, cloud: Sky, *, protect: bool = False) -> Deployment:
    """Apply a program as the subprocess does, parents first."""
    with State(root) as state:
        applied = deploying(state, cloud)
        applied.clear_announced()
        made: dict[str, str] = {}
        for name in sorted(program):
            inputs, above = dict(program[name]), program[name].get("parent")
            if above is not None:
                inputs["parent"] = made[above]
            dependencies: Dependencies = {"parent": (urn(above),)} if above is not None else {}
            made[name] = applied.register(registration(name, inputs, dependencies, protect=protect)).id
        applied.remove_unregistered()
    return applied


def shape(cloud: Sky) -> list[Any]:
    """Return the things in the cloud, with names instead of ids and without the random part of names."""
    names = {id_: thing["name"].split("-")[0] for id_, thing in cloud.things.items()}
    return sorted(
        sorted((k, names.get(v, str(v).split("-")[0])) for k, v in thing.items()) for thing in cloud.things.values()
    )


@pytest.fixture(scope="module", autouse=True)
def _unsynced() -> Iterator[None]:
    """Leave out fsync: a kill loses nothing that was written, and the disk would take longer than all the rest."""
    with mock.patch("os.fsync"):
        yield


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    program: Program = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        inputs: dict[str, Any] = {"hard": draw(st.integers(0, 1)), "soft": draw(st.integers(0, 2))}
        if draw(st.sampled_from([True, False])):
            inputs["name"] = f"fixed{name}"
        program[name] = inputs
    for name in program:
        above = [other for other in program if other < name]
        if above and draw(st.sampled_from([True, False])):
            program[name]["parent"] = draw(st.sampled_from(above))
    return program


@given(before=programs(), after=programs())
@settings(max_examples=80, deadline=None)
def test_a_program_gives_the_same_result_after_another(before: Program, after: Program) -> None:
    with folder() as root, folder() as fresh:
        changed, alone = Sky(), Sky()
        run(before, root, changed)
        run(after, root, changed)
        run(after, fresh, alone)
        assert shape(changed) == shape(alone)


@given(program=programs())
@settings(max_examples=40, deadline=None)
def test_the_same_program_again_changes_nothing(program: Program) -> None:
    with folder() as root:
        cloud = Sky()
        run(program, root, cloud)
        writes, things = cloud.writes, dict(cloud.things)
        run(program, root, cloud)
        assert (cloud.writes, cloud.things) == (writes, things)


@given(before=programs(), after=programs(), fuse=st.integers(1, 24), destroyed=st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_run_after_a_kill_finds_everything(before: Program, after: Program, fuse: int, destroyed: bool) -> None:
    with folder() as root:
        cloud = Sky()
        run(before, root, cloud)
        cloud.fuse = fuse
        kill(after, root, cloud)
        cloud.fuse = 10**9
        if destroyed:
            remove(root, cloud)
            assert cloud.things == {}
        else:
            run(after, root, cloud)
            with folder() as fresh:
                alone = Sky()
                run(after, fresh, alone)
                assert shape(cloud) == shape(alone)


def kill(program: Program, root: Path, cloud: Sky) -> None:
    """Run until the fuse burns down. The state in memory is lost, the one on disk stays."""
    fold, State.fold = State.fold, lambda self: fold(self) if self._journal is None else None  # type: ignore[method-assign]
    try:
        run(program, root, cloud)
    except Kill:
        pass
    finally:
        State.fold = fold  # type: ignore[method-assign]


def remove(root: Path, cloud: Sky) -> None:
    """Destroy as the subprocess does."""
    with State(root) as state:
        applied = deploying(state, cloud)
        applied.clear_announced()
        applied.remove_everything()


def test_a_protected_thing_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    cloud = Sky()
    run({"a": {"hard": 1}}, tmp_path, cloud, protect=True)
    with pytest.raises(RefusedError, match="protected"):
        run({"a": {"hard": 2}}, tmp_path, cloud, protect=True)
    with pytest.raises(RefusedError, match="protected"):
        run({}, tmp_path, cloud)
    assert [thing["hard"] for thing in cloud.things.values()] == [1]


def test_an_automatic_name_lasts_until_a_replacement(tmp_path: Path) -> None:
    cloud = Sky()
    names = []
    for program in ({"hard": 1, "soft": 1}, {"hard": 1, "soft": 2}, {"hard": 2, "soft": 2}):
        run({"a": program}, tmp_path, cloud)
        (thing,) = cloud.things.values()
        names.append(thing["name"])
    assert names[0] == names[1] != names[2]


def test_one_logical_name_twice_is_refused(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        applied = deploying(state, Sky())
        asked = registration("a", {"hard": 1}, {})
        applied.register(asked)
        with pytest.raises(Exception, match="registers it twice"):
            applied.register(asked)
