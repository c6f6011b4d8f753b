"""What a stack's settings ask of the plan."""

from __future__ import annotations

from dataclasses import replace

from infra.catalog import BY_NAME, GENERATOR_TYPE, INDEXER_TYPE, ROUTER_TYPES, InstanceType, candidates, same_size
from infra.config import Settings
from infra.plan import Plan, Workload, make_plan
from infra.sizing import IndexType, chunk_bytes


def workload(settings: Settings) -> Workload:
    """The settings' numbers, as the plan takes them."""
    return Workload(
        vectors=settings.vectors,
        dims=settings.dims,
        peak_queries_per_second=settings.peak_queries_per_second,
        zones=settings.zones,
        retrieval_p95_ms=settings.objectives.retrieval_p95_ms,
        recovery_time_seconds=settings.objectives.recovery_time_seconds,
        index=settings.index.type,
        m=settings.index.m,
        chunk_bytes=chunk_bytes(settings.chunking.size),
        replica_queries_per_second=settings.capacity_per_replica.queries_per_second,
        replica_vcpus=settings.capacity_per_replica.vcpus,
        minimum_shards=settings.minimum_shards,
        minimum_replicas=settings.minimum_replicas,
        minimum_routers=settings.minimum_routers,
        router_queries_per_second=_router_capacity(settings, BY_NAME[router_type(settings)]),
    )


def plan_for(settings: Settings, index: IndexType | None = None) -> Plan:
    """The plan of a stack, or as if it had another index. Raises PlanError when no candidate type fits."""
    asked = workload(settings)
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


def _router_capacity(settings: Settings, machine: InstanceType) -> float:
    """A router is one process on one processor: a larger machine carries no more than the one that was measured."""
    measured = settings.capacity_per_router
    return measured.queries_per_second * min(1.0, machine.vcpus / measured.vcpus)
