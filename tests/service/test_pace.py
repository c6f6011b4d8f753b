"""A step takes as much text as the model embeds in about a second."""

from __future__ import annotations

import pytest

from service.indexer.pace import FIRST_CHARACTERS, LEAST_CHARACTERS, MOST_CHARACTERS, Pace


def _after(*steps: tuple[int, float]) -> int:
    pace = Pace()
    for characters, seconds in steps:
        pace.learn(characters, seconds)
    return pace.characters


@pytest.mark.parametrize(
    ("steps", "characters"),
    [
        ([], FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.1)], 10 * FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.1), (300_000, 3.0)], 100_000),
        ([(FIRST_CHARACTERS, 0.1), (10, 0.0)], 10 * FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.0)], MOST_CHARACTERS),
        ([(FIRST_CHARACTERS, 60.0)], LEAST_CHARACTERS),
        ([(1_000, 10.0)], LEAST_CHARACTERS),
    ],
    ids=["first", "quick", "slower", "too small to tell", "at once", "very slow", "an outage"],
)
def test_the_room_follows_what_steps_took(steps: list[tuple[int, float]], characters: int) -> None:
    assert _after(*steps) == characters
