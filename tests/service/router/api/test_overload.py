"""A router refuses reads beyond a limit, and writes to nodes that are nearly full."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.node.memory import room
from service.router.api.overload import LEVELS, Fullness, Reads
from service.router.replicas import Report
from service.wire.problems import Problem

METRICS: Any = None


def replica(*, memory: float = 10.0, disk: float = 10.0, ready: bool = True, shard: int = 0) -> Any:
    report = Report(ready, memory_percent=memory, disk_percent=disk)
    return SimpleNamespace(report=report, ready=ready, node=SimpleNamespace(shard=shard, replica="a"))


def fullness(*replicas: Any) -> Fullness:
    known: Any = SimpleNamespace(all=lambda: list(replicas))
    return Fullness(known)


def refused(subject: Fullness) -> str:
    try:
        subject.check()
    except Problem as problem:
        return f"{problem.status} {problem.detail}"
    return ""


@pytest.mark.parametrize("what", LEVELS)
def test_writes_are_refused_and_accepted_again_at_two_levels(what: str) -> None:
    one = replica()
    subject = fullness(replica(shard=1), one)
    level = LEVELS[what]
    for percent, closed in (
        (level.closes - 0.1, False),
        (level.closes, True),
        (level.opens, True),
        (level.opens - 0.1, False),
        (level.opens, False),
    ):
        one.report = msgspec.structs.replace(Report(True), **{f"{what}_percent": percent})
        said = refused(subject)
        assert bool(said) == closed
        assert not closed or f"507 shard 0, replica a uses {percent:g} % of its {what}" in said


def test_reports_of_unready_nodes_do_not_count() -> None:
    assert refused(fullness()) == ""
    assert refused(fullness(replica(memory=99.0, ready=False))) == ""


def test_reads_beyond_the_limit_are_refused_until_others_end() -> None:
    reads = Reads(METRICS, 3)
    with reads.under_way(2), reads.under_way():
        with pytest.raises(Problem, match="3 reads are under way in this router, 3 may be") as told:
            reads.under_way().__enter__()
        assert (told.value.status, told.value.extra) == (429, {"limit": 3, "retry_after_seconds": 1})
    with pytest.raises(ValueError, match="boom"), reads.under_way(3):
        raise ValueError("boom")
    with reads.under_way(3):
        pass


@given(st.lists(st.integers(1, 5), max_size=20))
def test_never_more_reads_are_under_way_than_may_be(counts: list[int]) -> None:
    reads, held, under_way = Reads(METRICS, 8), [], 0
    for count in counts:
        block = reads.under_way(count)
        try:
            block.__enter__()
        except Problem:
            assert under_way + count > 8
        else:
            held.append(block)
            under_way += count
            assert under_way <= 8
    for block in held:
        block.__exit__(None, None, None)
    with reads.under_way(8):
        pass


def test_a_node_reports_available_memory_and_its_caches_disk(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 250 kB\n")
    found = room(tmp_path, tmp_path)
    assert found.memory_percent == 75.0
    assert 0 < found.disk_percent < 100
