"""Shards, replicas and instance type, for any workload."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.catalog import BY_NAME, CATALOG, candidates
from infra.plan import (
    LOOP_QUERIES_PER_SECOND,
    MAX_CELLS,
    Plan,
    PlanError,
    Workload,
    make_plan,
    shard_bytes,
)
from infra.restore import RESTORE_SHARE
from infra.sizing import INDEX_TYPES, MAX_VECTORS_PER_SHARD, IndexType, ram
from tests.infra.workloads import SMALL, ZONES

workloads = st.builds(
    Workload,
    vectors=st.integers(1, 2_000_000_000),
    dims=st.integers(2, 4096),
    peak_queries_per_second=st.floats(0.1, 5000),
    zones=st.sampled_from([ZONES[:2], ZONES, (*ZONES, "us-east-1d")]),
    retrieval_p95_ms=st.just(200.0),
    recovery_time_seconds=st.just(86_400),
    m=st.integers(4, 64),
    chunk_bytes=st.integers(50, 2000),
    replica_queries_per_second=st.floats(50, 1000),
    replica_vcpus=st.integers(2, 4),
    minimum_shards=st.integers(1, 8),
    minimum_replicas=st.just(2),
)


def planned(workload: Workload) -> Plan:
    try:
        return make_plan(workload, CATALOG)
    except PlanError:
        assume(False)
        raise


@given(workloads)
def test_no_shard_is_larger_than_the_usable_memory_of_its_machine(workload: Workload) -> None:
    plan = planned(workload)
    machine = BY_NAME[plan.instance_type]
    vectors = -(-workload.vectors // plan.shards)
    assert ram(vectors=vectors, dims=workload.dims).recommended_bytes <= plan.shard_bytes
    assert plan.shard_bytes <= plan.usable_bytes == machine.usable_bytes < machine.memory_gib * 2**30


@given(workloads)
def test_no_shard_has_more_vectors_than_a_rebuild_can_bear(workload: Workload) -> None:
    assert -(-workload.vectors // planned(workload).shards) <= MAX_VECTORS_PER_SHARD


@given(workloads)
def test_two_replicas_of_a_shard_never_share_a_zone(workload: Workload) -> None:
    plan = planned(workload)
    for shard in range(min(plan.shards, 20)):
        zones = [placement.zone for placement in plan.placements if placement.shard == shard]
        assert len(zones) == len(set(zones)) == plan.replicas >= 2
        assert set(zones) <= set(workload.zones)


@given(workloads)
def test_the_peak_fits_with_any_one_zone_lost(workload: Workload) -> None:
    plan = planned(workload)
    measured = workload.replica_queries_per_second
    scaled = measured * BY_NAME[plan.instance_type].vcpus / workload.replica_vcpus
    capacity = min(scaled, max(measured, LOOP_QUERIES_PER_SECOND))
    assert (plan.replicas - 1) * capacity >= workload.peak_queries_per_second * (1 - 1e-9)


@given(workloads, st.integers(1, 1_000_000_000))
def test_more_vectors_never_cost_less(workload: Workload, more: int) -> None:
    def cells_usd(plan: Plan) -> float:
        return plan.shards * plan.replicas * BY_NAME[plan.instance_type].usd_per_hour

    larger = planned(replace(workload, vectors=workload.vectors + more))
    assert cells_usd(planned(workload)) <= cells_usd(larger)


@given(workloads, st.integers(1, 64))
def test_more_shards_never_make_a_shard_larger(workload: Workload, shards: int) -> None:
    assert shard_bytes(workload, shards + 1) <= shard_bytes(workload, shards)


def test_the_cheapest_fitting_machine_is_chosen() -> None:
    plan = make_plan(SMALL, candidates())
    assert (plan.shards, plan.replicas, plan.instance_type) == (1, 2, "r6i.xlarge")


def test_a_rate_that_no_machine_carries_is_refused_with_the_way_out() -> None:
    with pytest.raises(PlanError, match=r"need 6 replicas of 200 queries/s.*Allow other types"):
        make_plan(replace(SMALL, peak_queries_per_second=1000), candidates(["r6i.large"]))


def test_rows_too_large_for_any_machine_are_refused_not_looped_over() -> None:
    with pytest.raises(PlanError, match="No instance type"):
        make_plan(replace(SMALL, chunk_bytes=10**12), candidates(["r6i.large"]))


def test_more_cells_than_a_region_has_groups_for_are_refused() -> None:
    with pytest.raises(PlanError, match=r"need [\d,]+ cells, each of them an Auto Scaling group.*several stacks"):
        make_plan(replace(SMALL, vectors=10**13), candidates())
    many = make_plan(replace(SMALL, minimum_shards=MAX_CELLS // 2), candidates())
    assert many.shards * many.replicas == MAX_CELLS


@given(workloads, st.integers(60, 7200))
def test_every_shard_is_back_on_disk_within_half_of_the_recovery_time(workload: Workload, seconds: int) -> None:
    plan = planned(replace(workload, recovery_time_seconds=seconds))
    assert plan.restore.download_seconds <= seconds * RESTORE_SHARE + 1
    assert plan.disk.throughput_mibps <= 1000
    assert plan.disk.iops >= max(3000, 4 * plan.disk.throughput_mibps)
    assert plan.disk.size_gib * 2**30 >= 2 * plan.restore.snapshot_bytes


def test_a_short_recovery_time_is_bought_with_more_shards() -> None:
    slow, fast = (make_plan(replace(SMALL, recovery_time_seconds=seconds), candidates()) for seconds in (900, 20))
    assert slow.shards == 1 < fast.shards
    assert fast.restore.download_seconds <= 10


def test_a_time_in_which_nothing_can_be_restored_is_refused_with_the_way_out() -> None:
    with pytest.raises(PlanError, match=r"too much for .* recovery time.*objectives.recoveryTimeSeconds"):
        make_plan(replace(SMALL, chunk_bytes=2**33, recovery_time_seconds=10), candidates())


@given(workloads)
def test_the_loss_of_any_zone_leaves_every_shard_and_the_peak(workload: Workload) -> None:
    plan = planned(workload)
    assert [loss.zone for loss in plan.zone_losses] == list(workload.zones)
    assert sum(loss.cells_lost for loss in plan.zone_losses) == plan.shards * plan.replicas
    assert sum(loss.routers_lost for loss in plan.zone_losses) == plan.routers
    for loss in plan.zone_losses:
        assert loss.replicas_left >= 1
        assert loss.queries_per_second >= workload.peak_queries_per_second * (1 - 1e-9)


def test_those_not_chosen_say_why() -> None:
    plan = make_plan(replace(SMALL, peak_queries_per_second=500), CATALOG)
    assert plan.runners_up
    assert all("dearer" in one.reason or "the same price" in one.reason for one in plan.runners_up)
    two = make_plan(replace(SMALL, peak_queries_per_second=500), candidates(["r6i.large", "r6i.xlarge"]))
    (refused,) = two.runners_up
    assert (two.instance_type, refused.instance_type, refused.shards) == ("r6i.xlarge", "r6i.large", None)
    assert "500 queries/s need 4 replicas of 200 queries/s" in refused.reason


def test_of_equal_prices_the_one_with_fewer_cells_wins() -> None:
    # Within a family two machines cost what one of twice the size does.
    plan = make_plan(replace(SMALL, vectors=4_000_000), candidates(["r6i.2xlarge", "r6i.4xlarge"]))
    assert (plan.instance_type, plan.shards) == ("r6i.4xlarge", 1)
    assert plan.runners_up[0].reason == "the same price, 4 cells instead of 2"


@pytest.mark.parametrize("index", INDEX_TYPES)
def test_every_index_type_can_be_planned(index: IndexType) -> None:
    plan = make_plan(replace(SMALL, index=index), candidates())
    assert plan.to_json()["index"] == index


def test_json_has_the_keys_of_the_contract() -> None:
    plain = make_plan(SMALL, candidates()).to_json()
    assert plain["ram"] == {
        "floor_bytes": 6_144_000_000,
        "index_bytes": 12_288_000_000,
        "recommended_bytes": 18_432_000_000,
    }
    assert {"shards", "replicas", "instance_type", "measured", "note"} <= plain.keys()
