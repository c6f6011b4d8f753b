"""Addresses and network interfaces of instances, and the end of instances that were terminated."""

from __future__ import annotations

import copy
import time
from typing import Any

from moto.ec2.models.instances import Instance
from moto.ec2.models.subnets import Subnet

from rehearsal.emulator.corrections import Method, corrects, replaces
from rehearsal.emulator.description_cache import changed

FORGET_AFTER_SECONDS = 900.0


@corrects(Instance, "terminate")
def _terminate(plain: Method, self: Any) -> Any:
    """Accept that an instance is terminated twice; in moto this is an internal error."""
    if self.state == "terminated":
        return copy.copy(self.instance_state)
    self.terminated_at = time.monotonic()
    return plain(self)


@corrects(Instance, "prep_nics")
def _prep_nics(plain: Method, self: Any, nic_spec: list[dict[str, Any]], **more: Any) -> None:
    """Delete an instance's own interface with it; in moto it stays, so that its subnet never becomes empty."""
    given = {nic.get("NetworkInterfaceId") for nic in nic_spec}
    plain(self, nic_spec, **more)
    for interface in self.nics.values():
        interface.delete_on_termination |= interface.device_index == 0 and interface.id not in given


@replaces(Subnet, "del_subnet_ip")
def _del_subnet_ip(self: Any, address: str) -> None:
    """
    Release an address without offering it again: a /20 has 4091 of them, a rehearsal needs dozens.

    moto gives it to the next instance, whose process then finds the old one still bound to it.
    """
    self._subnet_ips.pop(address, None)


def forget_terminated(backend: Any) -> None:
    """Stop describing instances that were terminated a while ago, as EC2 does within the hour; moto never does."""
    limit = time.monotonic() - FORGET_AFTER_SECONDS
    for name, reservation in list(backend.reservations.items()):
        kept = [i for i in reservation.instances if i.__dict__.get("terminated_at", limit + 1) > limit]
        # An empty reservation may be a launch in progress.
        if len(kept) == len(reservation.instances):
            continue
        reservation.instances = kept
        if not kept:
            backend.reservations.pop(name, None)
        changed()


def reserve(subnet: Any, holder: Any) -> str:
    """Return an address of the subnet that no instance will get, held by `holder`."""
    return str(subnet.get_available_subnet_ip(instance=holder))
