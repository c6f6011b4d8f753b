"""The profiles of a rehearsal: the full loop in minutes, a short one with every part, or one for acceptance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtests.gate import ACCEPTANCE_WINDOW_SECONDS
from loadtests.settings import Load, Settings


@dataclass(frozen=True)
class Profile:
    """
    Sizes of the steps.

    `small` takes a part of the corpus; only golden questions that it can answer are asked. `drill_window_seconds` is
    the good window that ends a drill.
    """

    name: str
    small: bool
    runs: int
    load: Load
    drill_rate: float
    drill_window_seconds: float
    healthy_canaries: int

    @property
    def settings(self) -> Settings:
        """The gate's settings."""
        return Settings(load=self.load)


# Twelve documents a second arrive while forty searches a second run: two fresh documents in each write.
_LOAD = Load(rate=40.0, warmup_seconds=2.0, window_seconds=10.0, writes_per_second=6.0, write_batch=2)

FULL = Profile(
    name="full",
    small=False,
    runs=5,
    load=_LOAD,
    drill_rate=15.0,
    drill_window_seconds=10.0,
    healthy_canaries=20,
)

SHORT = Profile(
    name="short",
    small=True,
    runs=5,
    load=Load(rate=40.0, warmup_seconds=1.0, window_seconds=5.0, writes_per_second=6.0, write_batch=2),
    drill_rate=10.0,
    drill_window_seconds=6.0,
    healthy_canaries=12,
)

# The windows of the others make their gate a smoke test, since the time does.
ACCEPTANCE = replace(FULL, name="acceptance", load=replace(_LOAD, window_seconds=ACCEPTANCE_WINDOW_SECONDS))

PROFILES = {profile.name: profile for profile in (FULL, SHORT, ACCEPTANCE)}
