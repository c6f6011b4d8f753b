"""The typed configuration of a stack: every key, what it allows, and the sentence that refuses the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra import slo
from infra.catalog import BY_NAME
from infra.model_files import VERSION, VERSION_DIGITS
from infra.refusals import refuse, sentences

NAMESPACE = "vectorfleet"
# What CloudWatch lets a log group keep, up to two years.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)
LOG_RETENTION = f"one of {', '.join(map(str, LOG_RETENTION_DAYS))} days"
SUBNET_BITS = 4  # subnets are a sixteenth of the VPC: six private and six public ones fit
WORDLLAMA_DIMS = (64, 128, 256)
# No user and password: a configuration is no place for a secret.
BASE_URL = r"^https?://[A-Za-z0-9.\[\]:-]+(/\S*)?$"
DIFFERENT_NETWORKS = "different IPv4 networks such as 10.0.0.0/8"
REGIONAL = re.compile(r"(us|us-gov|eu|apac|jp|au|ca|global)\.")
Count = Annotated[int, Field(ge=1)]
Cidr = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]


class ConfigError(ValueError):
    """The configuration is refused; the message is one sentence per finding."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Objectives(_Section):
    """What the fleet promises."""

    retrieval_p95_ms: float = Field(
        default=slo.target("retrieval_p95_ms"), gt=0, alias="retrievalP95Ms", description="milliseconds above 0"
    )
    recovery_time_seconds: int = Field(
        default=900, ge=10, le=86_400, description="a whole number of seconds from 10 to 86400"
    )


class Embedding(_Section):
    """The model that turns text into vectors; it is part of a build's identity, where it is reached is not."""

    provider: Literal["wordllama", "onnx", "openai", "bedrock", "given"] = Field(
        default="wordllama", description="wordllama, onnx, openai, bedrock or given"
    )
    model: str = Field(default="wordllama", min_length=1, description="the name of an embedding model")
    version: str = Field(default="0.4.0.post1", min_length=1, description="that model's version")
    dims: int = Field(default=256, ge=2, le=16_384, description="the same whole number as dims")
    url: str | None = Field(
        default=None,
        pattern=BASE_URL,
        description="the base URL of a server with OpenAI's interface, http…; for provider openai alone",
    )
    cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")

    @property
    def port(self) -> int:
        """The port of `url`; 0 where that names none that can be."""
        return _port(self.url)


class Chunking(_Section):
    """How documents are split, in characters."""

    size: int = Field(default=300, ge=50, le=100_000, description="a whole number of characters from 50 to 100000")
    overlap: int = Field(default=0, ge=0, description="a whole number of characters from 0, below size")


class Index(_Section):
    """Parameters of the index type."""

    type: Literal["flat", "hnsw", "ivf", "pq"] = Field(default="hnsw", description="flat, hnsw, ivf or pq")
    metric: Literal["cosine", "ip", "l2"] = Field(default="cosine", description="cosine, ip or l2")
    m: int = Field(default=16, ge=8, le=64, description="a whole number from 8 to 64")
    ef_construction: int = Field(default=200, ge=100, le=500, description="a whole number from 100 to 500")
    ef_search: int = Field(default=100, ge=50, le=500, description="a whole number from 50 to 500")
    lists: int = Field(default=0, ge=0, le=1_000_000, description="a whole number; 0 means what fits the rows")
    probes: int = Field(default=0, ge=0, le=1_000_000, description="a whole number; 0 means what fits the lists")
    code_dims: int = Field(default=4, ge=1, le=64, description="a whole number from 1 to 64")
    rescored: int = Field(default=8, ge=0, le=100, description="a whole number from 0 to 100")


class Traces(_Section):
    """Where the processes send their traces, and how many."""

    endpoint: str | None = Field(
        default=None,
        pattern=BASE_URL,
        description="the base URL of a collector of OTLP over HTTP, http…; none means off",
    )
    sample_share: float = Field(default=0.01, ge=0, le=1, description="a share from 0 to 1")
    cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")

    @property
    def port(self) -> int:
        """The port of `endpoint`; 0 where that names none that can be."""
        return _port(self.endpoint)


