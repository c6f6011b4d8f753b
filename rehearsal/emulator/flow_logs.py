"""Flow logs to where they are told to go.

Corrects in moto 5.2.5: a bucket with a prefix is taken for a bucket of that name and not found; a log group given by
its ARN is never found, so that delivery counts as failed; the options of the destination are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.flow_logs import FlowLogsBackend
from moto.ec2.responses.flow_logs import FlowLogs as FlowLogsResponse


def _create(plain: Callable[..., Any]) -> Callable[..., Any]:
    def create_flow_logs(self: Any, *, log_destination: str | None, log_group_name: str | None, **more: Any) -> Any:
        destination = log_destination
        if destination and ":s3:::" in destination:
            destination = destination.partition("/")[0]
        elif destination and ":log-group:" in destination:
            log_group_name = destination.partition(":log-group:")[2].removesuffix(":*")
        made, refused = plain(self, log_destination=destination, log_group_name=log_group_name, **more)
        for log in made:
            log.log_destination = log_destination
        return made, refused

    return create_flow_logs


def _answer(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def create_flow_logs(self: Any) -> Any:
        answer = plain(self)
        for id_ in answer.result["FlowLogIds"]:
            self.ec2_backend.flow_logs[id_].destination_options = self._get_param("DestinationOptions")
        return answer

    return create_flow_logs


def install() -> None:
    """Put the corrections on moto's classes."""
    FlowLogsBackend.create_flow_logs = _create(FlowLogsBackend.create_flow_logs)
    FlowLogsResponse.create_flow_logs = _answer(FlowLogsResponse.create_flow_logs)
