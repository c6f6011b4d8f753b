"""Time-outs and attempts of requests to a remote embedding model."""

from __future__ import annotations

import msgspec


class Patience(msgspec.Struct, frozen=True):
    """The time-out of a request to a remote model, how often it is sent, and whether Retry-After is respected."""

    timeout_seconds: float
    attempts: int
    waits: bool


QUICK = Patience(timeout_seconds=2.0, attempts=2, waits=False)  # a caller waits for the answer
PATIENT = Patience(timeout_seconds=30.0, attempts=5, waits=True)
