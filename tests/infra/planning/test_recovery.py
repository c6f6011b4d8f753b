"""The recovery of a replica, and the disk that makes it fast enough."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.facts.instance_types import BY_NAME, Disk
from infra.planning import recovery
from infra.planning.recovery import (
    EC2_BOOT,
    LOCAL_BOOT,
    Burden,
    in_time,
    needed_mibps,
    network_mibps,
    predict,
    smallest_disk,
    sustained_mibps,
)

MIB = 2**20
GIB = 2**30
SOME = Burden(snapshot_bytes=9000 * MIB, log_bytes=900 * MIB, log_rows=80_000, log_entries=1_250)


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(recovery) == (0, 2)


def test_every_step_has_its_seconds_and_all_of_them_count() -> None:
    back = predict(BY_NAME["r6i.8xlarge"], Disk(100, 198, 3000), SOME)
    assert list(back.steps.values()) == [120, 45, 30, 50, 20, 15, 2 + 5]
    assert back.seconds == 120 + 45 + 30 + 50 + 20 + 15 + 7
    assert back.to_json()["seconds"] == 287
    assert EC2_BOOT.seconds == 195
    assert LOCAL_BOOT.seconds == 5


def test_the_slowest_of_network_disk_and_volume_bounds_downloads() -> None:
    large, huge = BY_NAME["r6i.large"], BY_NAME["r6i.24xlarge"]
    # 0.78125 Gbit/s and 78.125 MB/s: disk of the smaller machines, volume of the larger ones.
    assert network_mibps(large) == pytest.approx(93.13, abs=0.01)
    assert sustained_mibps(large) == pytest.approx(74.5, abs=0.01)
    assert sustained_mibps(huge) == 1000
    slow_network = replace(huge, network_gbps=0.5)
    assert sustained_mibps(slow_network) == pytest.approx(59.6, abs=0.01)
    assert predict(large, Disk(20, 125, 3000), SOME).download_mibps == pytest.approx(74.5, abs=0.01)
    assert predict(huge, Disk(20, 125, 3000), SOME).download_mibps == 125


def test_a_volume_has_room_for_two_generations_and_the_system() -> None:
    assert smallest_disk(Burden(50 * GIB), 7200).size_gib == 110
    assert smallest_disk(Burden(50 * GIB + 1), 7200).size_gib == 111
    assert smallest_disk(Burden(1), 900) == Disk(20, 125, 3000)


def test_iops_follow_throughput_by_four() -> None:
    burden = Burden(100 * GIB)
    seconds = burden.fixed_seconds + burden.download_mib / 900
    assert smallest_disk(burden, seconds + 1e-6) == Disk(210, 900, 3600)
    assert smallest_disk(burden, burden.fixed_seconds + burden.download_mib / 700).iops == 3000


def test_no_disk_shortens_hashing_and_loading() -> None:
    burden = Burden(100 * GIB)
    assert needed_mibps(burden, burden.fixed_seconds) == float("inf")
    assert not in_time(BY_NAME["r6i.24xlarge"], burden, burden.fixed_seconds)


@given(
    st.sampled_from(["r6i.large", "r6i.2xlarge", "r6i.8xlarge", "r7i.48xlarge"]),
    st.builds(Burden, st.integers(1, 2**40), st.integers(0, 2**38), st.integers(0, 10**7)),
    st.integers(1, 20_000),
)
def test_the_chosen_disk_is_fast_enough_if_any_is(machine: str, burden: Burden, budget: int) -> None:
    if not in_time(BY_NAME[machine], burden, budget):
        assert predict(BY_NAME[machine], Disk(1, 1000, 4000), burden).seconds - 195 > budget
        return
    disk = smallest_disk(burden, budget)
    assert disk.throughput_mibps <= 1000
    assert predict(BY_NAME[machine], disk, burden).seconds - 195 <= budget + 1e-6
