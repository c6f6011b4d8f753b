"""The settings of a stack: every `vectorfleet:` key of its configuration. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Literal

from pydantic import Field

from infra.configuration.settings_sections import (
    Alerts,
    Capacity,
    Chunking,
    Cidr,
    Count,
    Embedding,
    HealthCheck,
    Index,
    Indexing,
    LoadGenerators,
    Objectives,
    Section,
    SlotRecipe,
    Slots,
    Traces,
    VaultSettings,
    Weights,
)
from infra.facts import naming

# The retention times that CloudWatch offers, up to two years.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)
LOG_RETENTION = f"one of {', '.join(map(str, LOG_RETENTION_DAYS))} days"
SUBNET_BITS = 4  # a subnet is a sixteenth of the VPC: six private and six public ones fit


class Settings(Section):
    """The configuration of one fleet."""

    fleet: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,18}[a-z0-9]$",
        description="2 to 20 lower-case letters, digits and hyphens, starting with a letter",
    )
    vectors: Count = Field(description="a whole number from 1")
    dims: int = Field(ge=2, le=16_384, description="a whole number from 2 to 16384")
    peak_queries_per_second: float = Field(gt=0, description="queries per second above 0")
    objectives: Objectives = Field(default_factory=Objectives, description="an object of objectives")
    zones: tuple[str, ...] = Field(min_length=2, max_length=6, description="2 to 6 different Availability Zones")
    vpc_cidr: Cidr = Field(default="10.64.0.0/16", description="an IPv4 network from /16 to /22")
    client_cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")
    listener_port: int | None = Field(
        default=None, ge=1, le=65_535, description="a port from 1 to 65535; none means 443 with a certificate, else 80"
    )
    certificate_arn: str | None = Field(
        default=None, pattern=r"^arn:aws[\w-]*:acm:", description="the ARN of an ACM certificate"
    )
    hostname: str | None = Field(
        default=None,
        max_length=253,
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
        description="the name that clients use, as in search.example.com",
    )
    hosted_zone_id: str | None = Field(
        default=None, pattern=r"^Z[A-Z0-9]{1,31}$", description="the id of a Route 53 hosted zone, Z…"
    )
    internal: bool = Field(default=True, description="true or false")
    ami_id: str = Field(
        pattern=r"^ami-[0-9a-f]{8,17}$", description="the id of an Amazon Linux 2023 x86-64 image, ami-…"
    )
    wheelhouse: bool = Field(
        default=True, description="true, or false for an image that brings the service's packages along"
    )
    instance_types: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="types of the catalog (infra/facts/instance_types.py)"
    )
    shards: Count | None = Field(default=None, description="a whole number from 1; none means the plan's")
    minimum_shards: Count = Field(default=1, description="a whole number from 1")
    minimum_replicas: int = Field(default=2, ge=2, le=6, description="a whole number from 2 to the number of zones")
    minimum_routers: int = Field(default=2, ge=2, le=100, description="a whole number from 2 to 100")
    maximum_routers: int | None = Field(
        default=None, ge=2, le=200, description="a whole number from the planned routers to 200; none means twice those"
    )
    capacity_per_replica: Capacity = Field(
        default_factory=lambda: Capacity(queries_per_second=200), description="a measured capacity"
    )
    capacity_per_router: Capacity = Field(
        default_factory=lambda: Capacity(queries_per_second=500), description="a measured capacity"
    )
    embedding: Embedding = Field(default_factory=Embedding, description="an object of the embedding model")
    chunking: Chunking = Field(default_factory=Chunking, description="an object of chunk parameters")
    index: Index = Field(default_factory=Index, description="an object of index parameters")
    slots: Slots = Field(
        default_factory=lambda: Slots(blue=SlotRecipe()), description="an object with blue, green or both"
    )
    weights: Weights = Field(default_factory=Weights, description="an object with blue and green")
    health_check: HealthCheck = Field(default_factory=HealthCheck, description="an object of probe settings")
    authentication: Literal["keys", "none"] = Field(default="keys", description="keys or none")
    drain_seconds: int = Field(default=30, ge=0, le=3600, description="a whole number of seconds from 0 to 3600")
    data_protection: bool = Field(default=True, description="true or false")
    vault: VaultSettings | None = Field(default=None, description="an object with a region; none means no vault")
    log_retention_days: int = Field(default=90, description=LOG_RETENTION)
    alerts: Alerts = Field(default_factory=Alerts, description="an object with emails")
    monthly_budget_usd: float | None = Field(default=None, gt=0, description="US dollars above 0; none means no budget")
    permissions_boundary_arn: str | None = Field(
        default=None, pattern=r"^arn:aws[\w-]*:iam::\d{12}:policy/", description="the ARN of an IAM policy"
    )
    indexing: Indexing = Field(default_factory=Indexing, description="an object with mode and schedule")
    sessions: bool = Field(default=True, description="true or false")
    traces: Traces = Field(default_factory=Traces, description="an object with endpoint, sampleShare and cidrs")
    load_generators: LoadGenerators = Field(
        default_factory=LoadGenerators, description="an object with maximum, masterPort and masterCidrs"
    )
    snapshot_hours: float = Field(default=6, ge=0.1, le=20, description="hours from 0.1 to 20")
    alarm_period_seconds: int = Field(
        default=60, ge=10, le=3600, description="10, 30, or a multiple of 60 up to 3600 seconds"
    )

    @property
    def subnet_cidrs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return private and public subnets, one of each per zone, in the order of the zones."""
        blocks = [str(block) for block in IPv4Network(self.vpc_cidr).subnets(prefixlen_diff=SUBNET_BITS)]
        count = len(self.zones)
        return tuple(blocks[:count]), tuple(blocks[8 : 8 + count])

    @property
    def port(self) -> int:
        """Return the front listener's port."""
        return self.listener_port or (443 if self.certificate_arn else 80)

    @property
    def allowed_clients(self) -> tuple[str, ...]:
        """Return the networks that may reach the front load balancer."""
        return self.client_cidrs or (self.vpc_cidr,)

    @property
    def deployed(self) -> tuple[SlotSettings, ...]:
        """Return the settings of each slot that the stack has."""
        return tuple(self.of(slot) for slot in self.slots.recipes)

    @property
    def calls_bedrock(self) -> bool:
        """Say whether a slot's model is at Amazon Bedrock."""
        return any(one.embedding.provider == "bedrock" for one in self.deployed)

    def of(self, slot: str) -> SlotSettings:
        """Return the settings of a slot that the stack has: its recipe over that of the fleet."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return SlotSettings.model_validate(given | self.slots.recipes[slot].over(self) | {"slot": slot})


class SlotSettings(Settings):
    """The configuration of one slot: `slot` and `until` are no keys of the fleet."""

    slot: Literal["blue", "green"]
    until: Count | None = None

    @property
    def recipe(self) -> SlotRecipe:
        """Return the keys that the slot has of its own."""
        return self.slots.recipes[self.slot]

    @property
    def embedding_secret(self) -> str:
        """Return the name of the secret for the model's server, empty without one. A server of its own has its own."""
        if self.embedding.provider != "openai":
            return ""
        return naming.embedding_secret(self.fleet, self.slot if "url" in self.recipe.embedding.model_fields_set else "")
