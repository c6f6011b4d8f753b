"""DNS records that exist once.

Corrects in moto 5.2.5: a record that exists is created again; one that was deleted can't always be; one that does not
exist is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.route53.exceptions import ResourceRecordAlreadyExists, Route53ClientError
from moto.route53.models import Route53Backend


def _change(plain: Callable[..., None]) -> Callable[..., None]:
    def change_resource_record_sets(self: Any, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        known = {(one.name, one.type, one.set_identifier) for one in self.get_hosted_zone(zoneid).rrsets}
        for change in change_list:
            _check(known, change["Action"], change["ResourceRecordSet"])
        # moto looks for what was created before among everything that ever was.
        put = [change | ({"Action": "UPSERT"} if change["Action"] == "CREATE" else {}) for change in change_list]
        plain(self, zoneid, put)

    return change_resource_record_sets


def _check(known: set[tuple[Any, ...]], action: str, record: dict[str, Any]) -> None:
    name = record["Name"].rstrip(".") + "."
    exists = (name, record["Type"], record.get("SetIdentifier")) in known
    if action == "CREATE" and exists:
        raise ResourceRecordAlreadyExists(name=name, _type=record["Type"])
    if action == "DELETE" and not exists:
        words = f"Tried to delete resource record set [name='{name}', type='{record['Type']}'] but it was not found"
        raise Route53ClientError("InvalidChangeBatch", words)


def install() -> None:
    """Put the correction on moto's class."""
    Route53Backend.change_resource_record_sets = _change(Route53Backend.change_resource_record_sets)
