"""The share of text that one step may take, so that documents written before a large one need not wait for it."""

from __future__ import annotations

STEP_SECONDS = 1.0
# A step's appends cost as much as embedding this on a slow model: fewer would be indexed mostly by waiting for S3.
LEAST_CHARACTERS = 20_000
FIRST_CHARACTERS = 200_000
# Bounds a step's memory: chunks of 300 characters take 1 kB of vector each, so this much text some 30 MB.
MOST_CHARACTERS = 8_000_000
SHORTEST_SECONDS = 0.001


class Pace:
    """Learns from each step how many `characters` are split and embedded in about STEP_SECONDS."""

    def __init__(self) -> None:
        self.characters = FIRST_CHARACTERS

    def learn(self, characters: int, seconds: float) -> None:
        """Take in how long a step's text took; a small step that was quick says nothing of large ones."""
        if seconds > STEP_SECONDS or characters >= self.characters // 2:
            fitting = int(characters / max(seconds, SHORTEST_SECONDS) * STEP_SECONDS)
            self.characters = min(MOST_CHARACTERS, max(LEAST_CHARACTERS, fitting))
