"""The sections of a stack's configuration: each key with its default and its allowed values. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from infra.facts import slo
from infra.facts.index_parameters import BOUNDS, BUILT_BY, DEFAULTS, IndexType
from vectorfleet.slots import SLOTS

# The pattern allows no user and no password, which are secrets.
BASE_URL = r"^https?://[A-Za-z0-9.\[\]:-]+(/\S*)?$"
SLOT_ALLOWED = "an object with some of vectors, shards, embedding, chunking, index and until, or none"
MODEL_VERSION_DIGITS = 12  # of a packed model: a digest of its files
Count = Annotated[int, Field(ge=1)]
Cidr = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Objectives(Section):
    """The targets of the fleet."""

    retrieval_p95_ms: float = Field(
        default=slo.target("retrieval_p95_ms"), gt=0, alias="retrievalP95Ms", description="milliseconds above 0"
    )
    recovery_time_seconds: int = Field(
        default=900, ge=10, le=86_400, description="a whole number of seconds from 10 to 86400"
    )


class Embedding(Section):
    """The model that turns text into vectors. It belongs to a build's identity; `url` and `cidrs` do not."""

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
        """Return the port of `url`; 0 if it is invalid."""
        return port_of(self.url)


class Chunking(Section):
    """The split of documents, in characters."""

    size: int = Field(default=300, ge=50, le=100_000, description="a whole number of characters from 50 to 100000")
    overlap: int = Field(default=0, ge=0, description="a whole number of characters from 0, below size")


def _parameter(name: str, allowed: str = "") -> Any:
    least, most = BOUNDS[name]
    return Field(
        default=DEFAULTS[name], ge=least, le=most, description=allowed or f"a whole number from {least} to {most}"
    )


class Index(Section):
    """Parameters of the index. Each type reads its own."""

    type: IndexType = Field(default="hnsw", description="flat, hnsw, ivf or pq")
    metric: Literal["cosine", "ip", "l2"] = Field(default="cosine", description="cosine, ip or l2")
    m: int = _parameter("m")
    ef_construction: int = _parameter("ef_construction")
    ef_search: int = _parameter("ef_search")
    lists: int = _parameter("lists", "a whole number; 0 means what fits the rows")
    probes: int = _parameter("probes", "a whole number; 0 means what fits the lists")
    code_dims: int = _parameter("code_dims")
    rescored: int = _parameter("rescored")

    @property
    def built(self) -> Index:
        """
        Return the parameters that decide the contents of an index, all others at their defaults.

        The recipe of a build is written from it. Its `ef_search` is therefore always the default: no process reads it,
        and another value would replace the protected parameter of every deployed stack.
        """
        deciding = ("type", "metric", *BUILT_BY[self.type])
        return Index(**self.model_dump(include=set(deciding)))


class Traces(Section):
    """The collector of traces, and the share of requests that are traced."""

    endpoint: str | None = Field(
        default=None,
        pattern=BASE_URL,
        description="the base URL of a collector of OTLP over HTTP, http…; none means off",
    )
    sample_share: float = Field(default=0.01, ge=0, le=1, description="a share from 0 to 1")
    cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")

    @property
    def port(self) -> int:
        """Return the port of `endpoint`; 0 if it is invalid."""
        return port_of(self.endpoint)


class SlotRecipe(Section):
    """The recipe of a slot's build, so far as it differs from that of the fleet."""

    vectors: Count = Field(default=1, description="a whole number from 1")
    shards: Count | None = Field(default=None, description="a whole number from 1; none means the plan's")
    embedding: Embedding = Field(default_factory=Embedding, description="an object of the embedding model")
    chunking: Chunking = Field(default_factory=Chunking, description="an object of chunk parameters")
    index: Index = Field(default_factory=Index, description="an object of index parameters")
    until: Count | None = Field(default=None, description="a documents position from 1; none means the log's end")

    def over(self, fleet: BaseModel) -> dict[str, Any]:
        """Return the values that differ from the fleet's, by field. A section takes from it the keys that it lacks."""
        own = {name: _over(getattr(self, name), getattr(fleet, name, None)) for name in self.model_fields_set}
        return own | ({"dims": self.embedding.dims} if "dims" in self.embedding.model_fields_set else {})


