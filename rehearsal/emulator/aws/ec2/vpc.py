"""Flow logs and endpoints of a VPC."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.models.flow_logs import FlowLogsBackend
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses.flow_logs import FlowLogs
from moto.ec2.responses.vpcs import VPCs

from rehearsal.emulator.corrections import Method, corrects


@corrects(FlowLogsBackend, "create_flow_logs")
def _create_flow_logs(
    plain: Method, self: Any, *, log_destination: str | None, log_group_name: str | None, **more: Any
) -> Any:
    """Find a bucket that is given with a prefix, and a log group that is given by its ARN; moto finds neither."""
    destination = log_destination
    if destination and ":s3:::" in destination:
        destination = destination.partition("/")[0]
    elif destination and ":log-group:" in destination:
        log_group_name = destination.partition(":log-group:")[2].removesuffix(":*")
    made, refused = plain(self, log_destination=destination, log_group_name=log_group_name, **more)
    for log in made:
        log.log_destination = log_destination
    return made, refused


@corrects(FlowLogs, "create_flow_logs")
def _store_destination_options(plain: Method, self: Any) -> Any:
    """Store the options of the destination, which moto drops."""
    answer = plain(self)
    for id_ in answer.result["FlowLogIds"]:
        self.ec2_backend.flow_logs[id_].destination_options = self._get_param("DestinationOptions")
    return answer


@corrects(VPCs, "modify_vpc_endpoint")
def _modify_vpc_endpoint(plain: Method, self: Any) -> Any:
    """Reset the policy on ResetPolicy, which moto ignores, so that a removed policy stays in force."""
    answer = plain(self)
    if self._get_bool_param("ResetPolicy"):
        endpoint = self.ec2_backend.vpc_end_points[self._get_param("VpcEndpointId")]
        endpoint.policy_document = json.dumps(VPCEndPoint.DEFAULT_POLICY)
    return answer
