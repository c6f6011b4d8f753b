"""The loss of any one zone: replicas and routers that survive it."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.planning import zone_loss
from infra.planning.zone_loss import place, replicas_needed, router_zones, routers_needed
from tests.infra.workloads import ZONES


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(zone_loss)
    assert (results.attempted, results.failed) == (2, 0)


@given(st.floats(0.1, 1e5), st.floats(1, 1e4), st.integers(2, 6), st.integers(2, 50))
def test_routers_outside_the_fullest_zone_carry_the_peak(
    peak: float, capacity: float, zones: int, minimum: int
) -> None:
    count = routers_needed(peak=peak, capacity=capacity, zones=zones, minimum=minimum)
    spread = router_zones(count, [str(zone) for zone in range(zones)])
    fullest = max(spread.count(zone) for zone in set(spread))
    assert count >= minimum
    assert (count - fullest) * capacity >= peak * (1 - 1e-9)


@given(st.integers(1, 40), st.integers(2, 3))
def test_zones_fill_evenly(shards: int, replicas: int) -> None:
    cells = [placement.zone for placement in place(shards, replicas, ZONES)]
    counts = [cells.count(zone) for zone in ZONES]
    assert max(counts) - min(counts) <= 2


def test_a_lone_replica_is_never_planned() -> None:
    assert replicas_needed(peak=0.1, capacity=1000, minimum=2) == 2
    assert replicas_needed(peak=0.1, capacity=1000, minimum=3) == 3


@pytest.mark.parametrize(
    ("peak", "zones", "minimum", "count"),
    [
        (900, 3, 2, 3),
        (900, 2, 2, 4),
        (400, 6, 2, 2),
        (1000, 3, 2, 3),
        (1001, 3, 2, 5),
        (1, 3, 7, 7),
        (5e11, 3, 2, 1_500_000_000),
    ],
)
def test_routers_needed_is_the_smallest_number(peak: float, zones: int, minimum: int, count: int) -> None:
    assert routers_needed(peak=peak, capacity=500, zones=zones, minimum=minimum) == count


@given(st.integers(1, 400), st.integers(2, 6))
def test_one_router_fewer_is_too_few(carriers: int, zones: int) -> None:
    count = routers_needed(peak=carriers, capacity=1, zones=zones, minimum=2)
    assert count == 2 or (count - 1) - -(-(count - 1) // zones) < carriers
