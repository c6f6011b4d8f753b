"""Parameters of the SSM Parameter Store."""

from __future__ import annotations

from typing import Any

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.errors import UnsupportedError
from rehearsal.deployer.kind import Kind, Tagging, names
from rehearsal.deployer.state import Properties, Resource


class Parameter(Kind):
    """aws_ssm_parameter without secrets: a verb writes those, never the program."""

    def put(self, cloud: Cloud, inputs: Properties, **more: Any) -> Any:
        if inputs.get("type") == "SecureString":
            raise UnsupportedError("a SecureString would put a secret into the state; write it by a verb")
        return super().put(cloud, inputs, **more)

    def change(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.put(cloud, inputs, Overwrite=True)

    def outputs_in(self, cloud: Cloud, id_: str, described: Any, inputs: Properties) -> Properties:
        arn = {"arn": cloud.arn("ssm", f"parameter/{id_.removeprefix('/')}")}
        return arn | super().outputs_in(cloud, id_, described, inputs)


KINDS = (
    Parameter(
        token="aws:ssm/parameter:Parameter",
        service="ssm",
        name_property="name",
        identifier="Name",
        create_with="PutParameter",
        id="{name}",
        read_with="GetParameter",
        described="Parameter",
        delete_with="DeleteParameter",
        tagging=Tagging(
            add="AddTagsToResource",
            remove="RemoveTagsFromResource",
            resource="ResourceId",
            fixed={"ResourceType": "Parameter"},
        ),
        replaced_by=names("name dataType"),
        veiled=names("value"),
        updated_by=names("type value description tier allowedPattern"),
        outputs={"name": "{id}", "version": "Version"},
    ),
)
