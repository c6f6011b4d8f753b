"""DNS records that stand for a load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind, found, only
from rehearsal.deploy.state import Properties, Resource

ADDRESS = "A"


class Record(Kind):
    """aws_route53_record of type A with one alias; the hosted zone is somebody else's."""

    token = "aws:route53/record:Record"
    service = "route53"
    tagged = False
    replaced_by = frozenset({"zoneId", "name"})
    updated_by = frozenset({"type", "aliases", "allowOverwrite"})

    def check(self, inputs: Properties) -> None:
        super().check(inputs)
        if inputs["type"] != ADDRESS or len(inputs.get("aliases", [])) != 1:
            raise UnsupportedError(
                f"it is of type {inputs['type']} with {len(inputs.get('aliases', []))} aliases; the deployer makes "
                "records of type A with one alias; deploy others with the CLI"
            )

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        name = self._full_name(cloud, inputs)
        self._change(cloud, inputs["zoneId"], "UPSERT" if inputs.get("allowOverwrite") else "CREATE", name, inputs)
        return f"{_bare(inputs['zoneId'])}_{inputs['name']}_{inputs['type']}"

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        record = self._record(cloud, inputs)
        # Only what leads where this one would: another of the same name is somebody else's.
        ours = record is not None and record.get("AliasTarget") == _target(inputs)
        return [f"{_bare(inputs['zoneId'])}_{inputs['name']}_{inputs['type']}"] if ours else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        record = self._record(cloud, inputs)
        return record and {"fqdn": record["Name"].rstrip("."), "name": inputs["name"], "type": record["Type"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & {"type", "aliases"}:
            self._change(cloud, inputs["zoneId"], "UPSERT", self._full_name(cloud, inputs), inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        record = self._record(cloud, resource.inputs)
        if record is not None:
            batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]}
            zone = resource.inputs["zoneId"]
            cloud.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def _change(self, cloud: Cloud, zone: str, action: str, name: str, inputs: Properties) -> None:
        record = {"Name": name, "Type": inputs["type"], "AliasTarget": _target(inputs)}
        batch = {"Comment": "Managed by Pulumi", "Changes": [{"Action": action, "ResourceRecordSet": record}]}
        cloud.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def _record(self, cloud: Cloud, inputs: Properties) -> dict[str, Any] | None:
        """The record set of this name and type; None without it or without its zone."""
        name = found(lambda: self._full_name(cloud, inputs))
        if name is None:
            return None
        listed = cloud.client("route53").list_resource_record_sets(
            HostedZoneId=inputs["zoneId"], StartRecordName=name, StartRecordType=inputs["type"], MaxItems="1"
        )["ResourceRecordSets"]
        named = [one for one in listed if (one["Name"].rstrip("."), one["Type"]) == (name, inputs["type"])]
        record: dict[str, Any] | None = only(named)
        return record

    def _full_name(self, cloud: Cloud, inputs: Properties) -> str:
        """The name with its zone's, which a program may leave out."""
        zone = cloud.client("route53").get_hosted_zone(Id=inputs["zoneId"])["HostedZone"]["Name"].rstrip(".")
        name = str(inputs["name"]).rstrip(".").lower()
        return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}".lstrip(".")


def _bare(zone: str) -> str:
    return zone.rpartition("/")[2]


def _target(inputs: Properties) -> Mapping[str, Any]:
    (alias,) = inputs["aliases"]
    return {
        "HostedZoneId": alias["zoneId"],
        "DNSName": alias["name"],
        "EvaluateTargetHealth": bool(alias["evaluateTargetHealth"]),
    }


KINDS: tuple[Kind, ...] = (Record(),)
