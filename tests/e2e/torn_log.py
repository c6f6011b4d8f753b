"""The shard log of a document in a standing fleet, whose entries a test deletes and changes as an outsider can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.storage.builds import Slots
from service.storage.objects import ObjectStore
from service.storage.shards import shard_log, shard_of


class TornLog:
    """The log of the shard that holds `source_id`. `api` makes a client of a service."""

    def __init__(self, api: Callable[[str], Any], outputs: dict[str, Any], source_id: str) -> None:
        self._api = api
        self._fleet = outputs["fleet"]
        store = ObjectStore(outputs["index_bucket"], lambda service, **_: api(service))
        build = Slots(store).find("blue")
        assert build is not None
        self.shard = shard_of(source_id, build.recipe.shards)
        self.log = shard_log(store, build.id, self.shard, build.recipe.embedding.dims)

    def delete(self, number: int) -> None:
        """Delete an entry, as any client without a version id does."""
        self._api("s3").delete_object(Bucket=self.log.store.bucket, Key=self.log.key(number))

    def spoil(self, number: int) -> None:
        """Change a byte of an entry: the policy lets another object come over a delete marker."""
        key, store = self.log.key(number), self.log.store
        body = bytearray(store.get(key).body)
        body[100] ^= 1
        self.delete(number)
        store.create(key, bytes(body))

    def versions(self, first: int, last: int) -> list[tuple[int, bool]]:
        """Entry and whether it is a delete marker, of every version of these entries."""
        prefix = self.log.key(first).rpartition("/")[0]
        found = self._api("s3").list_object_versions(Bucket=self.log.store.bucket, Prefix=prefix)
        rows = [(row["Key"], kind) for kind in ("Versions", "DeleteMarkers") for row in found.get(kind, ())]
        numbered = [(int(key.rpartition("/")[2].partition(".")[0]), kind == "DeleteMarkers") for key, kind in rows]
        return sorted(row for row in numbered if first <= row[0] <= last)

    def terminate_a_replica(self) -> None:
        """Terminate one node of the shard: its replacement replays the log."""
        tags = {"fleet": self._fleet, "role": "node", "shard": str(self.shard), "replica": "a"}
        filters = [{"Name": f"tag:vectorfleet:{name}", "Values": [value]} for name, value in tags.items()]
        filters.append({"Name": "instance-state-name", "Values": ["running"]})
        found = self._api("ec2").describe_instances(Filters=filters)["Reservations"]
        instances = [one["InstanceId"] for reservation in found for one in reservation["Instances"]]
        assert len(instances) == 1
        self._api("ec2").terminate_instances(InstanceIds=instances)
