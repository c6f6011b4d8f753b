"""DNS records that exist once."""

from __future__ import annotations

from typing import Any

from moto.route53.exceptions import ResourceRecordAlreadyExists, Route53ClientError
from moto.route53.models import Route53Backend

from rehearsal.emulator.corrections import Method, corrects


@corrects(Route53Backend, "change_resource_record_sets")
def _change_resource_record_sets(plain: Method, self: Any, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    """Refuse to create a record that exists, and to delete one that does not; moto does both."""
    known = {(one.name, one.type, one.set_identifier) for one in self.get_hosted_zone(zoneid).rrsets}
    for change in change_list:
        _check(known, change["Action"], change["ResourceRecordSet"])
    # moto refuses to create a record that was deleted before, since it searches all that ever existed.
    put = [change | ({"Action": "UPSERT"} if change["Action"] == "CREATE" else {}) for change in change_list]
    plain(self, zoneid, put)


def _check(known: set[tuple[Any, ...]], action: str, record: dict[str, Any]) -> None:
    name = record["Name"].rstrip(".") + "."
    exists = (name, record["Type"], record.get("SetIdentifier")) in known
    if action == "CREATE" and exists:
        raise ResourceRecordAlreadyExists(name=name, _type=record["Type"])
    if action == "DELETE" and not exists:
        words = f"Tried to delete resource record set [name='{name}', type='{record['Type']}'] but it was not found"
        raise Route53ClientError("InvalidChangeBatch", words)
