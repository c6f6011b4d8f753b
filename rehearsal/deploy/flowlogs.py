"""Flow logs of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.ec2 import Ec2Kind
from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.kind import found, only
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters

# What is watched, by the property that names it.
WATCHED: Mapping[str, str] = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}


class FlowLog(Ec2Kind):
    """aws_flow_log; nothing but its tags changes in place."""

    token = "aws:ec2/flowLog:FlowLog"
    tag_type = "vpc-flow-log"
    replaced_by = frozenset(
        {
            *WATCHED,
            "destinationOptions",
            "iamRoleArn",
            "logDestination",
            "logDestinationType",
            "logFormat",
            "maxAggregationInterval",
            "trafficType",
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600}
    identity: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(WATCHED, "resource-id"),
        "logDestinationType": "log-destination-type",
        "trafficType": "traffic-type",
    }
    renames: ClassVar[Mapping[str, str]] = {"iamRoleArn": "DeliverLogsPermissionArn"}

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        client = cloud.client("ec2")
        asked = {key: value for key, value in inputs.items() if key in self.replaced_by and key not in WATCHED}
        watched = only(
            [{"resourceType": WATCHED[key], "resourceIds": [inputs[key]]} for key in WATCHED if key in inputs]
        )
        if watched is None:
            raise DeployError(f"it watches nothing; give it one of {', '.join(WATCHED)}")
        made = client.create_flow_logs(
            **parameters(client, "CreateFlowLogs", asked | watched, self.renames),
            TagSpecifications=self.tag_specifications(inputs),
        )
        if made.get("Unsuccessful"):
            raise DeployError(f"the flow log was refused: {made['Unsuccessful'][0]['Error']['Message']}")
        return str(made["FlowLogIds"][0])

    def listed(self, cloud: Cloud, **query: Any) -> list[dict[str, Any]]:
        # The one description of the EC2 API whose filters are called so.
        if "Filters" in query:
            query["Filter"] = query.pop("Filters")
        logs: list[dict[str, Any]] = cloud.client("ec2").describe_flow_logs(**query)["FlowLogs"]
        return logs

    def id_of(self, described: dict[str, Any]) -> str:
        return str(described["FlowLogId"])

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        log = only(found(lambda: self.listed(cloud, FlowLogIds=[id_])) or [])
        return log and {"arn": cloud.arn("ec2", f"vpc-flow-log/{id_}")}

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ec2").delete_flow_logs(FlowLogIds=[resource.id]))


KINDS = (FlowLog(),)