class Weights(_Section):
    """First shares of the two target groups; later ones belong to the runbook's verb."""

    blue: int = Field(default=100, ge=0, le=999, description="a whole number from 0 to 999")
    green: int = Field(default=0, ge=0, le=999, description="a whole number from 0 to 999")


class Capacity(_Section):
    """What one process was measured to carry at the latency objective, and on how many vCPUs."""

    queries_per_second: float = Field(gt=0, description="queries per second above 0")
    vcpus: Count = Field(default=2, description="a whole number of vCPUs from 1")


class VaultSettings(_Section):
    """Copies in another region, kept by Object Lock."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="another AWS region than the stack's")
    retention_days: int = Field(default=35, ge=1, le=3650, description="a whole number of days from 1 to 3650")
    mode: Literal["governance", "compliance"] = Field(default="governance", description="governance or compliance")


class Alerts(_Section):
    """Who hears of alarms, besides what subscribes to the topic by itself."""

    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(
        default=(), description="addresses of e-mail; each has to confirm"
    )


class LoadGenerators(_Section):
    """Instances that a load test may start inside the network."""

    maximum: int = Field(default=0, ge=0, le=64, description="a whole number from 0 to 64; 0 means none")
    master_port: int = Field(default=5557, ge=1024, le=65_535, description="a port from 1024 to 65535")
    master_cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")


class Indexing(_Section):
    """Whether documents are indexed as they come, or at set times."""

    mode: Literal["realtime", "batch"] = Field(default="realtime", description="realtime or batch")
    schedule: str = Field(
        default="0 * * * *",
        pattern=r"^[0-5]?\d( \S+){4}$",
        description="five fields of cron in UTC, the first a minute from 0 to 59",
    )
    batch_minutes: int = Field(
        default=45, ge=5, le=59, description="minutes from 5 to 59 that end within the schedule's hour"
    )

    @property
    def end(self) -> str:
        """The schedule by which a batch ends."""
        minute, rest = self.schedule.split(" ", 1)
        return f"{int(minute) + self.batch_minutes} {rest}"


class HealthCheck(_Section):
    """How the front load balancer probes routers."""

    interval_seconds: int = Field(default=15, ge=5, le=300, description="a whole number of seconds from 5 to 300")
    timeout_seconds: int = Field(default=5, ge=2, le=120, description="seconds from 2 to 120, below intervalSeconds")
    healthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")
    unhealthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")


class Settings(_Section):
    """One fleet, as `vectorfleet:` keys of a stack's configuration state it."""

    fleet: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,18}[a-z0-9]$",
        description="2 to 20 lower-case letters, digits and hyphens, starting with a letter",
    )
    vectors: Count = Field(description="a whole number from 1")
    dims: int = Field(ge=2, le=16_384, description="a whole number from 2 to 16384")
    peak_queries_per_second: float = Field(gt=0, description="queries per second above 0")
    objectives: Objectives = Field(default_factory=Objectives, description="an object of objectives")
    zones: tuple[str, ...] = Field(min_length=2, max_length=6, description="2 to 6 different Availability Zones")
    vpc_cidr: Cidr = Field(default="10.64.0.0/16", description="an IPv4 network from /16 to /24")
    client_cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")
    listener_port: int | None = Field(
        default=None, ge=1, le=65_535, description="a port from 1 to 65535; none means 443 with a certificate, else 80"
    )
    certificate_arn: str | None = Field(
        default=None, pattern=r"^arn:aws[\w-]*:acm:", description="the ARN of an ACM certificate"
    )
    internal: bool = Field(default=True, description="true or false")
    ami_id: str = Field(
        pattern=r"^ami-[0-9a-f]{8,17}$", description="the id of an Amazon Linux 2023 x86-64 image, ami-…"
    )
    wheelhouse: bool = Field(
        default=True, description="true, or false for an image that brings the service's packages along"
    )
    instance_types: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="types of the catalog (infra/catalog.py)"
    )
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
    slot: Literal["blue", "green"] = Field(default="blue", description="blue or green")
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
    traces: Traces = Field(default_factory=Traces, description="an object with endpoint, sampleShare and cidrs")
    load_generators: LoadGenerators = Field(
        default_factory=LoadGenerators, description="an object with maximum, masterPort and masterCidrs"
    )
    alarm_period_seconds: int = Field(
        default=60, ge=10, le=3600, description="10, 30, or a multiple of 60 up to 3600 seconds"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, wrong, allowed in self._findings():
            if wrong:
                raise refuse(key, allowed)
        return self

    def _findings(self) -> tuple[tuple[str, bool, str], ...]:
        return (
            *self._network_findings(),
            *self._embedding_findings(),
            *self._traces_findings(),
            (
                "chunking.overlap",
                self.chunking.overlap >= self.chunking.size,
                f"less than chunking.size, {self.chunking.size}",
            ),
            (
                "healthCheck.timeoutSeconds",
                self.health_check.timeout_seconds >= self.health_check.interval_seconds,
                f"less than healthCheck.intervalSeconds, {self.health_check.interval_seconds}",
            ),
            (
                "minimumReplicas",
                self.minimum_replicas > len(self.zones),
                f"at most {len(self.zones)}, one replica of a shard per zone",
            ),
            (
                "weights",
                getattr(self.weights, self.slot) == 0,
                f"a weight above 0 for {self.slot}, this stack's slot, or nobody serves",
            ),
            (
                "alarmPeriodSeconds",
                self.alarm_period_seconds not in (10, 30) and self.alarm_period_seconds % 60 != 0,
                "10, 30, or a multiple of 60: CloudWatch has no other periods",
            ),
            (
                "indexing.batchMinutes",
                int(self.indexing.schedule.split(" ")[0]) + self.indexing.batch_minutes > 59,
                "few enough to end within the hour in which the schedule begins",
            ),
            (
                "logRetentionDays",
                self.log_retention_days not in LOG_RETENTION_DAYS,
                ", ".join(map(str, LOG_RETENTION_DAYS)),
            ),
            ("instanceTypes", bool(self._unknown_types()), f"types of the catalog: {', '.join(BY_NAME)}"),
        )

    def _embedding_findings(self) -> tuple[tuple[str, bool, str], ...]:
        embedding = self.embedding
        own, elsewhere = embedding.provider == "wordllama", embedding.provider == "openai"
        return (
            ("embedding.dims", embedding.dims != self.dims, f"the same as dims, {self.dims}"),
            (
                "embedding.dims",
                own and embedding.dims not in WORDLLAMA_DIMS,
                f"{', '.join(map(str, WORDLLAMA_DIMS))} with wordllama, or another embedding.provider",
            ),
            (
                "embedding.url",
                elsewhere != (embedding.url is not None),
                "a base URL with provider openai, and none with another",
            ),
            (
                "index.metric",
                embedding.provider != "given" and self.index.metric != "cosine",
                "cosine, which says all of the unit vectors that texts become; ip and l2 with embedding.provider given",
            ),
            *self._model_findings(),
            ("embedding.url", embedding.port == 0, "a base URL with a port from 1 to 65535, or none"),
            (
                "embedding.cidrs",
                not _are_networks(embedding.cidrs),
                DIFFERENT_NETWORKS,
            ),
        )

    def _model_findings(self) -> tuple[tuple[str, bool, str], ...]:
        embedding = self.embedding
        return (
            (
                "embedding.model",
                embedding.provider == "given" and embedding.model == "wordllama",
                "the name of the model that the given vectors come from, with its embedding.version",
            ),
            (
                "embedding.model",
                embedding.provider == "onnx" and embedding.model == "wordllama",
                "the name of the packed model, with the embedding.version that `python -m infra model` says",
            ),
            (
                "embedding.version",
                embedding.provider == "onnx" and not re.fullmatch(VERSION, embedding.version),
                f"the {VERSION_DIGITS} hexadecimal digits that `python -m infra model FOLDER` says",
            ),
            (
                "embedding.model",
                embedding.provider == "bedrock" and bool(REGIONAL.match(embedding.model)),
                "the id of a model itself: an inference profile such as us.… spans regions, which the roles may not",
            ),
        )

    def _traces_findings(self) -> tuple[tuple[str, bool, str], ...]:
        traces = self.traces
        return (
            ("traces.endpoint", traces.port == 0, "a base URL with a port from 1 to 65535, or none"),
            (
                "traces.cidrs",
                not _are_networks(traces.cidrs),
                DIFFERENT_NETWORKS,
            ),
        )

    def _network_findings(self) -> tuple[tuple[str, bool, str], ...]:
        masters = self.load_generators.master_cidrs
        bad = [cidr for cidr in (self.vpc_cidr, *self.client_cidrs, *masters) if not _is_network(cidr)]
        size_bad = not bad and not 16 <= IPv4Network(self.vpc_cidr).prefixlen <= 24
        return (
            ("zones", len(set(self.zones)) != len(self.zones), "different Availability Zones, each once"),
            ("vpcCidr", self.vpc_cidr in bad or size_bad, "an IPv4 network from /16 to /24"),
            (
                "clientCidrs",
                any(cidr in bad for cidr in self.client_cidrs),
                "IPv4 networks such as 10.0.0.0/8",
            ),
            (
                "loadGenerators.masterCidrs",
                not _are_networks(masters),
                DIFFERENT_NETWORKS,
            ),
            (
                "loadGenerators.maximum",
                not self.internal and self.load_generators.maximum > 0,
                "0 when internal is false: without a way to the internet they can't reach a public load balancer",
            ),
            (
                "clientCidrs",
                not self.internal and not self.client_cidrs,
                "at least one network when internal is false: the VPC itself is all it would admit",
            ),
            (
                "certificateArn",
                not self.internal and self.certificate_arn is None,
                "the ARN of an ACM certificate when internal is false: nothing plain goes over the internet",
            ),
        )

    def _unknown_types(self) -> list[str]:
        return [name for name in self.instance_types or () if name not in BY_NAME]

    @property
    def subnet_cidrs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Private and public subnets, one of each per zone, in the order of the zones."""
        blocks = [str(block) for block in IPv4Network(self.vpc_cidr).subnets(prefixlen_diff=SUBNET_BITS)]
        count = len(self.zones)
        return tuple(blocks[:count]), tuple(blocks[8 : 8 + count])

    @property
    def port(self) -> int:
        """The front listener's port."""
        return self.listener_port or (443 if self.certificate_arn else 80)

    @property
    def allowed_clients(self) -> tuple[str, ...]:
        """The networks that may reach the front load balancer."""
        return self.client_cidrs or (self.vpc_cidr,)


def settings_from(values: Mapping[str, str]) -> Settings:
    """
    Settings from configuration as Pulumi hands it over: every value a string, objects and lists as JSON.

    Keys carry no namespace. Raises ConfigError, one sentence per finding.
    """
    try:
        return Settings.model_validate({key: _decoded(value) for key, value in values.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, Settings, NAMESPACE))) from None


def _decoded(value: str) -> object:
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _port(url: str | None) -> int:
    parts = urlsplit(url or "")
    try:
        return parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return 0


def _are_networks(cidrs: Sequence[str]) -> bool:
    return all(map(_is_network, cidrs)) and len(set(cidrs)) == len(cidrs)


def _is_network(cidr: str) -> bool:
    try:
        IPv4Network(cidr)
    except ValueError:
        return False
    return True
