"""What each process kind may do: one role, one inline policy, one instance profile."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra import naming, policies
from infra.storage import Storage


class Identity(pulumi.ComponentResource):
    """The role of one process kind. `policy` must exist before an instance boots: nothing refers to it."""

    def __init__(
        self,
        fleet: str,
        role: str,
        storage: Storage,
        parameters_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = naming.logical("role", fleet, role)
        super().__init__("vectorfleet:infra:Identity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {"vectorfleet:fleet": fleet, "vectorfleet:role": role}
        self.role = aws.iam.Role(name, assume_role_policy=json.dumps(policies.assume_by_ec2()), tags=tags, opts=child)
        self.policy = aws.iam.RolePolicy(
            name, role=self.role.name, policy=self._policy(role, storage, parameters_arn), opts=child
        )
        self.profile = aws.iam.InstanceProfile(name, role=self.role.name, tags=tags, opts=child)
        self.register_outputs({"profile": self.profile.arn})

    @staticmethod
    def _policy(role: str, storage: Storage, parameters_arn: pulumi.Input[str]) -> pulumi.Output[str]:
        grounds = pulumi.Output.all(
            documents_arn=storage.documents.bucket.arn,
            index_arn=storage.index.bucket.arn,
            artifacts_arn=storage.artifacts.bucket.arn,
            parameters_arn=parameters_arn,
        )
        return grounds.apply(lambda arns: json.dumps(policies.for_role(role, policies.Grounds(**arns))))
