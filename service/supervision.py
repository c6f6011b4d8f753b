"""
What systemd is told: that the process serves, and again and again that its event loop turns.

A unit of type notify with a watchdog ends a process that hangs; one that was started otherwise has nobody to tell.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

READY = "READY=1"
WATCHDOG = "WATCHDOG=1"


@dataclass(frozen=True)
class Supervisor:
    """Where the notices go. `watchdog_seconds` is how long silence is borne; None where nobody waits for a sign."""

    address: str | None
    watchdog_seconds: float | None

    def tell(self, notice: str) -> None:
        """Send one notice; a supervisor that is absent or busy is no reason to stop serving."""
        if self.address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(notice.encode(), self.address)
            except OSError:
                return  # the next sign of life tries again, and a missed one is borne

    async def keep_awake(self) -> None:
        """Say that the event loop turns, three times in each period that the watchdog bears, until cancelled."""
        while self.watchdog_seconds is not None:
            self.tell(WATCHDOG)
            await asyncio.sleep(self.watchdog_seconds / 3)


def supervisor(environment: Mapping[str, str] = os.environ) -> Supervisor:
    """The supervisor that the environment names; a watchdog counts only when it is meant for this very process."""
    address = environment.get("NOTIFY_SOCKET")
    if address is not None and address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    microseconds = environment.get("WATCHDOG_USEC")
    ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return Supervisor(address, int(microseconds) / 1e6 if microseconds and ours else None)
