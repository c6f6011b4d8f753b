"""The identity of each process kind, in all slots: one role, one inline policy, one instance profile."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components import policies, role_policies
from infra.components.keys import Keys
from infra.components.storage import Storage
from infra.configuration.settings import Settings
from infra.facts import naming


class Identity(pulumi.ComponentResource):
    """The role of one process kind. `policy` must exist before an instance boots: nothing refers to it."""

    def __init__(
        self,
        settings: Settings,
        role: str,
        grounds: pulumi.Output[role_policies.Grounds],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        fleet = settings.fleet
        name = naming.logical("role", fleet, role)
        super().__init__("vectorfleet:infra:Identity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {"vectorfleet:fleet": fleet, "vectorfleet:role": role}
        self.role = aws.iam.Role(
            name,
            assume_role_policy=policies.text(policies.assume_by("ec2", "InstancesOnly")),
            permissions_boundary=settings.permissions_boundary_arn,
            tags=tags,
            opts=child,
        )
        self.policy = aws.iam.RolePolicy(
            name,
            role=self.role.name,
            policy=grounds.apply(lambda known: policies.text(role_policies.for_role(role, known))),
            opts=child,
        )
        self.profile = aws.iam.InstanceProfile(name, role=self.role.name, tags=tags, opts=child)
        self.register_outputs({"profile": self.profile.arn})


def grounds(
    settings: Settings,
    storage: Storage,
    keys: Keys,
    log_group: aws.cloudwatch.LogGroup,
    parameters_arn: pulumi.Input[str],
) -> pulumi.Output[role_policies.Grounds]:
    """Return the resources that the roles' policies name."""
    known = pulumi.Output.all(
        documents_arn=storage.documents.bucket.arn,
        index_arn=storage.index.bucket.arn,
        artifacts_arn=storage.artifacts.bucket.arn,
        parameters_arn=parameters_arn,
        data_key_arn=keys.data.arn,
        log_group_arn=log_group.arn,
    )
    models = {one.embedding.model for one in settings.deployed if one.embedding.provider == "bedrock"}
    secrets = {one.embedding_secret for one in settings.deployed if one.embedding_secret}
    return known.apply(
        lambda arns: role_policies.Grounds(
            **arns,
            bedrock_models=tuple(sorted(models)),
            embedding_secrets=tuple(sorted(secrets)),
            sessions=settings.sessions,
        )
    )