def _over(value: object, fleet: object) -> object:
    if not isinstance(value, Section) or not isinstance(fleet, Section):
        return value
    return fleet.model_copy(update={name: getattr(value, name) for name in value.model_fields_set})


class Slots(Section):
    """The slots of a stack."""

    blue: SlotRecipe | None = Field(default=None, description=SLOT_ALLOWED)
    green: SlotRecipe | None = Field(default=None, description=SLOT_ALLOWED)

    @property
    def recipes(self) -> dict[str, SlotRecipe]:
        """Return the recipes of the slots that the stack has, by slot."""
        found = {slot: getattr(self, slot) for slot in SLOTS}
        return {slot: recipe for slot, recipe in found.items() if recipe is not None}


class Weights(Section):
    """The first weights of the two target groups; later ones are set by `vectorfleet weights`."""

    blue: int = Field(default=100, ge=0, le=999, description="a whole number from 0 to 999")
    green: int = Field(default=0, ge=0, le=999, description="a whole number from 0 to 999")


class Capacity(Section):
    """The measured capacity of one process within the latency objective, and its vCPUs."""

    queries_per_second: float = Field(gt=0, description="queries per second above 0")
    vcpus: Count = Field(default=2, description="a whole number of vCPUs from 1")


class VaultSettings(Section):
    """Copies in another region, under Object Lock."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="another AWS region than the stack's")
    retention_days: int = Field(default=28, ge=1, le=3650, description="a whole number of days from 1 to 3650")
    mode: Literal["governance", "compliance"] = Field(default="governance", description="governance or compliance")


class Alerts(Section):
    """Receivers of alarms, beside those that subscribe to the topic themselves."""

    emails: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(
        default=(), description="addresses of e-mail; each has to confirm"
    )


class LoadGenerators(Section):
    """Instances that a load test may start inside the network."""

    maximum: int = Field(default=0, ge=0, le=64, description="a whole number from 0 to 64; 0 means none")
    master_port: int = Field(default=5557, ge=1024, le=65_535, description="a port from 1024 to 65535")
    master_cidrs: tuple[Cidr, ...] = Field(default=(), description="IPv4 networks; none means the VPC itself")


class Indexing(Section):
    """Indexing at once, or in batches by a schedule."""

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
        """Return the schedule by which a batch ends."""
        minute, rest = self.schedule.split(" ", 1)
        return f"{int(minute) + self.batch_minutes} {rest}"

    @property
    def lag_seconds(self) -> float:
        """Return the greatest age of a write that searches miss: in batches from one start to the next end."""
        if self.mode == "realtime":
            return slo.LAG_SECONDS
        _, hour, day, month, weekday = self.schedule.split(" ")
        # The longest wait of a schedule that restricts this field; the coarsest field decides.
        longest_hours = ((month, 366 * 24), (day, 31 * 24), (weekday, 7 * 24), (hour, 24))
        hours = next((hours for field, hours in longest_hours if field != "*"), 1)
        return 3600.0 * hours + 60 * self.batch_minutes


class HealthCheck(Section):
    """The health check of routers by the front load balancer."""

    interval_seconds: int = Field(default=15, ge=5, le=300, description="a whole number of seconds from 5 to 300")
    timeout_seconds: int = Field(default=5, ge=2, le=120, description="seconds from 2 to 120, below intervalSeconds")
    healthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")
    unhealthy_threshold: int = Field(default=2, ge=2, le=10, description="a whole number from 2 to 10")


def port_of(url: str | None) -> int:
    """Return the port of a base URL, by default that of its scheme; 0 if it is invalid."""
    parts = urlsplit(url or "")
    try:
        return parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return 0
