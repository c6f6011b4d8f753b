"""The two slots of a fleet, and the header by which a request names one."""

from __future__ import annotations

SLOTS = ("blue", "green")
SLOT_HEADER = "X-Vectorfleet-Slot"


def slot_header(slot: str) -> dict[str, str]:
    """Return the header that names a slot; empty without a slot, so that the load balancer's weights choose."""
    return {SLOT_HEADER: slot} if slot else {}
