"""What a stack's settings ask of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from infra.catalog import BY_NAME, GENERATOR_TYPE, INDEXER_TYPE, ROUTER_TYPES, candidates, same_size
from infra.demand import ASSUMED, Measured, Workload
from infra.placement import MAX_ROUTERS
from infra.plan import Plan, make_plan
from infra.prices import Services, interface_endpoints
from infra.restore import EC2_BOOT, LOCAL_BOOT
from infra.sections import Capacity
from infra.settings import Settings
from infra.sizing import IndexType, chunk_bytes

# By key of the configuration, where its value comes from.
Sources = Mapping[str, str]
NOWHERE: Sources = {}
CONFIGURED = "as configured"


def workload(settings: Settings, sources: Sources = NOWHERE) -> Workload:
    """The settings' numbers, as the plan takes them; `sources` says by key where a measured capacity comes from."""
    index = settings.index
    return Workload(
        vectors=settings.vectors,
        dims=settings.dims,
        peak_queries_per_second=settings.peak_queries_per_second,
        zones=settings.zones,
        retrieval_p95_ms=settings.objectives.retrieval_p95_ms,
        recovery_time_seconds=settings.objectives.recovery_time_seconds,
        index=index.type,
        m=index.m,
        lists=index.lists,
        code_dims=index.code_dims,
        chunk_bytes=chunk_bytes(settings.chunking.size),
        replica=_measured(settings, "capacity_per_replica", sources),
        router=_measured(settings, "capacity_per_router", sources),
        shards=settings.shards,
        minimum_shards=settings.minimum_shards,
        minimum_replicas=settings.minimum_replicas,
        minimum_routers=settings.minimum_routers,
        maximum_routers=settings.maximum_routers or MAX_ROUTERS,
        boot=LOCAL_BOOT if is_local(settings) else EC2_BOOT,
        services=services(settings),
    )


def is_local(settings: Settings) -> bool:
    """Whether the fleet's machines are processes of this machine: AWS gives nobody a network on 127.0.0.0/8."""
    return IPv4Network(settings.vpc_cidr).is_loopback


def services(settings: Settings) -> Services:
    """What the settings are paid for beside machines and disks."""
    return Services(
        router_type=router_type(settings),
        endpoints=interface_endpoints(sessions=settings.sessions, bedrock=settings.embedding.provider == "bedrock"),
        public=not settings.internal,
        vault=settings.vault is not None,
        batch=settings.indexing.mode == "batch",
        alarm_period_seconds=settings.alarm_period_seconds,
    )


def plan_for(settings: Settings, index: IndexType | None = None, sources: Sources = NOWHERE) -> Plan:
    """The plan of a stack, or as if it had another index. Raises PlanError when no candidate type fits."""
    asked = workload(settings, sources)
    return make_plan(replace(asked, index=index or asked.index), candidates(settings.instance_types))


def types_by_role(settings: Settings, plan: Plan) -> dict[str, tuple[str, ...]]:
    """What each process kind may be launched as, in order of preference; `instanceTypes` is about nodes alone."""
    return {
        "node": same_size(plan.instance_type, settings.instance_types),
        "router": same_size(router_type(settings)),
        "indexer": same_size(INDEXER_TYPE),
        "generator": same_size(GENERATOR_TYPE),
    }


def router_type(settings: Settings) -> str:
    """The smallest router type at least as large as the one whose capacity was measured."""
    fitting = [name for name in ROUTER_TYPES if BY_NAME[name].vcpus >= settings.capacity_per_router.vcpus]
    return (fitting or ROUTER_TYPES[-1:])[0]


def _measured(settings: Settings, field: str, sources: Sources) -> Measured:
    capacity: Capacity = getattr(settings, field)
    key = str(Settings.model_fields[field].alias)
    source = sources.get(key) or (CONFIGURED if field in settings.model_fields_set else ASSUMED)
    return Measured(capacity.queries_per_second, capacity.vcpus, source)
