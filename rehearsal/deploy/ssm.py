"""Parameters of the parameter store."""

from __future__ import annotations

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind, found, tag_changes, tag_list
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.translate import parameters


class Parameter(Kind):
    """aws_ssm_parameter that is not a secret: those are written by a verb, never by the program."""

    token = "aws:ssm/parameter:Parameter"
    service = "ssm"
    name_property = "name"
    replaced_by = frozenset({"name", "dataType"})
    veiled = frozenset({"value"})
    updated_by = frozenset({"type", "value", "description", "tier", "allowedPattern"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        self._put(cloud, inputs, Tags=tag_list(inputs["tagsAll"]))
        return str(inputs["name"])

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        return [inputs["name"]] if self.read(cloud, inputs["name"], inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        answer = found(lambda: cloud.client("ssm").get_parameter(Name=id_))
        return answer and {
            "arn": cloud.arn("ssm", f"parameter{'' if id_.startswith('/') else '/'}{id_}"),
            "name": id_,
            "version": answer["Parameter"]["Version"],
        }

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        if changed & self.updated_by:
            self._put(cloud, inputs, Overwrite=True)
        new, gone = tag_changes(old.inputs, inputs)
        target = {"ResourceType": "Parameter", "ResourceId": old.id}
        if gone:
            cloud.client("ssm").remove_tags_from_resource(**target, TagKeys=gone)
        if new:
            cloud.client("ssm").add_tags_to_resource(**target, Tags=tag_list(new))

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("ssm").delete_parameter(Name=resource.id))

    def _put(self, cloud: Cloud, inputs: Properties, **more: object) -> None:
        if inputs.get("type") == "SecureString":
            raise UnsupportedError("a SecureString would put a secret into the state; write it by a verb")
        client = cloud.client("ssm")
        asked = {key: value for key, value in inputs.items() if key in self.replaced_by | self.updated_by}
        client.put_parameter(**parameters(client, "PutParameter", asked), **more)


KINDS = (Parameter(),)
