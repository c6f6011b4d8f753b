"""Names fit AWS, however long the fleet's."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra import naming

FLEETS = st.text("abcxyz019-", min_size=1, max_size=80).map(lambda middle: f"f{middle}0")
AUTONAME = "-0a1b2c3"


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(naming).failed == 0


@example("f" * 80, "load_balancer")
@given(FLEETS, st.sampled_from(sorted(naming.LIMITS)))
def test_a_physical_name_fits_its_limit(fleet: str, kind: str) -> None:
    name = naming.logical(kind, fleet, "documents")
    assert len(name + AUTONAME) <= naming.LIMITS[kind]
    assert not name.endswith("-")


@example("f" * 80)
@given(FLEETS)
def test_cut_names_of_two_things_stay_apart(fleet: str) -> None:
    names = {naming.logical("target_group", fleet, slot) for slot in ("blue", "green")}
    assert len(names) == 2


@example("f" * 80)
@given(FLEETS)
def test_an_alarm_fits(fleet: str) -> None:
    assert len(naming.alarm(fleet * 5, "green", "retrieval-p95")) <= naming.LIMITS["alarm"]


@pytest.mark.parametrize("key", ["storage", "embedding"])
def test_parameters_stand_below_the_fleets_prefix(key: str) -> None:
    assert naming.parameter("main", key) == f"{naming.parameters_prefix('main')}/{key}"
