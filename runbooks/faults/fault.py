"""What every fault offers: to be injected once, and to prove from outside that it took effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class FaultError(Exception):
    """The fault could not be injected; nothing was measured."""


@dataclass(frozen=True)
class Injection:
    """`at` is the monotonic instant just before the first destructive call; `victims` are what it hit."""

    at: float
    victims: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Effect:
    """Whether the fault is seen to have happened."""

    proven: bool
    sentence: str


class Fault(Protocol):
    """One real fault. What it destroys stays destroyed, so there is nothing to revert."""

    name: str

    def inject(self) -> Injection:
        """Break it. Raises FaultError when nothing was there to break or the call was refused."""
        ...

    def effect(self, injection: Injection) -> Effect:
        """Look again, by another way than the call that broke it."""
        ...
