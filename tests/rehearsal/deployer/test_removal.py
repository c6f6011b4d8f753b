"""Order of deletion: a resource goes after all that depend on it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.deployer.removal import dependents, needs, remove_all
from rehearsal.deployer.state import Resource


@st.composite
def graphs(draw: st.DrawFn) -> list[Resource]:
    count = draw(st.integers(0, 8))
    return [
        Resource(
            urn=str(number),
            type="t",
            name=str(number),
            id=str(number),
            order=number,
            dependencies=tuple(draw(st.lists(st.sampled_from([str(n) for n in range(number)]), max_size=3)))
            if number
            else (),
        )
        for number in range(count)
    ]


@given(resources=graphs())
@settings(max_examples=60, deadline=None)
def test_each_resource_goes_once_after_its_dependents(resources: list[Resource]) -> None:
    alive, lock = {r.urn for r in resources}, threading.Lock()
    early: list[str] = []

    def remove(resource: Resource) -> None:
        with lock:
            early.extend(r.urn for r in resources if r.urn in alive and resource.urn in needs(r))
            alive.remove(resource.urn)

    remove_all(resources, remove, lambda: False)
    assert (alive, early) == (set(), [])


def test_no_deletion_starts_after_a_failure() -> None:
    chain = [
        Resource(urn=str(n), type="t", name=str(n), dependencies=(str(n - 1),) if n else (), order=n) for n in range(3)
    ]
    removed: list[str] = []

    def remove(resource: Resource) -> None:
        if resource.urn == "1":
            raise RuntimeError("refused")
        removed.append(resource.urn)

    with pytest.raises(RuntimeError, match="refused"):
        remove_all(chain, remove, lambda: False)
    assert removed == ["2"]


def test_no_deletion_starts_after_a_stop() -> None:
    removed: list[Resource] = []
    remove_all([Resource(urn="0", type="t", name="0")], removed.append, lambda: True)
    assert removed == []


def test_forced_dependents_are_transitive_newest_first() -> None:
    def thing(name: str, order: int, **references: tuple[str, ...]) -> Resource:
        return Resource(urn=name, type="t", name=name, order=order, property_dependencies=references)

    resources = [thing("a", 1), thing("b", 2, hard=("a",)), thing("c", 3, hard=("b",)), thing("d", 4, soft=("a",))]
    doomed = dependents("a", resources, lambda _, name: name == "hard")
    assert [resource.urn for resource in doomed] == ["c", "b"]
