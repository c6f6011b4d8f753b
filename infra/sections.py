"""The sections of a stack's configuration: each key, its default, and what it allows on its own. Pure."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from infra import slo

# No user and password: a configuration is no place for a secret.
BASE_URL = r"^https?://[A-Za-z0-9.\[\]:-]+(/\S*)?$"
Count = Annotated[int, Field(ge=1)]
Cidr = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Objectives(Section):
    """What the fleet promises."""

    retrieval_p95_ms: float = Field(
        default=slo.target("retrieval_p95_ms"), gt=0, alias="retrievalP95Ms", description="milliseconds above 0"
    )
    recovery_time_seconds: int = Field(
        default=900, ge=10, le=86_400, description="a whole number of seconds from 10 to 86400"
    )


class Embedding(Section):
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
        return port_of(self.url)


class Chunking(Section):
    """How documents are split, in characters."""

    size: int = Field(default=300, ge=50, le=100_000, description="a whole number of characters from 50 to 100000")
    overlap: int = Field(default=0, ge=0, description="a whole number of characters from 0, below size")


# Of the index parameters those that decide what a structure contains, as the service has them. Each type reads its own.
BUILT_BY = {"flat": (), "hnsw": ("m", "ef_construction"), "ivf": ("lists",), "pq": ("lists", "code_dims")}


class Index(Section):
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

    @property
    def built(self) -> Index:
        """Keep what decides the contents of an index; all else, such as how it is searched, stands at its default."""
        deciding = ("type", "metric", *BUILT_BY[self.type])
        return Index(**self.model_dump(include=set(deciding)))


class Traces(Section):
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
        return port_of(self.endpoint)


class Weights(Section):
    """First shares of the two target groups; later ones belong to the runbook's verb."""

    blue: int = Field(default=100, ge=0, le=999, description="a whole number from 0 to 999")
    green: int = Field(default=0, ge=0, le=999, description="a whole number from 0 to 999")


class Capacity(Section):
    """What one process was measured to carry at the latency objective, and on how many vCPUs."""

    queries_per_second: float = Field(gt=0, description="queries per second above 0")
    vcpus: Count = Field(default=2, description="a whole number of vCPUs from 1")


class VaultSettings(Section):
    """Copies in another region, kept by Object Lock."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="another AWS region than the stack's")
    retention_days: int = Field(default=35, ge=1, le=3650, description="a whole number of days from 1 to 3650")
    mode: Literal["governance", "compliance"] = Field(default="governance", description="governance or compliance")


class Alerts(Section):
    """Who hears of alarms, besides what subscribes to the topic by itself."""

    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(
        default=(), description="addresses of e-mail; each has to confirm"
    )


class LoadGenerators(Section):
    """Instances that a load test may start inside the network."""

    maximum: int = Field(default=0, ge=0, le=64, description="a whole number from 0 to 64; 0 means none")
    master_port: int = Field(default=5557, ge=1024, le=65_535, description="a port from 1024 to 65535")
    master_cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")


class Indexing(Section):
    """Whether documents are indexed as they come, or at set times."""

    mode: Literal["realtime", "batch"] = Field(default="realtime", description="realtime or batch")
    schedule: str = Field(
        default="0 * * * *",
        max_length=255,
        pattern=r"^[0-5]?[0-9]( \S+){4}$",
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

    @property
    def lag_seconds(self) -> float:
        """Give the greatest age of a write not found yet; in batches from the begin of one to the end of the next."""
        if self.mode == "realtime":
            return slo.LAG_SECONDS
        _, hour, day, month, weekday = self.schedule.split(" ")
        # The longest that a schedule with something in this field may wait; the coarsest field decides.
        longest_hours = ((month, 366 * 24), (day, 31 * 24), (weekday, 7 * 24), (hour, 24))
        hours = next((hours for field, hours in longest_hours if field != "*"), 1)
        return 3600.0 * hours + 60 * self.batch_minutes


class HealthCheck(Section):
    """How the front load balancer probes routers."""

    interval_seconds: int = Field(default=15, ge=5, le=300, description="a whole number of seconds from 5 to 300")
    timeout_seconds: int = Field(default=5, ge=2, le=120, description="seconds from 2 to 120, below intervalSeconds")
    healthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")
    unhealthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")


def port_of(url: str | None) -> int:
    """The port of a base URL, its scheme's own where it names none; 0 where that is none that can be."""
    parts = urlsplit(url or "")
    try:
        return parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return 0
