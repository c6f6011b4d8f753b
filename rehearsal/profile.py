"""Profiles of a rehearsal: full, short with every step, and acceptance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtests.judge.gate import ACCEPTANCE_WINDOW_SECONDS
from loadtests.run.settings import Load, Settings


@dataclass(frozen=True)
class Profile:
    """
    Sizes of the steps.

    `small` takes a part of the corpus, and asks only the golden questions that this part answers.
    `drill_window_seconds` is the good window that ends a drill. `blue_green` adds the step with a second slot, in which
    the requests move there and back until `switch_searches` have arrived, `switch_rate` a second.
    """

    name: str
    small: bool
    blue_green: bool
    switch_rate: float
    switch_searches: int
    runs: int
    load: Load
    drill_rate: float
    drill_window_seconds: float
    healthy_canaries: int

    @property
    def settings(self) -> Settings:
        return Settings(load=self.load)


# Twelve documents a second arrive, two in each write, while forty searches a second run.
_LOAD = Load(rate=40.0, warmup_seconds=2.0, window_seconds=10.0, writes_per_second=6.0, write_batch=2)

FULL = Profile(
    name="full",
    small=False,
    blue_green=True,
    switch_rate=15.0,
    switch_searches=0,
    runs=5,
    load=_LOAD,
    drill_rate=15.0,
    drill_window_seconds=10.0,
    healthy_canaries=20,
)

SHORT = replace(
    FULL,
    name="short",
    small=True,
    blue_green=False,
    load=replace(_LOAD, warmup_seconds=1.0, window_seconds=5.0),
    drill_rate=10.0,
    drill_window_seconds=6.0,
    healthy_canaries=12,
)

# The shorter windows of the other profiles make their gates smoke tests.
ACCEPTANCE = replace(
    FULL,
    name="acceptance",
    switch_rate=_LOAD.rate,
    switch_searches=100_000,
    load=replace(_LOAD, window_seconds=ACCEPTANCE_WINDOW_SECONDS),
)

PROFILES = {profile.name: profile for profile in (FULL, SHORT, ACCEPTANCE)}
