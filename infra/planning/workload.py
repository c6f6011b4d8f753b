"""The workload: the numbers that a stack's settings ask of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from infra.configuration.settings import Settings, SlotSettings
from infra.configuration.settings_sections import Capacity
from infra.facts.index_parameters import DEFAULTS, IndexType
from infra.facts.instance_types import BY_NAME, ROUTER_TYPES, InstanceType
from infra.facts.service_prices import INTERFACE_ENDPOINTS, interface_endpoints
from infra.planning.memory import Rows, chunk_bytes
from infra.planning.recovery import EC2_BOOT, LOCAL_BOOT, Boot
from infra.planning.zone_loss import MAX_ROUTERS

# The source of a value, by key of the configuration.
Sources = Mapping[str, str]
NO_SOURCES: Sources = {}
CONFIGURED = "as configured"
ASSUMED = "assumed"
# 0.3 ms of a core for each search beside the walk, by `vectorfleet bench serving`, and some room.
LOOP_QUERIES_PER_SECOND = 2_500.0


@dataclass(frozen=True)
class MeasuredCapacity:
    """The capacity of one process: queries per second within the latency objective, its vCPUs, and its source."""

    queries_per_second: float
    vcpus: int
    source: str = ASSUMED


@dataclass(frozen=True)
class Services:
    """The parts of a fleet that are billed beside cells and disks."""

    router_type: str = ROUTER_TYPES[0]
    endpoints: tuple[str, ...] = INTERFACE_ENDPOINTS
    public: bool = False
    vault: bool = False
    batch: bool = False
    alarm_period_seconds: int = 60


@dataclass(frozen=True)
class Workload:
    """The request alone, nothing computed from it. `shards` is the number that an existing build has."""

    vectors: int
    dims: int
    peak_queries_per_second: float
    zones: tuple[str, ...]
    retrieval_p95_ms: float
    recovery_time_seconds: int
    chunk_bytes: int
    replica: MeasuredCapacity
    router: MeasuredCapacity = MeasuredCapacity(500.0, 2)
    index: IndexType = "hnsw"
    m: int = DEFAULTS["m"]
    lists: int = DEFAULTS["lists"]
    code_dims: int = DEFAULTS["code_dims"]
    shards: int | None = None
    minimum_shards: int = 1
    minimum_replicas: int = 2
    minimum_routers: int = 2
    maximum_routers: int = MAX_ROUTERS
    boot: Boot = EC2_BOOT
    services: Services = field(default_factory=Services)

    @property
    def rows(self) -> Rows:
        """Return all rows, as one index would hold them."""
        return Rows(self.vectors, self.dims, self.index, self.m, self.lists, self.code_dims)

    @property
    def budget_seconds(self) -> float:
        """Return the part of the recovery time that depends on sizing."""
        return self.recovery_time_seconds - self.boot.seconds

    @property
    def router_queries_per_second(self) -> float:
        """Return a router's rate. It is one process on one core, so a larger machine carries no more than measured."""
        vcpus = BY_NAME[self.services.router_type].vcpus
        return self.router.queries_per_second * min(1.0, vcpus / self.router.vcpus)

    def replica_queries_per_second(self, machine: InstanceType) -> float:
        """Scale the measured rate by vCPUs, up to the rate of one event loop unless more was measured."""
        measured = self.replica.queries_per_second
        return min(measured * machine.vcpus / self.replica.vcpus, max(measured, LOOP_QUERIES_PER_SECOND))


def workload(settings: SlotSettings, sources: Sources = NO_SOURCES) -> Workload:
    """Return the workload of a slot; `sources` names by key the origin of a measured capacity."""
    index = settings.index
    return Workload(
        vectors=settings.vectors,
        dims=settings.dims,
        peak_queries_per_second=settings.peak_queries_per_second,
        zones=settings.zones,
        retrieval_p95_ms=settings.objectives.retrieval_p95_ms,
        recovery_time_seconds=settings.objectives.recovery_time_seconds,
        chunk_bytes=chunk_bytes(settings.chunking.size),
        replica=_measured(settings, "capacity_per_replica", sources),
        router=_measured(settings, "capacity_per_router", sources),
        index=index.type,
        m=index.m,
        lists=index.lists,
        code_dims=index.code_dims,
        shards=settings.shards,
        minimum_shards=settings.minimum_shards,
        minimum_replicas=settings.minimum_replicas,
        minimum_routers=settings.minimum_routers,
        maximum_routers=settings.maximum_routers or MAX_ROUTERS,
        # AWS assigns no network in 127.0.0.0/8: there instances are processes of this machine.
        boot=LOCAL_BOOT if IPv4Network(settings.vpc_cidr).is_loopback else EC2_BOOT,
        services=services(settings),
    )


def services(settings: Settings) -> Services:
    """Return the billed parts of a stack beside cells and disks."""
    return Services(
        router_type=router_type(settings),
        endpoints=interface_endpoints(sessions=settings.sessions, bedrock=settings.calls_bedrock),
        public=not settings.internal,
        vault=settings.vault is not None,
        batch=settings.indexing.mode == "batch",
        alarm_period_seconds=settings.alarm_period_seconds,
    )


def router_type(settings: Settings) -> str:
    """Return the smallest router type with at least the vCPUs of the measured router, else the largest."""
    fitting = [name for name in ROUTER_TYPES if BY_NAME[name].vcpus >= settings.capacity_per_router.vcpus]
    return (fitting or ROUTER_TYPES[-1:])[0]


def _measured(settings: Settings, field: str, sources: Sources) -> MeasuredCapacity:
    capacity: Capacity = getattr(settings, field)
    key = str(Settings.model_fields[field].alias)
    source = sources.get(key) or (CONFIGURED if field in settings.model_fields_set else ASSUMED)
    return MeasuredCapacity(capacity.queries_per_second, capacity.vcpus, source)
