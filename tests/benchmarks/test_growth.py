"""The curves of growth change one thing at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.growth import (
    CONNECTIONS,
    MIDDLE_CONNECTIONS,
    MIDDLE_ROWS,
    SHARDS,
    SIZES,
    Point,
    curves,
    draw,
    wanted,
)


def points(rows: int) -> list[Point]:
    return [
        Point(fleet.rows, fleet.shards, connections, 0.99, 1000.0, 0.2, 1.0, 2.0, 1 << 20)
        for fleet, all_connections in wanted(rows).items()
        for connections in all_connections
    ]


@pytest.mark.parametrize("rows", [5_000, MIDDLE_ROWS, SIZES[-1]])
def test_each_curve_changes_one_thing_from_the_same_middle(rows: int) -> None:
    made = curves(points(rows))
    middle = min(rows, MIDDLE_ROWS)
    sizes = [one for one in SIZES if one <= rows]
    assert [one.rows for one in made["vectors"]] == sorted({*sizes, middle})
    assert {(one.shards, one.connections) for one in made["vectors"]} == {(1, MIDDLE_CONNECTIONS)}
    assert [one.shards for one in made["shards"]] == list(SHARDS)
    assert {(one.rows, one.connections) for one in made["shards"]} == {(middle, MIDDLE_CONNECTIONS)}
    assert [one.connections for one in made["connections"]] == list(CONNECTIONS)
    assert {(one.rows, one.shards) for one in made["connections"]} == {(middle, 1)}


def test_the_picture_is_the_same_for_the_same_points(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(points(MIDDLE_ROWS), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
