"""Addresses and interfaces of instances.

Corrects in moto 5.2.5: the interface an instance was born with outlives it, so its subnet never becomes
empty; a freed address goes to the very next instance, whose process would then find the old one still bound
to it; terminating an instance twice is an internal error; terminated instances are described for ever.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from moto.ec2.models.instances import Instance
from moto.ec2.models.subnets import Subnet

from rehearsal.emulator.answers import changed

FORGET_AFTER_SECONDS = 900.0


def _terminate(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def terminate(self: Any) -> Any:
        if self.state == "terminated":
            return copy.copy(self.instance_state)
        self.terminated_at = time.monotonic()
        return plain(self)

    return terminate


def _prep_nics(plain: Callable[..., None]) -> Callable[..., None]:
    def prep_nics(self: Any, nic_spec: list[dict[str, Any]], **more: Any) -> None:
        given = {nic.get("NetworkInterfaceId") for nic in nic_spec}
        plain(self, nic_spec, **more)
        for interface in self.nics.values():
            interface.delete_on_termination |= interface.device_index == 0 and interface.id not in given

    return prep_nics


def _free_address(self: Any, address: str) -> None:
    """Forget who holds an address. Never offered again: a /20 has 4091 of them, a rehearsal needs dozens."""
    self._subnet_ips.pop(address, None)


def forget_terminated(backend: Any) -> None:
    """Stop describing instances that were terminated a while ago, as EC2 does within the hour."""
    limit = time.monotonic() - FORGET_AFTER_SECONDS
    for name, reservation in list(backend.reservations.items()):
        kept = [i for i in reservation.instances if i.__dict__.get("terminated_at", limit + 1) > limit]
        # An empty one may be a launch in progress.
        if len(kept) == len(reservation.instances):
            continue
        reservation.instances = kept
        if not kept:
            backend.reservations.pop(name, None)
        changed()


def reserve(subnet: Any, holder: Any) -> str:
    """An address of the subnet that no instance will get, held by `holder`."""
    return str(subnet.get_available_subnet_ip(instance=holder))


def install() -> None:
    """Put the corrections on moto's classes."""
    Instance.terminate = _terminate(Instance.terminate)
    Instance.prep_nics = _prep_nics(Instance.prep_nics)
    Subnet.del_subnet_ip = _free_address
