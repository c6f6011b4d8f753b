"""What each process kind may do: one role, one inline policy, one instance profile."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import naming, policies
from infra.keys import Keys
from infra.settings import Settings
from infra.storage import Storage


class Identity(pulumi.ComponentResource):
    """The role of one process kind. `policy` must exist before an instance boots: nothing refers to it."""

    def __init__(
        self,
        settings: Settings,
        role: str,
        grounds: pulumi.Output[policies.Grounds],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        fleet = settings.fleet
        name = naming.logical("role", fleet, role)
        super().__init__("vectorfleet:infra:Identity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {"vectorfleet:fleet": fleet, "vectorfleet:role": role}
        self.role = aws.iam.Role(
            name,
            assume_role_policy=policies.text(policies.assume_by_ec2()),
            permissions_boundary=settings.permissions_boundary_arn,
            tags=tags,
            opts=child,
        )
        self.policy = aws.iam.RolePolicy(
            name,
            role=self.role.name,
            policy=grounds.apply(lambda known: policies.text(policies.for_role(role, known))),
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
) -> pulumi.Output[policies.Grounds]:
    """What the policies of all roles talk about."""
    known = pulumi.Output.all(
        documents_arn=storage.documents.bucket.arn,
        index_arn=storage.index.bucket.arn,
        artifacts_arn=storage.artifacts.bucket.arn,
        parameters_arn=parameters_arn,
        data_key_arn=keys.data.arn,
        log_group_arn=log_group.arn,
    )
    embedding = settings.embedding
    elsewhere = {
        "bedrock_model": embedding.model if embedding.provider == "bedrock" else "",
        "embedding_secret": naming.embedding_secret(settings.fleet) if embedding.provider == "openai" else "",
    }
    return known.apply(lambda arns: policies.Grounds(**arns, **elsewhere, sessions=settings.sessions))
