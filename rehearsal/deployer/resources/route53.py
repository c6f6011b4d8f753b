"""DNS records that point to a load balancer."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import UnsupportedError
from rehearsal.deployer.kind import Kind, found, names, only
from rehearsal.deployer.state import Properties, Resource

ADDRESS = "A"


class Record(Kind):
    """aws_route53_record of type A with one alias, in a hosted zone that the program does not own."""

    def check(self, inputs: Properties) -> None:
        super().check(inputs)
        if inputs["type"] != ADDRESS or len(inputs.get("aliases", [])) != 1:
            raise UnsupportedError(
                f"it is of type {inputs['type']} with {len(inputs.get('aliases', []))} aliases; the deployer makes "
                "records of type A with one alias; deploy others with the CLI"
            )

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        self._set(cloud, "UPSERT" if inputs.get("allowOverwrite") else "CREATE", inputs)
        return self.id_in(cloud, {}, inputs)

    def id_in(self, cloud: Cloud, answer: Any, inputs: Properties) -> str:
        return f"{inputs['zoneId'].rpartition('/')[2]}_{inputs['name']}_{inputs['type']}"

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        record = self.describe(cloud, "", inputs)
        # A record of this name with another target is not ours.
        ours = record is not None and record.get("AliasTarget") == _target(inputs)
        return [self.id_in(cloud, {}, inputs)] if ours else []

    def describe(self, cloud: Cloud, id_: str, inputs: Properties) -> Any:
        name = found(lambda: self._full_name(cloud, inputs))
        if name is None:
            return None
        start = {"StartRecordName": name, "StartRecordType": inputs["type"], "MaxItems": "1"}
        answer = cloud.call("route53", "ListResourceRecordSets", HostedZoneId=inputs["zoneId"], **start)
        wanted = (name, inputs["type"])
        return only([r for r in answer["ResourceRecordSets"] if (r["Name"].rstrip("."), r["Type"]) == wanted])

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        return {"fqdn": described["Name"].rstrip("."), "name": inputs["name"], "type": described["Type"]}

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & {"type", "aliases"}:
            self._set(cloud, "UPSERT", inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        record = self.describe(cloud, resource.id, resource.inputs)
        if record is not None:
            _change(cloud, resource.inputs["zoneId"], "DELETE", record)

    def _set(self, cloud: Cloud, action: str, inputs: Properties) -> None:
        name = self._full_name(cloud, inputs)
        record = {"Name": name, "Type": inputs["type"], "AliasTarget": _target(inputs)}
        _change(cloud, inputs["zoneId"], action, record, Comment="Managed by Pulumi")

    def _full_name(self, cloud: Cloud, inputs: Properties) -> str:
        """Return the name with the zone's name, which a program may leave out."""
        zone = cloud.call("route53", "GetHostedZone", Id=inputs["zoneId"])["HostedZone"]["Name"].rstrip(".")
        name = str(inputs["name"]).rstrip(".").lower()
        return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}".lstrip(".")


def _change(cloud: Cloud, zone: str, action: str, record: dict[str, Any], **more: str) -> None:
    batch = {**more, "Changes": [{"Action": action, "ResourceRecordSet": record}]}
    cloud.call("route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch=batch)


def _target(inputs: Properties) -> dict[str, Any]:
    (alias,) = inputs["aliases"]
    return {
        "HostedZoneId": alias["zoneId"],
        "DNSName": alias["name"],
        "EvaluateTargetHealth": bool(alias["evaluateTargetHealth"]),
    }


KINDS = (
    Record(
        token="aws:route53/record:Record",
        service="route53",
        tagged=False,
        replaced_by=names("zoneId name"),
        updated_by=names("type aliases allowOverwrite"),
    ),
)
