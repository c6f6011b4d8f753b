"""Applying programs to a small cloud in memory: whatever came before, the result is that of a fresh apply."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.deploy.cloud import Cloud, Clouds
from rehearsal.deploy.deployment import Deployment, Registration
from rehearsal.deploy.errors import RefusedError
from rehearsal.deploy.kind import Kind
from rehearsal.deploy.state import Properties, Resource, State

Program = dict[str, dict[str, Any]]
NAMES = ("a", "b", "c", "d")


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class Sky:
    """A cloud in memory. `fuse` counts down with every call that changes something and kills at zero."""

    region = "us-east-1"
    default_tags: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.things: dict[str, Properties] = {}
        self.writes = 0
        self.fuse = 10**9
        self._numbers = itertools.count()

    def spark(self) -> None:
        """Called before and after each change."""
        self.fuse -= 1
        if self.fuse == 0:
            raise Killed

    def get(self, provider: str = "", region: str = "") -> Sky:
        """Stands for `Clouds` as well: there is one provider and one region."""
        return self

    def make(self, inputs: Properties) -> str:
        """A thing; a taken name is refused."""
        self.spark()
        assert inputs["name"] not in [thing["name"] for thing in self.things.values()], "the name is taken"
        id_ = f"id-{next(self._numbers)}"
        self.things[id_] = dict(inputs)
        self.writes += 1
        self.spark()
        return id_


class Thing(Kind):
    """`hard` forces a replacement, `soft` does not; `parent` is another thing's id and hard, too."""

    token = "aws:test/thing:Thing"
    service = "test"
    tagged = False
    name_property = "name"
    replaced_by = frozenset({"name", "hard", "parent"})
    updated_by = frozenset({"soft"})

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
        assert resource.id not in [t.get("parent") for t in things.values()], "something still hangs on it"
        sky(cloud).spark()
        things.pop(resource.id, None)
        sky(cloud).writes += 1
        sky(cloud).spark()

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [id_ for id_, thing in sky(cloud).things.items() if thing["name"] == inputs["name"]]


def sky(cloud: Cloud) -> Sky:
    """The cloud in memory behind the type that kinds expect."""
    return cast(Sky, cloud)


def deploying(state: State, cloud: Sky) -> Deployment:
    """A deployment to the cloud in memory, of things only."""
    return Deployment(state, cast(Clouds, cloud), lambda *_: None, {Thing.token: Thing()}.__getitem__)


def urn(name: str) -> str:
    return f"urn:pulumi:test::test::{Thing.token}::{name}"


def run(program: Program, root: Path, cloud: Sky, **options: Any) -> Deployment:
    """Apply a program as the subprocess does; what hangs on something comes after it."""
    with State(root) as state:
        applied = deploying(state, cloud)
        applied.clear_announced()
        made: dict[str, str] = {}
        for name in sorted(program):
            inputs, above = dict(program[name]), program[name].get("parent")
            if above is not None:
                inputs["parent"] = made[above]
            dependencies = {"parent": (urn(above),)} if above is not None else {}
            asked = Registration(urn(name), Thing.token, name, inputs, property_dependencies=dependencies, **options)
            made[name] = applied.register(asked).id
        applied.remove_unregistered()
    return applied


def shape(cloud: Sky) -> list[Any]:
    """What is in the cloud, with names instead of ids and without the random part of names."""
    names = {id_: thing["name"].split("-")[0] for id_, thing in cloud.things.items()}
    return sorted(
        sorted((k, names.get(v, str(v).split("-")[0])) for k, v in thing.items()) for thing in cloud.things.values()
    )


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
def test_a_program_after_another_gives_what_it_gives_alone(before: Program, after: Program) -> None:
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
def test_killed_at_any_step_the_next_run_finds_everything(
    before: Program, after: Program, fuse: int, destroyed: bool
) -> None:
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
    """Run until the fuse burns down; the state in memory is lost, what is on disk stays."""
    fold, State.fold = State.fold, lambda self: fold(self) if self._journal is None else None  # type: ignore[method-assign]
    try:
        run(program, root, cloud)
    except Killed:
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


def test_a_name_made_for_a_thing_stays_and_a_replacement_gets_another(tmp_path: Path) -> None:
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
        asked = Registration(urn("a"), Thing.token, "a", {"hard": 1})
        applied.register(asked)
        with pytest.raises(Exception, match="registers it twice"):
            applied.register(asked)
