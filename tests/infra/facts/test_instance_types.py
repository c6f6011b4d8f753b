"""The catalog, compared with an independent copy of EC2's data."""

from __future__ import annotations

import gzip
import json
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from infra.facts.instance_types import (
    BY_NAME,
    CATALOG,
    GIB,
    INDEXER_TYPE,
    MIB,
    PRICES_AS_OF,
    ROUTER_TYPES,
    InstanceType,
    candidates,
    same_size,
)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """Return EC2's DescribeInstanceTypes as moto ships it."""
    packed = files("moto.ec2.resources").joinpath("instance_types.json.gz").read_bytes()
    data: dict[str, Any] = json.loads(gzip.decompress(packed))
    return data


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_cpus_and_memory_are_ec2s(name: str, described: dict[str, Any]) -> None:
    machine, facts = BY_NAME[name], described[name]
    assert machine.vcpus == facts["VCpuInfo"]["DefaultVCpus"]
    assert machine.memory_gib * 1024 == facts["MemoryInfo"]["SizeInMiB"]
    assert facts["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_network_and_disk_are_what_ec2_sustains(name: str, described: dict[str, Any]) -> None:
    machine, facts = BY_NAME[name], described[name]
    (card,) = facts["NetworkInfo"]["NetworkCards"]
    assert machine.network_gbps == pytest.approx(card["BaselineBandwidthInGbps"], rel=0.002)
    disk = facts["EbsInfo"]["EbsOptimizedInfo"]["BaselineThroughputInMBps"]
    assert machine.disk_mibps * MIB <= disk * 1e6 * 1.001


@pytest.mark.parametrize("machine", CATALOG, ids=lambda machine: machine.name)
def test_usable_memory_leaves_room_for_the_system(machine: InstanceType) -> None:
    assert machine.memory_gib * GIB * 0.8 < machine.usable_bytes <= machine.memory_gib * GIB - GIB


def test_only_memory_families_are_candidates_unless_named() -> None:
    assert {machine.name[0] for machine in candidates()} == {"r"}
    assert [machine.name for machine in candidates(["m7i.large"])] == ["m7i.large"]


def test_types_of_the_same_size_have_equal_cpus_and_memory() -> None:
    assert same_size("r7i.large") == ("r7i.large", "r6i.large")
    assert same_size("r7i.48xlarge") == ("r7i.48xlarge",)
    assert same_size("r7i.large", ["r7i.large", "r6i.xlarge"]) == ("r7i.large",)
    assert same_size("r7i.large", ["r6i.large", "r6i.large"]) == ("r7i.large", "r6i.large")


def test_every_type_the_program_names_is_in_the_catalog() -> None:
    assert {INDEXER_TYPE, *ROUTER_TYPES} <= BY_NAME.keys()


def test_prices_are_those_of_the_day_they_name() -> None:
    assert date(2025, 6, 1) == PRICES_AS_OF
    # us-east-1, Linux, on demand, by the hour.
    assert {name: BY_NAME[name].usd_per_hour for name in ("r7i.large", "r6i.large", "m7i.large", "m6i.large")} == {
        "r7i.large": 0.1323,
        "r6i.large": 0.126,
        "m7i.large": 0.1008,
        "m6i.large": 0.096,
    }
    assert BY_NAME["m7i.48xlarge"].usd_per_hour == 9.6768


def test_the_system_takes_three_percent_and_a_gibibyte() -> None:
    assert BY_NAME["r6i.large"].usable_bytes == int(16 * GIB * 0.97) - GIB
