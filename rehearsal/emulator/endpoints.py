"""Endpoints of a VPC whose policy can be taken back.

Corrects in moto 5.2.5: ResetPolicy is ignored, so a policy that was removed goes on deciding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses.vpcs import VPCs


def _modify(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def modify_vpc_endpoint(self: Any) -> Any:
        answer = plain(self)
        if self._get_bool_param("ResetPolicy"):
            endpoint = self.ec2_backend.vpc_end_points[self._get_param("VpcEndpointId")]
            endpoint.policy_document = json.dumps(VPCEndPoint.DEFAULT_POLICY)
        return answer

    return modify_vpc_endpoint


def install() -> None:
    """Put the correction on moto's class."""
    VPCs.modify_vpc_endpoint = _modify(VPCs.modify_vpc_endpoint)
